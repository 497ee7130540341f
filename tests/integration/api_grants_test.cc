// Grants through the public API: what a client may have, and what happens to it when that changes.
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

const std::string kSecret = "the secret of laptop", kNewer = "the newer secret of it", kOther = "somebody else's one";

GrantOptions grant(std::string name = "laptop", std::vector<std::string> secrets = {kSecret}) {
  GrantOptions made;
  made.name = std::move(name);
  made.secrets = std::move(secrets);
  return made;
}

std::function<void(ServerBuilder&)> with(std::vector<GrantOptions> grants) {
  return [grants = std::move(grants)](ServerBuilder& builder) {
    for (const GrantOptions& one : grants) builder.grant(one);
  };
}

class ApiGrants : public testing::Test {
 protected:
  // Signs in with this secret; tunnels are added by `more`.
  std::unique_ptr<TestClient> client(const TestServer& server, const std::function<void(ClientBuilder&)>& more,
                                     const std::string& name = "laptop", const std::string& secret = kSecret) {
    return std::make_unique<TestClient>("", [&](ClientBuilder& builder) {
      builder.server(server.ready.listen).grant(name, secret).tls(false);
      more(builder);
    });
  }
  const TemporaryDirectory state;
  const Service echo{Service::echo()};
  const Service web{Service::http("web")};
};

TEST_F(ApiGrants, HostsOfTheGrantAndNoOthers) {
  GrantOptions one = grant();
  one.hosts = {"App.Example.COM", "*.dev.example.com"};
  TestServer server(state.path, with({one}));
  const auto inside = client(server, [&](ClientBuilder& b) {
    b.http("exact", web.at(), "app.example.com");
    b.http("under", web.at(), "a.b.dev.example.com");
    b.http("wild", web.at(), "*.x.dev.example.com");
    b.http("outside", web.at(), "www.example.com");
    b.http("above", web.at(), "dev.example.com");
    b.http("wider", web.at(), "*.example.com");
    b.http("picked", web.at());
  });
  for (const char* name : {"exact", "under", "wild", "picked"}) EXPECT_TRUE(inside->wait_up(name)) << name;
  EXPECT_TRUE(
      inside->log.wait("failed outside refused www.example.com is outside the hosts of grant laptop "
                       "(app.example.com, *.dev.example.com)"))
      << inside->log.text();
  EXPECT_TRUE(inside->log.wait("failed above refused"));
  EXPECT_TRUE(inside->log.wait("failed wider refused"));
  EXPECT_TRUE(inside->up("picked").public_url.contains(".dev.example.com")) << inside->up("picked").public_url;
  EXPECT_EQ(get(server.http_port(), "a.b.dev.example.com").status, 200);
  EXPECT_EQ(get(server.http_port(), "www.example.com").status, 404);
}

TEST_F(ApiGrants, AHostIsPickedAmongNames) {
  GrantOptions one = grant();
  one.hosts = {"a.example.com", "b.example.com"};
  TestServer server(state.path, with({one}));
  const auto some = client(server, [&](ClientBuilder& b) {
    for (const char* name : {"one", "two", "three"}) b.http(name, web.at());
  });
  ASSERT_TRUE(some->wait_up("one") && some->wait_up("two"));
  EXPECT_NE(some->up("one").public_url, some->up("two").public_url);
  EXPECT_TRUE(some->log.wait("failed three address-in-use no host of grant laptop is free")) << some->log.text();
}

TEST_F(ApiGrants, PortsOfTheGrantAndNoOthers) {
  // A range that is free now: the system's pick and what follows it.
  std::uint16_t first = 0;
  {
    const Service probe(Service::echo());
    first = static_cast<std::uint16_t>(std::min<int>(probe.port, 65000));
  }
  GrantOptions one = grant();
  one.ports = {std::to_string(first), std::to_string(first + 1) + "-" + std::to_string(first + 40)};
  TestServer server(state.path, with({one}));
  const auto some = client(server, [&](ClientBuilder& b) {
    b.tcp("low", echo.at(), 80);
    b.tcp("outside", echo.at(), static_cast<std::uint16_t>(first + 41));
    b.tcp("picked", echo.at());
  });
  ASSERT_TRUE(some->wait_up("picked")) << some->log.text();
  EXPECT_GE(some->up("picked").port, first);
  EXPECT_LE(some->up("picked").port, first + 40);
  EXPECT_TRUE(some->log.wait("failed low refused port 80 is outside the ports of grant laptop (" + one.ports[0] + ", " +
                             one.ports[1] + "); at the server, token new --ports 80 makes a token for it"))
      << some->log.text();
  EXPECT_TRUE(some->log.wait("failed outside refused"));
  EXPECT_TRUE(echoes(Socket::connect(some->up("picked").port), noise(10'000, 1)));
}

TEST_F(ApiGrants, NoPortsAndNoHosts) {
  GrantOptions one = grant();
  one.ports.clear();
  one.hosts.clear();
  TestServer server(state.path, with({one}));
  const auto some = client(server, [&](ClientBuilder& b) { b.tcp("t", echo.at()).http("w", web.at()); });
  EXPECT_TRUE(some->log.wait("failed t refused the grant laptop has no ports")) << some->log.text();
  EXPECT_TRUE(some->log.wait("failed w refused no host of grant laptop")) << some->log.text();
}

TEST_F(ApiGrants, ARevokedGrantEndsAtOnceAndForGood) {
  TestServer server(state.path, with({grant(), grant("other", {kOther})}));
  const auto gone =
      client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()).http("web", web.at(), "web.test"); });
  const auto stays = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); }, "other", kOther);
  ASSERT_TRUE(gone->wait_up("echo") && gone->wait_up("web") && stays->wait_up("echo"));
  const Socket cut = Socket::connect(gone->up("echo").port), whole = Socket::connect(stays->up("echo").port);
  for (const Socket* one : {&cut, &whole}) {
    ASSERT_TRUE(one->send("x"));
    EXPECT_EQ(one->read(1), "x");
  }
  ASSERT_TRUE(server.server->set_grants({grant("other", {kOther})}));
  // When it returns, nobody comes in any more.
  EXPECT_FALSE(Socket::connect(gone->up("echo").port).open());
  EXPECT_EQ(get(server.http_port(), "web.test").status, 404);
  EXPECT_EQ(cut.end(), "RST");
  EXPECT_TRUE(gone->log.wait("disconnected for good the server ended the session: the token was revoked"))
      << gone->log.text();
  EXPECT_TRUE(gone->client->wait_failed(kPatience));
  ASSERT_TRUE(whole.send("y"));
  EXPECT_EQ(whole.read(1), "y");
}

TEST_F(ApiGrants, WhatIsNoLongerGrantedIsWithdrawn) {
  TestServer server(state.path, with({grant()}));
  const auto some = client(server, [&](ClientBuilder& b) {
    b.http("a", web.at(), "a.test").http("b", web.at(), "b.test").tcp("echo", echo.at());
  });
  ASSERT_TRUE(some->wait_up("a") && some->wait_up("b") && some->wait_up("echo"));
  const Socket visitor = Socket::connect(some->up("echo").port);
  ASSERT_TRUE(visitor.send("x"));
  EXPECT_EQ(visitor.read(1), "x");
  GrantOptions less = grant();
  less.hosts = {"b.test"};
  ASSERT_TRUE(server.server->set_grants({less}));
  EXPECT_EQ(get(server.http_port(), "a.test").status, 404);
  EXPECT_EQ(get(server.http_port(), "b.test").status, 200);
  EXPECT_TRUE(some->log.wait("failed a refused a.test is no longer among the hosts of grant laptop (b.test)"))
      << some->log.text();
  ASSERT_TRUE(visitor.send("y"));
  EXPECT_EQ(visitor.read(1), "y") << "the others notice nothing";
  less.ports.clear();
  ASSERT_TRUE(server.server->set_grants({less}));
  EXPECT_FALSE(Socket::connect(some->up("echo").port).open());
  EXPECT_EQ(visitor.end(), "RST");
  EXPECT_EQ(get(server.http_port(), "b.test").status, 200);
  EXPECT_EQ(some->log.count("disconnected"), 0u);
}

TEST_F(ApiGrants, TwoSecretsWhileClientsMoveOver) {
  TestServer server(state.path, with({grant("laptop", {kSecret, kNewer})}));
  const auto earlier = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  const auto later = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); }, "laptop", kNewer);
  ASSERT_TRUE(earlier->wait_up("echo") && later->wait_up("echo"));
  ASSERT_TRUE(server.server->set_grants({grant("laptop", {kNewer})}));
  EXPECT_TRUE(earlier->log.wait("disconnected for good")) << earlier->log.text();
  EXPECT_TRUE(echoes(Socket::connect(later->up("echo").port), noise(10'000, 1)));
  EXPECT_EQ(later->log.count("disconnected"), 0u);
  // The token at the start is for the one that is to stay.
  const TestClient by_token(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  EXPECT_TRUE(const_cast<TestClient&>(by_token).wait_up("echo"));
}

TEST_F(ApiGrants, AnExpiredGrant) {
  GrantOptions over = grant(), soon = grant("soon", {kOther});
  over.expires = std::chrono::system_clock::now() - 1h;
  soon.expires = std::chrono::system_clock::now() + 2s;
  TestServer server(state.path, with({over, soon}));
  const auto late = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  EXPECT_TRUE(late->log.wait("disconnected for good the server refused the token: the grant laptop has expired"))
      << late->log.text();
  const auto short_lived = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); }, "soon", kOther);
  ASSERT_TRUE(short_lived->wait_up("echo")) << short_lived->log.text();
  EXPECT_TRUE(short_lived->log.wait("disconnected for good the server ended the session: the grant soon has expired"))
      << short_lived->log.text();
}

TEST_F(ApiGrants, NoMoreSessionsThanItMayHave) {
  GrantOptions one = grant();
  one.max_sessions = 1;
  TestServer server(state.path, with({one, grant("other", {kOther})}));
  auto first = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  ASSERT_TRUE(first->wait_up("echo"));
  const auto second = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  EXPECT_TRUE(second->log.wait(
      "disconnected retry the server says: the grant laptop has 1 clients, and may have no more (max_sessions)"))
      << second->log.text();
  const auto third = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); }, "other", kOther);
  EXPECT_TRUE(third->wait_up("echo")) << "another grant's count is its own";
  EXPECT_EQ(second->log.count("up "), 0u);
  first.reset();
  EXPECT_TRUE(second->wait_up("echo")) << second->log.text();
}

TEST_F(ApiGrants, NoMoreTunnelsThanItMayHaveInAll) {
  GrantOptions one = grant();
  one.max_tunnels = 3;
  TestServer server(state.path, with({one}));
  auto first = client(server, [&](ClientBuilder& b) { b.tcp("a", echo.at()).tcp("b", echo.at()); });
  ASSERT_TRUE(first->wait_up("a") && first->wait_up("b"));
  const auto second = client(server, [&](ClientBuilder& b) { b.tcp("c", echo.at()).tcp("d", echo.at()); });
  ASSERT_TRUE(second->wait_up("c"));
  EXPECT_TRUE(second->log.wait("failed d limit the grant laptop may have 3 tunnels (max_tunnels)"))
      << second->log.text();
  first.reset();
  EXPECT_TRUE(eventually([&] { return server.server->status().tunnels.size() == 1; }));
  const auto next = client(server, [&](ClientBuilder& b) { b.tcp("e", echo.at()).tcp("f", echo.at()); });
  EXPECT_TRUE(next->wait_up("e") && next->wait_up("f")) << "what went is given back";
}

TEST_F(ApiGrants, NoMoreStreamsThanItMayHaveInAll) {
  GrantOptions one = grant();
  one.max_streams = 2;
  TestServer server(state.path, with({one}));
  const auto some = client(server, [&](ClientBuilder& b) { b.tcp("a", echo.at()).http("web", web.at(), "web.test"); });
  const auto more = client(server, [&](ClientBuilder& b) { b.tcp("b", echo.at()); });
  ASSERT_TRUE(some->wait_up("a") && some->wait_up("web") && more->wait_up("b"));
  Socket one_visitor = Socket::connect(some->up("a").port);
  const Socket another = Socket::connect(more->up("b").port);
  for (const Socket* visitor : {&std::as_const(one_visitor), &another}) {
    ASSERT_TRUE(visitor->send("x"));
    EXPECT_EQ(visitor->read(1), "x");
  }
  const Socket refused = Socket::connect(some->up("a").port);
  EXPECT_EQ(refused.end(), "RST");
  EXPECT_EQ(get(server.http_port(), "web.test").status, 503);
  one_visitor.close();
  EXPECT_TRUE(eventually([&] { return get(server.http_port(), "web.test").status == 200; }));
}

TEST_F(ApiGrants, BadGrantsAreNamedAndChangeNothing) {
  TestServer server(state.path, with({grant()}));
  const auto some = client(server, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  ASSERT_TRUE(some->wait_up("echo"));
  GrantOptions bad_host = grant(), bad_port = grant(), short_secret = grant("short", {"short"});
  bad_host.hosts = {"*.*.example.com"};
  bad_port.ports = {"80-22"};
  struct Case {
    std::vector<GrantOptions> grants;
    std::string_view says;
  };
  const Case cases[] = {
      {{bad_host}, "grant laptop: '*.*.example.com' is no host"},
      {{bad_port}, "grant laptop: '80-22' is no port"},
      {{short_secret}, "grant short: a secret has to have 16 to 64 bytes"},
      {{grant("none", {})}, "grant none: it has to have one secret"},
      {{grant("three", {kSecret, kNewer, kOther})}, "grant three: it has to have one secret"},
      {{grant("..", {kSecret})}, "a grant's name is 1 to 64"},
      {{grant("a"), grant("a")}, "two grants are named a"},
  };
  for (const Case& one : cases) {
    const auto set = server.server->set_grants(one.grants);
    ASSERT_FALSE(set) << one.says;
    EXPECT_EQ(set.error().code, ErrorCode::BadInput);
    EXPECT_TRUE(set.error().context.starts_with(one.says)) << set.error().context;
    auto builder = Server::builder();
    with(one.grants)(builder);
    EXPECT_FALSE(builder.build()) << one.says;
  }
  EXPECT_TRUE(echoes(Socket::connect(some->up("echo").port), noise(10'000, 1)));
}

}  // namespace
}  // namespace ferrotunnel::api_test
