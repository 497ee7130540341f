// HTTP over the real thing: visitors on loopback TCP, HttpIngress, two MuxLinks joined by TCP, the client's dispatcher, and an origin on
// loopback TCP, all on one shard in the test's thread. What single rooms promise each other is tested here; HTTP's own cases are in
// tests/unit/ingress/.
#include <gtest/gtest.h>

#include <functional>
#include <list>

#include "mux/mux_link.h"
#include "origin/dispatcher.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

// The local service: many connections, each with what it got so far; answers by a function.
class Origin {
 public:
  using Answer = std::function<void(Visitor&)>;

  Origin() : listener_(std::move(*transport::listen_on(*transport::parse_ip("127.0.0.1", 0), false))) {}

  [[nodiscard]] origin::TargetPtr target() const {
    return std::make_shared<origin::OriginTarget>(*transport::local_address(listener_.get()), "test origin");
  }
  void move() {
    while (listener_) {
      transport::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) break;
      connections.emplace_back(std::move(fd));
    }
    for (Visitor& connection : connections) {
      const std::size_t before = connection.got.size();
      connection.move();
      if (answer && connection.got.size() > before) answer(connection);
    }
  }

  std::list<Visitor> connections;
  Answer answer;

 private:
  transport::UniqueFd listener_;
};

// Answers each head without a body by the text that the function gives.
Origin::Answer answering(std::function<std::string(const std::string& head)> text) {
  return [text = std::move(text)](Visitor& connection) {
    for (std::size_t end; (end = connection.got.find("\r\n\r\n")) != std::string::npos;) {
      const std::string head = connection.got.substr(0, end + 4);
      connection.got.erase(0, end + 4);
      connection.send(text(head));
    }
  };
}

// One end of the link.
class End final : public transport::LinkHandler {
 public:
  End(transport::Shard& shard, transport::UniqueFd fd, mux::Role role)
      : link(shard, std::make_unique<transport::TcpStream>(std::move(fd)), role, {}, *this) {
    EXPECT_TRUE(link.start().has_value());
  }
  void on_open(transport::Stream& stream, const transport::OpenInfo& info) override { opened(stream, info); }
  void on_control(std::string_view) override {}
  void on_goaway(std::uint32_t, std::string_view) override {}
  void on_link_closed(const Error&) override { closed = true; }

  std::function<void(transport::Stream&, const transport::OpenInfo&)> opened;
  bool closed = false;
  mux::MuxLink link;
};

class DispatcherWatch final : public origin::DispatcherHost {
 public:
  void on_origin_failed(std::uint32_t, const Error&) override { ++failed; }
  void on_origin_count(std::uint32_t, int, transport::RelayBytes) override {}
  int failed = 0;
};

class HttpThroughLinks : public HttpTest {
 protected:
  static constexpr route::SessionId kSession = 11;

  void SetUp() override {
    shard_.emplace(0u, budget_, portable());
    dispatcher_.emplace(*shard_, origin::DispatcherOptions{}, watch_);
    SocketPair pair = tcp_pair();
    ::fcntl(pair.visitor.get(), F_SETFL, O_NONBLOCK);
    server_.emplace(*shard_, std::move(pair.server), mux::Role::Server);
    client_.emplace(*shard_, std::move(pair.visitor), mux::Role::Client);
    client_->opened = [this](transport::Stream& stream, const transport::OpenInfo& info) {
      dispatcher_->dispatch(stream, info.tunnel, origin_.target());
    };
    routes_.emplace(router_);
    ASSERT_TRUE(router_.claim("a.test", "owner", {kSession, 1, 0}).has_value());
    links_.add(kSession, server_->link);
    ingress_.emplace(*shard_, *routes_, links_, HttpIngressOptions{}, host_);
  }
  void TearDown() override {
    ingress_.reset();
    server_->link.close(Error(ErrorCode::Cancelled, Side::Local, false, "the test is over"));
    EXPECT_TRUE(until([&] { return server_->closed && client_->closed; }));
    EXPECT_EQ(shard_->buffers().lent(), 0u);
  }

  [[nodiscard]] Visitor& connect(int receive_buffer = 0) {
    SocketPair pair = tcp_pair(receive_buffer);
    visitors_.emplace_back(std::move(pair.visitor));
    ingress_->adopt(std::make_unique<transport::TcpStream>(std::move(pair.server)), HttpWorld::peer());
    return visitors_.back();
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition, Duration limit = 20s) {
    const TimePoint end = Clock::now() + limit;
    while (true) {
      for (Visitor& visitor : visitors_) visitor.move();
      origin_.move();
      shard_->io().restart();
      const std::size_t ran = shard_->io().poll();
      if (condition()) return true;
      if (Clock::now() > end) return false;
      if (ran == 0) shard_->io().run_one_for(1ms);
    }
  }

  MemoryBudget budget_;
  Origin origin_;
  DispatcherWatch watch_;
  route::Router router_;
  route::LinkDirectory links_;
  WorldHost host_;
  std::list<Visitor> visitors_;
  std::optional<transport::Shard> shard_;
  std::optional<origin::OriginDispatcher> dispatcher_;
  std::optional<End> server_, client_;
  std::optional<route::RouterCache> routes_;
  std::optional<HttpIngress> ingress_;
};
FT_ON_BOTH_POLLERS(HttpThroughLinks);

TEST_P(HttpThroughLinks, ManyRequestsOverOneOriginConnection) {
  origin_.answer = answering([](const std::string& head) { return ok(head.substr(4, head.find(' ', 4) - 4)); });
  Visitor& visitor = connect();
  for (int i = 0; i < 200; ++i) {
    const std::string path = "/" + std::to_string(i);
    visitor.send(get(path));
    ASSERT_TRUE(until([&] { return visitor.got == ok(path); })) << visitor.got;
    visitor.got.clear();
  }
  EXPECT_EQ(origin_.connections.size(), 1u);
  EXPECT_EQ(ingress_->stats().origins_reused, 199u);
}

TEST_P(HttpThroughLinks, ManyVisitorsAtOnce) {
  origin_.answer = answering(
      [](const std::string& head) { return ok(head.substr(4, head.find(' ', 4) - 4) + std::string(3000, 'x')); });
  for (int i = 0; i < 200; ++i) connect().send(get("/" + std::to_string(i)));
  int i = 0;
  for (Visitor& visitor : visitors_) {
    const std::string wanted = ok("/" + std::to_string(i++) + std::string(3000, 'x'));
    ASSERT_TRUE(until([&] { return visitor.got == wanted; }));
  }
  EXPECT_EQ(ingress_->stats().idle_origins, 200u);  // for a while
}

TEST_P(HttpThroughLinks, LargeBodiesBothWaysAndASlowVisitor) {
  std::string body(8u << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 11);
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  origin_.answer = [&](Visitor& connection) {
    const std::size_t head = connection.got.find("\r\n\r\n");
    if (head == std::string::npos || connection.got.size() < head + 4 + body.size()) return;
    connection.send(ok(connection.got.substr(head + 4)));
    connection.got.clear();
  };
  Visitor& visitor = connect(16'384);
  visitor.reading = false;
  visitor.send(request + body);
  ASSERT_TRUE(until([&] { return origin_.connections.size() == 1 && origin_.connections.front().unsent() > 0; }));
  // Nothing moves any more while the visitor does not read; another one is served all the same.
  Visitor& other = connect();
  other.send("HEAD / HTTP/1.1\r\nHost: b.test\r\n\r\n");
  ASSERT_TRUE(until([&] { return other.got.contains("404"); }));
  // Bytes wait in kernel buffers and in the stream's window.
  EXPECT_LE(server_->link.status().held, 8u << 20);
  visitor.reading = true;
  ASSERT_TRUE(until([&] { return visitor.got.size() >= ok(body).size(); }, 60s));
  EXPECT_TRUE(visitor.got == ok(body));
  EXPECT_EQ(ingress_->stats().idle_origins, 1u);
}

TEST_P(HttpThroughLinks, UpgradeIsARawRelay) {
  origin_.answer = [](Visitor& connection) {
    if (const std::size_t head = connection.got.find("\r\n\r\n");
        connection.got.starts_with("GET ") && head != std::string::npos) {
      connection.got.erase(0, head + 4);
      connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello;");
    }
    connection.send(connection.take());
  };
  Visitor& visitor = connect();
  visitor.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly;");
  ASSERT_TRUE(until([&] { return visitor.got.ends_with("hello;early;"); })) << visitor.got;
  visitor.send("later;");
  ASSERT_TRUE(until([&] { return visitor.got.ends_with("later;"); }));
  origin_.connections.front().finish();
  ASSERT_TRUE(until([&] { return visitor.eof; }));
  visitor.finish();
  ASSERT_TRUE(until([&] { return ingress_->stats().visitors == 0; }));
  EXPECT_EQ(host_.records.back().slug, "");
}

TEST_P(HttpThroughLinks, RefusedByTheOrigin) {
  origin::TargetPtr nobody;
  {
    const Origin gone;
    nobody = gone.target();
  }
  client_->opened = [&](transport::Stream& stream, const transport::OpenInfo& info) {
    dispatcher_->dispatch(stream, info.tunnel, nobody);
  };
  Visitor& visitor = connect();
  visitor.send(get());
  ASSERT_TRUE(until([&] { return visitor.got.contains("Ferrotunnel-Error: origin-refused\r\n"); })) << visitor.got;
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(watch_.failed, 1);
}

TEST_P(HttpThroughLinks, OriginClosesItsIdleConnections) {
  origin_.answer = answering([](const std::string&) { return ok("x"); });
  Visitor& visitor = connect();
  for (std::size_t i = 1; i <= 3; ++i) {
    visitor.send(get());
    ASSERT_TRUE(until([&] { return visitor.got == ok("x"); })) << visitor.got;
    visitor.got.clear();
    EXPECT_EQ(origin_.connections.size(), i);
    origin_.connections.back().finish();
    ASSERT_TRUE(until([&] { return ingress_->stats().idle_origins == 0 && origin_.connections.back().eof; }));
    EXPECT_FALSE(origin_.connections.back().reset);
  }
  EXPECT_EQ(ingress_->stats().retries, 0u);
}

TEST_P(HttpThroughLinks, OriginClosesJustWhenARequestGoesOut) {
  int asked = 0;
  origin_.answer = [&](Visitor& connection) {
    if (!connection.got.ends_with("\r\n\r\n")) return;
    connection.got.clear();
    // The second request of the first connection finds it closing.
    if (++asked == 2) return connection.finish();
    connection.send(ok("x"));
  };
  Visitor& visitor = connect();
  for (int i = 0; i < 2; ++i) {
    visitor.send(get());
    ASSERT_TRUE(until([&] { return visitor.got == ok("x"); })) << visitor.got;
    visitor.got.clear();
  }
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(ingress_->stats().retries, 1u);
}

TEST_P(HttpThroughLinks, AnRstOfTheOriginReachesTheVisitor) {
  origin_.answer =
      answering([](const std::string&) { return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"); });
  Visitor& visitor = connect();
  visitor.send(get());
  ASSERT_TRUE(until([&] { return visitor.got.ends_with("abc"); }));
  origin_.connections.front().close_with_rst();
  ASSERT_TRUE(until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.reset);
}

TEST_P(HttpThroughLinks, AnRstOfTheVisitorReachesTheOrigin) {
  Visitor& visitor = connect();
  visitor.send(get());
  ASSERT_TRUE(
      until([&] { return !origin_.connections.empty() && origin_.connections.front().got.ends_with("\r\n\r\n"); }));
  visitor.close_with_rst();
  ASSERT_TRUE(until([&] { return origin_.connections.front().closed(); }));
  EXPECT_TRUE(origin_.connections.front().reset);
}

TEST_P(HttpThroughLinks, LinkIsLost) {
  origin_.answer = answering([](const std::string& head) -> std::string {
    if (head.contains("/wait")) return "";
    if (head.contains("/part")) return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
    return ok("x");
  });
  Visitor &idle = connect(), &waiting = connect(), &part = connect();
  idle.send(get());
  ASSERT_TRUE(until([&] { return idle.got == ok("x"); }));
  waiting.send(get("/wait"));
  part.send(get("/part"));
  ASSERT_TRUE(until([&] { return part.got.ends_with("abc") && ingress_->stats().requests == 3; }));
  server_->link.close(Error(ErrorCode::Io, Side::Tunnel, true, "cut"));
  ASSERT_TRUE(until([&] { return server_->closed; }));
  links_.remove(kSession);
  ASSERT_TRUE(until([&] { return waiting.got.contains("Ferrotunnel-Error: link-lost\r\n") && part.reset; }))
      << waiting.got;
  EXPECT_EQ(ingress_->stats().idle_origins, 0u);
  idle.got.clear();
  idle.send(get());
  ASSERT_TRUE(until([&] { return idle.got.contains("Ferrotunnel-Error: client-away\r\n"); }));
  EXPECT_TRUE(idle.got.starts_with("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
