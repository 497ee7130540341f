// Rules through the public API: from a TunnelConfig at the client to what a visitor gets, over a reload, on several threads.
#include "base/bytes.h"
#include "integration/api_world.h"
#include "session/grant_book.h"
#include "session/handshake.h"

namespace ferrotunnel::api_test {
namespace {

TunnelConfig web(const Service& service, std::vector<TunnelRule> rules, const std::string& host = "web.test") {
  TunnelConfig tunnel;
  tunnel.name = "web";
  tunnel.to = service.at();
  tunnel.host = host;
  tunnel.rules = std::move(rules);
  return tunnel;
}

std::string mistake(const TunnelConfig& tunnel) {
  auto built = Client::builder().join("").server("localhost").grant("g", "0123456789abcdef").tunnel(tunnel).build();
  return built ? "" : built.error().context;
}

// With a header line more.
Answer get_with(std::uint16_t port, const std::string& path, const std::string& line,
                const std::string& host = "web.test") {
  const Socket socket = Socket::connect(port);
  if (!socket.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + line + "\r\n\r\n")) return {};
  return read_answer(socket);
}

// The head that it got, as the body.
Service::Serve tell_head() {
  return [](const Socket& socket) {
    for (;;) {
      const std::string head = socket.read_until("\r\n\r\n");
      if (!head.ends_with("\r\n\r\n")) return;
      if (!socket.send("HTTP/1.1 200 OK\r\nServer: inner\r\nContent-Length: " + std::to_string(head.size()) +
                       "\r\n\r\n" + head))
        return;
    }
  };
}

TEST(ApiRules, EveryKindOnce) {
  const TemporaryDirectory state;
  const Service service(tell_head());
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(2); });
  TunnelRule redirect = rules::redirect("https://new.test${request.uri}", 308), answer = rules::answer(503, "at noon");
  redirect.paths = {"/old"};
  answer.paths = {"/closed"};
  answer.methods = {"GET"};
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.tunnel(web(service, {rules::strip_prefix("/api"), rules::add_prefix("/v1"), rules::host("origin"),
                           rules::set_request_headers({"X-Visitor: ${visitor.address}"}),
                           rules::remove_response_headers({"Server"}), rules::max_body(5), redirect, answer}));
  });
  ASSERT_TRUE(client.wait_up("web")) << client.log.text();
  const std::uint16_t port = server.http_port();
  const Answer passed = get(port, "web.test", "/api/x?q");
  EXPECT_EQ(passed.status, 200);
  EXPECT_TRUE(passed.body.starts_with("GET /v1/x?q HTTP/1.1\r\nHost: " + service.at() + "\r\n")) << passed.body;
  EXPECT_TRUE(passed.body.contains("\r\nX-Visitor: 127.0.0.1\r\n")) << passed.body;
  EXPECT_FALSE(passed.head.contains("inner")) << passed.head;
  const Answer sent = get(port, "web.test", "/old/y?z");
  EXPECT_EQ(sent.status, 308);
  EXPECT_TRUE(sent.head.contains("Location: https://new.test/old/y?z\r\n")) << sent.head;
  const Answer closed = get(port, "web.test", "/closed");
  EXPECT_EQ(closed.status, 503);
  EXPECT_EQ(closed.body, "at noon");
  EXPECT_EQ(get_with(port, "/", "Content-Length: 6").status, 413);
  EXPECT_TRUE(server.log.wait("request web GET /api/x 200")) << server.log.text();
}

// A proxy that answers CONNECT as its target says: each step of it may be the last.
Service::Serve proxy() {
  return [](const Socket& socket) {
    const std::string head = socket.read_until("\r\n\r\n");
    if (head.starts_with("CONNECT refuse.web.test:1 "))
      (void)socket.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    if (head.starts_with("CONNECT garbage.web.test:1 ")) (void)socket.send("SSH-2.0-x\r\n\r\n");
    if (head.starts_with("CONNECT cut.web.test:1 ")) (void)socket.send("HTTP/1.1 200 Y");
    if (!head.starts_with("CONNECT echo.web.test:1 ")) return;
    if (!socket.send("HTTP/1.1 200 Yes\r\nContent-Length: 9\r\n\r\nhello")) return;
    for (std::string byte; !(byte = socket.read(1)).empty();)
      if (!socket.send(byte)) return;
    (void)socket.send("bye");
  };
}

TEST(ApiRules, ConnectIsForWhoAsksForIt) {
  const TemporaryDirectory state;
  const Service service(proxy());
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(2); });
  TunnelConfig tunnel = web(service, {rules::remove_response_headers({"X"})}, "*.web.test");
  tunnel.connect = true;
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) {
    b.tunnel(tunnel);
    b.http("other", service.at(), "echo.other.test");
  });
  ASSERT_TRUE(client.wait_up("web")) << client.log.text();
  ASSERT_TRUE(client.wait_up("other")) << client.log.text();
  const auto ask = [&](const std::string& host, const std::string& more = "", const std::string& behind = "") {
    Socket socket = Socket::connect(server.http_port());
    EXPECT_TRUE(socket.send("CONNECT " + host + ":1 HTTP/1.1\r\nHost: " + host + ":1\r\n" + more + "\r\n" + behind));
    return socket;
  };
  // More than once, so that both threads see it.
  for (int i = 0; i < 6; ++i) {
    const Socket socket = ask("echo.web.test", "", "early ");
    EXPECT_EQ(socket.read_until("\r\n\r\n"), "HTTP/1.1 200 Yes\r\n\r\n");
    EXPECT_EQ(socket.read(11), "helloearly ");
    const std::string bytes = noise(200'000, 7);
    std::thread sender([&] {
      EXPECT_TRUE(socket.send(bytes));
      socket.shutdown_write();
    });
    EXPECT_EQ(socket.read(bytes.size() + 3), bytes + "bye");
    sender.join();
    EXPECT_EQ(socket.end(), "FIN");
  }
  const std::string next = "GET /smuggled HTTP/1.1\r\nHost: echo.web.test\r\n\r\n";
  const Socket refused = ask("refuse.web.test", "", next);
  const Answer no = read_answer(refused);
  EXPECT_EQ(no.status, 403);
  EXPECT_EQ(no.body, "no");
  EXPECT_TRUE(no.head.contains("Connection: close\r\n")) << no.head;
  EXPECT_EQ(refused.end(), "FIN");
  EXPECT_EQ(read_answer(ask("garbage.web.test")).status, 502);
  EXPECT_EQ(read_answer(ask("cut.web.test")).status, 502);
  EXPECT_EQ(read_answer(ask("gone.web.test")).status, 502);
  EXPECT_EQ(read_answer(ask("echo.web.test", "Content-Length: 3\r\n", "abc")).status, 400);
  for (const std::string host : {"echo.other.test", "nobody.test"}) {
    const Answer answer = read_answer(ask(host));
    EXPECT_EQ(answer.status, 501) << host;
    EXPECT_TRUE(answer.head.contains("Ferrotunnel-Error: connect-refused\r\n")) << answer.head;
  }
  EXPECT_TRUE(server.log.wait("request web CONNECT echo.web.test:1 200")) << server.log.text();
}

TEST(ApiRules, ConnectIsForHttpServices) {
  TunnelConfig tunnel;
  tunnel.name = "x";
  tunnel.connect = true;
  tunnel.to = ".";
  EXPECT_TRUE(mistake(tunnel).contains("leave connect out")) << mistake(tunnel);
  tunnel.to = "127.0.0.1:1";
  EXPECT_EQ(mistake(tunnel), "");
  tunnel.kind = TunnelConfig::Kind::Tcp;
  EXPECT_TRUE(mistake(tunnel).contains("leave connect out")) << mistake(tunnel);
}

TEST(ApiRules, APasswordIsAskedForOnEveryThread) {
  const TemporaryDirectory state;
  const Service service(Service::http("in"));
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(2); });
  TunnelRule auth = rules::basic_auth({"ann:secret"}, "here");
  auth.paths = {"/private"};
  TestClient client(server.ready.join_token, [&](ClientBuilder& b) { b.tunnel(web(service, {auth})); });
  ASSERT_TRUE(client.wait_up("web")) << client.log.text();
  for (int i = 0; i < 16; ++i) {
    const std::string path = i % 2 == 0 ? "/private/x" : "/a/..//%70rivate";
    const Answer none = get(server.http_port(), "web.test", path);
    ASSERT_EQ(none.status, 401) << path;
    EXPECT_TRUE(none.head.contains("WWW-Authenticate: Basic realm=\"here\"")) << none.head;
    ASSERT_EQ(get_with(server.http_port(), path, "Authorization: Basic YW5uOnNlY3JldA==").status, 200);  // ann:secret
    ASSERT_EQ(get(server.http_port(), "web.test", "/").body, "in GET /");
  }
  EXPECT_EQ(get_with(server.http_port(), "/private", "Authorization: Basic YW5uOndyb25n").status, 401);
}

// Two hundred guesses at once from one address: it hears that it has its share, and another's login is not behind them.
TEST(ApiRules, OneAddressesGuessesKeepNoOtherOut) {
  const TemporaryDirectory state;
  const Service service(Service::http("in"));
  TestServer server(state.path, [](ServerBuilder& b) { b.threads(2); });
  TestClient client(server.ready.join_token,
                    [&](ClientBuilder& b) { b.tunnel(web(service, {rules::basic_auth({"ann:secret"}, "here")})); });
  ASSERT_TRUE(client.wait_up("web")) << client.log.text();
  constexpr std::uint32_t kAttacker = 7;
  std::vector<Socket> guesses;
  for (int i = 0; i < 200; ++i) {
    guesses.push_back(Socket::connect(server.http_port(), 0, kAttacker));
    char text[16];
    std::snprintf(text, sizeof text, "%03dA", i);  // any three bytes behind "ann:"
    ASSERT_TRUE(guesses.back().send("GET / HTTP/1.1\r\nHost: web.test\r\nAuthorization: Basic YW5uOnh4" +
                                    std::string(text) + "\r\n\r\n"));
  }
  const Answer other = get_with(server.http_port(), "/", "Authorization: Basic YW5uOnNlY3JldA==");
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(other.body, "in GET /");
  ASSERT_TRUE(eventually([&] { return server.server->status().http.auth_limited > 0; }));
  EXPECT_EQ(server.server->status().http.auth_busy, 0u);
  const Answer last = read_answer(guesses.back());
  EXPECT_EQ(last.status, 429);
  EXPECT_TRUE(last.head.contains("Ferrotunnel-Error: auth-limit\r\n")) << last.head;
  EXPECT_TRUE(last.head.contains("Retry-After: 1\r\n")) << last.head;
  EXPECT_EQ(read_answer(guesses.front()).status, 401);
  // The others leave; the server is idle again at once.
  guesses.clear();
  EXPECT_EQ(get_with(server.http_port(), "/", "Authorization: Basic YW5uOndyb25n").status, 401);
}

TEST(ApiRules, AReloadChangesThem) {
  const TemporaryDirectory state;
  const Service service(Service::http("in"));
  TestServer server(state.path);
  ClientConfig config;
  config.join = server.ready.join_token;
  config.tunnels = {web(service, {rules::answer(200, "one")})};
  auto client = ClientBuilder(config).build();
  ASSERT_TRUE(client) << client.error().context;
  ASSERT_TRUE(client->start());
  const auto body = [&] { return get(server.http_port(), "web.test").body; };
  ASSERT_TRUE(eventually([&] { return body() == "one"; }));
  config.tunnels = {web(service, {rules::answer(200, "two")})};
  ASSERT_TRUE(client->reload(config));
  EXPECT_TRUE(eventually([&] { return body() == "two"; }));
  config.tunnels = {web(service, {})};
  ASSERT_TRUE(client->reload(config));
  EXPECT_TRUE(eventually([&] { return body() == "in GET /"; }));
}

TEST(ApiRules, HostsAndPathsShareAName) {
  const TemporaryDirectory state;
  const Service one(Service::http("one")), two(Service::http("two"));
  TestServer server(state.path);
  TunnelConfig site = web(one, {}), api = web(two, {rules::strip_prefix("/api")});
  site.hosts = {"www.web.test", "*.more.test"};
  api.name = "api";
  api.paths = {"/api"};
  std::optional<TestClient> first(std::in_place, server.ready.join_token, [&](ClientBuilder& b) { b.tunnel(site); });
  ASSERT_TRUE(first->wait_up("web")) << first->log.text();
  TestClient second(server.ready.join_token, [&](ClientBuilder& b) { b.tunnel(api); });
  ASSERT_TRUE(second.wait_up("api")) << second.log.text();
  const std::uint16_t port = server.http_port();
  EXPECT_EQ(get(port, "web.test", "/x").body, "one GET /x");
  EXPECT_EQ(get(port, "www.web.test", "/api/x").body, "one GET /api/x");
  EXPECT_EQ(get(port, "a.more.test").body, "one GET /");
  EXPECT_EQ(get(port, "web.test", "/api/x").body, "two GET /x");
  EXPECT_EQ(get(port, "web.test", "/y/../api").body, "two GET /");
  TestClient third(server.ready.join_token, [&](ClientBuilder& b) { b.tunnel(api); });
  EXPECT_TRUE(third.log.wait("failed api address-in-use")) << third.log.text();
  first.reset();
  ASSERT_TRUE(server.log.wait("tunnel down web"));
  EXPECT_EQ(get(port, "web.test", "/x").status, 404);
  EXPECT_EQ(get(port, "www.web.test").status, 404);
  EXPECT_EQ(get(port, "web.test", "/api/x").body, "two GET /x");
}

TEST(ApiRules, MistakesAreFoundWhenTheClientIsBuilt) {
  const Service service(Service::http("in"));
  EXPECT_EQ(mistake(web(service, {rules::answer(200, "x")})), "");
  EXPECT_TRUE(mistake(web(service, {rules::answer(99)})).contains("rule 1 (answer)"));
  EXPECT_TRUE(mistake(web(service, {TunnelRule{"nonsense"}})).contains("rule 1 (nonsense): there is no such rule"));
  EXPECT_TRUE(mistake(web(service, {rules::basic_auth({"ann:$2b$99$x"})})).contains("rule 1 (basic_auth): user ann"));
  TunnelConfig tcp = web(service, {rules::answer(200)}, "");
  tcp.kind = TunnelConfig::Kind::Tcp;
  EXPECT_TRUE(mistake(tcp).contains("rules are for http tunnels"));
  TunnelConfig paths = web(service, {});
  paths.paths = {"api"};
  EXPECT_TRUE(mistake(paths).contains("'api' is no path"));
}

// A server from before there were rules: it signs clients in, and knows no feature.
Service::Serve old_server(const session::GrantBook& grants, Log& log) {
  return [&](const Socket& socket) {
    session::ServerHandshakeOptions options;
    options.version = "0.0.1";
    options.session = "s1";
    session::ServerHandshake handshake(options, grants);
    while (!handshake.done()) {
      const std::string byte = socket.read(1);
      if (byte.empty() || !handshake.feed(as_bytes(byte))) return;
      const std::vector<std::byte> answer = handshake.take_output();
      if (!socket.send(as_text(answer))) return;
    }
    log.add("signed in");
    log.add("then " + socket.read_until("\"register\""));
  };
}

TEST(ApiRules, AnOlderServerDoesNotShareATunnelWithoutItsRules) {
  session::Grant grant;
  grant.name = "g";
  grant.secrets = {session::Secret(as_bytes("0123456789abcdef"))};
  session::GrantBook grants;
  grants.replace({grant});
  Log log;
  const Service service(Service::http("in"));
  std::optional<Service> old(std::in_place, old_server(grants, log));
  {
    TestClient client("", [&](ClientBuilder& b) {
      b.server(old->at()).grant("g", "0123456789abcdef").tls(false).tunnel(web(service, {rules::answer(403)}));
    });
    ASSERT_TRUE(client.log.wait("failed web refused the server is older than this client")) << client.log.text();
  }
  ASSERT_TRUE(log.wait("then ")) << log.text();
  EXPECT_EQ(log.text().find("register"), std::string::npos) << "nothing was asked for";
}

}  // namespace
}  // namespace ferrotunnel::api_test
