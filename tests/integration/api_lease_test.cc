// Leases: what a client had when its connection was lost is kept for its grant, and for nobody else, for a while.
#include "ferrotunnel/control.h"
#include "integration/api_world.h"
#include "integration/road.h"

namespace ferrotunnel::api_test {
namespace {

const std::string kSecret = "the secret of laptop", kOther = "somebody else's one";

class ApiLease : public testing::Test {
 protected:
  std::unique_ptr<TestServer> server(std::chrono::milliseconds lease, std::uint32_t max_tunnels = 100) {
    return std::make_unique<TestServer>(state.path, [=](ServerBuilder& b) {
      b.host_lease(lease).threads(2);
      for (const auto& [name, secret] : {std::pair{"laptop", kSecret}, std::pair{"other", kOther}}) {
        GrantOptions grant;
        grant.name = name;
        grant.secrets = {secret};
        grant.max_tunnels = max_tunnels;
        b.grant(grant);
      }
    });
  }
  std::unique_ptr<TestClient> client(const TestServer& at, const std::string& grant,
                                     const std::function<void(ClientBuilder&)>& more, const std::string& by = "") {
    return std::make_unique<TestClient>("", [&](ClientBuilder& b) {
      b.server(by.empty() ? at.ready.listen : by).grant(grant, grant == "other" ? kOther : kSecret).tls(false);
      more(b);
    });
  }
  // Ends its sessions as its operator does; they come back.
  static void kick(const TestServer& at, const std::string& grant) {
    for (const SessionStatus& one : at.server->status().sessions)
      if (one.grant == grant) EXPECT_TRUE(kick_clients(at.ready.state_dir, one.id));
  }
  const TemporaryDirectory state;
  const Service echo{Service::echo()}, web{Service::http("web")};
};

TEST_F(ApiLease, HostAndPortWaitForTheirGrant) {
  const auto here = server(60s);
  std::uint16_t port = 0;
  {
    const auto first = client(*here, "laptop", [&](ClientBuilder& b) {
      b.tcp("echo", echo.at()).http("web", web.at(), "web.test").http("wild", web.at(), "*.w.test");
    });
    ASSERT_TRUE(first->wait_up("echo") && first->wait_up("web") && first->wait_up("wild"));
    port = first->up("echo").port;
    const auto stranger = client(*here, "other", [&](ClientBuilder& b) {
      b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test").http("wild", web.at(), "*.w.test");
    });
    ASSERT_TRUE(stranger->log.wait("failed echo") && stranger->log.wait("failed web"));
    for (int i = 1; i <= 3; ++i) {
      kick(*here, "laptop");
      ASSERT_TRUE(first->wait_up("echo", static_cast<std::size_t>(i) + 1)) << first->log.text();
      ASSERT_TRUE(first->wait_up("web", static_cast<std::size_t>(i) + 1)) << first->log.text();
    }
    EXPECT_EQ(stranger->log.count("up "), 0u) << stranger->log.text();
    EXPECT_EQ(first->up("echo").port, port);
  }  // it says that it goes: hosts are kept for who comes next of the grant, and ports are not
  const auto stranger = client(*here, "other", [&](ClientBuilder& b) {
    b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test").http("wild", web.at(), "*.w.test");
  });
  EXPECT_TRUE(stranger->wait_up("echo")) << stranger->log.text();
  EXPECT_TRUE(stranger->log.wait("failed web address-in-use web.test is kept for another client, which left") &&
              stranger->log.wait("failed wild address-in-use"))
      << stranger->log.text();
}

TEST_F(ApiLease, ItEndsAfterItsTime) {
  const auto here = server(1500ms);
  Road road(here->port());
  const auto first = client(
      *here, "laptop", [&](ClientBuilder& b) { b.tcp("echo", echo.at()).http("web", web.at(), "web.test"); },
      road.at());
  ASSERT_TRUE(first->wait_up("echo") && first->wait_up("web"));
  const std::uint16_t port = first->up("echo").port;
  const auto began = SteadyClock::now();
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  const Answer answer = get(here->http_port(), "web.test");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.head.contains("client-away")) << answer.head;
  EXPECT_TRUE(answer.head.contains("Retry-After: 1")) << answer.head;
  EXPECT_EQ(get(here->http_port(), "nobody.test").status, 404);
  EXPECT_FALSE(Socket::connect(port).open());
  const auto stranger = client(
      *here, "other", [&](ClientBuilder& b) { b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test"); });
  ASSERT_TRUE(stranger->log.wait("failed web address-in-use web.test is kept for another client"))
      << stranger->log.text();
  ASSERT_TRUE(stranger->wait_up("echo") && stranger->wait_up("web")) << stranger->log.text();
  EXPECT_GE(SteadyClock::now() - began, 1500ms);
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
}

TEST_F(ApiLease, AnotherClientOfTheGrantMayHaveItAtOnce) {
  const auto here = server(60s);
  Road road(here->port());
  const auto first = client(
      *here, "laptop", [&](ClientBuilder& b) { b.tcp("echo", echo.at()).http("web", web.at(), "web.test"); },
      road.at());
  ASSERT_TRUE(first->wait_up("echo") && first->wait_up("web"));
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  const auto next = client(*here, "laptop", [&](ClientBuilder& b) {
    b.tcp("echo", echo.at(), first->up("echo").port).http("web", web.at(), "web.test");
  });
  ASSERT_TRUE(next->wait_up("echo") && next->wait_up("web")) << next->log.text();
  EXPECT_EQ(next->log.count("failed"), 0u) << next->log.text();
  EXPECT_EQ(get(here->http_port(), "web.test").status, 200);
}

TEST_F(ApiLease, NoLeaseWhereItIsOff) {
  const auto here = server(0ms);
  Road road(here->port());
  const auto first = client(*here, "laptop", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); }, road.at());
  ASSERT_TRUE(first->wait_up("web"));
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  EXPECT_EQ(get(here->http_port(), "web.test").status, 404);
  const auto stranger = client(*here, "other", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  EXPECT_TRUE(stranger->wait_up("web")) << stranger->log.text();
  EXPECT_EQ(stranger->log.count("failed"), 0u) << stranger->log.text();
}

// All that its tunnels had, though they are few; and whoever registers, leaves and comes back with other names holds no more than that.
TEST_F(ApiLease, AGrantIsKeptAsManyPlacesAsItMayHave) {
  const auto here = server(600s, 2);  // 256 places and two ports
  const auto name = [](int number) { return "h" + std::to_string(number) + ".test"; };
  for (int round = 0; round < 3; ++round) {
    Road road(here->port());
    const auto one = client(
        *here, "laptop",
        [&](ClientBuilder& b) {
          for (int half = 0; half < 2; ++half) {
            TunnelConfig many;
            many.kind = TunnelConfig::Kind::Http;
            many.name = "many" + std::to_string(half);
            many.to = web.at();
            for (int i = 0; i < 64; ++i) many.hosts.push_back(name(round * 128 + half * 64 + i));
            many.host = many.hosts.back();
            many.hosts.pop_back();
            b.tunnel(many);
          }
        },
        road.at());
    ASSERT_TRUE(one->wait_up("many0") && one->wait_up("many1")) << one->log.text();
    road.close();
    ASSERT_TRUE(here->log.wait("session down", static_cast<std::size_t>(round) + 1));
  }
  int kept = 0;
  for (int i = 0; i < 384; ++i) kept += get(here->http_port(), name(i)).status == 503 ? 1 : 0;
  EXPECT_EQ(kept, 258);
  for (int i = 0; i < 128; ++i) ASSERT_EQ(get(here->http_port(), name(i)).status, 503) << i;
}

// What its grant may not have any more is not kept for it either.
TEST_F(ApiLease, ItEndsWithWhatTheGrantAllows) {
  const auto here = server(600s);
  Road road(here->port());
  const auto first = client(
      *here, "laptop",
      [&](ClientBuilder& b) {
        b.tcp("echo", echo.at()).http("web", web.at(), "web.test").http("more", web.at(), "more.test");
      },
      road.at());
  ASSERT_TRUE(first->wait_up("echo") && first->wait_up("web") && first->wait_up("more"));
  const std::uint16_t port = first->up("echo").port;
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  const auto stranger = client(*here, "other", [&](ClientBuilder& b) {
    b.tcp("echo", echo.at(), port).http("web", web.at(), "web.test").http("more", web.at(), "more.test");
  });
  ASSERT_TRUE(stranger->log.wait("failed web") && stranger->log.wait("failed more") &&
              stranger->log.wait("failed echo"));
  GrantOptions laptop, other;
  laptop.name = "laptop";
  laptop.secrets = {kSecret};
  laptop.hosts = {"more.test"};
  laptop.ports = {};
  other.name = "other";
  other.secrets = {kOther};
  ASSERT_TRUE(here->server->set_grants({laptop, other}));
  ASSERT_TRUE(stranger->wait_up("web") && stranger->wait_up("echo")) << stranger->log.text();
  EXPECT_EQ(get(here->http_port(), "more.test").status, 503);
  ASSERT_TRUE(here->server->set_grants({other}));
  ASSERT_TRUE(stranger->wait_up("more")) << stranger->log.text();
}

TEST_F(ApiLease, AReloadChangesItsTime) {
  const auto here = server(600s);
  Road road(here->port());
  const auto first = client(*here, "laptop", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); }, road.at());
  ASSERT_TRUE(first->wait_up("web"));
  road.close();
  ASSERT_TRUE(here->log.wait("session down"));
  EXPECT_EQ(get(here->http_port(), "web.test").status, 503);
  ServerConfig config;
  config.listen = config.http_listen = "127.0.0.1:0";
  config.tcp_listen_host = "127.0.0.1";
  config.state_dir = state.path;
  config.tls = false;
  config.threads = 2;
  config.host_lease = 0ms;
  for (const auto& [name, secret] : {std::pair{"laptop", kSecret}, std::pair{"other", kOther}}) {
    GrantOptions one;
    one.name = name;
    one.secrets = {secret};
    config.grants.push_back(one);
  }
  const auto done = here->server->reload(config);
  ASSERT_TRUE(done) << done.error().context;
  EXPECT_EQ(get(here->http_port(), "web.test").status, 404);
}

TEST_F(ApiLease, ForEverIsAYearAtMost) {
  auto builder = Server::builder();
  builder.host_lease(std::chrono::milliseconds::max());
  const auto refused = builder.build();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::BadInput);
  const auto here = server(600s);
  const auto first = client(*here, "laptop", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(first->wait_up("web"));
  EXPECT_TRUE(first->client->drain(std::chrono::milliseconds::max()));
  EXPECT_TRUE(here->server->drain(std::chrono::milliseconds::max()));
}

TEST_F(ApiLease, ARevokedGrantKeepsNothing) {
  const auto here = server(60s);
  const auto first = client(*here, "laptop", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  ASSERT_TRUE(first->wait_up("web"));
  GrantOptions other;
  other.name = "other";
  other.secrets = {kOther};
  ASSERT_TRUE(here->server->set_grants({other}));
  const auto stranger = client(*here, "other", [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
  EXPECT_TRUE(stranger->wait_up("web")) << stranger->log.text();
  EXPECT_EQ(stranger->log.count("failed"), 0u) << stranger->log.text();
}

}  // namespace
}  // namespace ferrotunnel::api_test
