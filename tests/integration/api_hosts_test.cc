// Whose host and port it is: two clients for one host, a client that comes back, a session that is replaced.
#include "base/random.h"
#include "integration/api_world.h"
#include "mux/mux_link.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "wire/control.h"

namespace ferrotunnel::api_test {
namespace {

TEST(ApiHosts, TheSecondGetsItWhenTheFirstGoes) {
  const TemporaryDirectory state;
  const Service one(Service::http("one")), two(Service::http("two"));
  TestServer server(state.path);
  std::optional<TestClient> first(std::in_place, server.ready.join_token,
                                  [&](ClientBuilder& b) { b.http("web", one.at(), "web.test"); });
  ASSERT_TRUE(first->wait_up("web"));
  TestClient second(server.ready.join_token,
                    [&](ClientBuilder& b) { b.http("web", two.at(), "web.test").http("own", two.at(), "own.test"); });
  ASSERT_TRUE(second.log.wait("failed web address-in-use")) << second.log.text();
  ASSERT_TRUE(second.wait_up("own")) << "one that is taken does not keep the other from coming up";
  ASSERT_TRUE(server.log.wait("tunnel rejected web"));
  EXPECT_EQ(get(server.http_port(), "web.test").body, "one GET /");
  first.reset();
  ASSERT_TRUE(second.wait_up("web")) << second.log.text();
  EXPECT_EQ(get(server.http_port(), "web.test").body, "two GET /");
  EXPECT_EQ(second.log.count("failed web"), 1u) << "told once";
  EXPECT_EQ(second.log.count("up own"), 1u) << "what is up is not asked for again";
}

TEST(ApiHosts, AFixedPortLikewise) {
  const TemporaryDirectory state;
  const Service service(Service::echo());
  TestServer server(state.path);
  std::optional<TestClient> first(std::in_place, server.ready.join_token,
                                  [&](ClientBuilder& b) { b.tcp("shell", service.at()); });
  ASSERT_TRUE(first->wait_up("shell"));
  const std::uint16_t port = first->up("shell").port;
  TestClient second(server.ready.join_token, [&](ClientBuilder& b) { b.tcp("shell", service.at(), port); });
  ASSERT_TRUE(second.log.wait("failed shell address-in-use")) << second.log.text();
  first.reset();
  ASSERT_TRUE(second.wait_up("shell")) << second.log.text();
  EXPECT_EQ(second.up("shell").port, port);
}

TEST(ApiHosts, ADeniedTunnelIsNotAskedForAgain) {
  const TemporaryDirectory state;
  const Service service(Service::http("one"));
  TestServer server(state.path, [](ServerBuilder& b) { b.http_listen(""); });
  std::optional<TestClient> holder(std::in_place, server.ready.join_token,
                                   [&](ClientBuilder& b) { b.tcp("shell", service.at()); });
  ASSERT_TRUE(holder->wait_up("shell"));
  const std::uint16_t port = holder->up("shell").port;
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.http("web", service.at(), "web.test").tcp("shell", service.at(), port);
  });
  ASSERT_TRUE(client.log.wait("failed web refused")) << client.log.text();
  holder.reset();
  ASSERT_TRUE(client.wait_up("shell"));  // was asked for again
  EXPECT_EQ(server.log.count("tunnel rejected web"), 1u) << server.log.text();
}

TEST(ApiHosts, AClientKeepsHostAndPortOverAServersRestart) {
  for (const bool tls : {false, true}) {
    const TemporaryDirectory state;
    const Service web(Service::http("one")), shell(Service::echo());
    std::optional<TestServer> server(std::in_place, state.path, [&](ServerBuilder& b) { b.tls(tls).threads(2); });
    const std::string listen = server->ready.listen, http_listen = server->ready.http_listen,
                      token = server->ready.join_token;
    TestClient client(token, [&](ClientBuilder& b) { b.http("web", web.at()).tcp("shell", shell.at()); });
    ASSERT_TRUE(client.wait_up("web") && client.wait_up("shell"));
    const TunnelUp web_before = client.up("web"), shell_before = client.up("shell");
    const Socket inside = Socket::connect(shell_before.port);
    ASSERT_TRUE(inside.send("x"));
    EXPECT_EQ(inside.read(1), "x");

    server.reset();
    EXPECT_EQ(inside.end(), "RST");
    ASSERT_TRUE(client.log.wait("disconnected retry")) << client.log.text();
    server.emplace(state.path,
                   [&](ServerBuilder& b) { b.tls(tls).threads(2).listen(listen).http_listen(http_listen); });
    EXPECT_EQ(server->ready.join_token, token);
    EXPECT_FALSE(server->ready.state_made);
    ASSERT_TRUE(client.wait_up("web", 2) && client.wait_up("shell", 2)) << client.log.text();
    EXPECT_EQ(client.up("web").public_url, web_before.public_url);
    EXPECT_EQ(client.up("shell").port, shell_before.port);
    EXPECT_EQ(client.client->status().connects, 2u);
    EXPECT_EQ(get(server->http_port(), web_before.public_url.substr(7)).body, "one GET /");
    const Socket again = Socket::connect(shell_before.port);
    EXPECT_TRUE(echoes(again, noise(100'000, 1)));
  }
}

TEST(ApiHosts, OneWordIsANameUnderTheServersDomain) {
  const TemporaryDirectory state;
  const Service web(Service::http("one"));
  const TestServer server(state.path, [](ServerBuilder& b) { b.domain("Apps.Test"); });
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.http("named", web.at(), "web").http("whole", web.at(), "a.b.test").http("any", web.at());
  });
  ASSERT_TRUE(client.wait_up("named") && client.wait_up("whole") && client.wait_up("any")) << client.log.text();
  EXPECT_TRUE(client.up("named").public_url.starts_with("http://web.apps.test:")) << client.up("named").public_url;
  EXPECT_TRUE(client.up("whole").public_url.starts_with("http://a.b.test:")) << client.up("whole").public_url;
  const std::string any = client.up("any").public_url;
  const std::string name = any.substr(7, any.find('.') - 7);
  EXPECT_EQ(std::ranges::count(name, '-'), 2) << any;
  EXPECT_TRUE(any.contains(".apps.test:")) << any;
  EXPECT_EQ(get(server.http_port(), "web.apps.test").body, "one GET /");
  EXPECT_EQ(get(server.http_port(), "web").status, 404);
}

TEST(ApiHosts, ATunnelThatLeadsBackToItsServerIsFound) {
  const TemporaryDirectory state;
  const TestServer server(state.path);
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.http("loop", "http://127.0.0.1:" + std::to_string(server.http_port()), "loop.test");
  });
  ASSERT_TRUE(client.wait_up("loop")) << client.log.text();
  const auto answer = get(server.http_port(), "loop.test");
  EXPECT_EQ(answer.status, 508);
}

// ---- the same instance twice --------------------------------------------------------------------------------------

// A client in the test's thread that says which instance it is.
class RawClient final : private transport::LinkHandler {
 public:
  RawClient(const std::string& token, std::uint8_t instance) {
    const auto join = session::decode_join_token(token);
    session::DialOptions options;
    options.addresses = join->addresses;
    if (join->tls) {
      transport::TlsClientOptions tls;
      tls.pin = join->fingerprint;
      options.tls = *transport::TlsClientContext::make(tls);
    }
    options.handshake.grant = join->grant;
    options.handshake.key = session::AuthKey::of(join->secret);
    options.handshake.instance.fill(std::byte{instance});
    options.handshake.version = "raw";
    session::Dialer dialer(shard, std::move(options), [this](Result<session::Dialed> dialed) {
      ASSERT_TRUE(dialed) << dialed.error().context;
      name = dialed->peer.outcome.session;
      link = std::make_unique<mux::MuxLink>(shard, std::move(dialed->peer.stream), mux::Role::Client, mux::MuxLimits{},
                                            static_cast<transport::LinkHandler&>(*this), dialed->peer.early);
      ASSERT_TRUE(link->start());
    });
    dialer.start();
    EXPECT_TRUE(run([&] { return !name.empty(); }));
  }
  template <class Done>
  bool run(Done done) {
    const auto end = SteadyClock::now() + kPatience;
    while (!done()) {
      if (SteadyClock::now() >= end) return false;
      shard.io().run_one_for(5ms);
    }
    return true;
  }
  // The answer's port; 0 when it was rejected.
  std::uint16_t register_tcp(std::uint16_t port) {
    return ask({.req = 1, .name = "shell", .proto = wire::TunnelProto::Tcp, .host = {}, .port = port});
  }
  bool register_http(const std::string& host) {
    ask({.req = 2, .name = "web", .proto = wire::TunnelProto::Http, .host = host, .port = 0});
    return !rejected;
  }
  std::uint16_t ask(const wire::Register& request) {
    registered.reset();
    rejected.reset();
    link->send_control(wire::encode(request));
    EXPECT_TRUE(run([&] { return registered || rejected || !link; }));
    return registered ? registered->port : std::uint16_t{0};
  }

  MemoryBudget budget;
  transport::Shard shard{0, budget};
  std::unique_ptr<mux::MuxLink> link;
  std::string name;
  std::optional<wire::Registered> registered;
  std::optional<wire::Rejected> rejected;
  std::optional<std::uint32_t> goaway;

 private:
  void on_open(transport::Stream& stream, const transport::OpenInfo&) override {
    stream.reset(transport::ResetReason::Refused);
  }
  void on_control(std::string_view json) override {
    auto message = wire::decode(json);
    ASSERT_TRUE(message && *message);
    if (const auto* yes = std::get_if<wire::Registered>(&**message)) registered = *yes;
    if (const auto* no = std::get_if<wire::Rejected>(&**message)) rejected = *no;
  }
  void on_goaway(std::uint32_t code, std::string_view) override { goaway = code; }
  void on_link_closed(const Error&) override { link.reset(); }
};

TEST(ApiReplaced, TheLaterSessionGetsHostAndPort) {
  for (const unsigned threads : {1u, 3u}) {
    const TemporaryDirectory state;
    TestServer server(state.path, [&](ServerBuilder& b) { b.threads(threads).tls(threads == 3); });
    const Service service(Service::echo());
    std::optional<RawClient> older(std::in_place, server.ready.join_token, 9);
    const std::uint16_t port = older->register_tcp(0);
    ASSERT_NE(port, 0);
    ASSERT_TRUE(older->register_http("web.test"));
    for (int round = 0; round < 8; ++round) {  // the kernel picks the shard: some rounds meet the same, some another
      auto newer = std::make_unique<RawClient>(server.ready.join_token, 9);
      EXPECT_EQ(newer->register_tcp(port), port) << (newer->rejected ? newer->rejected->text : "");
      EXPECT_TRUE(newer->register_http("web.test"));
      ASSERT_TRUE(older->run([&] { return !older->link; }));
      ASSERT_TRUE(older->goaway);
      EXPECT_EQ(*older->goaway, static_cast<std::uint32_t>(wire::GoawayCode::Replaced));
      ASSERT_TRUE(eventually([&] { return server.server->status().sessions.size() == 1; }));
      EXPECT_EQ(server.server->status().sessions.at(0).id, newer->name);
      EXPECT_EQ(server.server->status().tunnels.size(), 2u);
      older.emplace(server.ready.join_token, 9);
      EXPECT_EQ(older->register_tcp(port), port);
      ASSERT_TRUE(newer->run([&] { return !newer->link; }));
    }
    // Another instance of the same grant is another client.
    RawClient other(server.ready.join_token, 10);
    EXPECT_EQ(other.register_tcp(port), 0);
    ASSERT_TRUE(other.rejected);
    EXPECT_EQ(other.rejected->code, wire::kRejectPortInUse);
    EXPECT_NE(older->link, nullptr);
  }
}

TEST(ApiReplaced, AStampedeOfOneInstanceEndsWithOne) {
  const TemporaryDirectory state;
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(3); });
  std::vector<std::thread> threads;
  std::atomic<int> alive{0};
  std::atomic<bool> over{false};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        RawClient client(server.ready.join_token, 9);
        if (round < 4) continue;
        ++alive;
        while (!over.load() && client.link) client.run([&] { return over.load() || !client.link; });
        if (!client.link) --alive;
      }
    });
  }
  EXPECT_TRUE(eventually([&] {
    return server.server->status().sign_ins <= 30 && alive.load() == 1 && server.server->status().sessions.size() == 1;
  }));
  over = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.empty(); }));
  EXPECT_EQ(server.log.count("session up"), server.log.count("session down"));
}

TEST(ApiReplaced, TunnelsMayBeGivenUp) {
  const TemporaryDirectory state;
  TestServer server(state.path);
  RawClient client(server.ready.join_token, 1);
  const std::uint16_t port = client.register_tcp(0);
  ASSERT_NE(port, 0);
  const Socket inside = Socket::connect(port);
  ASSERT_TRUE(inside.open());
  client.link->send_control(wire::encode(wire::Unregister{client.registered->tunnel}));
  client.link->send_control(wire::encode(wire::Unregister{4711}));
  ASSERT_TRUE(client.run([&] { return server.log.count("tunnel down") == 1; }));
  EXPECT_NE(inside.end(), "nothing");
  EXPECT_FALSE(Socket::connect(port).open());
  EXPECT_EQ(client.register_tcp(port), port);
}

TEST(ApiReplaced, WhatIsNotAMessageEndsTheLink) {
  const TemporaryDirectory state;
  TestServer server(state.path);
  for (const std::string_view json :
       {"[]", "{\"type\":1}", "{\"type\":\"welcome\"}", "no json at all", "{\"type\":\"register\"}"}) {
    RawClient client(server.ready.join_token, 1);
    client.link->send_control(json);
    ASSERT_TRUE(client.run([&] { return !client.link; })) << json;
    EXPECT_TRUE(client.goaway) << json;
  }
  RawClient client(server.ready.join_token, 1);
  client.link->send_control("{\"type\":\"of a later version\"}");
  EXPECT_NE(client.register_tcp(0), 0);
}

}  // namespace
}  // namespace ferrotunnel::api_test
