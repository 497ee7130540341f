// A session with links on several threads: they are asked for while there is use for them, carry every byte, and end as what they belong to does.
#include <list>
#include <numeric>

#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

// A server and a client of so many threads, and a TCP tunnel to an echo.
struct World {
  explicit World(unsigned server_threads = 4, unsigned client_threads = 4, bool tls = false,
                 const std::function<void(ServerBuilder&)>& more = {},
                 const std::function<void(ClientBuilder&)>& more_client = {})
      : server(state.path,
               [&](ServerBuilder& b) {
                 b.threads(server_threads).tls(tls);
                 if (more) more(b);
               }),
        client(server.ready.join_token, [&](ClientBuilder& b) {
          b.threads(client_threads).tcp("echo", echo.at()).http("web", web.at(), "web.test");
          if (more_client) more_client(b);
        }) {
    EXPECT_TRUE(client.wait_up("echo") && client.wait_up("web")) << client.log.text();
  }
  [[nodiscard]] SessionStatus session() const {
    const ServerStatus status = server.server->status();
    return status.sessions.empty() ? SessionStatus{} : status.sessions.front();
  }
  [[nodiscard]] TunnelStatus tunnel(std::string_view name) const {
    for (const TunnelStatus& one : server.server->status().tunnels)
      if (one.name == name) return one;
    return {};
  }
  [[nodiscard]] std::uint16_t port() { return client.up("echo").port; }
  // Visitors that say nothing, until there are so many links.
  [[nodiscard]] bool fill(std::size_t links) {
    return eventually([&] {
      if (session().links >= links) return true;
      if (visitors.size() < 200) {
        visitors.push_back(Socket::connect(port()));
        EXPECT_TRUE(visitors.back().send("x") && visitors.back().read(1) == "x");
      }
      return false;
    });
  }

  const TemporaryDirectory state;
  const Service echo{Service::echo()}, web{Service::http("web")};
  TestServer server;
  TestClient client;
  std::list<Socket> visitors;
};

class ApiLinks : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(PlainAndTls, ApiLinks, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "Tls" : "Plain"; });

TEST_P(ApiLinks, AnIdleSessionHasOne) {
  World world(4, 4, GetParam());
  const Socket one = Socket::connect(world.port());
  ASSERT_TRUE(one.send("x") && one.read(1) == "x");
  EXPECT_EQ(world.session().links, 1u);
  EXPECT_EQ(world.client.client->status().links, 1u);
}

TEST_P(ApiLinks, ManyVisitorsHaveALinkOnEachThreadAndEveryByteArrives) {
  for (const unsigned client_threads : {1u, 2u, 4u}) {
    World world(4, client_threads, GetParam());
    ASSERT_TRUE(world.fill(4)) << world.client.log.text() << world.server.log.text();
    EXPECT_TRUE(eventually([&] { return world.client.client->status().links == 4; }));
    constexpr int kVisitors = 32;
    constexpr std::size_t kBytes = 600'000;
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kVisitors; ++i) {
      threads.emplace_back([&, i] {
        const Socket visitor = Socket::connect(world.port());
        if (echoes(visitor, noise(kBytes, static_cast<std::uint64_t>(i)))) ++good;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, kVisitors);
    const std::size_t stay = world.visitors.size();
    EXPECT_TRUE(eventually([&] { return world.tunnel("echo").visitors_now == stay; }));
    EXPECT_EQ(world.tunnel("echo").visitors, stay + kVisitors);
    EXPECT_GE(world.session().bytes_in, kVisitors * kBytes);
    EXPECT_GE(world.session().bytes_out, kVisitors * kBytes);
    const ClientStatus there = world.client.client->status();
    EXPECT_EQ(there.visitors_now, stay);
    EXPECT_EQ(there.visitors, stay + kVisitors);
    EXPECT_GE(there.bytes_in, kVisitors * kBytes);
    world.visitors.clear();
    EXPECT_TRUE(eventually([&] { return world.tunnel("echo").visitors_now == 0 && world.session().streams == 0; }));
    EXPECT_TRUE(eventually([&] { return world.client.client->status().visitors_now == 0; }));
    EXPECT_EQ(world.session().links, 4u) << "they are given back after a while, not at once";
  }
}

TEST_P(ApiLinks, OneThreadAtTheServerIsAsEver) {
  World world(1, 4, GetParam());
  for (int i = 0; i < 20; ++i) {
    world.visitors.push_back(Socket::connect(world.port()));
    ASSERT_TRUE(world.visitors.back().send("x") && world.visitors.back().read(1) == "x");
  }
  EXPECT_EQ(world.session().links, 1u);
  EXPECT_EQ(world.session().streams, 20u);
}

TEST_P(ApiLinks, HttpVisitorsFindALinkWhereTheyArrive) {
  World world(4, 2, GetParam());
  std::uint64_t asked = 0;
  ASSERT_TRUE(eventually([&] {
    for (int i = 0; i < 40; ++i, ++asked) {
      const Answer answer = get(world.server.http_port(), "web.test", "/" + std::to_string(asked));
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.body, "web GET /" + std::to_string(asked));
    }
    return world.session().links == 4;
  }));
  for (int i = 0; i < 100; ++i, ++asked) EXPECT_EQ(get(world.server.http_port(), "web.test", "/x").body, "web GET /x");
  EXPECT_TRUE(eventually([&] { return world.tunnel("web").visitors == asked; })) << world.tunnel("web").visitors;
  EXPECT_TRUE(world.server.log.wait("request web GET /", asked));
}

// What is counted on one thread is let in on one.
TEST(ApiLinksLimits, ATunnelWithALimitKeepsIt) {
  World world(4, 2, false, {}, [](ClientBuilder& b) {
    TunnelConfig config;
    config.kind = TunnelConfig::Kind::Http;
    config.name = "few";
    config.to = "127.0.0.1:1";
    config.host = "few.test";
    config.limits.max_new_visitors_per_second = 5;
    b.tunnel(config);
  });
  ASSERT_TRUE(world.client.wait_up("few"));
  ASSERT_TRUE(world.fill(4));
  const auto begin = SteadyClock::now();
  int in = 0;
  for (int i = 0; i < 60; ++i) in += get(world.server.http_port(), "few.test").status == 502 ? 1 : 0;
  const auto seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  EXPECT_GE(in, 5);
  EXPECT_LE(in, 5 + static_cast<int>(seconds * 5) + 1);
}

TEST_P(ApiLinks, ATunnelThatIsGivenUpEndsItsVisitorsOnEveryLink) {
  World world(4, 4, GetParam());
  ASSERT_TRUE(world.fill(4));
  ClientConfig config;
  config.join = world.server.ready.join_token;
  config.threads = 4;
  TunnelConfig web;
  web.name = "web";
  web.to = world.web.at();
  web.host = "web.test";
  config.tunnels.push_back(web);
  const auto done = world.client.client->reload(config);
  ASSERT_TRUE(done) << done.error().context;
  EXPECT_TRUE(done->needs_restart.empty());
  for (const Socket& visitor : world.visitors) EXPECT_NE(visitor.end(), "nothing");
  EXPECT_EQ(get(world.server.http_port(), "web.test").status, 200);
  EXPECT_TRUE(eventually([&] { return world.session().streams <= 4; }));
}

TEST_P(ApiLinks, AReloadLeadsVisitorsOfEveryLinkToTheNewService) {
  World world(4, 4, GetParam());
  ASSERT_TRUE(world.fill(4));
  const Service other([](const Socket& socket) {
    socket.send("other");
    socket.shutdown_write();
    (void)socket.read(1);
  });
  ClientConfig config;
  config.join = world.server.ready.join_token;
  config.threads = 2;
  TunnelConfig echo;
  echo.kind = TunnelConfig::Kind::Tcp;
  echo.name = "echo";
  echo.to = other.at();
  config.tunnels.push_back(echo);
  const auto done = world.client.client->reload(config);
  ASSERT_TRUE(done) << done.error().context;
  EXPECT_EQ(done->needs_restart, std::vector<std::string>{"client.threads"});
  for (int i = 0; i < 40; ++i) EXPECT_EQ(Socket::connect(world.port()).read(5), "other");
  for (const Socket& visitor : world.visitors) EXPECT_TRUE(visitor.send("y") && visitor.read(1) == "y");
}

TEST_P(ApiLinks, ARevokedGrantEndsVisitorsOnEveryLink) {
  World world(4, 4, GetParam());
  ASSERT_TRUE(world.fill(4));
  std::vector<GrantOptions> none(1);
  none[0].name = "somebody-else";
  none[0].secrets = {"0123456789abcdef0123"};
  ASSERT_TRUE(world.server.server->set_grants(none));
  for (const Socket& visitor : world.visitors) EXPECT_NE(visitor.end(), "nothing");
  EXPECT_TRUE(eventually([&] { return world.server.server->status().sessions.empty(); }));
}

TEST_P(ApiLinks, ADrainOfTheServerLetsVisitorsOfEveryLinkFinish) {
  World world(4, 4, GetParam());
  ASSERT_TRUE(world.fill(4));
  std::atomic<bool> finished{false};
  std::thread drain([&] { finished = world.server.server->drain(kPatience); });
  EXPECT_TRUE(eventually([&] { return world.server.server->status().draining; }));
  for (const Socket& visitor : world.visitors) {
    EXPECT_TRUE(visitor.send("y") && visitor.read(1) == "y");
    visitor.shutdown_write();
    EXPECT_EQ(visitor.end(), "FIN");
  }
  drain.join();
  EXPECT_TRUE(finished);
}

TEST_P(ApiLinks, ADrainOfTheClientLetsVisitorsOfEveryLinkFinish) {
  World world(4, 4, GetParam());
  ASSERT_TRUE(world.fill(4));
  std::atomic<bool> finished{false}, over{false};
  std::thread drain([&] {
    finished = world.client.client->drain(kPatience);
    over = true;
  });
  EXPECT_TRUE(eventually([&] { return !Socket::connect(world.port()).open(); })) << "nobody new";
  for (const Socket& visitor : world.visitors) {
    EXPECT_FALSE(over);
    EXPECT_TRUE(visitor.send("y") && visitor.read(1) == "y");
    visitor.shutdown_write();
    EXPECT_EQ(visitor.end(), "FIN");
  }
  drain.join();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(eventually([&] { return world.server.server->status().sessions.empty(); }));
}

TEST_P(ApiLinks, StopEndsAllAtEitherEnd) {
  for (const bool at_server : {true, false}) {
    World world(4, 4, GetParam());
    ASSERT_TRUE(world.fill(4));
    at_server ? world.server.server->stop() : world.client.client->stop();
    for (const Socket& visitor : world.visitors) EXPECT_NE(visitor.end(), "nothing");
    if (!at_server) EXPECT_TRUE(eventually([&] { return world.server.server->status().sessions.empty(); }));
    EXPECT_TRUE(eventually([&] { return world.client.log.count("visitor left") == world.visitors.size(); }));
    EXPECT_TRUE(eventually([&] { return world.server.log.count("visitor left") == world.visitors.size(); }));
  }
}

// One thread may hold more warm direct links than its part; another must not dial in vain for what is missing of its own.
TEST(ApiLinksDirect, ThreadsOfAClientDialNoMoreThanThereIsRoomFor) {
  const Service echo(Service::echo());
  for (int round = 0; round < 3; ++round) {
    World world(
        2, 2, false, [](ServerBuilder& b) { b.max_direct(3); },
        [&](ClientBuilder& b) {
          TunnelConfig tunnel;
          tunnel.kind = TunnelConfig::Kind::Tcp;
          tunnel.name = "own";
          tunnel.to = echo.at();
          tunnel.carry = Carry::Direct;
          b.tunnel(tunnel);
        });
    ASSERT_TRUE(world.client.wait_up("own")) << world.client.log.text();
    const Socket visitor = Socket::connect(world.client.up("own").port);
    ASSERT_TRUE(visitor.send("x") && visitor.read(1) == "x");
    ASSERT_TRUE(eventually([&] { return world.session().direct == 1 && world.session().direct_warm == 2; }));
    // How many are wanted now may be told a moment later; from then on none is dialled in vain.
    const auto refused = [&] { return world.server.server->status().direct_refused; };
    std::uint64_t before = 0;
    ASSERT_TRUE(eventually([&] {
      before = refused();
      return !eventually([&] { return refused() > before; }, 300ms);
    }));
    EXPECT_FALSE(eventually([&] { return refused() > before; }, 2s));
  }
}

TEST_P(ApiLinks, StopWhileVisitorsComeAndGo) {
  for (int round = 0; round < 4; ++round) {
    World world(3, 3, GetParam());
    ASSERT_TRUE(world.fill(2));  // and newcomers go to the second
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    const std::uint16_t port = world.port();
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&, i] {
        while (!over) {
          const Socket visitor = Socket::connect(port);
          if (visitor.open() && visitor.send(noise(3000, static_cast<std::uint64_t>(i)))) (void)visitor.read(3000);
        }
      });
    }
    const std::uint64_t before = world.tunnel("echo").visitors;
    EXPECT_TRUE(eventually([&] { return world.tunnel("echo").visitors > before + 50; }));
    world.visitors.clear();
    switch (round) {
      case 0: world.server.server->stop(); break;
      case 1: world.client.client->stop(); break;
      case 2: (void)world.server.server->drain(10s); break;
      default: (void)world.client.client->drain(10s); break;
    }
    over = true;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace ferrotunnel::api_test
