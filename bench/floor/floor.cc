// bench_floor [MEGABYTES]: what this machine's loopback gives to anybody, in the same terms as peers.py: the limit that a tunnel is held against.
//
// direct       one TCP connection, nothing between
// splice hop   one process between that splices socket -> pipe -> socket; two of them are what a tunnel cannot be cheaper than
// copy hop     one process between that reads and writes 128 KiB at a time
// Each is a process of its own, so that its CPU time is its own. Prints a line for each, and all as JSON with FT_JSON=file in the environment.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
enum class Hop { Splice, Copy };

constexpr std::size_t kPiece = 128 << 10;
constexpr int kPings = 20'000;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::pair<int, int> listening() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), length) != 0 || ::listen(fd, 16) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length) != 0)
    die("listen");
  return {fd, ntohs(at.sin_port)};
}
int nodelay(int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}
int dial(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("connect");
  return nodelay(fd);
}
bool send_all(int fd, const char* bytes, std::size_t n) {
  while (n > 0) {
    const ssize_t sent = ::send(fd, bytes, n, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    n -= static_cast<std::size_t>(sent);
  }
  return true;
}

// One way, until the end of what comes.
void pass(Hop how, int from, int to) {
  std::vector<char> buffer(kPiece);
  int pipe[2];
  if (::pipe(pipe) != 0) die("pipe");
  ::fcntl(pipe[0], F_SETPIPE_SZ, 1 << 20);
  while (true) {
    ssize_t n = how == Hop::Copy ? ::recv(from, buffer.data(), buffer.size(), 0)
                                 : ::splice(from, nullptr, pipe[1], nullptr, kPiece, SPLICE_F_MOVE);
    if (n <= 0) return;
    if (how == Hop::Copy && !send_all(to, buffer.data(), static_cast<std::size_t>(n))) return;
    while (how == Hop::Splice && n > 0) {
      const ssize_t moved = ::splice(pipe[0], nullptr, to, nullptr, static_cast<std::size_t>(n), SPLICE_F_MOVE);
      if (moved <= 0) return;
      n -= moved;
    }
  }
}

// A child process that serves one connection at a listener: its pid.
pid_t serve(int listener, const std::function<void(int)>& one) {
  const pid_t pid = ::fork();
  if (pid < 0) die("fork");
  if (pid > 0) return pid;
  one(nodelay(::accept(listener, nullptr, nullptr)));
  ::_exit(0);
}
double cpu_of(pid_t pid) {
  rusage used{};
  int status = 0;
  if (::wait4(pid, &status, 0, &used) != pid || status != 0) die("a child failed");
  const auto secs = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return secs(used.ru_utime) + secs(used.ru_stime);
}

struct Chain {
  int port = 0;
  std::vector<pid_t> hops;
  pid_t sink = 0;
};
// hops times `how`, in front of a service.
Chain chain(int hops, Hop how, const std::function<void(int)>& service, bool both_ways) {
  Chain made;
  auto [listener, port] = listening();
  made.sink = serve(listener, service);
  ::close(listener);
  for (int i = 0; i < hops; ++i) {
    auto [next, next_port] = listening();
    made.hops.push_back(serve(next, [how, to = port, both_ways](int from) {
      const int far = dial(to);
      const pid_t back = both_ways ? ::fork() : -1;
      if (back == 0) {
        pass(how, far, from);
        ::_exit(0);
      }
      pass(how, from, far);
      ::shutdown(far, SHUT_WR);
      if (back > 0) ::waitpid(back, nullptr, 0);
    }));
    ::close(next);
    port = next_port;
  }
  made.port = port;
  return made;
}

struct Figures {
  double mb_per_s = 0, hop_cpu_per_gb = 0, ping_p50_us = 0;
};
Figures measure(int hops, Hop how, std::uint64_t bytes) {
  Figures figures;
  const std::vector<char> block(kPiece, 'x');
  {
    const Chain bulk = chain(
        hops, how,
        [](int fd) {
          std::vector<char> buffer(256 << 10);
          while (::recv(fd, buffer.data(), buffer.size(), 0) > 0) {
          }
        },
        false);
    const int fd = dial(bulk.port);
    const auto from = Clock::now();
    for (std::uint64_t sent = 0; sent < bytes; sent += block.size())
      if (!send_all(fd, block.data(), block.size())) die("send");
    ::close(fd);
    double cpu = 0;
    for (const pid_t hop : bulk.hops) cpu += cpu_of(hop);
    cpu_of(bulk.sink);
    figures.mb_per_s = static_cast<double>(bytes) / 1e6 / std::chrono::duration<double>(Clock::now() - from).count();
    figures.hop_cpu_per_gb = cpu / (static_cast<double>(bytes) / 1e9);
  }
  const Chain ping = chain(
      hops, how,
      [](int fd) {
        char byte[64];
        for (ssize_t n; (n = ::recv(fd, byte, sizeof byte, 0)) > 0;) send_all(fd, byte, static_cast<std::size_t>(n));
      },
      true);
  const int fd = dial(ping.port);
  std::vector<double> took;
  for (int i = 0; i < kPings; ++i) {
    char byte[64] = {};
    const auto from = Clock::now();
    std::size_t back = 0;
    if (!send_all(fd, byte, sizeof byte)) die("send");
    while (back < sizeof byte) {
      const ssize_t n = ::recv(fd, byte, sizeof byte - back, 0);
      if (n <= 0) die("the echo");
      back += static_cast<std::size_t>(n);
    }
    took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - from).count());
  }
  ::shutdown(fd, SHUT_WR);
  for (const pid_t hop : ping.hops) cpu_of(hop);
  cpu_of(ping.sink);
  ::close(fd);
  std::ranges::nth_element(took, took.begin() + kPings / 2);
  figures.ping_p50_us = took[kPings / 2];
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t bytes = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2000) * 1'000'000;
  struct Row {
    const char* name;
    int hops;
    Hop how;
  };
  std::string json;
  std::printf("%-14s %8s %14s %12s\n", "", "MB/s", "hops' CPU s/GB", "ping p50 us");
  for (const Row& row :
       {Row{"direct", 0, Hop::Copy}, Row{"1 splice hop", 1, Hop::Splice}, Row{"2 splice hops", 2, Hop::Splice},
        Row{"1 copy hop", 1, Hop::Copy}, Row{"2 copy hops", 2, Hop::Copy}}) {
    // The best of three: it is the limit that is asked for.
    Figures got = measure(row.hops, row.how, bytes);
    for (int again = 0; again < 2; ++again) {
      const Figures other = measure(row.hops, row.how, bytes);
      got.mb_per_s = std::max(got.mb_per_s, other.mb_per_s);
      got.hop_cpu_per_gb = std::min(got.hop_cpu_per_gb, other.hop_cpu_per_gb);
      got.ping_p50_us = std::min(got.ping_p50_us, other.ping_p50_us);
    }
    std::printf("%-14s %8.0f %14.3f %12.1f\n", row.name, got.mb_per_s, got.hop_cpu_per_gb, got.ping_p50_us);
    std::fflush(stdout);
    char line[200];
    std::snprintf(line, sizeof line, "%s\"%s\":{\"MBps\":%.1f,\"cpu_s_per_gb\":%.4f,\"ping_p50_us\":%.1f}",
                  json.empty() ? "" : ",", row.name, got.mb_per_s, got.hop_cpu_per_gb, got.ping_p50_us);
    json += line;
  }
  if (const char* path = std::getenv("FT_JSON")) {
    std::FILE* file = std::fopen(path, "w");
    if (file == nullptr) die(path);
    std::fprintf(file, "{%s}\n", json.c_str());
    std::fclose(file);
  }
  return 0;
}
