// Server and Client through the public headers: a tunnel's whole life, what is told of it, and the order of calls.
#include <fcntl.h>
#include <sys/resource.h>

#include <map>

#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

class ApiTest : public testing::TestWithParam<bool> {  // the parameter: TLS
 protected:
  TemporaryDirectory state;
  [[nodiscard]] static std::function<void(ServerBuilder&)> with_tls() {
    return [](ServerBuilder& builder) { builder.tls(GetParam()); };
  }
};
INSTANTIATE_TEST_SUITE_P(Links, ApiTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

TEST_P(ApiTest, TcpCarriesEveryByteBothWays) {
  const Service service(Service::echo());
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("shell", service.at()); });
  ASSERT_TRUE(client.wait_up("shell")) << client.log.text();
  const std::uint16_t port = client.up("shell").port;
  ASSERT_NE(port, 0);
  EXPECT_EQ(client.up("shell").public_url, "tcp://127.0.0.1:" + std::to_string(port));

  std::vector<std::thread> visitors;
  std::atomic<int> good{0};
  for (std::uint64_t i = 0; i < 4; ++i) {
    visitors.emplace_back([&, i] {
      const Socket socket = Socket::connect(port);
      if (echoes(socket, noise(1'500'000 + i * 7919, i))) ++good;
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  EXPECT_EQ(good, 4);
  const SessionStatus session = server.server->status().sessions.at(0);
  EXPECT_EQ(session.transport, GetParam() ? "tls 1.3" : "tcp, plain");
  EXPECT_GE(session.bytes_in, 6'000'000u);
  EXPECT_GE(session.bytes_out, 6'000'000u);
}

TEST_P(ApiTest, HttpByHost) {
  const Service one(Service::http("one")), two(Service::http("two"));
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.http("a", one.at(), "one.test").http("b", "http://" + two.at() + "/", "*.two.test").http("c", one.at());
  });
  ASSERT_TRUE(client.wait_up("a") && client.wait_up("b") && client.wait_up("c")) << client.log.text();
  EXPECT_EQ(get(server.http_port(), "one.test", "/x").body, "one GET /x");
  EXPECT_EQ(get(server.http_port(), "ONE.test:80", "/x").body, "one GET /x");
  EXPECT_EQ(get(server.http_port(), "deep.two.test", "/y").body, "two GET /y");
  const std::string picked = client.up("c").public_url;
  ASSERT_TRUE(picked.starts_with("http://")) << picked;
  EXPECT_EQ(get(server.http_port(), picked.substr(7), "/z").body, "one GET /z");
  EXPECT_EQ(get(server.http_port(), "three.test").status, 404);
  ASSERT_TRUE(server.log.wait("request a GET /x 200", 2)) << server.log.text();
  ASSERT_TRUE(server.log.wait("request b GET /y 200"));
}

TEST_P(ApiTest, WhatIsToldAndWhen) {
  const Service service(Service::echo());
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("shell", service.at()); });
  ASSERT_TRUE(client.wait_up("shell"));
  {
    const Socket one = Socket::connect(client.up("shell").port), two = Socket::connect(client.up("shell").port);
    ASSERT_TRUE(one.send("x") && two.send("y"));
    EXPECT_EQ(one.read(1), "x");
    EXPECT_EQ(two.read(1), "y");
    EXPECT_EQ(client.client->status().visitors_now, 2u);
    EXPECT_EQ(server.server->status().tunnels.at(0).visitors_now, 2u);
  }
  ASSERT_TRUE(client.log.wait("visitor left", 2));
  ASSERT_TRUE(server.log.wait("visitor left", 2));
  EXPECT_EQ(client.client->status().visitors_now, 0u);
  EXPECT_EQ(client.client->status().visitors, 2u);
  client.client->stop();
  ASSERT_TRUE(server.log.wait("session down"));

  const std::string transport = GetParam() ? "tls 1.3" : "tcp, plain";
  const std::vector<std::string> at_client = client.log.lines();
  ASSERT_EQ(at_client.size(), 7u) << client.log.text();
  EXPECT_EQ(at_client[0], "connecting " + server.ready.listen);
  EXPECT_EQ(at_client[1], "connected s1 " + transport);
  EXPECT_EQ(at_client[2], "up shell " + client.up("shell").public_url);
  EXPECT_EQ(at_client[3], "visitor came shell now 1 total 1");
  EXPECT_EQ(at_client[4], "visitor came shell now 2 total 2");
  EXPECT_EQ(at_client[5], "visitor left shell now 1 total 2");
  EXPECT_EQ(at_client[6], "visitor left shell now 0 total 2");
  const std::vector<std::string> at_server = server.log.lines();
  ASSERT_EQ(at_server.size(), 8u) << server.log.text();
  EXPECT_EQ(at_server[0], "session up s1 " + transport);
  EXPECT_EQ(at_server[1], "tunnel up shell " + client.up("shell").public_url);
  EXPECT_EQ(at_server[2], "visitor came shell now 1 total 1");
  EXPECT_EQ(at_server[5], "visitor left shell now 0 total 2");
  EXPECT_EQ(at_server[6], "tunnel down shell " + client.up("shell").public_url);
  EXPECT_TRUE(at_server[7].starts_with("session down s1 " + transport)) << at_server[7];
}

TEST_P(ApiTest, AnOriginThatRefusesIsToldAtTheClient) {
  std::uint16_t dead = 0;
  {
    dead = Service(Service::echo()).port;
  }
  TestServer server(state.path, with_tls());
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.tcp("shell", std::to_string(dead)).http("web", std::to_string(dead), "web.test");
  });
  ASSERT_TRUE(client.wait_up("shell") && client.wait_up("web"));
  const Socket visitor = Socket::connect(client.up("shell").port);
  EXPECT_EQ(visitor.end(), "RST");
  ASSERT_TRUE(client.log.wait("error ")) << client.log.text();
  EXPECT_EQ(get(server.http_port(), "web.test").status, 502);
}

TEST_P(ApiTest, AWrongSecretIsForGood) {
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(GetParam()).grant("team", "the secret of the team"); });
  TestClient client(server.ready.join_token,
                    [](ClientBuilder& b) { b.grant("team", "not the secret of the team").tcp("shell", "22"); });
  const auto failed = client.client->wait_failed(kPatience);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, ErrorCode::Unauthorized);
  EXPECT_EQ(client.log.count("disconnected for good"), 1u) << client.log.text();
  EXPECT_EQ(client.log.count("connecting"), 1u);
  ASSERT_TRUE(server.log.wait("error a client at 127.0.0.1:"));
  ASSERT_TRUE(eventually([&] { return server.server->status().sign_ins_refused == 1; }));
  EXPECT_EQ(server.server->status().sign_ins, 0u);
  EXPECT_FALSE(client.client->status().connected);
}

TEST_P(ApiTest, AGrantOfOnesOwn) {
  const Service service(Service::echo());
  TestServer server(state.path, [](ServerBuilder& b) {
    b.tls(GetParam()).grant("team", "the secret of the team").grant("other", "the secret of the rest");
  });
  for (const auto& [name, secret] :
       std::map<std::string, std::string>{{"team", "the secret of the team"}, {"other", "the secret of the rest"}}) {
    TestClient client(server.ready.join_token,
                      [&](ClientBuilder& b) { b.grant(name, secret).tcp("shell", service.at()); });
    ASSERT_TRUE(client.wait_up("shell")) << client.log.text();
    EXPECT_EQ(server.server->status().sessions.at(0).grant, name);
    client.client->stop();
    ASSERT_TRUE(eventually([&] { return server.server->status().sessions.empty(); }));
  }
}

TEST(Api, AServerWithAnotherKeyIsRefusedForGood) {
  const TemporaryDirectory state, other_state;
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(true); });
  TestServer other(other_state.path, [](ServerBuilder& b) { b.tls(true); });
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.server(other.ready.listen).tcp("shell", "22"); });
  const auto failed = client.client->wait_failed(kPatience);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, ErrorCode::PinMismatch);
}

TEST(Api, AnAddressThatIsNobodysServerDoesNotKeepFromTheNext) {
  const TemporaryDirectory state;
  const Service service(Service::echo());
  const Service slams(
      [](const Socket&) {});  // takes connections and closes them, as a proxy does whose other side is down
  TestServer server(state.path);
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.server(slams.at()).server(server.ready.listen).tcp("shell", service.at());
  });
  EXPECT_TRUE(client.wait_up("shell")) << client.log.text();
}

// ---- the order of calls -------------------------------------------------------------------------------------------

TEST(ApiOrder, StartsOnce) {
  const TemporaryDirectory state;
  TestServer server(state.path);
  TestClient client(server.ready.join_token, [](ClientBuilder& b) { b.tcp("shell", "22"); });
  auto again = server.server->start();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::BadInput);
  auto client_again = client.client->start();
  ASSERT_FALSE(client_again);
  EXPECT_EQ(client_again.error().code, ErrorCode::BadInput);
  client.client->stop();
  EXPECT_FALSE(client.client->start());
  server.server->stop();
  EXPECT_FALSE(server.server->start());
}

TEST(ApiOrder, BeforeStartAndAfterStop) {
  const TemporaryDirectory state;
  auto server =
      Server::builder().listen("127.0.0.1:0").http_listen("").state_dir(state.path).tls(false).threads(1).build();
  ASSERT_TRUE(server);
  EXPECT_TRUE(server->status().sessions.empty());
  server->stop();
  const auto ready = server->start();
  ASSERT_TRUE(ready) << ready.error().context;
  auto client = Client::builder().join(ready->join_token).tcp("shell", "22").build();
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->status().connected);
  EXPECT_FALSE(client->wait_failed(0ms));
  client->stop();
  EXPECT_TRUE(client->drain(0ms));
  ASSERT_TRUE(client->start());
  ASSERT_TRUE(eventually([&] { return client->status().connected; }));
  EXPECT_TRUE(client->drain(kPatience)) << "a stop() before start() is not one now";
  EXPECT_TRUE(server->drain(kPatience));
  for (int i = 0; i < 2; ++i) {
    client->stop();
    server->stop();
    EXPECT_TRUE(client->drain(1ms));
    EXPECT_TRUE(server->drain(1ms));
    EXPECT_FALSE(client->status().connected);
    EXPECT_TRUE(server->status().sessions.empty());
  }
}

TEST(ApiOrder, NeverStartedAndMoved) {
  const TemporaryDirectory state;
  {
    auto unused = Server::builder().state_dir(state.path).build();
  }
  TestServer server(state.path);
  {
    auto unused = Client::builder().join(server.ready.join_token).tcp("shell", "22").build();
  }
  Server moved = std::move(*server.server);
  TestClient client(server.ready.join_token, [](ClientBuilder& b) { b.tcp("shell", "22"); });
  ASSERT_TRUE(client.wait_up("shell"));
  Client moved_client = std::move(*client.client);
  EXPECT_TRUE(moved_client.status().connected);
  EXPECT_EQ(moved.status().sessions.size(), 1u);
  moved.stop();
}

TEST(ApiOrder, DestroyedAtAnyMoment) {
  const TemporaryDirectory state;
  const Service service(Service::echo());
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(true).threads(2); });
  for (int i = 0; i < 30; ++i) {
    TestClient client(server.ready.join_token,
                      [&](ClientBuilder& b) { b.tcp("shell", service.at()).http("web", service.at(), "web.test"); });
    if (i % 3 == 0) continue;
    ::poll(nullptr, 0, i % 10);  // another moment each time; no outcome depends on it
    if (i % 3 == 1) client.client->drain(std::chrono::milliseconds(i));
  }
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.empty(); }));
  EXPECT_EQ(server.log.count("session up"), server.log.count("session down"));
  EXPECT_EQ(server.log.count("tunnel up"), server.log.count("tunnel down"));
}

TEST(ApiOrder, APortInUse) {
  const TemporaryDirectory state;
  TestServer server(state.path);
  for (const unsigned threads : {1u, 3u}) {
    for (const bool http : {false, true}) {
      const std::string taken = http ? server.ready.http_listen : server.ready.listen;
      auto builder = Server::builder();
      builder.listen(http ? "127.0.0.1:0" : taken)
          .http_listen(http ? taken : "")
          .state_dir(state.path)
          .tls(false)
          .threads(threads);
      auto second = builder.build();
      ASSERT_TRUE(second);
      const auto started = second->start();
      ASSERT_FALSE(started);
      EXPECT_EQ(started.error().code, ErrorCode::AddressInUse) << started.error().context;
      EXPECT_NE(started.error().context.find(taken), std::string::npos) << started.error().context;
    }
  }
}

// The soft limit of descriptors, while it lives: `room` more than there are.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(std::size_t room) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &old_), 0);
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest number that is free
    ::close(next);
    rlimit less = old_;
    less.rlim_cur = static_cast<rlim_t>(next) + room;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &old_); }

 private:
  rlimit old_{};
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(ApiOrder, WithoutDescriptorsItIsAnErrorAndNothingStays) {
  const TemporaryDirectory state;
  std::string token;
  {
    TestServer server(state.path, [](ServerBuilder& b) { b.tls(true); });
    token = server.ready.join_token;
  }
  const std::size_t before = open_descriptors();
  bool started = false;
  for (std::size_t room = 0; room < 64 && !started; ++room) {
    const DescriptorLimit limit(room);
    auto server =
        Server::builder().listen("127.0.0.1:0").http_listen("127.0.0.1:0").state_dir(state.path).threads(3).build();
    ASSERT_TRUE(server);
    const auto ready = server->start();
    started = ready.has_value();
    if (!started) EXPECT_FALSE(ready.error().context.empty());
  }
  EXPECT_TRUE(started);
  bool made = false;
  for (std::size_t room = 0; room < 64 && !made; ++room) {
    const DescriptorLimit limit(room);
    auto client = Client::builder().join(token).tcp("shell", "22").build();
    made = client.has_value();
    if (!made) EXPECT_EQ(client.error().side, Side::Local) << client.error().context;
    if (made) EXPECT_TRUE(client->start());
  }
  EXPECT_TRUE(made);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ApiOrder, WithoutAServerTheClientKeepsTryingOrGivesUp) {
  const TemporaryDirectory state;
  std::string token;
  {
    TestServer server(state.path);
    token = server.ready.join_token;
  }
  TestClient patient(token, [](ClientBuilder& b) { b.tcp("shell", "22"); });
  ASSERT_TRUE(patient.log.wait("disconnected retry", 3)) << patient.log.text();
  EXPECT_FALSE(patient.client->wait_failed(0ms));
  TestClient hasty(token, [](ClientBuilder& b) { b.fail_fast(true).tcp("shell", "22"); });
  const auto failed = hasty.client->wait_failed(kPatience);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, ErrorCode::Unreachable);
  EXPECT_EQ(hasty.log.count("disconnected for good"), 1u) << hasty.log.text();
}

}  // namespace
}  // namespace ferrotunnel::api_test
