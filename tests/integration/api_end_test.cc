// How it ends: stop and drain of either side, with visitors in flight.
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

// A service that sends `size` bytes, half of it at once and the rest when it is told to, and closes.
class Download {
 public:
  explicit Download(std::size_t size)
      : bytes_(noise(size, 3)), service_([this](const Socket& socket) { serve(socket); }) {}
  ~Download() { let_go(); }
  void let_go() {
    const std::lock_guard lock(mutex_);
    go_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::string at() const { return service_.at(); }

 private:
  void serve(const Socket& socket) {
    const std::string_view all = bytes_;
    if (!socket.send(all.substr(0, all.size() / 2))) return;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kPatience, [this] { return go_; });
    }
    socket.send(all.substr(all.size() / 2));
  }
  const std::string bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool go_ = false;
  Service service_;
};

class ApiEnd : public testing::TestWithParam<bool> {  // the parameter: TLS
 protected:
  [[nodiscard]] static std::function<void(ServerBuilder&)> with_tls() {
    return [](ServerBuilder& builder) { builder.tls(GetParam()).threads(2); };
  }
  TemporaryDirectory state;
};
INSTANTIATE_TEST_SUITE_P(Links, ApiEnd, testing::Bool(), [](const auto& info) { return info.param ? "Tls" : "Plain"; });

TEST_P(ApiEnd, TheServerStopsWithVisitorsInFlight) {
  const Service flood(Service::flood()), echo(Service::echo()), web(Service::http("web"));
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.tcp("flood", flood.at()).tcp("echo", echo.at()).http("web", web.at(), "web.test");
  });
  ASSERT_TRUE(client.wait_up("flood") && client.wait_up("echo") && client.wait_up("web"));
  std::vector<Socket> visitors;
  for (int i = 0; i < 10; ++i) {
    visitors.push_back(Socket::connect(client.up("flood").port));
    ASSERT_EQ(visitors.back().read(1000).size(), 1000u);
    visitors.push_back(Socket::connect(client.up("echo").port));
    ASSERT_TRUE(visitors.back().send("x"));
    ASSERT_EQ(visitors.back().read(1), "x");
  }
  const Socket keep_alive = Socket::connect(server.http_port());
  ASSERT_TRUE(keep_alive.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"));
  EXPECT_EQ(read_answer(keep_alive).status, 200);
  const auto began = SteadyClock::now();
  server.server->stop();
  EXPECT_LT(SteadyClock::now() - began, 10s);
  for (const Socket& visitor : visitors) EXPECT_NE(visitor.end(), "nothing");
  EXPECT_NE(keep_alive.end(), "nothing");
  EXPECT_EQ(server.log.count("session up"), 1u);
  EXPECT_EQ(server.log.count("session down"), 1u) << server.log.text();
  EXPECT_EQ(server.log.count("tunnel down"), 3u) << server.log.text();
  EXPECT_EQ(server.log.count("visitor came"), server.log.count("visitor left"));
  ASSERT_TRUE(client.log.wait("disconnected retry"));
  ASSERT_TRUE(client.log.wait("visitor left", client.log.count("visitor came")));
}

TEST_P(ApiEnd, TheClientStopsWithVisitorsInFlight) {
  const Service flood(Service::flood());
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("flood", flood.at()).http("web", flood.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("flood"));
  std::vector<Socket> visitors;
  for (int i = 0; i < 10; ++i) {
    visitors.push_back(Socket::connect(client.up("flood").port));
    ASSERT_EQ(visitors.back().read(1000).size(), 1000u);
  }
  client.client->stop();
  for (const Socket& visitor : visitors) EXPECT_EQ(visitor.end(), "RST") << "a cut is not an end";
  ASSERT_TRUE(server.log.wait("session down"));
  ASSERT_TRUE(server.log.wait("visitor left", 10));
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.empty(); }));
  // Its goodbye stands behind what its visitors were sent, and a stop does not wait for that: without it the host is kept for its grant.
  const int status = get(server.http_port(), "web.test").status;
  EXPECT_TRUE(status == 404 || status == 503) << status;
  EXPECT_FALSE(Socket::connect(client.up("flood").port).open());
}

TEST_P(ApiEnd, AServersDrainLetsADownloadFinish) {
  Download download(3'000'000);
  const Service web(Service::http("web"));
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("load", download.at()).http("web", web.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("load") && client.wait_up("web"));
  const Socket visitor = Socket::connect(client.up("load").port), idle = Socket::connect(server.http_port());
  std::string got = visitor.read(1000);
  ASSERT_TRUE(idle.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"));
  EXPECT_EQ(read_answer(idle).status, 200);
  bool finished = false;
  std::thread drainer([&] { finished = server.server->drain(kPatience); });
  // It can be watched, and takes nobody new.
  EXPECT_TRUE(eventually([&] { return server.server->status().draining; }));
  EXPECT_EQ(idle.end(), "FIN");
  EXPECT_FALSE(Socket::connect(client.up("load").port).open());
  EXPECT_EQ(server.server->status().sessions.size(), 1u);
  download.let_go();
  got += visitor.read(download.bytes().size() - got.size());
  EXPECT_TRUE(got == download.bytes());
  EXPECT_EQ(visitor.end(), "FIN");
  visitor.shutdown_write();
  drainer.join();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(client.log.wait("disconnected retry"));
}

TEST_P(ApiEnd, AClientsDrainLetsADownloadFinish) {
  Download download(3'000'000);
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("load", download.at()).http("web", download.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("load") && client.wait_up("web"));
  const std::uint16_t port = client.up("load").port;
  const Socket visitor = Socket::connect(port);
  std::string got = visitor.read(1000);
  bool finished = false;
  std::thread drainer([&] { finished = client.client->drain(kPatience); });
  EXPECT_TRUE(eventually([&] { return !Socket::connect(port).open(); }));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 503);
  // One, once those who only knocked are gone.
  EXPECT_TRUE(eventually([&] { return client.client->status().visitors_now == 1; }));
  // Whoever comes to take its place need not wait for the download.
  const Service web(Service::http("the next"));
  TestClient next(server.ready.join_token, [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(next.wait_up("web"));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 200);
  download.let_go();
  got += visitor.read(download.bytes().size() - got.size());
  EXPECT_TRUE(got == download.bytes());
  EXPECT_EQ(visitor.end(), "FIN");
  visitor.shutdown_write();
  drainer.join();
  EXPECT_TRUE(finished);
  ASSERT_TRUE(server.log.wait("session down"));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 200) << "what it gave up is not taken from the next";
}

TEST_P(ApiEnd, ADrainsDeadlinePasses) {
  const Service echo(Service::echo());
  for (const bool at_server : {true, false}) {
    TestServer server(state.path, with_tls());
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
    ASSERT_TRUE(client.wait_up("echo"));
    const Socket visitor = Socket::connect(client.up("echo").port);
    ASSERT_TRUE(visitor.send("x"));
    EXPECT_EQ(visitor.read(1), "x");
    const auto began = SteadyClock::now();
    EXPECT_FALSE(at_server ? server.server->drain(200ms) : client.client->drain(200ms));
    EXPECT_GE(SteadyClock::now() - began, 200ms);
    EXPECT_LT(SteadyClock::now() - began, 20s);
    EXPECT_NE(visitor.end(), "nothing");
  }
}

TEST_P(ApiEnd, StopCutsADrainShort) {
  const Service echo(Service::echo());
  for (const bool at_server : {true, false}) {
    TestServer server(state.path, with_tls());
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
    ASSERT_TRUE(client.wait_up("echo"));
    const std::uint16_t port = client.up("echo").port;
    const Socket visitor = Socket::connect(port);
    ASSERT_TRUE(visitor.send("x"));
    EXPECT_EQ(visitor.read(1), "x");
    const auto began = SteadyClock::now();
    bool finished = true;
    std::thread drainer([&] { finished = at_server ? server.server->drain(1h) : client.client->drain(1h); });
    EXPECT_TRUE(eventually([&] { return !Socket::connect(port).open(); }));  // it has begun
    at_server ? server.server->stop() : client.client->stop();
    drainer.join();
    EXPECT_FALSE(finished);
    EXPECT_LT(SteadyClock::now() - began, kPatience);
  }
}

TEST_P(ApiEnd, DrainWithNobodyThereIsQuick) {
  const Service web(Service::http("web"));
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("web"));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 200);  // leaves a warm connection to the origin behind
  const auto began = SteadyClock::now();
  EXPECT_TRUE(client.client->drain(kPatience));
  EXPECT_LT(SteadyClock::now() - began, 4s);
  TestClient another(server.ready.join_token, [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(another.wait_up("web"));
  EXPECT_EQ(get(server.http_port(), "web.test").status, 200);
  const auto again = SteadyClock::now();
  EXPECT_TRUE(server.server->drain(kPatience));
  EXPECT_LT(SteadyClock::now() - again, 4s);
}

TEST_P(ApiEnd, BothStopAtOnce) {
  const Service flood(Service::flood());
  for (int i = 0; i < 5; ++i) {
    TestServer server(state.path, with_tls());
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("flood", flood.at()); });
    ASSERT_TRUE(client.wait_up("flood"));
    const Socket visitor = Socket::connect(client.up("flood").port);
    ASSERT_EQ(visitor.read(100).size(), 100u);
    std::thread one([&] { server.server->stop(); });
    client.client->stop();
    one.join();
    EXPECT_NE(visitor.end(), "nothing");
  }
}

}  // namespace
}  // namespace ferrotunnel::api_test
