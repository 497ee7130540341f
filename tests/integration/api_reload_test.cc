// Reloads through the public API: what changes, what stays, and that a broken configuration changes nothing.
#include <fstream>
#include <map>

#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

const std::string kSecret = "the secret of laptop", kOther = "somebody else's one";

GrantOptions grant(const std::string& name, const std::string& secret) {
  GrantOptions made;
  made.name = name;
  made.secrets = {secret};
  return made;
}

TunnelConfig http(const std::string& name, const std::string& to, const std::string& host) {
  TunnelConfig tunnel;
  tunnel.name = name;
  tunnel.to = to;
  tunnel.host = host;
  return tunnel;
}
TunnelConfig tcp(const std::string& name, const std::string& to, std::uint16_t port = 0) {
  TunnelConfig tunnel;
  tunnel.kind = TunnelConfig::Kind::Tcp;
  tunnel.name = name;
  tunnel.to = to;
  tunnel.port = port;
  return tunnel;
}

class ApiReload : public testing::Test {
 protected:
  ApiReload() {
    server_config.listen = server_config.http_listen = "127.0.0.1:0";
    server_config.tcp_listen_host = "127.0.0.1";
    server_config.state_dir = state.path;
    server_config.tls = false;
    server_config.threads = 2;
    server_config.grants = {grant("laptop", kSecret)};
    here = std::make_unique<TestServer>(state.path, [&](ServerBuilder& b) { b.threads(2).grant("laptop", kSecret); });
    client_config.servers = {here->ready.listen};
    client_config.grant = "laptop";
    client_config.secret = kSecret;
    client_config.tls = false;
    client_config.tunnels = {tcp("echo", echo.at()), http("web", web.at(), "web.test")};
    client = std::make_unique<TestClient>("", [&](ClientBuilder& b) {
      b.server(here->ready.listen).grant("laptop", kSecret).tls(false);
      for (const TunnelConfig& one : client_config.tunnels) b.tunnel(one);
    });
  }
  const TemporaryDirectory state;
  const Service echo{Service::echo()}, web{Service::http("web")}, other{Service::http("other")};
  ServerConfig server_config;
  ClientConfig client_config;
  std::unique_ptr<TestServer> here;
  std::unique_ptr<TestClient> client;
};

// ---- at the client ------------------------------------------------------------------------------------------------

TEST_F(ApiReload, WhatIsTheSameKeepsItsConnections) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  const Socket inside = Socket::connect(client->up("echo").port), asking = Socket::connect(here->http_port());
  ASSERT_TRUE(inside.send("x") && inside.read(1) == "x");
  for (int i = 0; i < 20; ++i) {
    if (i % 2 == 0) {
      client_config.tunnels.push_back(http("more", other.at(), "more.test"));
    } else {
      client_config.tunnels.pop_back();
    }
    const auto done = client->client->reload(client_config);
    ASSERT_TRUE(done) << done.error().context;
    EXPECT_TRUE(done->needs_restart.empty());
    ASSERT_TRUE(inside.send("y") && inside.read(1) == "y");
    ASSERT_TRUE(asking.send("GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n"));
    EXPECT_EQ(read_answer(asking).body, "web GET /a");
    if (i % 2 == 0) {
      ASSERT_TRUE(client->wait_up("more", static_cast<std::size_t>(i / 2) + 1)) << client->log.text();
      EXPECT_EQ(get(here->http_port(), "more.test").body, "other GET /");
    } else {
      ASSERT_TRUE(eventually([&] { return get(here->http_port(), "more.test").status == 503; })) << "away for a while";
    }
  }
  EXPECT_EQ(client->log.count("up echo"), 1u);
  EXPECT_EQ(client->log.count("up web"), 1u);
  EXPECT_EQ(client->log.count("connected"), 1u);
}

TEST_F(ApiReload, AnotherServiceBehindTheSameAddress) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  const Socket asking = Socket::connect(here->http_port());
  const auto ask = [&] {
    EXPECT_TRUE(asking.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"));
    return read_answer(asking).body;
  };
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ask(), i % 2 == 0 ? "web GET /" : "other GET /");
    client_config.tunnels[1].to = i % 2 == 0 ? other.at() : web.at();
    ASSERT_TRUE(client->client->reload(client_config));
    // The server hears of it over the link, which may be after the next request.
    ASSERT_TRUE(eventually([&] { return ask() == (i % 2 == 0 ? "other GET /" : "web GET /"); }));
  }
  EXPECT_EQ(client->log.count("up web"), 1u) << "it never went away";
}

TEST_F(ApiReload, APlaceMovesFromOneTunnelToAnother) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  const std::uint16_t port = client->up("echo").port;
  client_config.tunnels = {tcp("renamed", echo.at(), port), http("also", web.at(), "web.test")};
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("renamed") && client->wait_up("also")) << client->log.text();
  EXPECT_EQ(client->up("renamed").port, port);
  EXPECT_TRUE(echoes(Socket::connect(port), noise(10'000, 1)));
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
  const auto tunnels = here->server->status().tunnels;
  EXPECT_EQ(tunnels.size(), 2u);
  EXPECT_EQ(client->log.count("failed"), 0u) << client->log.text();
}

TEST_F(ApiReload, ABrokenConfigurationChangesNothing) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  const Socket inside = Socket::connect(client->up("echo").port);
  ASSERT_TRUE(inside.send("x") && inside.read(1) == "x");
  const auto refused = [&](auto change, ErrorCode code) {
    ClientConfig broken = client_config;
    change(broken);
    const auto done = client->client->reload(broken);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, code) << done.error().context;
  };
  refused([](ClientConfig& c) { c.tunnels.clear(); }, ErrorCode::BadInput);
  refused([](ClientConfig& c) { c.tunnels[0].to = "nowhere:0"; }, ErrorCode::BadInput);
  refused([](ClientConfig& c) { c.tunnels[0].name = c.tunnels[1].name; }, ErrorCode::BadInput);
  refused([](ClientConfig& c) { c.secret = "short"; }, ErrorCode::BadInput);
  refused([](ClientConfig& c) { c.memory_limit = 1; }, ErrorCode::BadInput);
  refused([](ClientConfig& c) { c.secret = kOther; }, ErrorCode::Unauthorized);
  refused([&](ClientConfig& c) { c.grant = "nobody"; }, ErrorCode::Unauthorized);
  ASSERT_TRUE(inside.send("y") && inside.read(1) == "y");
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
  EXPECT_EQ(client->log.count("up "), 2u);
  EXPECT_EQ(client->log.count("disconnected"), 0u) << client->log.text();
  EXPECT_TRUE(client->client->reload(client_config));
}

TEST_F(ApiReload, AnotherServer) {
  const TemporaryDirectory elsewhere;
  TestServer there(elsewhere.path, [](ServerBuilder& b) { b.grant("desk", kOther); });
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  client_config.servers = {there.ready.listen};
  client_config.grant = "desk";
  client_config.secret = kOther;
  const auto done = client->client->reload(client_config);
  ASSERT_TRUE(done) << done.error().context;
  ASSERT_TRUE(client->wait_up("web", 2)) << client->log.text();
  EXPECT_EQ(get(there.http_port(), "web.test").status, 200);
  ASSERT_TRUE(eventually([&] { return here->server->status().sessions.empty(); }));
  EXPECT_EQ(client->log.count("disconnected"), 0u) << client->log.text();
  // And back to it, with a client that waits because its server is gone.
  there.server->stop();
  ASSERT_TRUE(client->log.wait("disconnected retry"));
  client_config.servers = {here->ready.listen};
  client_config.grant = "laptop";
  client_config.secret = kSecret;
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("web", 3)) << client->log.text();
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
}

// Its places are its former grant's no more.
TEST_F(ApiReload, AnotherGrantOfTheSameServer) {
  server_config.grants.push_back(grant("desk", kOther));
  ASSERT_TRUE(here->server->reload(server_config));
  const auto began = SteadyClock::now();
  for (std::size_t round = 1; round < 6; ++round) {
    ASSERT_TRUE(client->wait_up("echo", round) && client->wait_up("web", round)) << client->log.text();
    client_config.grant = round % 2 == 1 ? "desk" : "laptop";
    client_config.secret = round % 2 == 1 ? kOther : kSecret;
    client_config.tunnels[0].port = client->up("echo").port;
    ASSERT_TRUE(client->client->reload(client_config));
  }
  ASSERT_TRUE(client->wait_up("web", 6)) << client->log.text();
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
  EXPECT_EQ(client->log.count("disconnected"), 0u) << client->log.text();
  EXPECT_LT(SteadyClock::now() - began, 25s) << "the grant before keeps nothing";
}

TEST_F(ApiReload, WhatWasRefusedIsAskedForAgain) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  server_config.grants[0].hosts = {"other.test"};
  ASSERT_TRUE(here->server->reload(server_config));
  ASSERT_TRUE(client->log.wait("failed web refused")) << client->log.text();
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->log.wait("failed web refused", 2)) << "it was asked for, and told again\n" << client->log.text();
  server_config.grants[0].hosts = {"*"};
  ASSERT_TRUE(here->server->reload(server_config));
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("web", 2)) << client->log.text();
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
  EXPECT_EQ(client->log.count("up echo"), 1u);
  // One too many, until the other has gone.
  server_config.grants[0].max_tunnels = 2;
  ASSERT_TRUE(here->server->reload(server_config));
  client_config.tunnels.push_back(http("more", other.at(), "more.test"));
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->log.wait("failed more limit"));
  client_config.tunnels.erase(client_config.tunnels.begin());
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("more")) << client->log.text();
}

TEST_F(ApiReload, WhoGaveUpSignsInAgain) {
  ASSERT_TRUE(client->wait_up("web"));
  ASSERT_TRUE(here->server->set_grants({grant("laptop", kOther)}));
  ASSERT_TRUE(client->log.wait("disconnected for good"));
  ASSERT_TRUE(client->client->wait_failed(5s));
  const auto refused = client->client->reload(client_config);
  ASSERT_FALSE(refused) << "it has to be able to sign in";
  EXPECT_EQ(refused.error().code, ErrorCode::Unauthorized);
  EXPECT_TRUE(client->client->wait_failed(0ms));
  client_config.secret = kOther;
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("web", 2)) << client->log.text();
  EXPECT_FALSE(client->client->wait_failed(0ms));
}

TEST_F(ApiReload, AStopEndsAReloadUnderWay) {
  ASSERT_TRUE(client->wait_up("web"));
  const Service silent([](const Socket& socket) { (void)socket.read(1'000'000); });
  client_config.servers = {silent.at()};
  std::optional<Result<Reloaded>> done;
  std::thread reloading([&] { done = client->client->reload(client_config); });
  ASSERT_TRUE(eventually([&] { return silent.accepted > 0; }));
  client->client->stop();
  reloading.join();
  ASSERT_FALSE(*done);
  EXPECT_EQ(done->error().code, ErrorCode::Cancelled) << done->error().context;
  EXPECT_FALSE(client->client->reload(client_config)) << "it does not run";
}

// ---- at the server ------------------------------------------------------------------------------------------------

TEST_F(ApiReload, GrantsOfAServer) {
  ASSERT_TRUE(client->wait_up("echo") && client->wait_up("web"));
  const Socket inside = Socket::connect(client->up("echo").port);
  ASSERT_TRUE(inside.send("x") && inside.read(1) == "x");
  server_config.grants.push_back(grant("desk", kOther));
  auto done = here->server->reload(server_config);
  ASSERT_TRUE(done) << done.error().context;
  // The ports that the system picked are not those that were asked for, and that is no difference.
  EXPECT_TRUE(done->needs_restart.empty()) << done->needs_restart.front();
  TestClient desk("", [&](ClientBuilder& b) {
    b.server(here->ready.listen).grant("desk", kOther).tls(false).http("d", other.at(), "desk.test");
  });
  ASSERT_TRUE(desk.wait_up("d"));
  server_config.grants.erase(server_config.grants.begin());
  ASSERT_TRUE(here->server->reload(server_config));
  ASSERT_TRUE(client->log.wait("disconnected for good"));
  EXPECT_EQ(get(here->http_port(), "desk.test").status, 200);
  EXPECT_EQ(desk.log.count("disconnected"), 0u);
}

TEST_F(ApiReload, ABrokenConfigurationOfAServerChangesNothing) {
  ASSERT_TRUE(client->wait_up("web"));
  const auto refused = [&](auto change) {
    ServerConfig broken = server_config;
    change(broken);
    const auto done = here->server->reload(broken);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().context, "");
  };
  refused([](ServerConfig& c) { c.grants = {grant("a", "short")}; });
  refused([](ServerConfig& c) { c.grants.push_back(c.grants.front()); });
  refused([](ServerConfig& c) { c.trusted_proxies = {"nowhere"}; });
  refused([](ServerConfig& c) { c.listen = "nowhere"; });
  refused([](ServerConfig& c) { c.memory_limit = 1; });
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
  EXPECT_EQ(client->log.count("disconnected"), 0u);
}

TEST_F(ApiReload, WhatAServerIsMadeOfNeedsARestart) {
  ASSERT_TRUE(client->wait_up("web"));
  server_config.threads = 3;
  server_config.listen = "127.0.0.1:1";
  server_config.grants.push_back(grant("desk", kOther));
  const auto done = here->server->reload(server_config);
  ASSERT_TRUE(done) << done.error().context;
  EXPECT_EQ(done->needs_restart, (std::vector<std::string>{"server.listen", "server.threads"}));
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
}

TEST_F(ApiReload, PublicAddressesAndProxiesHoldFromNowOn) {
  ASSERT_TRUE(client->wait_up("web"));
  server_config.public_addresses = {"eu.example.com:7835"};
  server_config.trusted_proxies = {"127.0.0.1"};
  ASSERT_TRUE(here->server->reload(server_config));
  client_config.tunnels.push_back(http("picked", web.at(), ""));
  ASSERT_TRUE(client->client->reload(client_config));
  ASSERT_TRUE(client->wait_up("picked"));
  EXPECT_TRUE(client->up("picked").public_url.contains(".eu.example.com")) << client->up("picked").public_url;
  const Socket visitor = Socket::connect(here->http_port());
  ASSERT_TRUE(visitor.send("PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\nGET / HTTP/1.1\r\nHost: web.test\r\n\r\n"));
  EXPECT_EQ(read_answer(visitor).status, 200);
  server_config.trusted_proxies.clear();
  ASSERT_TRUE(here->server->reload(server_config));
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
}

TEST_F(ApiReload, AServerThatDoesNotRunHasNothingToReload) {
  here->server->stop();
  const auto done = here->server->reload(server_config);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::BadInput);
}

}  // namespace
}  // namespace ferrotunnel::api_test
