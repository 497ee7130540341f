// Limits of a tunnel's visitors, through the public API: what each limit does to whom it meets, what changes while it runs, and the counters.
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

TunnelConfig tunnel(TunnelConfig::Kind kind, const std::string& to, const TunnelLimits& limits) {
  TunnelConfig config;
  config.kind = kind;
  config.name = "t";
  config.to = to;
  if (kind == TunnelConfig::Kind::Http) config.host = "a.test";
  config.limits = limits;
  return config;
}

struct World {
  explicit World(Service::Serve serve, TunnelConfig::Kind kind, const TunnelLimits& limits,
                 const std::function<void(ServerBuilder&)>& more = {})
      : service(std::move(serve)),
        server(directory.path, more),
        config(tunnel(kind, service.at(), limits)),
        client(server.ready.join_token, [this](ClientBuilder& builder) { builder.tunnel(config); }) {
    EXPECT_TRUE(client.wait_up("t")) << client.log.text();
    port = kind == TunnelConfig::Kind::Tcp ? client.up("t").port : server.http_port();
  }
  [[nodiscard]] Socket visit(std::uint32_t source = 1) const { return Socket::connect(port, 0, source); }
  [[nodiscard]] TunnelStatus status() const {
    const ServerStatus all = server.server->status();
    EXPECT_EQ(all.tunnels.size(), 1u);
    return all.tunnels.empty() ? TunnelStatus() : all.tunnels.front();
  }
  // The client's limits are these from now on.
  void change(const TunnelLimits& limits) {
    config.limits = limits;
    ClientConfig whole;
    whole.join = server.ready.join_token;
    whole.tunnels = {config};
    const auto done = client.client->reload(whole);
    EXPECT_TRUE(done) << done.error().context;
  }
  // The server's.
  void change_server(const TunnelLimits& limits, std::uint32_t max_visitors = 0) {
    ServerConfig whole;
    whole.tls = false;
    whole.state_dir = directory.path;
    whole.tunnel_limits = limits;
    whole.max_visitors = max_visitors;
    const auto done = server.server->reload(whole);
    EXPECT_TRUE(done) << done.error().context;
  }

  TemporaryDirectory directory;
  Service service;
  TestServer server;
  TunnelConfig config;
  TestClient client;
  std::uint16_t port = 0;
};

bool echoed(const Socket& socket, std::string_view text = "ping") {
  return socket.send(text) && socket.read(text.size()) == text;
}

constexpr auto kTcp = TunnelConfig::Kind::Tcp;
constexpr auto kHttp = TunnelConfig::Kind::Http;

// ---- who is let in ------------------------------------------------------------------------------------------------

TEST(ApiLimits, WhoIsDeniedIsResetAndCounted) {
  World world(Service::echo(), kTcp, {.deny = {"127.0.0.2"}});
  EXPECT_TRUE(echoed(world.visit()));
  EXPECT_EQ(world.visit(2).end(), "RST");
  EXPECT_EQ(world.status().refused.denied, 1u);
  EXPECT_EQ(world.server.server->status().refused.denied, 1u);
}

TEST(ApiLimits, ListsChangeWhileVisitorsStay) {
  World world(Service::echo(), kTcp, {});
  const Socket first = world.visit(), second = world.visit(2);
  EXPECT_TRUE(echoed(first) && echoed(second));
  world.change({.allow = {"127.0.0.1"}});
  ASSERT_TRUE(eventually([&] { return !echoed(world.visit(2)); }));
  EXPECT_EQ(world.visit(2).end(), "RST");
  EXPECT_TRUE(echoed(world.visit()));
  EXPECT_TRUE(echoed(first) && echoed(second)) << "who is there stays";
  world.change({});
  EXPECT_TRUE(eventually([&] { return echoed(world.visit(2)); }));
  EXPECT_EQ(world.server.log.count("tunnel down"), 0u) << world.server.log.text();
  EXPECT_EQ(world.server.log.count("tunnel up"), 1u);
}

TEST(ApiLimits, TheServersListHoldsTooAndChanges) {
  World world(Service::echo(), kTcp, {.allow = {"127.0.0.0/8"}},
              [](ServerBuilder& builder) { builder.tunnel_limits({.deny = {"127.0.0.3"}}); });
  EXPECT_EQ(world.visit(3).end(), "RST");
  EXPECT_TRUE(echoed(world.visit(2)));
  world.change_server({.deny = {"127.0.0.2"}});
  EXPECT_EQ(world.visit(2).end(), "RST");
  EXPECT_TRUE(echoed(world.visit(3)));
}

TEST(ApiLimits, SoManyAtOnce) {
  World world(Service::echo(), kTcp, {.max_visitors = 3, .max_visitors_per_address = 2});
  Socket a = world.visit(), b = world.visit();
  EXPECT_TRUE(echoed(a) && echoed(b));
  EXPECT_EQ(world.visit().end(), "RST");
  const Socket other = world.visit(2);
  EXPECT_TRUE(echoed(other));
  EXPECT_EQ(world.visit(3).end(), "RST");
  EXPECT_EQ(world.status().refused.address_limit, 1u);
  EXPECT_EQ(world.status().refused.tunnel_limit, 1u);
  a.close();
  EXPECT_TRUE(eventually([&] { return echoed(world.visit()); })) << "a place is free again";
  EXPECT_TRUE(eventually([&] { return world.server.server->status().visitors == world.status().visitors_now; }));
}

TEST(ApiLimits, TheLowerOfTwoLimitsHolds) {
  World world(Service::echo(), kTcp, {.max_visitors = 5},
              [](ServerBuilder& builder) { builder.tunnel_limits({.max_visitors = 1}); });
  const Socket a = world.visit();
  EXPECT_TRUE(echoed(a));
  EXPECT_EQ(world.visit().end(), "RST");
  world.change_server({.max_visitors = 2});
  const Socket b = world.visit();
  EXPECT_TRUE(echoed(b));
  EXPECT_EQ(world.visit().end(), "RST");
}

TEST(ApiLimits, SoManyNewOnesASecond) {
  World world(Service::echo(), kTcp, {.max_new_visitors_per_second = 3});
  const auto start = SteadyClock::now();
  int in = 0;
  for (int i = 0; i < 20; ++i) in += echoed(world.visit()) ? 1 : 0;
  const double passed = std::chrono::duration<double>(SteadyClock::now() - start).count();
  EXPECT_GE(in, 3);
  EXPECT_LE(in, 4 + static_cast<int>(passed * 3));
  EXPECT_EQ(world.status().refused.rate, static_cast<std::uint64_t>(20 - in));
  EXPECT_TRUE(eventually([&] { return echoed(world.visit()); }));
}

TEST(ApiLimits, WhoSaysNothingIsEndedWhoSpeaksIsNot) {
  World world(Service::echo(), kTcp, {.idle_timeout = 600ms});
  const Socket silent = world.visit(), busy = world.visit();
  EXPECT_TRUE(echoed(silent) && echoed(busy));
  const auto start = SteadyClock::now();
  std::atomic<bool> over{false};
  std::string end;
  std::thread watcher([&] {
    end = silent.end();
    over = true;
  });
  int spoken = 0;
  EXPECT_TRUE(eventually([&] {
    spoken += echoed(busy) ? 1 : 0;
    ::poll(nullptr, 0, 20);
    return over.load();
  }));
  const auto took = SteadyClock::now() - start;
  watcher.join();
  EXPECT_EQ(end, "RST");
  EXPECT_GE(took, 600ms);
  EXPECT_TRUE(echoed(busy)) << "after " << spoken;
  EXPECT_EQ(world.status().idle_ended, 1u);
  EXPECT_EQ(world.server.server->status().idle_ended, 1u);
}

TEST(ApiLimits, TheServersOwnLimitIsForAllTunnels) {
  World world(Service::echo(), kTcp, {}, [](ServerBuilder& builder) { builder.max_visitors(2); });
  Service web(Service::http("w"));
  TestClient second(world.server.ready.join_token,
                    [&](ClientBuilder& builder) { builder.http("w", web.at(), "w.test"); });
  ASSERT_TRUE(second.wait_up("w"));
  Socket a = world.visit();
  const Socket b = world.visit();  // an idle one of HTTP would make room for others
  EXPECT_TRUE(echoed(a));
  EXPECT_TRUE(echoed(b));
  EXPECT_EQ(world.server.server->status().visitors, 2u);
  EXPECT_EQ(world.server.server->status().max_visitors, 2u);

  EXPECT_EQ(world.visit().end(), "RST");
  const Socket turned_away = Socket::connect(world.server.http_port());
  const Answer answer = read_answer(turned_away);
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Ferrotunnel-Error: server-limit\r\n"), std::string::npos) << answer.head;
  EXPECT_NE(answer.head.find("Retry-After: "), std::string::npos) << answer.head;
  EXPECT_EQ(turned_away.end(), "FIN");
  EXPECT_EQ(world.server.server->status().refused.server_limit, 2u);
  a.close();
  EXPECT_TRUE(eventually([&] { return get(world.server.http_port(), "w.test").status == 200; }));
  world.change_server({}, 1000);
  EXPECT_EQ(world.server.server->status().max_visitors, 1000u);
}

// ---- HTTP ---------------------------------------------------------------------------------------------------------

TEST(ApiLimits, RequestsAreRefusedWithAPageThatSaysWhy) {
  std::atomic<bool> answer{false};
  World world(
      [&answer](const Socket& socket) {
        while (socket.read_until("\r\n\r\n").ends_with("\r\n\r\n")) {
          if (!eventually([&] { return answer.load(); })) return;
          if (!socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) return;
        }
      },
      kHttp, {.max_visitors = 2, .max_visitors_per_address = 1, .deny = {"127.0.0.9"}});
  const auto ask = [&](std::uint32_t source) {
    Socket socket = world.visit(source);
    EXPECT_TRUE(socket.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    return socket;
  };
  const auto refused = [&](std::uint32_t source, int status, const std::string& slug, bool retry) {
    const Socket socket = ask(source);
    const Answer page = read_answer(socket);
    EXPECT_EQ(page.status, status);
    EXPECT_NE(page.head.find("Ferrotunnel-Error: " + slug + "\r\n"), std::string::npos) << page.head;
    EXPECT_EQ(page.head.find("Retry-After: 1\r\n") != std::string::npos, retry) << page.head;
  };
  refused(9, 403, "visitor-denied", false);
  const Socket one = ask(1);
  ASSERT_TRUE(eventually([&] { return world.service.accepted == 1; }));
  refused(1, 429, "address-limit", true);
  const Socket two = ask(2);
  ASSERT_TRUE(eventually([&] { return world.service.accepted == 2; }));
  refused(3, 503, "tunnel-limit", true);
  answer = true;
  EXPECT_EQ(read_answer(one).status, 200);
  EXPECT_EQ(read_answer(two).status, 200);
  EXPECT_TRUE(one.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")) << "a place is a request's, not a connection's";
  EXPECT_EQ(read_answer(one).status, 200);

  const RefusedVisitors counts = world.status().refused;
  EXPECT_EQ(counts, (RefusedVisitors{.denied = 1, .tunnel_limit = 1, .address_limit = 1}));
  EXPECT_EQ(world.status().visitors, 3u) << "those that were served";
  EXPECT_TRUE(world.server.log.wait("request t GET / 403")) << world.server.log.text();

  world.change({.max_new_visitors_per_second = 1});
  EXPECT_TRUE(eventually([&] { return get(world.port, "a.test").status == 429; }));
  EXPECT_GE(world.status().refused.rate, 1u);
}

// ---- bandwidth ----------------------------------------------------------------------------------------------------

// Bytes that come in so much time.
double read_for(const Socket& socket, std::chrono::milliseconds time) {
  const auto end = SteadyClock::now() + time;
  std::vector<char> buffer(65536);
  double bytes = 0;
  while (SteadyClock::now() < end) {
    pollfd one{socket.fd(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - SteadyClock::now());
    if (::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(0, left.count()))) <= 0) continue;
    const ssize_t n = ::recv(socket.fd(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    bytes += static_cast<double>(n);
  }
  return bytes;
}

TEST(ApiLimits, BandwidthToVisitorsIsKeptAndSharedEqually) {
  constexpr double kRate = 4'000'000;
  World world(Service::flood(), kTcp, {.bandwidth = 4'000'000});
  const Socket a = world.visit(), b = world.visit();
  double of_b = 0;
  std::thread other([&] { of_b = read_for(b, 3s); });
  const double of_a = read_for(a, 3s);
  other.join();
  EXPECT_NEAR(of_a + of_b, kRate * 3, kRate * 3 * 0.1);
  EXPECT_NEAR(of_a, of_b, kRate * 3 * 0.1);
  EXPECT_GT(world.status().throttled, 10u);
  // Lifted while they are there.
  world.change({});
  EXPECT_TRUE(eventually([&] { return read_for(a, 200ms) > kRate; }));
}

TEST(ApiLimits, BandwidthFromVisitorsIsKept) {
  constexpr double kRate = 2'000'000;
  std::atomic<std::uint64_t> arrived{0};
  World world(
      [&arrived](const Socket& socket) {
        std::vector<char> buffer(65536);
        ssize_t n;
        while ((n = ::recv(socket.fd(), buffer.data(), buffer.size(), 0)) > 0) arrived += static_cast<std::uint64_t>(n);
      },
      kTcp, {.visitor_bandwidth = 2'000'000});
  Socket visitor = world.visit();
  std::thread sender([&] {
    const std::string bytes(65536, 'u');
    while (visitor.send(bytes)) {
    }
  });
  ASSERT_TRUE(eventually([&] { return arrived > 0; }));
  const auto start = SteadyClock::now();
  const auto before = static_cast<double>(arrived.load());
  EXPECT_FALSE(eventually([] { return false; }, 3s));
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  const double rate = (static_cast<double>(arrived.load()) - before) / seconds;
  ::shutdown(visitor.fd(), SHUT_RDWR);
  sender.join();
  EXPECT_NEAR(rate, kRate, kRate * 0.1);
}

TEST(ApiLimits, AGrantsBandwidthIsForAllItsTunnels) {
  constexpr double kRate = 4'000'000;
  const TemporaryDirectory directory;
  const Service service(Service::flood());
  GrantOptions grant;
  grant.name = "slow";
  grant.secrets = {"0123456789abcdef0123456789abcdef"};
  grant.bandwidth = 4'000'000;
  const TestServer server(directory.path, [&](ServerBuilder& builder) { builder.threads(2).grant(grant); });
  std::list<TestClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(server.ready.join_token, [&](ClientBuilder& builder) { builder.tcp("t", service.at()); });
    ASSERT_TRUE(clients.back().wait_up("t")) << clients.back().log.text();
  }
  const Socket a = Socket::connect(clients.front().up("t").port), b = Socket::connect(clients.back().up("t").port);
  double of_b = 0;
  std::thread other([&] { of_b = read_for(b, 3s); });
  const double of_a = read_for(a, 3s);
  other.join();
  EXPECT_NEAR(of_a + of_b, kRate * 3, kRate * 3 * 0.1);
  EXPECT_GT(std::min(of_a, of_b), kRate * 3 * 0.3);
}

TEST(ApiLimits, WhatIsSlowedDownArrivesWhole) {
  World world(Service::echo(), kTcp, {.bandwidth = 8'000'000, .visitor_bandwidth = 6'000'000});
  const std::string bytes = noise(6'000'000, 7);
  EXPECT_TRUE(echoes(world.visit(), bytes));
}

TEST(ApiLimits, HttpBodiesAreSlowedDownAndArriveWhole) {
  const std::string body = noise(3'000'000, 9);
  World world(
      [&body](const Socket& socket) {
        for (;;) {
          const std::string head = socket.read_until("\r\n\r\n");
          if (!head.ends_with("\r\n\r\n")) return;
          const bool upload = head.starts_with("POST");
          const std::string answer = upload ? (socket.read(body.size()) == body ? "same" : "different") : body;
          if (!socket.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(answer.size()) + "\r\n\r\n" + answer))
            return;
        }
      },
      kHttp, {.bandwidth = 2'000'000});
  const Socket socket = world.visit();
  for (int i = 0; i < 2; ++i) {  // the second on the origin's warm connection
    const auto start = SteadyClock::now();
    ASSERT_TRUE(socket.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    EXPECT_TRUE(read_answer(socket).body == body);
    EXPECT_GE(SteadyClock::now() - start, 1200ms);
    ASSERT_TRUE(socket.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(body.size()) +
                            "\r\n\r\n" + body));
    EXPECT_EQ(read_answer(socket).body, "same");
    EXPECT_GE(SteadyClock::now() - start, 2500ms);
  }
  EXPECT_EQ(world.service.accepted, 1);
}

TEST(ApiLimits, AnUpgradedConnectionIsSlowedDownToo) {
  World world(
      [](const Socket& socket) {
        if (!socket.read_until("\r\n\r\n").ends_with("\r\n\r\n")) return;
        if (!socket.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
          return;
        Service::flood()(socket);
      },
      kHttp, {.max_visitors = 1, .visitor_bandwidth = 2'000'000});
  const Socket socket = world.visit();
  ASSERT_TRUE(socket.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
  ASSERT_NE(socket.read_until("\r\n\r\n").find(" 101 "), std::string::npos);
  EXPECT_NEAR(read_for(socket, 3s), 6'000'000, 600'000);
  EXPECT_EQ(get(world.port, "a.test").status, 503) << "it is a visitor for as long as it lasts";
}

// ---- mistakes -----------------------------------------------------------------------------------------------------

TEST(ApiLimits, MistakesAreFoundBeforeAnythingStarts) {
  const auto client_says = [](const TunnelLimits& limits) {
    auto built = Client::builder().join("x").tunnel(tunnel(kTcp, "127.0.0.1:1", limits)).build();
    return built ? std::string("fine") : built.error().context;
  };
  EXPECT_NE(client_says({.deny = {"10.0.0.0/33"}}).find("the tunnel t: deny: "), std::string::npos);
  EXPECT_NE(client_says({.allow = std::vector<std::string>(257, "10.0.0.1")}).find("256 networks"), std::string::npos);
  EXPECT_NE(client_says({.idle_timeout = -1ms}).find("idle_timeout"), std::string::npos);
  const auto server_says = [](const TunnelLimits& limits) {
    auto built = Server::builder().tunnel_limits(limits).build();
    return built ? std::string("fine") : built.error().context;
  };
  EXPECT_NE(server_says({.allow = {"example.com"}}).find("the limits of tunnels: allow: "), std::string::npos);
  EXPECT_FALSE(Server::builder().tcp_keepalive(-1ms).build());
}

}  // namespace
}  // namespace ferrotunnel::api_test
