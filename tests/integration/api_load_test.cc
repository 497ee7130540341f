// Under load, under attack, with little memory, on several shards: what must go on goes on.
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

TEST(ApiLoad, StatusFromOtherThreadsUnderLoad) {
  const TemporaryDirectory state;
  const Service echo(Service::echo()), web(Service::http("web"));
  TestServer server(state.path, [](ServerBuilder& b) { b.tls(true).threads(2); });
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("echo", echo.at()).http("web", web.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("echo") && client.wait_up("web"));
  std::atomic<bool> over{false};
  std::atomic<int> looks{0};
  std::vector<std::thread> lookers;
  for (int i = 0; i < 2; ++i) {
    lookers.emplace_back([&, i] {
      while (!over.load()) {
        if (i == 0) {
          EXPECT_LE(server.server->status().sessions.size(), 1u);
        } else {
          EXPECT_LE(client.client->status().tunnels.size(), 2u);
        }
        ++looks;
      }
    });
  }
  std::vector<std::thread> visitors;
  std::atomic<int> good{0};
  for (std::uint64_t i = 0; i < 4; ++i) {
    visitors.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        if (echoes(Socket::connect(client.up("echo").port), noise(100'000, i))) ++good;
        if (get(server.http_port(), "web.test", "/p").body == "web GET /p") ++good;
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  EXPECT_EQ(good, 40);
  EXPECT_TRUE(eventually([&] { return looks > 100; }));
  client.client->stop();  // while they look
  server.server->stop();
  over = true;
  for (std::thread& looker : lookers) looker.join();
}

TEST(ApiLoad, StalledVisitorsWithLittleMemoryLeaveTheOthersAlone) {
  const TemporaryDirectory state;
  constexpr std::size_t kLimit = 2u << 20;
  const Service flood(Service::flood()), echo(Service::echo());
  TestServer server(state.path, [](ServerBuilder& b) { b.memory_limit(kLimit); });
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("flood", flood.at()).tcp("echo", echo.at()).memory_limit(kLimit); });
  ASSERT_TRUE(client.wait_up("flood") && client.wait_up("echo"));
  const Socket early = Socket::connect(client.up("echo").port);
  std::vector<Socket> stalled;
  for (int i = 0; i < 100; ++i) {
    stalled.push_back(Socket::connect(client.up("flood").port, 4096));
    ASSERT_TRUE(stalled.back().open());
  }
  // Until what they do not read fills what there is, or credit has stopped it.
  std::size_t most = 0;
  std::uint64_t before = 0;
  int quiet = 0;
  ASSERT_TRUE(eventually([&] {
    const ServerStatus status = server.server->status();
    most = std::max(most, status.buffer_bytes);
    const std::uint64_t in = status.sessions.at(0).bytes_in;
    quiet = in == before ? quiet + 1 : 0;
    before = in;
    return quiet > 50;
  }));
  EXPECT_GT(most, kLimit / 4);
  EXPECT_LT(most, kLimit + (1u << 20)) << "a little more than the limit is what is in hand";
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(early.send("still here?"));
    ASSERT_EQ(early.read(11), "still here?") << i;
  }
  const Socket late = Socket::connect(client.up("echo").port);
  ASSERT_TRUE(late.send("me too?"));
  EXPECT_EQ(late.read(7), "me too?");
  stalled.clear();
  EXPECT_TRUE(eventually([&] { return server.server->status().buffer_bytes < kLimit / 4; }))
      << server.server->status().buffer_bytes;
  EXPECT_TRUE(echoes(Socket::connect(client.up("echo").port), noise(300'000, 2)));
}

TEST(ApiLoad, StalledOriginsWithLittleMemoryLeaveTheOthersAlone) {
  const TemporaryDirectory state;
  constexpr std::size_t kLimit = 2u << 20;
  std::atomic<bool> over{false};
  const Service deaf([&](const Socket& socket) {
    const int small = 4096;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    eventually([&] { return over.load(); });
  });
  const Service echo(Service::echo());
  TestServer server(state.path);
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tcp("deaf", deaf.at()).tcp("echo", echo.at()).memory_limit(kLimit); });
  ASSERT_TRUE(client.wait_up("deaf") && client.wait_up("echo"));
  const Socket early = Socket::connect(client.up("echo").port);
  ASSERT_TRUE(early.send("x"));
  ASSERT_EQ(early.read(1), "x");
  std::vector<Socket> stalled;
  const std::string bytes = noise(400'000, 1);
  for (int i = 0; i < 60; ++i) {
    stalled.push_back(Socket::connect(client.up("deaf").port));
    ::send(stalled.back().fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  std::uint64_t before = 0;
  int quiet = 0;
  ASSERT_TRUE(eventually([&] {
    const std::uint64_t out = server.server->status().sessions.at(0).bytes_out;
    quiet = out == before ? quiet + 1 : 0;
    before = out;
    return quiet > 50;
  }));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(early.send("still here?"));
    ASSERT_EQ(early.read(11), "still here?") << i;
  }
  over = true;
}

TEST(ApiShards, HttpVisitorsLandAnywhere) {
  const TemporaryDirectory state;
  const Service one(Service::http("one")), two(Service::http("two")), three(Service::http("three"));
  const Service* const services[] = {&one, &two, &three};
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(3).tls(true); });
  std::list<TestClient> clients;  // their links land on shards of the kernel's choice
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(server.ready.join_token, [&](ClientBuilder& b) {
      b.http("web", services[i]->at(), "h" + std::to_string(i) + ".test");
    });
    ASSERT_TRUE(clients.back().wait_up("web"));
  }
  constexpr int kVisitors = 20, kEach = 12;
  std::vector<std::thread> visitors;
  std::atomic<int> good{0};
  static constexpr const char* kNames[] = {"one", "two", "three"};
  for (int v = 0; v < kVisitors; ++v) {
    visitors.emplace_back([&, v] {
      // One connection asks for all three hosts: it moves between shards as it goes.
      const Socket kept = Socket::connect(server.http_port());
      for (int i = 0; i < kEach; ++i) {
        const std::string path = "/" + std::to_string(v) + "/" + std::to_string(i);
        const int host = (v + i) % 3;
        const bool keep = i % 2 == 0;
        Answer answer;
        if (keep) {
          if (!kept.send("GET " + path + " HTTP/1.1\r\nHost: h" + std::to_string(host) + ".test\r\n\r\n")) return;
          answer = read_answer(kept);
        } else {
          answer = get(server.http_port(), "h" + std::to_string(host) + ".test", path);
        }
        if (answer.status == 200 && answer.body == std::string(kNames[host]) + " GET " + path) ++good;
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  EXPECT_EQ(good, kVisitors * kEach);
  ASSERT_TRUE(server.log.wait("request web GET ", static_cast<std::size_t>(kVisitors * kEach)));
  std::uint64_t counted = 0;
  for (const TunnelStatus& tunnel : server.server->status().tunnels) counted += tunnel.visitors;
  EXPECT_EQ(counted, static_cast<std::uint64_t>(kVisitors * kEach));
}

TEST(ApiShards, StopWhileVisitorsMove) {
  const TemporaryDirectory state;
  const Service web(Service::http("web"));
  for (int i = 0; i < 6; ++i) {
    TestServer server(state.path, [](ServerBuilder& b) { b.threads(3); });
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.http("web", web.at(), "web.test"); });
    ASSERT_TRUE(client.wait_up("web"));
    std::atomic<bool> over{false};
    std::atomic<int> answered{0};
    std::vector<std::thread> visitors;
    for (int v = 0; v < 3; ++v) {
      visitors.emplace_back([&] {
        while (!over.load()) {
          if (get(server.http_port(), "web.test").status != 0) ++answered;
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return answered >= 5; }));
    i % 2 == 0 ? server.server->stop() : static_cast<void>(server.server->drain(10s));
    over = true;
    for (std::thread& visitor : visitors) visitor.join();
  }
}

// ---- the control port, and who else finds it ------------------------------------------------------------------------

TEST(ApiAttack, GarbageEndsOnlyItsOwnConnection) {
  for (const bool tls : {false, true}) {
    const TemporaryDirectory state;
    const Service echo(Service::echo());
    TestServer server(state.path, [&](ServerBuilder& b) { b.tls(tls); });
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
    ASSERT_TRUE(client.wait_up("echo"));
    const Socket inside = Socket::connect(client.up("echo").port);

    std::vector<std::string> garbage{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(1, '\0'),
                                     std::string(100'000, '\0'), "FTUN", "FTUM\1\0\0\0"};
    garbage.push_back(std::string("\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03", 11) +
                      noise(240, 1));                                    // TLS, or nearly
    garbage.push_back(std::string("FTUN\1\0\0\0\0\0\0\0\0\0\0\0", 16));  // our own, without TLS
    garbage.push_back(std::string("FTUN\1\0\0\0\0\0\0\0\0\0\0\0", 16) + std::string("\x07\xff\xff\xff\0\0\0\0", 8));
    garbage.push_back(std::string("FTUN\2\0\0\0\0\0\0\0\0\0\0\0", 16));
    for (std::uint64_t seed = 0; seed < 20; ++seed) garbage.push_back(noise(1 + seed * seed * 13, seed));
    std::uint32_t sent = 0;
    for (const std::string& bytes : garbage) {
      const Socket scanner = Socket::connect(server.port(), 0, 2 + sent++ / 5);  // nobody so often that it is throttled
      ASSERT_TRUE(scanner.open());
      scanner.send(bytes);
      scanner.shutdown_write();
      EXPECT_NE(scanner.end(), "nothing");
    }
    EXPECT_TRUE(eventually([&] { return server.server->status().handshakes_failed == garbage.size(); }))
        << server.server->status().handshakes_failed;
    EXPECT_EQ(server.server->status().handshakes_waiting, 0u);
    EXPECT_TRUE(echoes(inside, noise(10'000, 1)));
    EXPECT_EQ(server.log.count("error"), 0u) << "scanners are not worth a line: " << server.log.text();
    EXPECT_EQ(client.client->status().connects, 1u);
  }
}

TEST(ApiAttack, TheWrongKindOfClient) {
  const TemporaryDirectory plain_state, tls_state;
  constexpr const char* kSecret = "a secret for both of them";
  TestServer plain(plain_state.path, [](ServerBuilder& b) { b.tls(false).grant("default", kSecret); });
  TestServer tls(tls_state.path, [](ServerBuilder& b) { b.tls(true).grant("default", kSecret); });
  // A TLS client at a plain server, a plain one at a TLS server.
  TestClient tls_client(tls.ready.join_token,
                        [&](ClientBuilder& b) { b.server(plain.ready.listen).tcp("shell", "22"); });
  TestClient plain_client(plain.ready.join_token,
                          [&](ClientBuilder& b) { b.server(tls.ready.listen).tcp("shell", "22"); });
  ASSERT_TRUE(tls_client.log.wait("disconnected")) << tls_client.log.text();
  ASSERT_TRUE(plain_client.log.wait("disconnected")) << plain_client.log.text();
  EXPECT_EQ(tls_client.log.count("connected"), 0u);
  EXPECT_EQ(plain_client.log.count("connected"), 0u);
  EXPECT_TRUE(eventually(
      [&] { return plain.server->status().handshakes_failed >= 1 && tls.server->status().handshakes_failed >= 1; }));
}

TEST(ApiAttack, SilentConnectionsDoNotKeepAClientOut) {
  for (const bool tls : {false, true}) {
    const TemporaryDirectory state;
    const Service echo(Service::echo());
    TestServer server(state.path, [&](ServerBuilder& b) { b.tls(tls); });
    std::vector<Socket> silent;
    for (int i = 0; i < 300; ++i) silent.push_back(Socket::connect(server.port()));
    TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
    ASSERT_TRUE(client.wait_up("echo"));
    EXPECT_TRUE(echoes(Socket::connect(client.up("echo").port), noise(10'000, 1)));
    EXPECT_GT(server.server->status().handshakes_waiting, 0u);
    // And they do not stay.
    for (const Socket& one : silent) EXPECT_NE(one.end(), "nothing");
    EXPECT_TRUE(eventually([&] { return server.server->status().handshakes_waiting == 0; }));
    EXPECT_EQ(server.server->status().handshakes_failed, 300u);
  }
}

TEST(ApiAttack, StopAndDrainWithSilentConnections) {
  const TemporaryDirectory state;
  for (const bool drain : {false, true}) {
    TestServer server(state.path, [&](ServerBuilder& b) { b.tls(true).threads(2); });
    std::vector<Socket> silent;
    for (int i = 0; i < 20; ++i) silent.push_back(Socket::connect(server.port()));
    ASSERT_TRUE(eventually([&] { return server.server->status().handshakes_waiting == 20; }));
    const auto began = SteadyClock::now();
    if (drain) EXPECT_TRUE(server.server->drain(kPatience));
    server.server->stop();
    EXPECT_LT(SteadyClock::now() - began, 4s);
    for (const Socket& one : silent) EXPECT_NE(one.end(), "nothing");
  }
}

}  // namespace
}  // namespace ferrotunnel::api_test
