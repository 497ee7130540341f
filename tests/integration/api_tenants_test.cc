// Grants that share a server: whose a host is with all its parts, who has it while its client is away or leaves, names under a wildcard, and
// how much one grant's tunnels may take.
#include <future>

#include "integration/api_world.h"
#include "integration/road.h"

namespace ferrotunnel::api_test {
namespace {

const std::string kAnn = "the secret of grant a", kBob = "the secret of grant b";

TunnelConfig tunnel(std::string name, const Service& to, std::string host) {
  TunnelConfig made;
  made.kind = TunnelConfig::Kind::Http;
  made.name = std::move(name);
  made.to = to.at();
  made.host = std::move(host);
  return made;
}

class ApiTenants : public testing::Test {
 protected:
  using More = std::function<void(ServerBuilder&)>;
  std::unique_ptr<TestServer> server(std::chrono::milliseconds lease = 60s, const std::vector<std::string>& hosts = {},
                                     const More& more = {}) {
    return std::make_unique<TestServer>(state.path, [&](ServerBuilder& b) {
      b.host_lease(lease);
      for (const auto& [name, secret] : {std::pair{"a", kAnn}, std::pair{"b", kBob}}) {
        GrantOptions grant;
        grant.name = name;
        grant.secrets = {secret};
        grant.max_tunnels = most;
        grant.max_tunnel_bytes = most_bytes;
        if (name == std::string("b") && !hosts.empty()) grant.hosts = hosts;
        b.grant(grant);
      }
      if (more) more(b);
    });
  }
  static std::unique_ptr<TestClient> client(const TestServer& at, const std::string& grant,
                                            const std::vector<TunnelConfig>& tunnels, const std::string& by = "") {
    return std::make_unique<TestClient>("", [&](ClientBuilder& b) {
      b.server(by.empty() ? at.ready.listen : by).grant(grant, grant == "a" ? kAnn : kBob).tls(false);
      for (const TunnelConfig& one : tunnels) b.tunnel(one);
    });
  }
  // What another grant may try to take a part of the host with.
  [[nodiscard]] std::vector<TunnelConfig> parts(const std::string& host) const {
    std::vector<TunnelConfig> all(4, tunnel("", evil, host));
    all[1].paths = {"/login"};
    all[2].methods = {"POST"};
    all[3].headers = {"Cookie"};
    for (std::size_t i = 0; i < all.size(); ++i) all[i].name = "part" + std::to_string(i);
    return all;
  }
  static void expect_taken(TestClient& stranger, const std::string& why) {
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE(stranger.log.wait("failed part" + std::to_string(i) + " address-in-use " + why))
          << stranger.log.text();
    EXPECT_EQ(stranger.log.count("up part"), 0u) << stranger.log.text();
  }
  std::uint32_t most = 100;
  std::uint64_t most_bytes = std::uint64_t{4} << 20;
  const TemporaryDirectory state;
  const Service web{Service::http("web")}, evil{Service::http("evil")};
};

TEST_F(ApiTenants, AnotherGrantHasNoPartOfAHost) {
  const auto here = server();
  Road road(here->port());
  const auto ann = client(*here, "a", {tunnel("web", web, "v.test"), tunnel("wild", web, "*.w.test")}, road.at());
  ASSERT_TRUE(ann->wait_up("web") && ann->wait_up("wild"));
  const auto bob = client(*here, "b", parts("v.test"));
  expect_taken(*bob, "v.test is in use by another client");
  const auto wild = client(*here, "b", parts("*.w.test"));
  expect_taken(*wild, "*.w.test is in use by another client");
  EXPECT_EQ(get(here->http_port(), "v.test", "/login").body, "web GET /login");
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  const auto later = client(*here, "b", parts("v.test"));
  expect_taken(*later, "v.test is kept for another client, which lost its connection");
  EXPECT_EQ(get(here->http_port(), "v.test", "/login").status, 503);
  // Another client of the grant shares it.
  TunnelConfig login = tunnel("login", web, "v.test");
  login.paths = {"/login"};
  const auto second = client(*here, "a", {login});
  ASSERT_TRUE(second->wait_up("login")) << second->log.text();
  EXPECT_EQ(get(here->http_port(), "v.test", "/login").body, "web GET /login");
  EXPECT_EQ(bob->log.count("up ") + wild->log.count("up ") + later->log.count("up "), 0u);
}

TEST_F(ApiTenants, WhatDrainsIsItsGrantsUntilTheLeaseIsOver) {
  std::promise<void> let_go;
  const auto go = let_go.get_future().share();
  const Service slow([go](const Socket& socket) {
    (void)socket.read_until("\r\n\r\n");
    go.wait();
    (void)socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
  });
  const auto here = server(5s);
  const auto ann = client(*here, "a", {tunnel("web", slow, "v.test"), tunnel("other", web, "o.test")});
  ASSERT_TRUE(ann->wait_up("web") && ann->wait_up("other"));
  const Socket visitor = Socket::connect(here->http_port());
  ASSERT_TRUE(visitor.send("GET / HTTP/1.1\r\nHost: v.test\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return slow.accepted == 1; }));
  std::thread drainer([&] { EXPECT_TRUE(ann->client->drain(kPatience)); });
  EXPECT_TRUE(eventually([&] { return get(here->http_port(), "o.test").status == 503; }));
  EXPECT_EQ(get(here->http_port(), "v.test").status, 503);
  const auto bob = client(*here, "b", parts("v.test"));
  expect_taken(*bob, "v.test is in use by another client");
  let_go.set_value();
  EXPECT_EQ(read_answer(visitor).body, "late");
  drainer.join();
  const auto left = SteadyClock::now();
  ASSERT_TRUE(here->log.wait("session down"));
  EXPECT_EQ(get(here->http_port(), "v.test").status, 404) << "nobody serves it";
  const auto later = client(*here, "b", parts("v.test"));
  expect_taken(*later, "v.test is kept for another client, which left");
  {
    const auto next = client(*here, "a", {tunnel("web", web, "v.test")});
    ASSERT_TRUE(next->wait_up("web")) << next->log.text();
    EXPECT_EQ(next->log.count("failed"), 0u);
    EXPECT_EQ(get(here->http_port(), "v.test").body, "web GET /");
  }
  EXPECT_TRUE(eventually([&] { return bob->log.count("up part") + later->log.count("up part") > 0; }))
      << "the lease is over";
  EXPECT_GE(SteadyClock::now() - left, 4s);
}

// A client that is loaded anew takes a tunnel out before it registers it as it is now: nobody who waits for it comes in between.
TEST_F(ApiTenants, WhatAClientLetsGoOfIsItsGrantsForAMoment) {
  const auto here = server();
  ClientConfig config;
  config.servers = {here->ready.listen};
  config.grant = "a";
  config.secret = kAnn;
  config.tls = false;
  TunnelConfig tcp;
  tcp.kind = TunnelConfig::Kind::Tcp;
  tcp.name = "tcp";
  tcp.to = web.at();
  config.tunnels = {tunnel("web", web, "v.test"), tcp, tunnel("stays", web, "s.test")};
  const auto ann = client(*here, "a", config.tunnels);
  ASSERT_TRUE(ann->wait_up("web") && ann->wait_up("tcp") && ann->wait_up("stays"));
  config.tunnels[1].port = tcp.port = ann->up("tcp").port;
  const std::vector<TunnelConfig> all = config.tunnels;
  config.tunnels = {all[2]};
  ASSERT_TRUE(ann->client->reload(config));
  ASSERT_TRUE(eventually([&] { return here->server->status().tunnels.size() == 1; }));
  const Answer answer = get(here->http_port(), "v.test", "/login");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.head.contains("client-away")) << answer.head;
  auto wanted = parts("v.test");
  wanted.push_back(tcp);
  const auto bob = client(*here, "b", wanted);
  expect_taken(*bob, "v.test is kept for another client");
  ASSERT_TRUE(bob->log.wait("failed tcp address-in-use port " + std::to_string(tcp.port) + " is kept for another"))
      << bob->log.text();
  // The same grant has it at once; and one that asks for more besides, which it may not have, loses nothing by that.
  const auto owner = client(*here, "b", {tunnel("owned", web, "o.test")});
  ASSERT_TRUE(owner->wait_up("owned"));
  config.tunnels = {all[2], all[0]};
  config.tunnels[1].hosts = {"o.test"};
  ASSERT_TRUE(ann->client->reload(config));
  ASSERT_TRUE(ann->log.wait("failed web address-in-use o.test")) << ann->log.text();
  EXPECT_EQ(get(here->http_port(), "v.test").status, 503);
  config.tunnels = all;
  ASSERT_TRUE(ann->client->reload(config));
  ASSERT_TRUE(ann->wait_up("web", 2) && ann->wait_up("tcp", 2)) << ann->log.text();
  EXPECT_EQ(get(here->http_port(), "v.test", "/login").body, "web GET /login");
  EXPECT_EQ(bob->log.count("up "), 0u) << bob->log.text();
  // For good.
  config.tunnels = {all[2]};
  ASSERT_TRUE(ann->client->reload(config));
  const auto again = SteadyClock::now();
  ASSERT_TRUE(bob->wait_up("part0") && bob->wait_up("tcp")) << bob->log.text();
  EXPECT_GE(SteadyClock::now() - again, 4900ms);
  EXPECT_EQ(get(here->http_port(), "v.test", "/login").status, 200);
}

TEST_F(ApiTenants, NamesUnderAnotherGrantsWildcard) {
  const auto here = server(60s, {"*", "own.dev.test", "*.part.dev.test"});
  const auto ann = client(*here, "a", {tunnel("wild", web, "*.dev.test")});
  ASSERT_TRUE(ann->wait_up("wild"));
  const auto bob =
      client(*here, "b",
             {tunnel("name", evil, "x.dev.test"), tunnel("under", evil, "*.x.dev.test"),
              tunnel("own", evil, "own.dev.test"), tunnel("part", evil, "*.part.dev.test"),
              tunnel("inside", evil, "x.part.dev.test"), tunnel("beside", evil, "dev.test"), tunnel("any", evil, "")});
  EXPECT_TRUE(bob->log.wait("failed name address-in-use x.dev.test is under *.dev.test, which another client has"))
      << bob->log.text();
  EXPECT_TRUE(bob->log.wait("failed under address-in-use"));
  for (const char* granted : {"own", "part", "inside", "beside", "any"})
    EXPECT_TRUE(bob->wait_up(granted)) << bob->log.text();
  EXPECT_EQ(get(here->http_port(), "x.dev.test").body, "web GET /");
  EXPECT_EQ(get(here->http_port(), "own.dev.test").body, "evil GET /") << "the server's operator said so";
  const auto second = client(*here, "a", {tunnel("name", web, "x.dev.test")});
  EXPECT_TRUE(second->wait_up("name")) << "a client of the same grant";
}

TEST_F(ApiTenants, TheServersOwnDomainIsEverybodys) {
  const auto here = server(60s, {}, [](ServerBuilder& b) { b.domain("t.test"); });
  const auto ann =
      client(*here, "a",
             {tunnel("all", web, "*.t.test"), tunnel("top", web, "*.example"), tunnel("deeper", web, "*.ann.t.test")});
  ASSERT_TRUE(ann->wait_up("all") && ann->wait_up("top") && ann->wait_up("deeper"));
  const auto bob = client(*here, "b",
                          {tunnel("any", evil, ""), tunnel("word", evil, "bob"), tunnel("top", evil, "bob.example"),
                           tunnel("deeper", evil, "x.ann.t.test"), tunnel("part", evil, "*.t.test")});
  for (const char* free : {"any", "word", "top"}) EXPECT_TRUE(bob->wait_up(free)) << bob->log.text();
  EXPECT_TRUE(bob->log.wait("failed deeper address-in-use")) << bob->log.text();
  EXPECT_TRUE(bob->log.wait("failed part address-in-use")) << bob->log.text();
  EXPECT_EQ(get(here->http_port(), "else.t.test").body, "web GET /");
}

TEST_F(ApiTenants, ARandomNameIsToBeHadUnderAGrantedWildcardToo) {
  const auto here = server(60s, {"*", "*.t.test"}, [](ServerBuilder& b) { b.domain("t.test"); });
  const auto bob = client(*here, "b", {tunnel("all", web, "*.t.test")});
  ASSERT_TRUE(bob->wait_up("all"));
  const auto ann = client(*here, "a", {tunnel("any", web, ""), tunnel("word", web, "ann")});
  EXPECT_TRUE(ann->wait_up("any")) << ann->log.text();
  EXPECT_TRUE(ann->log.wait("failed word address-in-use")) << ann->log.text();
}

// Picked, it was to be had; asked for by name after a reconnect, it is not.
TEST_F(ApiTenants, ARandomNameThatIsNeverToBeHadAgainIsLetGo) {
  const auto here = server(0s, {"*", "*.t.test"}, [](ServerBuilder& b) { b.domain("t.test"); });
  const auto bob = client(*here, "b", {tunnel("all", web, "*.t.test")});
  ASSERT_TRUE(bob->wait_up("all"));
  Road road(here->port());
  const auto ann = client(*here, "a", {tunnel("any", web, "")}, road.at());
  ASSERT_TRUE(ann->wait_up("any"));
  const std::string first = ann->up("any").public_url;
  road.cut_near_end();
  ASSERT_TRUE(ann->log.wait("failed any address-in-use")) << ann->log.text();
  // Every reload asks once more; else it is once a second.
  ClientConfig config;
  config.servers = {road.at()};
  config.grant = "a";
  config.secret = kAnn;
  config.tls = false;
  config.tunnels = {tunnel("any", web, "")};
  const auto refusals = [&] { return here->server->status().tunnels_rejected; };
  const auto up_again = [&] { return ann->log.count("up any") == 2; };
  for (int i = 0; i < 60 && !up_again(); ++i) {
    const std::uint64_t before = refusals();
    ASSERT_TRUE(ann->client->reload(config));
    ASSERT_TRUE(eventually([&] { return refusals() > before || up_again(); })) << ann->log.text();
  }
  ASSERT_TRUE(ann->wait_up("any", 2)) << ann->log.text();
  EXPECT_NE(ann->up("any").public_url, first);
  EXPECT_GE(refusals(), 30u) << "its address was handed out: it is not let go at once";
}

TEST_F(ApiTenants, HowManyPlacesAGrantMayHave) {
  most = 3;  // so many tunnels, and 256 places in them
  const auto here = server();
  std::vector<TunnelConfig> tunnels{tunnel("one", web, "h.test"), tunnel("two", web, "i.test"),
                                    tunnel("three", web, "j.test")};
  for (int i = 0; i < 64; ++i) {
    for (TunnelConfig& each : tunnels) each.paths.push_back("/" + std::to_string(i));
    if (i < 2) tunnels[0].hosts.push_back("h" + std::to_string(i) + ".test");  // 3 * 64 places
  }
  tunnels[1].paths.resize(63);
  tunnels[2].paths.resize(2);
  const auto bob = client(*here, "b", tunnels);
  ASSERT_TRUE(bob->wait_up("one") && bob->wait_up("two")) << bob->log.text();
  ASSERT_TRUE(bob->log.wait("failed three")) << bob->log.text();
  EXPECT_TRUE(
      here->log.text().contains("tunnel rejected three  the grant b may have 256 hosts times paths in its HTTP "
                                "tunnels together"))
      << here->log.text();
  const auto ann = client(*here, "a", {tunnels[2]});
  EXPECT_TRUE(ann->wait_up("three")) << "another grant's are its own";
  EXPECT_EQ(get(here->http_port(), "i.test", "/62/x").status, 200);
}

TEST_F(ApiTenants, HowMuchTheTunnelsOfAGrantMaySay) {
  most_bytes = 3'000;
  const auto here = server();
  const auto said = [&](const std::string& name, int networks) {
    TunnelConfig made = tunnel(name, web, name + ".test");
    made.limits.allow = {"127.0.0.0/8"};
    for (int i = 1; i < networks; ++i) made.limits.deny.push_back("192.0.2." + std::to_string(i) + "/32");
    return made;
  };
  ClientConfig config;
  config.servers = {here->ready.listen};
  config.grant = "a";
  config.secret = kAnn;
  config.tls = false;
  config.tunnels = {said("one", 70), said("two", 40)};
  const auto ann = client(*here, "a", config.tunnels);
  const std::string why = "the grant a may have 3000 bytes of hosts, paths, rules, networks and certificates";
  ASSERT_TRUE(ann->wait_up("one") && ann->log.wait("failed two limit " + why)) << ann->log.text();
  EXPECT_GE(here->server->status().over_tunnel_bytes, 1u);
  EXPECT_GE(here->server->status().tunnels_rejected, 1u);
  const auto bob = client(*here, "b", {said("bobs", 70)});
  EXPECT_TRUE(bob->wait_up("bobs")) << "another grant's are its own";
  // A change counts in place of what was said before; one that says too much takes the tunnel out, and what it said is free.
  config.tunnels[0] = said("one", 40);
  ASSERT_TRUE(ann->client->reload(config));
  ASSERT_TRUE(ann->wait_up("two")) << ann->log.text();
  config.tunnels[0] = said("one", 70);
  ASSERT_TRUE(ann->client->reload(config));
  ASSERT_TRUE(here->log.wait("tunnel down one")) << here->log.text();
  EXPECT_GE(here->server->status().over_tunnel_bytes, 2u);
  config.tunnels = {said("three", 40), config.tunnels[1]};
  ASSERT_TRUE(ann->client->reload(config));
  EXPECT_TRUE(ann->wait_up("three")) << ann->log.text();
}

TEST_F(ApiTenants, SoManyTunnelsOfAHostMayAskForHeaders) {
  const auto here = server();
  std::vector<TunnelConfig> tunnels;
  for (int i = 0; i < 65; ++i) {
    tunnels.push_back(tunnel("t" + std::to_string(i), web, "v.test"));
    tunnels.back().headers = {"x-" + std::to_string(i)};
  }
  tunnels.push_back(tunnel("rest", web, "v.test"));
  const auto ann = client(*here, "a", tunnels);
  ASSERT_TRUE(ann->wait_up("rest")) << ann->log.text();
  EXPECT_TRUE(
      here->log.text().contains("tunnel rejected t64  v.test has 64 paths and tunnels that ask for methods or headers"))
      << here->log.text();
}

TEST_F(ApiTenants, ATunnelsMatchHasItsSize) {
  TunnelConfig one = tunnel("web", web, "v.test");
  for (int i = 0; i < 5; ++i) one.headers.push_back("x-" + std::to_string(i) + ": " + std::string(1000, 'v'));
  const auto built = Client::builder().server("127.0.0.1:1").grant("a", kAnn).tls(false).tunnel(one).build();
  ASSERT_FALSE(built);
  EXPECT_TRUE(built.error().context.contains("its methods and headers have more than 4096 bytes together"))
      << built.error().context;
}

}  // namespace
}  // namespace ferrotunnel::api_test
