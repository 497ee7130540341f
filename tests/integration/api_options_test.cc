// build(): every option that cannot be is refused, with a sentence that names it.
#include <fstream>

#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

constexpr const char* kSecret = "0123456789abcdef";

TEST(ApiOptions, OfAServer) {
  struct Case {
    const char* naming;
    std::function<void(ServerBuilder&)> set;
  };
  for (const Case& bad : {
           Case{"listen", [](ServerBuilder& b) { b.listen(""); }},
           {"127.0.0.1:x", [](ServerBuilder& b) { b.listen("127.0.0.1:x"); }},
           {"127.0.0.1:65536", [](ServerBuilder& b) { b.listen("127.0.0.1:65536"); }},
           {"::1:80", [](ServerBuilder& b) { b.listen("::1:80"); }},
           {"host.example:80", [](ServerBuilder& b) { b.listen("host.example:80"); }},
           {"127.0.0.1:", [](ServerBuilder& b) { b.http_listen("127.0.0.1:"); }},
           {"[::1", [](ServerBuilder& b) { b.http_listen("[::1"); }},
           {"300.0.0.1", [](ServerBuilder& b) { b.http_listen("300.0.0.1:80"); }},
           {"nowhere", [](ServerBuilder& b) { b.tcp_listen_host("nowhere"); }},
           {"127.0.0.1:80", [](ServerBuilder& b) { b.tcp_listen_host("127.0.0.1:80"); }},
           {":7835", [](ServerBuilder& b) { b.public_address(":7835"); }},
           {"a:b:c", [](ServerBuilder& b) { b.public_address("a.example").public_address("a:b:c"); }},
           {"grant", [](ServerBuilder& b) { b.grant("", kSecret); }},
           {"grant", [](ServerBuilder& b) { b.grant("a/b", kSecret); }},
           {"team", [](ServerBuilder& b) { b.grant("team", ""); }},
           {"team", [](ServerBuilder& b) { b.grant("team", "fifteen bytes.."); }},
           {"team", [](ServerBuilder& b) { b.grant("team", std::string(65, 'x')); }},
           {"key", [](ServerBuilder& b) { b.tls_certificate("cert.pem", ""); }},
           {"key", [](ServerBuilder& b) { b.tls_certificate("", "key.pem"); }},
           {"TLS", [](ServerBuilder& b) { b.tls(false).tls_client_ca("ca.pem"); }},
           {"certificate", [](ServerBuilder& b) { b.tls(false).tls_certificate("cert.pem", "key.pem"); }},
           {"threads", [](ServerBuilder& b) { b.threads(257); }},
           {"memory", [](ServerBuilder& b) { b.memory_limit(0); }},
           {"busy_poll", [](ServerBuilder& b) { b.busy_poll(1001us); }},
           {"memory", [](ServerBuilder& b) { b.memory_limit(1000); }},
       }) {
    auto builder = Server::builder();
    bad.set(builder);
    const auto built = builder.build();
    ASSERT_FALSE(built) << bad.naming;
    EXPECT_EQ(built.error().code, ErrorCode::BadInput) << bad.naming;
    EXPECT_EQ(built.error().side, Side::Local) << bad.naming;
    EXPECT_FALSE(built.error().retry);
    EXPECT_NE(built.error().context.find(bad.naming), std::string::npos) << built.error().context;
  }
  for (const auto& good : std::vector<std::function<void(ServerBuilder&)>>{
           [](ServerBuilder&) {},
           [](ServerBuilder& b) { b.listen("localhost:1").http_listen(""); },
           [](ServerBuilder& b) { b.listen("[::1]:1").http_listen("*:80").tcp_listen_host("::1"); },
           [](ServerBuilder& b) { b.public_address("a.example").public_address("[2001:db8::1]:443"); },
           [](ServerBuilder& b) {
             b.grant("a", kSecret).grant("b", std::string(64, 'x')).threads(256).memory_limit(1 << 20);
           },
       }) {
    auto builder = Server::builder();
    good(builder);
    const auto built = builder.build();
    EXPECT_TRUE(built) << built.error().context;
  }
}

TEST(ApiOptions, OfAClient) {
  struct Case {
    const char* naming;
    std::function<void(ClientBuilder&)> set;
  };
  for (const Case& bad : {
           Case{"server", [](ClientBuilder& b) { b.grant("g", kSecret).tcp("t", "22"); }},
           {"secret", [](ClientBuilder& b) { b.server("a.example").tcp("t", "22"); }},
           {"secret", [](ClientBuilder& b) { b.server("a.example").grant("g", "too short").tcp("t", "22"); }},
           {"secret", [](ClientBuilder& b) { b.server("a.example").grant("g", "").tcp("t", "22"); }},
           {"secret", [](ClientBuilder& b) { b.server("a.example").grant("g", std::string(65, 'x')).tcp("t", "22"); }},
           {"grant", [](ClientBuilder& b) { b.server("a.example").grant("g g", kSecret).tcp("t", "22"); }},
           {"token", [](ClientBuilder& b) { b.join("ft1_nonsense").tcp("t", "22"); }},
           {"token", [](ClientBuilder& b) { b.join("hello").tcp("t", "22"); }},
           {"a.example:x", [](ClientBuilder& b) { b.server("a.example:x").grant("g", kSecret).tcp("t", "22"); }},
           {":7835", [](ClientBuilder& b) { b.server(":7835").grant("g", kSecret).tcp("t", "22"); }},
           {"a.example:0", [](ClientBuilder& b) { b.server("a.example:0").grant("g", kSecret).tcp("t", "22"); }},
           {"key",
            [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").tls_certificate("cert.pem", ""); }},
           {"CA",
            [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").tls(false).tls_ca("ca.pem"); }},
           {"certificate",
            [](ClientBuilder& b) {
              b.server("a").grant("g", kSecret).tcp("t", "22").tls(false).tls_certificate("c", "k");
            }},
           {"tunnel", [](ClientBuilder& b) { b.server("a").grant("g", kSecret); }},
           {"name", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("", "22"); }},
           {"a b", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("a b", "22"); }},
           {"twin", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("twin", "22").http("twin", "80"); }},
           {"70000", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "70000"); }},
           {"./app.sock", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "./app.sock"); }},
           {"ftp://127.0.0.1",
            [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "ftp://127.0.0.1"); }},
           {"bad host", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "80", "bad host"); }},
           {"app.test:80", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "80", "app.test:80"); }},
           {"a.*.test", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "80", "a.*.test"); }},
           {"*.", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).http("t", "80", "*."); }},
           {"timeout",
            [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").origin_connect_timeout(0ms); }},
           {"timeout",
            [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").origin_connect_timeout(-5ms); }},
           {"memory", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").memory_limit(0); }},
           {"threads", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").threads(257); }},
           {"busy_poll", [](ClientBuilder& b) { b.server("a").grant("g", kSecret).tcp("t", "22").busy_poll(-1us); }},
       }) {
    auto builder = Client::builder();
    bad.set(builder);
    const auto built = builder.build();
    ASSERT_FALSE(built) << bad.naming;
    // Nothing to sign in with is told apart, for programs that can ask for it.
    const bool missing = built.error().code == ErrorCode::Unauthorized;
    EXPECT_TRUE(missing || built.error().code == ErrorCode::BadInput) << bad.naming;
    EXPECT_EQ(built.error().side, Side::Local) << bad.naming;
    EXPECT_NE(built.error().context.find(bad.naming), std::string::npos) << bad.naming << ": " << built.error().context;
  }
}

TEST(ApiOptions, ATokenAndTlsHaveToAgree) {
  const TemporaryDirectory plain_state, tls_state;
  TestServer plain(plain_state.path), tls(tls_state.path, [](ServerBuilder& b) { b.tls(true); });
  EXPECT_FALSE(Client::builder().join(plain.ready.join_token).tls(true).tcp("t", "22").build());
  EXPECT_FALSE(Client::builder().join(tls.ready.join_token).tls(false).tcp("t", "22").build());
  EXPECT_FALSE(Client::builder().join(plain.ready.join_token).tls_ca("ca.pem").tcp("t", "22").build());
  EXPECT_TRUE(Client::builder().join(tls.ready.join_token).tls(true).tcp("t", "22").build());
  // A line break in a pasted token.
  std::string wrapped = tls.ready.join_token;
  wrapped.insert(wrapped.size() / 2, "\n  ");
  EXPECT_TRUE(Client::builder().join(wrapped).tcp("t", "22").build());
}

TEST(ApiOptions, ABuilderMayBeMendedAndAskedAgain) {
  auto builder = Client::builder();
  builder.server("a").grant("g", kSecret);
  EXPECT_FALSE(builder.build());
  builder.tcp("t", "22");
  EXPECT_TRUE(builder.build());
  const auto again = builder.build();
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().context.find("builds once"), std::string::npos) << again.error().context;

  auto spent = Server::builder();
  EXPECT_TRUE(spent.build());
  EXPECT_FALSE(spent.build());
  auto moved = Server::builder();
  const auto taker = std::move(moved);
  EXPECT_FALSE(moved.build());  // NOLINT(bugprone-use-after-move)
}

TEST(ApiOptions, OneThatWasMovedFromDoesNothing) {
  const TemporaryDirectory state;
  auto client = Client::builder().server("127.0.0.1:1").grant("g", kSecret).tcp("t", "22").build();
  auto server = Server::builder().listen("127.0.0.1:0").http_listen("").state_dir(state.path).build();
  ASSERT_TRUE(client && server);
  const Client client_taker = std::move(*client);
  const Server server_taker = std::move(*server);
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_FALSE(client->start());
  EXPECT_FALSE(server->start());
  EXPECT_TRUE(client->drain(0ms) && server->drain(0ms));
  client->stop();
  server->stop();
  EXPECT_FALSE(client->wait_failed(0ms));
  EXPECT_FALSE(client->status().connected);
  EXPECT_TRUE(server->status().sessions.empty());
  // NOLINTEND(bugprone-use-after-move)
}

TEST(ApiOptions, TunnelsOfOneClientDoNotCompete) {
  for (const bool same_host : {true, false}) {
    auto builder = Client::builder();
    builder.server("a").grant("g", kSecret);
    same_host ? builder.http("a", "1", "app.test").http("b", "2", "APP.test.")
              : builder.tcp("a", "1", 9).tcp("b", "2", 9);
    const auto built = builder.build();
    ASSERT_FALSE(built);
    EXPECT_NE(built.error().context.find("two tunnels ask for"), std::string::npos) << built.error().context;
  }
  EXPECT_TRUE(Client::builder()
                  .server("a")
                  .grant("g", kSecret)
                  .http("a", "1")
                  .http("b", "2")
                  .tcp("c", "3")
                  .tcp("d", "4")
                  .build());
}

TEST(ApiOptions, WhoHasNoTokenHearsOfTheOtherMistakesFirst) {
  const auto mistaken = Client::builder().http("a", "99999").build();
  ASSERT_FALSE(mistaken);
  EXPECT_EQ(mistaken.error().code, ErrorCode::BadInput);
  const auto missing = Client::builder().http("a", "80").build();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::Unauthorized);
}

TEST(ApiOptions, FilesThatAreNotThereAreSaidAtStart) {
  const TemporaryDirectory state;
  auto server = Server::builder()
                    .listen("127.0.0.1:0")
                    .http_listen("")
                    .state_dir(state.path)
                    .tls_certificate("/nowhere/cert.pem", "/nowhere/key.pem")
                    .build();
  ASSERT_TRUE(server);
  const auto started = server->start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().context.find("/nowhere/"), std::string::npos) << started.error().context;

  auto client =
      Client::builder().server("127.0.0.1:1").grant("g", kSecret).tls_ca("/nowhere/ca.pem").tcp("t", "22").build();
  ASSERT_TRUE(client);
  const auto client_started = client->start();
  ASSERT_FALSE(client_started);
  EXPECT_NE(client_started.error().context.find("/nowhere/"), std::string::npos) << client_started.error().context;
}

TEST(ApiOptions, AStateDirectoryThatCannotBe) {
  const TemporaryDirectory state;
  const std::string file = state.path + "/file";
  {
    std::ofstream(file) << "x";
  }
  for (const bool tls : {false, true}) {
    auto server = Server::builder().listen("127.0.0.1:0").http_listen("").state_dir(file + "/below").tls(tls).build();
    ASSERT_TRUE(server);
    const auto started = server->start();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().context.find(file), std::string::npos) << started.error().context;
  }
}

}  // namespace
}  // namespace ferrotunnel::api_test
