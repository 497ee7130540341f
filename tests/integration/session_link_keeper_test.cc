// LinkKeeper and what follows from it: a silent peer is found, a lively one left alone, and a client whose way breaks gets its places back.
#include "session/link_keeper.h"

#include <fcntl.h>

#include <atomic>
#include <thread>

#include "integration/api_world.h"
#include "integration/road.h"
#include "mux/mux_link.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"
#include "wire/frame.h"

namespace ferrotunnel::api_test {
namespace {

// The peer of a link whose answers the test holds back.
class FakeLink final : public transport::Link {
 public:
  [[nodiscard]] Result<transport::Stream*> open(const transport::OpenInfo&, transport::StreamHandler&) override {
    return std::unexpected(Error());
  }
  void send_control(std::string_view) override {}
  void ping() override {
    ++pings;
    if (answers) received = Clock::now();
  }
  void goaway(std::uint32_t, std::string_view) override {}
  void close(const Error&) override {}
  [[nodiscard]] transport::LinkCapabilities capabilities() const override { return {}; }
  [[nodiscard]] transport::LinkStatus status() const override {
    transport::LinkStatus status;
    status.last_received = received;
    status.output_waiting = output_waiting;
    status.output_taken = output_taken;
    return status;
  }
  int pings = 0;
  bool answers = true;
  TimePoint received{};
  bool output_waiting = false;
  std::uint64_t output_taken = 0;
};

class LinkKeeperTest : public testing::Test {
 protected:
  template <class Done>
  bool run(Done done) {
    const auto end = SteadyClock::now() + kPatience;
    while (!done()) {
      if (SteadyClock::now() >= end) return false;
      shard.io().run_one_for(20ms);
    }
    return true;
  }
  MemoryBudget budget;
  transport::Shard shard{0, budget};
  FakeLink link;
  int dead = 0;
  std::unique_ptr<session::LinkKeeper> keeper;
};

TEST_F(LinkKeeperTest, PingsAtOnceAndThenEachInterval) {
  const TimePoint began = Clock::now();
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{200ms, 60s},
                                                 [&](std::string_view) { ++dead; });
  EXPECT_EQ(link.pings, 1);
  // By the interval, not by the timeout, although a PING stands at each look.
  ASSERT_TRUE(run([&] { return link.pings >= 4; }));
  EXPECT_GE(Clock::now() - began, 600ms);
  EXPECT_LT(Clock::now() - began, 30s);
  EXPECT_EQ(dead, 0);
}

TEST_F(LinkKeeperTest, ASilentPeerIsDeadOnce) {
  link.answers = false;
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 200ms},
                                                 [&](std::string_view) {
                                                   ++dead;
                                                   keeper.reset();  // as its owner may
                                                 });
  ASSERT_TRUE(run([&] { return dead > 0; }));
  EXPECT_EQ(keeper, nullptr);
  for (int i = 0; i < 20; ++i) shard.io().run_one_for(20ms);
  EXPECT_EQ(dead, 1);
}

TEST_F(LinkKeeperTest, AnyByteIsAnAnswer) {
  link.answers = false;
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 300ms},
                                                 [&](std::string_view) { ++dead; });
  const TimePoint until = Clock::now() + 1500ms;
  ASSERT_TRUE(run([&] {
    link.received = Clock::now();  // a download goes on, PONGs wait behind it
    return Clock::now() >= until;
  }));
  EXPECT_EQ(dead, 0);
  EXPECT_GT(link.pings, 3);
}

TEST_F(LinkKeeperTest, APeerThatTalksAndDoesNotReadIsDead) {
  link.output_waiting = true;
  std::string why;
  const session::HeartbeatOptions options{50ms, 60s, 500ms};
  keeper = std::make_unique<session::LinkKeeper>(shard, link, options, [&](std::string_view what) { why = what; });
  const TimePoint until = Clock::now() + 1500ms;
  ASSERT_TRUE(run([&] {
    ++link.output_taken;
    return Clock::now() >= until;
  }));
  EXPECT_EQ(why, "");
  ASSERT_TRUE(run([&] { return !why.empty(); }));
  EXPECT_EQ(why, "reads nothing any more");
}

// The same over a real connection: what its kernel took is all that this peer ever takes, and it never falls silent.
TEST_F(LinkKeeperTest, AnUnreadConnectionIsDead) {
  struct Handler final : transport::LinkHandler {
    void on_open(transport::Stream& stream, const transport::OpenInfo&) override {
      stream.reset(transport::ResetReason::Refused);
    }
    void on_control(std::string_view) override {}
    void on_goaway(std::uint32_t, std::string_view) override {}
    void on_link_closed(const Error& why) override { closed = why; }
    std::optional<Error> closed;
  } handler;
  auto listener = transport::listen_on(*transport::parse_ip("127.0.0.1", 0), false);
  ASSERT_TRUE(listener);
  ASSERT_EQ(::fcntl(listener->get(), F_SETFL, 0), 0);  // accept waits
  const Socket peer = Socket::connect(transport::local_address(listener->get())->port(), 4096);
  transport::UniqueFd fd(::accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  ASSERT_TRUE(fd);
  const int small = 4096;
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  mux::MuxLink real(shard, std::make_unique<transport::TcpStream>(std::move(fd)), mux::Role::Server, mux::MuxLimits{},
                    handler);
  ASSERT_TRUE(real.start());
  const session::HeartbeatOptions options{50ms, 10s, 500ms};
  std::string what;
  keeper = std::make_unique<session::LinkKeeper>(shard, real, options, [&](std::string_view how) {
    what = how;
    real.close(Error(ErrorCode::Timeout, Side::Tunnel, true, "over"));
  });
  std::atomic<bool> reads{true};
  std::string ping(wire::kHeaderSize + 8, '\0');
  wire::encode_header({wire::FrameType::Ping, 0, 8, 0}, reinterpret_cast<std::byte*>(ping.data()));
  const std::jthread talker([&](const std::stop_token& over) {
    std::string into(65536, '\0');
    while (!over.stop_requested() && peer.send(ping)) {
      while (reads && ::recv(peer.fd(), into.data(), into.size(), MSG_DONTWAIT) > 0) {
      }
      std::this_thread::sleep_for(10ms);
    }
  });
  // One that reads is fine, however much it is sent.
  const std::string message(20'000, 'x');
  const TimePoint until = Clock::now() + 1500ms;
  ASSERT_TRUE(run([&] {
    if (!real.status().output_waiting) real.send_control(message);
    return Clock::now() >= until;
  }));
  EXPECT_EQ(what, "");
  EXPECT_GT(real.status().output_taken, message.size());
  // Then it stops reading, and goes on sending.
  reads = false;
  for (int i = 0; i < 4; ++i) real.send_control(message);
  ASSERT_TRUE(run([&] { return !what.empty(); }));
  EXPECT_EQ(what, "reads nothing any more");
  ASSERT_TRUE(run([&] { return handler.closed.has_value(); }));
  EXPECT_EQ(handler.closed->context, "over");
}

TEST_F(LinkKeeperTest, DestroyedItIsSilent) {
  link.answers = false;
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 100ms},
                                                 [&](std::string_view) { ++dead; });
  keeper.reset();
  for (int i = 0; i < 20; ++i) shard.io().run_one_for(20ms);
  EXPECT_EQ(dead, 0);
  EXPECT_EQ(link.pings, 1);
}

// ---- a road between client and server that can break ----------------------------------------------------------------

class SessionRoad : public testing::TestWithParam<bool> {};  // the parameter: TLS
INSTANTIATE_TEST_SUITE_P(Links, SessionRoad, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

// The server holds the earlier session for alive when its client comes back: host and port move to the new one.
TEST_P(SessionRoad, AClientThatComesBackUnnoticedGetsItsPlaces) {
  const TemporaryDirectory state;
  const Service echo(Service::echo()), web(Service::http("web"));
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(GetParam()).threads(2); });
  Road road(server.port());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.server(road.at()).tcp("echo", echo.at()).http("web", web.at(), "web.test");
  });
  ASSERT_TRUE(client.wait_up("echo") && client.wait_up("web"));
  const std::uint16_t port = client.up("echo").port;
  for (std::size_t round = 2; round < 6; ++round) {
    const Socket inside = Socket::connect(port);
    ASSERT_TRUE(inside.send("x"));
    EXPECT_EQ(inside.read(1), "x");
    road.cut_near_end();
    ASSERT_TRUE(client.wait_up("echo", round) && client.wait_up("web", round))
        << client.log.text() << server.log.text();
    EXPECT_EQ(client.up("echo").port, port);
    EXPECT_EQ(inside.end(), "RST");
    EXPECT_TRUE(echoes(Socket::connect(port), noise(50'000, round)));
    EXPECT_EQ(get(server.http_port(), "web.test").body, "web GET /");
  }
  EXPECT_EQ(client.log.count("failed"), 0u) << client.log.text();
  EXPECT_EQ(server.log.count("tunnel rejected"), 0u) << server.log.text();
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.size() == 1; }));
}

TEST_P(SessionRoad, AFrozenRoadIsLeft) {
  const TemporaryDirectory state;
  const Service echo(Service::echo());
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(GetParam()); });
  Road road(server.port());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.server(road.at()).tcp("echo", echo.at()); });
  ASSERT_TRUE(client.wait_up("echo"));
  road.freeze();
  const auto began = SteadyClock::now();
  ASSERT_TRUE(client.log.wait("disconnected retry")) << client.log.text();
  EXPECT_LT(SteadyClock::now() - began, 20s);
  ASSERT_TRUE(client.wait_up("echo", 2));
  EXPECT_TRUE(echoes(Socket::connect(client.up("echo").port), noise(50'000, 1)));
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.size() == 1; }));
}

// A client that was started anew is another to the server, and the old one's death may go unnoticed for long. What it had goes to its
// successor under the same grant as soon as that asks; another grant asks in vain.
TEST_P(SessionRoad, ASilentClientsPlacesGoToOneOfItsGrant) {
  const TemporaryDirectory state;
  const Service echo(Service::echo()), web(Service::http("web"));
  GrantOptions other;
  other.name = "other";
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(GetParam()).threads(2); });
  const auto others_token = make_grant(state.path, other);
  ASSERT_TRUE(others_token) << others_token.error().context;
  Road road(server.port());
  TestClient dead(server.ready.join_token, [&](ClientBuilder& b) {
    b.server(road.at()).tcp("echo", echo.at()).http("web", web.at(), "web.test");
  });
  ASSERT_TRUE(dead.wait_up("echo") && dead.wait_up("web"));
  const std::uint16_t port = dead.up("echo").port;
  TestClient stranger(*others_token,
                      [&](ClientBuilder& b) { b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test"); });
  ASSERT_TRUE(stranger.log.wait("failed web") && stranger.log.wait("failed echo"));
  // While it lives, one of its own grant is refused as well.
  TestClient early(server.ready.join_token, [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(early.log.wait("failed web"));
  // Both ask again and again: it was looked for, and has answered.
  ASSERT_TRUE(server.log.wait("tunnel rejected web", server.log.count("tunnel rejected web") + 8)) << server.log.text();
  EXPECT_EQ(early.log.count("up "), 0u);
  EXPECT_EQ(dead.log.count("disconnected"), 0u) << dead.log.text();
  EXPECT_EQ(stranger.log.count("up "), 0u);
  early.client->stop();

  road.freeze();
  const auto began = SteadyClock::now();
  TestClient next(server.ready.join_token,
                  [&](ClientBuilder& b) { b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test"); });
  ASSERT_TRUE(next.wait_up("echo") && next.wait_up("web")) << next.log.text() << server.log.text();
  EXPECT_LT(SteadyClock::now() - began, 5s) << "long before the heartbeat would have told";
  EXPECT_TRUE(echoes(Socket::connect(port), noise(10'000, 1)));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 200);
  EXPECT_EQ(stranger.log.count("up "), 0u) << stranger.log.text();
}

}  // namespace
}  // namespace ferrotunnel::api_test
