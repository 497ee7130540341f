// stream_load origin [ALTER]: an echo on a port of its own, for any number of connections. ALTER: one bit of every so many bytes is turned
//   over, to see that a checker notices. Prints {"event":"ready","port":N}. Ends on SIGTERM.
// stream_load visit SOURCE PORT[,PORT...]: visitors of 127.0.0.1, from the address SOURCE, of these ports in turn. Each sends bytes that say whose
//   and where they are, and holds what comes back against them. Reads commands, and answers each by one JSON line:
//     open N               until N are open in all and each has had its first bytes back
//     move PIECE SECONDS   all of them at once: a piece of so many bytes, when it is back the next; until the time is over and all is back
//     close                all of them
//   {"event":...,"open":N,"failed":N,"altered":N,"bytes":N,"rounds_least":N,"rounds":N,"worst_ms":N,"seconds":S}; failed: were refused, cut, or gave
//   nothing for 30 s, since the last command. Ends with its input.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "transport/tcp/socket.h"

namespace {

using Clock = std::chrono::steady_clock;
using ferrotunnel::transport::UniqueFd;
using std::chrono::seconds;

constexpr std::size_t kMostAtOnce = 256;  // connects under way: a listener's queue is finite
constexpr auto kPatience = seconds(30);
constexpr std::size_t kFirst = 16;  // bytes that make an opened connection a served one

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "stream_load: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}
double since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }
sockaddr_in loopback(const char* ip, int port) {
  const auto address = ferrotunnel::transport::parse_ip(ip, static_cast<std::uint16_t>(port));
  if (!address || address->family() != AF_INET) die(ip);
  sockaddr_in in{};
  std::memcpy(&in, address->get(), sizeof in);
  return in;
}
void watch(int epoll, int operation, int fd, std::uint32_t events, void* of) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = of;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) die("epoll_ctl");
}

// --- origin

class Origin {
 public:
  explicit Origin(std::uint64_t alter) : alter_(alter), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  [[noreturn]] void run() {
    auto listener = ferrotunnel::transport::listen_on(*ferrotunnel::transport::parse_ip("127.0.0.1", 0), false);
    if (!listener) die("listening");
    watch(epoll_.get(), EPOLL_CTL_ADD, listener->get(), EPOLLIN, nullptr);
    std::printf("{\"event\":\"ready\",\"port\":%d}\n", ferrotunnel::transport::local_address(listener->get())->port());
    std::fflush(stdout);
    std::array<epoll_event, 512> events;
    while (true) {
      const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) {
        auto* connection = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (connection == nullptr)
          accept(listener->get());
        else if (!echo(*connection))
          delete connection;
      }
    }
  }

 private:
  struct Connection {
    UniqueFd fd;
    std::string out;  // what the tunnel does not take now
    bool ended = false, watched_for_room = false;
  };

  void accept(int listener) {
    for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      ferrotunnel::transport::set_nodelay(fd);
      auto* connection = new Connection{UniqueFd(fd), {}, false, false};
      watch(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN, connection);
    }
  }
  // False: it is over.
  bool echo(Connection& connection) {
    if (connection.out.empty() && !connection.ended) {
      const ssize_t n = ::recv(connection.fd.get(), buffer_.data(), buffer_.size(), 0);
      if (n < 0) return errno == EAGAIN;
      connection.ended = n == 0;
      alter(static_cast<std::size_t>(n));
      connection.out.assign(buffer_.data(), static_cast<std::size_t>(n));
    }
    while (!connection.out.empty()) {
      const ssize_t n = ::send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) return false;
      if (n < 0) break;
      connection.out.erase(0, static_cast<std::size_t>(n));
    }
    if (connection.out.empty()) std::string().swap(connection.out);
    const bool waits = !connection.out.empty();
    if (waits != connection.watched_for_room)
      watch(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), waits ? EPOLLOUT : EPOLLIN, &connection);
    connection.watched_for_room = waits;
    return waits || !connection.ended;
  }
  void alter(std::size_t n) {
    if (alter_ == 0) return;
    for (std::size_t i = 0; i < n; ++i)
      if (++echoed_ % alter_ == 0) buffer_[i] = static_cast<char>(buffer_[i] ^ 0x10);
  }

  const std::uint64_t alter_;
  std::uint64_t echoed_ = 0;
  UniqueFd epoll_;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
};

// --- visitors

struct Visitor {
  UniqueFd fd;
  std::uint32_t number = 0;
  bool served = false, dead = false;
  std::uint64_t sent = 0, received = 0;  // in all
  std::uint64_t goal = 0;                // to be sent and to be back
  std::uint64_t rounds = 0;              // since the last command
  Clock::time_point began;               // of the round

  [[nodiscard]] char byte(std::uint64_t at) const {
    return static_cast<char>((at * 31) ^ (at >> 8) ^ (at >> 16) ^ (number * 167) ^ (number >> 8));
  }
  [[nodiscard]] bool waits() const { return !dead && received < goal; }
};

class Visitors {
 public:
  Visitors(const char* source, std::vector<int> ports)
      : source_(loopback(source, 0)), ports_(std::move(ports)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  void open(std::size_t count) {
    begin();
    while (settled_ < count) {
      while (visitors_.size() < count && visitors_.size() - settled_ < kMostAtOnce) connect();
      step();
    }
    tell("opened");
  }
  void move(std::size_t piece, double time) {
    begin();
    piece_ = piece;
    until_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time));
    for (auto& visitor : visitors_) round(*visitor);
    while (std::ranges::any_of(visitors_, [](const auto& visitor) { return visitor->waits(); })) step();
    piece_ = 0;
    tell("moved");
  }
  void close() {
    begin();
    visitors_.clear();
    settled_ = 0;
    tell("closed");
  }

 private:
  void begin() {
    failed_ = altered_ = bytes_ = 0;
    worst_ = {};
    began_ = Clock::now();
    for (auto& visitor : visitors_) visitor->rounds = 0;
  }
  void tell(const char* event) {
    std::size_t open = 0;
    std::uint64_t least = UINT64_MAX, rounds = 0;
    for (const auto& visitor : visitors_) {
      if (visitor->dead) continue;
      ++open;
      least = std::min(least, visitor->rounds);
      rounds += visitor->rounds;
    }
    std::printf(
        "{\"event\":\"%s\",\"open\":%zu,\"failed\":%llu,\"altered\":%llu,\"bytes\":%llu,\"rounds_least\":%llu,"
        "\"rounds\":%llu,"
        "\"worst_ms\":%.1f,\"seconds\":%.3f}\n",
        event, open, static_cast<unsigned long long>(failed_), static_cast<unsigned long long>(altered_),
        static_cast<unsigned long long>(bytes_), static_cast<unsigned long long>(open == 0 ? 0 : least),
        static_cast<unsigned long long>(rounds), std::chrono::duration<double, std::milli>(worst_).count(),
        since(began_));
    std::fflush(stdout);
  }

  void connect() {
    auto visitor = std::make_unique<Visitor>();
    visitor->number = next_number_++;
    visitor->fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!visitor->fd) die("a socket for a visitor (ulimit -n)");
    const int one = 1;
    ::setsockopt(visitor->fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    ferrotunnel::transport::set_nodelay(visitor->fd.get());
    if (::bind(visitor->fd.get(), reinterpret_cast<const sockaddr*>(&source_), sizeof source_) != 0) die("bind");
    const sockaddr_in to = loopback("127.0.0.1", ports_[visitor->number % ports_.size()]);
    visitor->goal = kFirst;
    visitor->began = Clock::now();
    visitors_.push_back(std::move(visitor));
    Visitor& made = *visitors_.back();
    watch(epoll_.get(), EPOLL_CTL_ADD, made.fd.get(), EPOLLIN | EPOLLOUT | EPOLLET, &made);
    if (::connect(made.fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
      fail(made);
  }
  void round(Visitor& visitor) {
    if (visitor.dead) return;
    visitor.goal += piece_;
    visitor.began = Clock::now();
    send(visitor);
  }

  // What is ready; and whoever has waited too long has failed.
  void step() {
    std::array<epoll_event, 512> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 200);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      auto& visitor = *static_cast<Visitor*>(event.data.ptr);
      if (!visitor.dead && (event.events & EPOLLOUT) != 0) send(visitor);
      if (!visitor.dead && (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive(visitor);
    }
    if (since(looked_) < 1) return;
    looked_ = Clock::now();
    for (auto& visitor : visitors_)
      if (visitor->waits() && looked_ - visitor->began > kPatience) fail(*visitor);
  }
  void send(Visitor& visitor) {
    while (visitor.sent < visitor.goal) {
      const std::size_t n = std::min<std::uint64_t>(visitor.goal - visitor.sent, buffer_.size());
      for (std::size_t i = 0; i < n; ++i) buffer_[i] = visitor.byte(visitor.sent + i);
      const ssize_t sent = ::send(visitor.fd.get(), buffer_.data(), n, MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
      if (sent < 0) return fail(visitor);
      visitor.sent += static_cast<std::uint64_t>(sent);
    }
  }
  void receive(Visitor& visitor) {
    while (!visitor.dead) {
      const ssize_t n = ::recv(visitor.fd.get(), buffer_.data(), buffer_.size(), 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return fail(visitor);
      for (ssize_t i = 0; i < n; ++i)
        if (buffer_[static_cast<std::size_t>(i)] != visitor.byte(visitor.received + static_cast<std::uint64_t>(i)))
          ++altered_;
      visitor.received += static_cast<std::uint64_t>(n);
      bytes_ += static_cast<std::uint64_t>(n);
      if (visitor.received > visitor.sent) return fail(visitor);  // more than was sent: it cannot be ours
      if (visitor.received == visitor.goal) whole(visitor);
    }
  }
  // All that was sent is back.
  void whole(Visitor& visitor) {
    worst_ = std::max(worst_, Clock::now() - visitor.began);
    if (!visitor.served) {
      visitor.served = true;
      ++settled_;
      return;
    }
    ++visitor.rounds;
    if (Clock::now() < until_) round(visitor);
  }
  void fail(Visitor& visitor) {
    if (visitor.dead) return;
    visitor.dead = true;
    visitor.fd.reset();
    ++failed_;
    if (!visitor.served) ++settled_;
  }

  const sockaddr_in source_;
  const std::vector<int> ports_;
  UniqueFd epoll_;
  std::vector<std::unique_ptr<Visitor>> visitors_;
  std::uint32_t next_number_ = 0;
  std::size_t settled_ = 0;  // served or failed
  std::size_t piece_ = 0;
  Clock::time_point until_, looked_, began_;
  Clock::duration worst_{};
  std::uint64_t failed_ = 0, altered_ = 0, bytes_ = 0;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
};

int visit(const char* source, const char* list) {
  std::vector<int> ports;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) ports.push_back(std::atoi(word.c_str()));
  Visitors visitors(source, std::move(ports));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream command(line);
    std::string verb;
    std::size_t count = 0;
    double time = 0;
    command >> verb >> count >> time;
    if (verb == "open")
      visitors.open(count);
    else if (verb == "move" && count > 0)
      visitors.move(count, time);
    else if (verb == "close")
      visitors.close();
    else
      return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "origin" && argc <= 3) {
    ::signal(SIGTERM, [](int) { ::_exit(0); });
    Origin(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0).run();
  }
  if (mode == "visit" && argc == 4) return visit(argv[2], argv[3]);
  std::fputs("usage: stream_load origin [ALTER] | stream_load visit SOURCE PORT[,PORT...]\n", stderr);
  return 2;
}
