// What the api_*_test.cc share: a server and clients made through the public headers, local services, visitors over plain blocking
// sockets, and events that can be waited for. Nothing here waits without a deadline.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ferrotunnel/client.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel::api_test {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

inline constexpr auto kPatience = 60s;  // for what takes milliseconds: the machine may be busy, and TSan is slow

// Looks again until it is so.
template <class Condition>
bool eventually(Condition condition, SteadyClock::duration limit = kPatience) {
  const auto end = SteadyClock::now() + limit;
  while (!condition()) {
    if (SteadyClock::now() >= end) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = "/tmp/ft_api_XXXXXX";
    path = ::mkdtemp(name.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
  std::string path;
};

// A blocking socket whose calls give up after kPatience.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {
    const timeval limit{std::chrono::seconds(kPatience).count(), 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Socket() { close(); }
  // receive_buffer: how much the kernel keeps for one who does not read. source: from 127.0.0.<source>.
  static Socket connect(std::uint16_t port, int receive_buffer = 0, std::uint32_t source = 1) {
    Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (source != 1) {
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr.s_addr = htonl(0x7f00'0000 + source);
      EXPECT_EQ(::bind(socket.fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
    }
    if (receive_buffer > 0) ::setsockopt(socket.fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) socket.close();
    return socket;
  }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void shutdown_write() const { ::shutdown(fd_, SHUT_WR); }
  // Up to n bytes; fewer at the end of the connection.
  [[nodiscard]] std::string read(std::size_t n) const {
    std::string all(n, '\0');
    std::size_t have = 0;
    while (have < n) {
      const ssize_t got = ::recv(fd_, all.data() + have, n - have, 0);
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    all.resize(have);
    return all;
  }
  [[nodiscard]] std::string read_until(std::string_view mark) const {
    std::string all;
    while (!all.ends_with(mark)) {
      const std::string byte = read(1);
      if (byte.empty()) break;
      all += byte;
    }
    return all;
  }
  // "FIN", "RST" or "nothing"; what comes before is read away.
  [[nodiscard]] std::string end() const {
    char buffer[65536];
    ssize_t n;
    while ((n = ::recv(fd_, buffer, sizeof buffer, 0)) > 0) {
    }
    return n == 0 ? "FIN" : errno == ECONNRESET ? "RST" : "nothing";
  }

 private:
  int fd_ = -1;
};

// A local service: each connection is served by `serve` on a thread of its own.
class Service {
 public:
  using Serve = std::function<void(const Socket&)>;
  explicit Service(Serve serve)
      : serve_(std::move(serve)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 1024), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
    accepter_ = std::thread([this] { accept(); });
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() {
    ::shutdown(listener_, SHUT_RDWR);
    accepter_.join();
    ::close(listener_);
    for (One& one : all_) ::shutdown(one.socket.fd(), SHUT_RDWR);
    for (One& one : all_) one.thread.join();
  }
  static Serve echo() {
    return [](const Socket& socket) {
      std::vector<char> buffer(65536);
      ssize_t n;
      while ((n = ::recv(socket.fd(), buffer.data(), buffer.size(), 0)) > 0) {
        if (!socket.send({buffer.data(), static_cast<std::size_t>(n)})) return;
      }
      socket.shutdown_write();
    };
  }
  // HTTP/1.1 with keep-alive: the body names the service and the path.
  static Serve http(std::string name) {
    return [name = std::move(name)](const Socket& socket) {
      for (;;) {
        const std::string head = socket.read_until("\r\n\r\n");
        if (!head.ends_with("\r\n\r\n")) return;
        const std::string body = name + " " + head.substr(0, head.find(" HTTP"));
        if (!socket.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body))
          return;
      }
    };
  }
  // Sends without end until the other side is gone.
  static Serve flood() {
    return [](const Socket& socket) {
      const std::string bytes(65536, 'f');
      while (socket.send(bytes)) {
      }
    };
  }
  [[nodiscard]] std::string at() const { return "127.0.0.1:" + std::to_string(port); }
  std::uint16_t port = 0;
  std::atomic<int> accepted{0};

 private:
  struct One {
    Socket socket;
    std::thread thread;
  };
  void accept() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++accepted;
      One& one = all_.emplace_back();
      one.socket = Socket(fd);
      one.thread = std::thread([this, &one] {
        serve_(one.socket);
        ::shutdown(one.socket.fd(), SHUT_RDWR);  // closed later: the destructor must not meet another's number
      });
    }
  }
  const Serve serve_;
  const int listener_;
  std::list<One> all_;  // the accepting thread's until it is joined
  std::thread accepter_;
};

// Lines told by callbacks on other threads.
class Log {
 public:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
    changed_.notify_all();
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  [[nodiscard]] std::size_t count(std::string_view begin) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(lines_, [&](const std::string& line) { return line.starts_with(begin); }));
  }
  // Until `n` lines begin so.
  [[nodiscard]] bool wait(std::string_view begin, std::size_t n = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      return static_cast<std::size_t>(
                 std::ranges::count_if(lines_, [&](const std::string& line) { return line.starts_with(begin); })) >= n;
    });
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const std::string& line : lines()) all += line + "\n";
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

inline std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

// A server on loopback, with its events.
struct TestServer {
  explicit TestServer(std::string state, const std::function<void(ServerBuilder&)>& more = {}) {
    auto builder = Server::builder();
    builder.listen("127.0.0.1:0")
        .http_listen("127.0.0.1:0")
        .tcp_listen_host("127.0.0.1")
        .state_dir(std::move(state))
        .tls(false)
        .threads(1);
    builder.on_session([this](const SessionEvent& e) {
      log.add(std::string("session ") + (e.kind == SessionEvent::Kind::Up ? "up " : "down ") + e.id + " " +
              e.transport + (e.why ? " " + e.why->context : ""));
    });
    builder.on_tunnel([this](const TunnelEvent& e) {
      const char* kind = e.kind == TunnelEvent::Kind::Up     ? "up "
                         : e.kind == TunnelEvent::Kind::Down ? "down "
                                                             : "rejected ";
      log.add(std::string("tunnel ") + kind + e.name + " " + e.url + (e.why ? " " + e.why->context : ""));
    });
    builder.on_visitor([this](const VisitorEvent& e) {
      log.add(std::string("visitor ") + (e.opened ? "came " : "left ") + e.tunnel + " now " + std::to_string(e.now) +
              " total " + std::to_string(e.total));
    });
    builder.on_request([this](const RequestEvent& e) {
      log.add("request " + e.tunnel + " " + e.method + " " + e.path + " " + std::to_string(e.status));
    });
    builder.on_error([this](const Error& e) { log.add("error " + e.context); });
    if (more) more(builder);
    auto built = builder.build();
    EXPECT_TRUE(built) << built.error().context;
    server.emplace(std::move(*built));
    auto started = server->start();
    EXPECT_TRUE(started) << started.error().context;
    if (started) ready = *started;
  }
  [[nodiscard]] std::uint16_t port() const { return port_of(ready.listen); }
  [[nodiscard]] std::uint16_t http_port() const { return port_of(ready.http_listen); }

  Log log;
  ServerReady ready;
  std::optional<Server> server;
};

// A client of one, with its events. Tunnels are added by `more`.
struct TestClient {
  TestClient(const std::string& token, const std::function<void(ClientBuilder&)>& more) {
    auto builder = Client::builder();
    builder.join(token);
    builder.on_connecting([this](const Connecting& e) { log.add("connecting " + e.address); });
    builder.on_connected([this](const Connected& e) { log.add("connected " + e.session + " " + e.transport); });
    builder.on_disconnected([this](const Disconnected& e) {
      log.add(std::string("disconnected ") + (e.why.retry ? "retry " : "for good ") + e.why.context);
    });
    builder.on_tunnel_up([this](const TunnelUp& e) {
      {
        const std::lock_guard lock(mutex);
        ups.push_back(e);
      }
      log.add("up " + e.name + " " + e.public_url);
    });
    builder.on_tunnel_failed([this](const TunnelFailed& e) {
      log.add("failed " + e.name + " " + std::string(to_string(e.why.code)) + " " + e.why.context);
    });
    builder.on_visitor([this](const VisitorEvent& e) {
      log.add(std::string("visitor ") + (e.opened ? "came " : "left ") + e.tunnel + " now " + std::to_string(e.now) +
              " total " + std::to_string(e.total));
    });
    builder.on_error([this](const Error& e) { log.add("error " + e.context); });
    more(builder);
    auto built = builder.build();
    EXPECT_TRUE(built) << built.error().context;
    client.emplace(std::move(*built));
    auto started = client->start();
    EXPECT_TRUE(started) << started.error().context;
  }
  // Of the tunnel, when it came up last.
  [[nodiscard]] TunnelUp up(const std::string& name) {
    const std::lock_guard lock(mutex);
    for (auto at = ups.rbegin(); at != ups.rend(); ++at)
      if (at->name == name) return *at;
    return {};
  }
  [[nodiscard]] bool wait_up(const std::string& name, std::size_t n = 1) { return log.wait("up " + name + " ", n); }

  Log log;
  std::mutex mutex;
  std::vector<TunnelUp> ups;
  std::optional<Client> client;
};

// One request on a connection of its own: status line and body.
struct Answer {
  int status = 0;
  std::string head, body;
};
inline Answer read_answer(const Socket& socket) {
  Answer answer;
  answer.head = socket.read_until("\r\n\r\n");
  if (answer.head.size() > 12) answer.status = std::atoi(answer.head.c_str() + 9);
  const auto at = answer.head.find("ontent-");
  if (at != std::string::npos) {
    std::string lower = answer.head;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (const auto length = lower.find("content-length: "); length != std::string::npos)
      answer.body = socket.read(static_cast<std::size_t>(std::atoi(lower.c_str() + length + 16)));
  }
  return answer;
}
inline Answer get(std::uint16_t port, const std::string& host, const std::string& path = "/") {
  const Socket socket = Socket::connect(port);
  if (!socket.open() || !socket.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")) return {};
  return read_answer(socket);
}

// Bytes that are the same for the same seed and differ everywhere.
inline std::string noise(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9e37'79b9'7f4a'7c15 + 1;
  for (char& c : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state);
  }
  return bytes;
}
// Sends while it reads, so that no buffer on the way has to hold it all.
inline bool echoes(const Socket& socket, const std::string& bytes) {
  std::thread sender([&] {
    socket.send(bytes);
    socket.shutdown_write();
  });
  const std::string back = socket.read(bytes.size());
  const bool same = back == bytes && socket.end() == "FIN";
  sender.join();
  return same;
}

}  // namespace ferrotunnel::api_test
