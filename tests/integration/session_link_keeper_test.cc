// LinkKeeper and what follows from it: a silent peer is found, a lively one left alone, and a client whose way breaks gets its places back.
#include "session/link_keeper.h"

#include "integration/api_world.h"
#include "mux/mux_link.h"
#include "transport/tcp/tcp_stream.h"

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
    return status;
  }
  int pings = 0;
  bool answers = true;
  TimePoint received{};
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
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{200ms, 60s}, [&] { ++dead; });
  EXPECT_EQ(link.pings, 1);
  // By the interval, not by the timeout, although a PING stands at each look.
  ASSERT_TRUE(run([&] { return link.pings >= 4; }));
  EXPECT_GE(Clock::now() - began, 600ms);
  EXPECT_LT(Clock::now() - began, 30s);
  EXPECT_EQ(dead, 0);
}

TEST_F(LinkKeeperTest, ASilentPeerIsDeadOnce) {
  link.answers = false;
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 200ms}, [&] {
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
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 300ms}, [&] { ++dead; });
  const TimePoint until = Clock::now() + 1500ms;
  ASSERT_TRUE(run([&] {
    link.received = Clock::now();  // a download goes on, PONGs wait behind it
    return Clock::now() >= until;
  }));
  EXPECT_EQ(dead, 0);
  EXPECT_GT(link.pings, 3);
}

TEST_F(LinkKeeperTest, DestroyedItIsSilent) {
  link.answers = false;
  keeper = std::make_unique<session::LinkKeeper>(shard, link, session::HeartbeatOptions{100ms, 100ms}, [&] { ++dead; });
  keeper.reset();
  for (int i = 0; i < 20; ++i) shard.io().run_one_for(20ms);
  EXPECT_EQ(dead, 0);
  EXPECT_EQ(link.pings, 1);
}

// ---- a road between client and server that can break ----------------------------------------------------------------

class Road {
 public:
  explicit Road(std::uint16_t to) : to_(to), service_([this](const Socket& near) { carry(near); }) {}
  ~Road() { over_ = true; }
  [[nodiscard]] std::string at() const { return service_.at(); }
  // Those who are on it lose the road; the far end hears nothing of it. New ones find it whole.
  void cut_near_end() { ++cuts_; }
  // Nothing moves any more, and nobody hears of it; new ones find it whole.
  void freeze() { ++freezes_; }

 private:
  void carry(const Socket& near) {
    const int cut = cuts_, frozen = freezes_;
    auto& far = keep(Socket::connect(to_));
    std::vector<char> buffer(65536);
    while (!over_ && cut == cuts_) {
      pollfd fds[2] = {{near.fd(), POLLIN, 0}, {far.fd(), POLLIN, 0}};
      if (frozen != freezes_) {
        ::poll(nullptr, 0, 10);
        continue;
      }
      if (::poll(fds, 2, 10) <= 0) continue;
      for (int i = 0; i < 2; ++i) {
        if (fds[i].revents == 0) continue;
        const ssize_t n = ::recv(fds[i].fd, buffer.data(), buffer.size(), 0);
        if (n <= 0 || !(i == 0 ? far : near).send({buffer.data(), static_cast<std::size_t>(n)})) {
          ::shutdown(far.fd(), SHUT_RDWR);
          return;
        }
      }
    }
    // Returning ends the near end only.
  }
  Socket& keep(Socket socket) {
    const std::lock_guard lock(mutex_);
    return far_.emplace_back(std::move(socket));
  }
  const std::uint16_t to_;
  std::atomic<bool> over_{false};
  std::atomic<int> cuts_{0}, freezes_{0};
  std::mutex mutex_;
  std::list<Socket> far_;
  Service service_;
};

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

}  // namespace
}  // namespace ferrotunnel::api_test
