// HttpWorld: one shard with a HttpIngress, a FakeLink behind it and visitors over loopback TCP in front, run in the test's thread.
//
// Every test that uses it runs on both pollers.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingress/http1/http_ingress.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"
#include "unit/ingress/fake_link.h"

namespace ferrotunnel::ingress::test {

using namespace std::chrono_literals;

struct SocketPair {
  transport::UniqueFd visitor, server;  // both non-blocking
};
inline SocketPair tcp_pair(int receive_buffer = 0) {
  const auto any = transport::parse_ip("127.0.0.1", 0);
  transport::UniqueFd listener = std::move(*transport::listen_on(*any, false));
  const auto address = transport::local_address(listener.get());
  SocketPair pair;
  pair.visitor = transport::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer > 0)
    ::setsockopt(pair.visitor.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  EXPECT_EQ(::connect(pair.visitor.get(), address->get(), address->length), 0);
  pair.server = transport::UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_TRUE(pair.server);
  ::fcntl(pair.visitor.get(), F_SETFL, O_NONBLOCK);
  transport::set_nodelay(pair.visitor.get());
  return pair;
}

// The visitor's own end.
class Visitor {
 public:
  explicit Visitor(transport::UniqueFd fd) : fd_(std::move(fd)) {}

  // What fits now; the rest goes with the next call of move().
  void send(std::string_view bytes) {
    outbox_.append(bytes);
    move();
  }
  void move() {
    if (!fd_) return;
    while (!outbox_.empty()) {
      const ssize_t n = ::send(fd_.get(), outbox_.data(), outbox_.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      outbox_.erase(0, static_cast<std::size_t>(n));
    }
    static char bytes[65536];
    while (reading) {
      const ssize_t n = ::recv(fd_.get(), bytes, sizeof bytes, 0);
      if (n > 0) {
        got.append(bytes, static_cast<std::size_t>(n));
        put_dates_aside();
        continue;
      }
      if (n == 0) eof = true;
      if (n < 0 && errno != EAGAIN) reset = true;
      break;
    }
  }
  // So many at most, where it is not `reading`.
  void read_some(std::size_t most) {
    std::string bytes(most, 0);
    const ssize_t n = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (n > 0) taken += static_cast<std::size_t>(n);
    if (n == 0) eof = true;
    if (n < 0 && errno != EAGAIN) reset = true;
  }
  void finish() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void close_with_rst() {
    transport::close_with_reset(fd_.get());
    fd_.reset();
  }
  [[nodiscard]] bool closed() const { return eof || reset; }
  [[nodiscard]] std::size_t unsent() const { return outbox_.size(); }
  [[nodiscard]] std::string take() { return std::exchange(got, {}); }

  std::string got;
  std::vector<std::string> dates;  // those that were in it: what the rest is does not depend on the time
  bool eof = false, reset = false;
  bool reading = true;
  std::size_t taken = 0;  // by read_some()

 private:
  void put_dates_aside() {
    constexpr std::string_view kName = "\r\nDate: ", kEnd = " GMT\r\n";
    for (std::size_t at = 0; (at = got.find(kName, at)) != std::string::npos;) {
      const std::size_t end = got.find("\r\n", at + 2);
      if (end == std::string::npos) return;  // the rest comes
      const std::string line = got.substr(at, end + 2 - at);
      if (!line.ends_with(kEnd)) {
        at = end;
        continue;
      }
      dates.push_back(line.substr(kName.size(), line.size() - kName.size() - 2));
      got.erase(at + 2, end - at);
    }
  }

  transport::UniqueFd fd_;
  std::string outbox_;
};

// A record whose views live.
struct Record {
  explicit Record(const RequestRecord& r)
      : fields(r), method(r.method), host(r.host), path(r.path), request_id(r.request_id), slug(r.slug) {}
  RequestRecord fields;
  std::string method, host, path, request_id, slug;
};

class WorldHost final : public HttpIngressHost {
 public:
  struct Moved {
    unsigned shard;
    transport::ByteStreamPtr stream;
    transport::PeerAddress peer;
    std::string early;
    VisitorTls tls;
    VisitorSlot slot;
  };
  void move_visitor(unsigned shard, transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                    std::string early, const VisitorTls& tls, VisitorSlot slot) override {
    moved.push_back({shard, std::move(visitor), peer, std::move(early), tls, std::move(slot)});
  }
  void move_http2(unsigned shard, Http2Parcel parcel) override { moved_http2.emplace_back(shard, std::move(parcel)); }
  void on_move(const route::RouteTarget& target) override { wanted.push_back(target.session); }
  void on_request(const RequestRecord& record) override { records.emplace_back(record); }
  void on_turned_away(Refusal why) override {
    ++turned_away;
    refused = why;
  }

  int turned_away = 0;
  Refusal refused{};  // the last of those
  std::vector<Moved> moved;
  std::vector<std::pair<unsigned, Http2Parcel>> moved_http2;
  std::vector<route::SessionId> wanted;  // of on_move()
  std::vector<Record> records;
};

class HttpWorld {
 public:
  static constexpr route::SessionId kSession = 7;
  static constexpr std::uint32_t kTunnel = 3;
  static constexpr std::string_view kHost = "a.test";

  explicit HttpWorld(bool portable, const HttpIngressOptions& options = {}, unsigned index = 0,
                     std::size_t memory = MemoryBudget::kDefaultLimit)
      : budget(memory), shard(index, budget, portable), cache(router), link(shard) {
    EXPECT_TRUE(router.claim(std::string(kHost), "owner", {kSession, kTunnel, index}).has_value());
    links.add(kSession, link);
    ingress = std::make_unique<HttpIngress>(shard, cache, links, options, host);
  }
  ~HttpWorld() {
    ingress.reset();
    EXPECT_EQ(link.alive(), 0u) << "streams that outlive the ingress";
  }

  // `tls`: what the ingress is told; the bytes are plain.
  [[nodiscard]] Visitor& connect(int receive_buffer = 0, const VisitorTls& tls = {},
                                 const transport::PeerAddress& from = peer()) {
    SocketPair pair = tcp_pair(receive_buffer);
    visitors.push_back(std::make_unique<Visitor>(std::move(pair.visitor)));
    ingress->adopt(std::make_unique<transport::TcpStream>(std::move(pair.server)), from, {}, tls);
    return *visitors.back();
  }
  // One who does not read yet, and for whom the kernel holds hardly anything at either end.
  [[nodiscard]] Visitor& connect_narrow() {
    SocketPair pair = tcp_pair(2048);
    const int small = 4096;
    ::setsockopt(pair.server.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    visitors.push_back(std::make_unique<Visitor>(std::move(pair.visitor)));
    visitors.back()->reading = false;
    ingress->adopt(std::make_unique<transport::TcpStream>(std::move(pair.server)), peer(), {}, {});
    return *visitors.back();
  }
  // He reads a little all the time, for so long or until he is closed. False: until() gave up before.
  [[nodiscard]] bool reads_slowly(Visitor& visitor, Duration time) {
    const TimePoint begin = Clock::now();
    TimePoint next = begin;
    return until([&] {
      if (Clock::now() >= next) {
        next = Clock::now() + std::chrono::milliseconds(10);
        visitor.read_some(1000);
      }
      return Clock::now() - begin > time || visitor.closed();
    });
  }
  [[nodiscard]] static transport::PeerAddress peer() {
    transport::PeerAddress peer;
    peer.family = 4;
    peer.port = 50'000;
    peer.bytes = {std::byte{192}, std::byte{0}, std::byte{2}, std::byte{7}};
    return peer;
  }

  // Runs the shard until the condition holds; false after `limit`.
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition, Duration limit = 10s) {
    const TimePoint end = Clock::now() + limit;
    while (true) {
      for (const auto& visitor : visitors) visitor->move();
      shard.io().restart();
      const std::size_t ran = shard.io().poll();
      if (condition()) return true;
      if (Clock::now() > end) return false;
      if (ran == 0) shard.io().run_one_for(1ms);
    }
  }
  // Until the visitor has this text.
  [[nodiscard]] bool until_got(Visitor& visitor, std::string_view text) {
    return until([&] { return visitor.got.contains(text); });
  }
  // Until nothing moves any more: loopback delivers at once, so a few empty rounds are the end.
  void settle() {
    for (int quiet = 0; quiet < 5;) {
      for (const auto& visitor : visitors) visitor->move();
      shard.io().restart();
      quiet = shard.io().poll() == 0 ? quiet + 1 : 0;
    }
  }

  MemoryBudget budget;
  transport::Shard shard;
  route::Router router;
  route::RouterCache cache;
  route::LinkDirectory links;
  FakeLink link;
  WorldHost host;
  std::unique_ptr<HttpIngress> ingress;
  std::vector<std::unique_ptr<Visitor>> visitors;
};

class HttpTest : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] bool portable() const { return GetParam(); }
};
#define FT_ON_BOTH_POLLERS(suite)                           \
  INSTANTIATE_TEST_SUITE_P(Pollers, suite, testing::Bool(), \
                           [](const auto& info) { return info.param ? "portable" : "native"; })

[[nodiscard]] inline std::string get(std::string_view path = "/", std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a.test\r\n" + std::string(more) + "\r\n";
}
[[nodiscard]] inline std::string ok(std::string_view body, std::string_view more = "") {
  return "HTTP/1.1 200 OK\r\n" + std::string(more) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}
// Answers each whole head that has no body.
[[nodiscard]] inline std::function<void(FakeStream&)> answer_heads(
    std::function<std::string(std::string_view head)> answer) {
  return [answer = std::move(answer)](FakeStream& stream) {
    for (std::size_t end; (end = stream.got.find("\r\n\r\n")) != std::string::npos;) {
      const std::string head = stream.got.substr(0, end + 4);
      stream.got.erase(0, end + 4);
      stream.say(answer(head));
    }
  };
}

[[nodiscard]] inline bool asked(HttpWorld& world) {
  return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n");
}

// A visitor with one request that the origin has in front of it.
[[nodiscard]] inline Visitor& ask(HttpWorld& world, const std::string& request = get()) {
  Visitor& visitor = world.connect();
  visitor.send(request);
  EXPECT_TRUE(world.until([&] { return asked(world); }));
  return visitor;
}

inline void expect_page(HttpWorld& world, Visitor& visitor, int status, std::string_view side, std::string_view slug) {
  ASSERT_TRUE(world.until_got(visitor, "Ferrotunnel-Side: ")) << visitor.got << (visitor.reset ? " RST" : "");
  EXPECT_TRUE(visitor.got.contains("HTTP/1.1 " + std::to_string(status) + " ")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("Ferrotunnel-Side: " + std::string(side) + "\r\n")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("Ferrotunnel-Error: " + std::string(slug) + "\r\n")) << visitor.got;
  const std::size_t id = visitor.got.find("X-Request-Id: ");
  ASSERT_NE(id, std::string::npos);
  ASSERT_FALSE(world.host.records.empty());
  const Record& record = world.host.records.back();
  EXPECT_EQ(record.request_id, visitor.got.substr(id + 14, 16));
  EXPECT_EQ(record.slug, slug);
  EXPECT_EQ(record.fields.status, status);
  EXPECT_EQ(http::to_string(record.fields.side), side);
}

}  // namespace ferrotunnel::ingress::test
