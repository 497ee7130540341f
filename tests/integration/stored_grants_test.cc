// Grants of the state directory, made and revoked while a server runs there, and what its control socket answers.
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/json.hpp>
#include <filesystem>

#include "app/control_socket.h"
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class StoredGrants : public testing::TestWithParam<bool> {  // the parameter: TLS
 protected:
  [[nodiscard]] std::unique_ptr<TestServer> server() const {
    return std::make_unique<TestServer>(state.path, [](ServerBuilder& b) { b.tls(GetParam()); });
  }
  [[nodiscard]] Result<json::object> ask(const json::object& question) const {
    return app::ask_control(fs::path(state.path) / "control.sock", question);
  }
  const TemporaryDirectory state;
  const Service echo{Service::echo()};
};
INSTANTIATE_TEST_SUITE_P(Links, StoredGrants, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

TEST_P(StoredGrants, AreMadeAndRevokedWhileTheServerRuns) {
  const auto here = server();
  GrantOptions laptop;
  laptop.name = "laptop";
  laptop.hosts = {"*.example.com"};
  const auto token = make_grant(state.path, laptop);
  ASSERT_TRUE(token) << token.error().context;
  TestClient client(*token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()).http("web", echo.at(), "web.test"); });
  ASSERT_TRUE(client.wait_up("echo")) << client.log.text();
  EXPECT_TRUE(client.log.wait("failed web refused web.test is outside the hosts of grant laptop (*.example.com)"));
  TestClient by_default(here->ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  ASSERT_TRUE(by_default.wait_up("echo"));

  const auto twice = make_grant(state.path, laptop);
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().context.find("laptop already"), std::string::npos) << twice.error().context;
  const auto listed = stored_grants(state.path);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ((*listed)[0].name, "default");
  EXPECT_EQ((*listed)[1].hosts, laptop.hosts);
  EXPECT_TRUE((*listed)[1].secrets.empty());

  ASSERT_TRUE(revoke_grant(state.path, "laptop"));
  EXPECT_FALSE(Socket::connect(client.up("echo").port).open()) << "at once";
  EXPECT_TRUE(client.log.wait("disconnected for good")) << client.log.text();
  EXPECT_TRUE(echoes(Socket::connect(by_default.up("echo").port), noise(1000, 1)));
  const auto again = revoke_grant(state.path, "laptop");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::BadInput);
}

TEST_P(StoredGrants, AreMadeWhileNoneRuns) {
  GrantOptions laptop;
  laptop.name = "laptop";
  const auto early = make_grant(state.path, laptop);
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().context.find("start it once"), std::string::npos) << early.error().context;
  std::string listen;
  {
    const auto first = server();
    listen = first->ready.listen;
  }
  EXPECT_FALSE(fs::exists(fs::path(state.path) / "control.sock"));
  const auto token = make_grant(state.path, laptop);
  ASSERT_TRUE(token) << token.error().context;
  const TestServer second(state.path, [&](ServerBuilder& b) { b.tls(GetParam()).listen(listen); });
  TestClient client(*token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  EXPECT_TRUE(client.wait_up("echo")) << client.log.text();
}

TEST_P(StoredGrants, ADefaultIsForServersThatWereToldNothing) {
  std::string by_default;
  {
    const auto first = server();
    by_default = first->ready.join_token;
  }
  GrantOptions own;
  own.name = "own";
  own.secrets = {"a secret of its own, long"};
  TestServer told(state.path, [&](ServerBuilder& b) { b.tls(GetParam()).grant(own); });
  TestClient refused("",
                     [&](ClientBuilder& b) { b.join(by_default).server(told.ready.listen).tcp("echo", echo.at()); });
  EXPECT_TRUE(refused.log.wait("disconnected")) << refused.log.text();
  EXPECT_EQ(refused.log.count("connected "), 0u);
  TestClient taken(told.ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  EXPECT_TRUE(taken.wait_up("echo"));
}

TEST_P(StoredGrants, TheControlSocketAnswers) {
  const auto here = server();
  struct stat info{};
  ASSERT_EQ(::stat((fs::path(state.path) / "control.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  TestClient client(here->ready.join_token, [&](ClientBuilder& b) { b.tcp("echo", echo.at()); });
  ASSERT_TRUE(client.wait_up("echo"));
  const auto status = ask({{"do", "status"}});
  ASSERT_TRUE(status) << status.error().context;
  ASSERT_EQ(status->at("sessions").as_array().size(), 1u);
  const json::object& session = status->at("sessions").as_array()[0].as_object();
  EXPECT_EQ(session.at("grant").as_string(), "default");
  EXPECT_EQ(status->at("tunnels").as_array()[0].as_object().at("name").as_string(), "echo");
  EXPECT_EQ(status->at("sign_ins").to_number<int>(), 1);

  // It may sign in again, and does.
  ASSERT_TRUE(ask({{"do", "kick"}, {"name", session.at("id").as_string()}}));
  EXPECT_TRUE(client.log.wait("disconnected retry the server says: the server's operator ended the session"))
      << client.log.text();
  EXPECT_TRUE(client.wait_up("echo", 2));
  EXPECT_TRUE(ask({{"do", "kick"}, {"name", "default"}}));
  EXPECT_TRUE(client.wait_up("echo", 3));
  for (const json::object& wrong : {json::object{{"do", "kick"}, {"name", "nobody"}}, json::object{{"do", "kick"}},
                                    json::object{{"do", "dance"}}, json::object{{"do", "drain"}}, json::object{}}) {
    const auto refused = ask(wrong);
    ASSERT_FALSE(refused) << json::serialize(wrong);
    EXPECT_EQ(refused.error().code, ErrorCode::BadInput);
  }
}

TEST_P(StoredGrants, ADrainThatIsAskedForIsToldOnce) {
  std::vector<std::optional<std::chrono::milliseconds>> asked;  // on the thread of the socket, which a reply ends
  const TestServer here(state.path, [&](ServerBuilder& b) {
    b.tls(GetParam()).on_drain_asked([&asked](std::optional<std::chrono::milliseconds> patience) {
      asked.push_back(patience);
      return patience.value_or(7s);
    });
  });
  for (const json::value& wrong : {json::value(-1), json::value(86'400'001), json::value("5"), json::value(0.5)}) {
    const auto refused = ask({{"do", "drain"}, {"patience_ms", wrong}});
    ASSERT_FALSE(refused) << json::serialize(wrong);
    EXPECT_EQ(refused.error().code, ErrorCode::BadInput);
  }
  EXPECT_TRUE(asked.empty());
  for (const int patience : {250, 1000}) {
    const auto told = ask({{"do", "drain"}, {"patience_ms", patience}});
    ASSERT_TRUE(told) << told.error().context;
    EXPECT_EQ(told->at("drain_ms").to_number<int>(), 250);
  }
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked.front(), 250ms);
}

TEST_P(StoredGrants, WhoeverIsSilentOrTalksNonsenseHoldsUpNobody) {
  const auto here = server();
  const auto connect = [&] {
    Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = transport::unix_address((fs::path(state.path) / "control.sock").string());
    EXPECT_EQ(::connect(socket.fd(), address->get(), address->length), 0);
    return socket;
  };
  const Socket silent = connect();
  const Socket nonsense = connect();
  ASSERT_TRUE(nonsense.send("{{{\n"));
  const auto began = SteadyClock::now();
  EXPECT_TRUE(ask({{"do", "status"}}));
  EXPECT_LT(SteadyClock::now() - began, 20s);
  EXPECT_NE(nonsense.read_until("\n").find("one JSON object"), std::string::npos);
  const Socket endless = connect();
  (void)endless.send(std::string(100'000, 'x'));
  EXPECT_TRUE(ask({{"do", "status"}}));
}

// A byte now and then is no question: it has kPatience in all, and nobody waits for it at the end.
TEST_P(StoredGrants, WhoeverTricklesIsLeftAndHoldsUpNoEnd) {
  const auto path = fs::path(state.path) / "control.sock";
  auto socket = app::ControlSocket::open(path, [](const json::object&) { return json::object(); });
  ASSERT_TRUE(socket) << socket.error().context;
  const auto address = transport::unix_address(path.string());
  const auto connect = [&] {
    Socket peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(peer.fd(), address->get(), address->length), 0);
    return peer;
  };
  // Until it is left: true.
  const auto trickle = [](const Socket& peer, SteadyClock::time_point until) {
    while (SteadyClock::now() < until) {
      if (!peer.send(" ")) return true;
      std::this_thread::sleep_for(100ms);
    }
    return false;
  };
  EXPECT_TRUE(trickle(connect(), SteadyClock::now() + 20s));
  const Socket peer = connect();
  std::jthread another([&] { EXPECT_TRUE(trickle(peer, SteadyClock::now() + 20s)); });
  EXPECT_TRUE(app::ask_control(path, {{"do", "anything"}})) << "in its turn";
  socket->reset();
  EXPECT_FALSE(fs::exists(path));
}

TEST_P(StoredGrants, AnotherSocketInItsPlaceIsLeftThere) {
  const auto path = fs::path(state.path) / "control.sock";
  const auto open = [&] { return app::ControlSocket::open(path, [](const json::object&) { return json::object(); }); };
  auto first = open();
  ASSERT_TRUE(first) << first.error().context;
  fs::rename(path, fs::path(state.path) / "moved.sock");
  auto second = open();
  ASSERT_TRUE(second) << second.error().context;
  first->reset();
  EXPECT_TRUE(ask({{"do", "anything"}})) << "the second's file is there";
  second->reset();
  EXPECT_FALSE(fs::exists(path));
}

TEST_P(StoredGrants, ASecondServerInTheSameStateIsHeardOf) {
  const auto first = server();
  TestServer second(state.path, [](ServerBuilder& b) { b.tls(GetParam()); });
  EXPECT_TRUE(second.log.wait("error another server runs with this state")) << second.log.text();
  EXPECT_TRUE(ask({{"do", "status"}})) << "the first one keeps its socket";
  second.server->stop();
  EXPECT_TRUE(ask({{"do", "status"}}));
}

}  // namespace
}  // namespace ferrotunnel::api_test
