// Further links as a client, and a server, of the test's own hand speak them: what is asked for, carried, refused, and out of order.
#include <deque>
#include <list>

#include "app/server/link_spread.h"
#include "ferrotunnel/version.h"
#include "integration/api_world.h"
#include "mux/mux_link.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "transport/tcp/listener.h"
#include "transport/tcp/tcp_stream.h"
#include "unit/session/memory_secrets.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::api_test {
namespace {

template <class Condition>
bool run_until(transport::Shard& shard, Condition condition, SteadyClock::duration limit = kPatience) {
  const auto end = SteadyClock::now() + limit;
  while (!condition()) {
    if (SteadyClock::now() >= end) return false;
    shard.io().restart();
    shard.io().run_one_for(5ms);
  }
  return true;
}

// One end of a link, and what was heard on it. Streams that the peer opens are kept and say nothing.
class RawLink final : private transport::LinkHandler, private transport::StreamHandler {
 public:
  RawLink(transport::Shard& shard, session::Negotiated negotiated, mux::Role role)
      : link(std::make_unique<mux::MuxLink>(shard, std::move(negotiated.stream), role, mux::MuxLimits{},
                                            static_cast<transport::LinkHandler&>(*this), negotiated.early)) {
    EXPECT_TRUE(link->start());
  }
  void say(const wire::ControlMessage& message) { link->send_control(wire::encode(message)); }
  // A visitor of a tunnel, who says this.
  void open(std::uint32_t tunnel, std::string bytes) {
    to_say = std::move(bytes);
    auto stream = link->open({tunnel, transport::OpenKind::Raw, {}}, static_cast<transport::StreamHandler&>(*this));
    ASSERT_TRUE(stream) << stream.error().context;
    (*stream)->want_write();
  }
  template <class Message>
  [[nodiscard]] std::optional<Message> take() {
    for (; !heard.empty(); heard.pop_front()) {
      if (const auto* one = std::get_if<Message>(&heard.front())) {
        const Message message = *one;
        heard.pop_front();
        return message;
      }
    }
    return {};
  }

  std::deque<wire::ControlMessage> heard;
  std::vector<std::uint32_t> opened;  // tunnels, by the peer
  std::optional<std::uint32_t> goaway;
  std::optional<transport::StreamEnd> ended;
  std::string to_say, got;
  bool closed = false;
  std::unique_ptr<mux::MuxLink> link;

 private:
  void on_open(transport::Stream& stream, const transport::OpenInfo& info) override {
    opened.push_back(info.tunnel);
    stream.set_handler(*this);
  }
  void on_control(std::string_view json) override {
    auto message = wire::decode(json);
    ASSERT_TRUE(message && *message) << json;
    heard.push_back(std::move(**message));
  }
  void on_goaway(std::uint32_t code, std::string_view) override { goaway = code; }
  void on_link_closed(const Error&) override { closed = true; }
  std::size_t on_data(transport::Stream&, ConstBytes bytes) override {
    got.append(as_text(bytes));
    return bytes.size();
  }
  void on_fin(transport::Stream&) override {}
  void on_end(transport::Stream&, transport::StreamEnd end) override { ended = end; }
  transport::Fill fill(transport::Stream&, MutBytes into) override {
    const std::size_t n = std::min(into.size(), to_say.size());
    std::ranges::copy(as_bytes(to_say).first(n), into.begin());
    to_say.erase(0, n);
    return {n, false, !to_say.empty()};
  }
};

// ---- at a server ----------------------------------------------------------------------------------------------------

class RawClient {
 public:
  RawClient(const std::string& token, std::uint64_t features) : token_(*session::decode_join_token(token)) {
    instance_.fill(std::byte{43});
    features_ = features;
    auto dialed = dial({}, wire::AttachAs::Direct);
    EXPECT_TRUE(dialed) << dialed.error().context;
    attach = dialed->peer.outcome.attach;
    agreed = dialed->peer.outcome.features;
    first.emplace(shard, std::move(dialed->peer), mux::Role::Client);
  }
  Result<session::Dialed> dial(std::optional<wire::AttachId> to, wire::AttachAs as) {
    session::DialOptions options;
    options.addresses = token_.addresses;
    options.handshake.features = features_;
    options.handshake.grant = token_.grant;
    options.handshake.key = session::AuthKey::of(token_.secret);
    options.handshake.instance = instance_;
    options.handshake.attach = to;
    options.handshake.as = as;
    options.handshake.version = std::string(version());
    std::optional<Result<session::Dialed>> result;
    session::Dialer dialer(shard, std::move(options), [&](auto dialed) { result.emplace(std::move(dialed)); });
    dialer.start();
    EXPECT_TRUE(run_until(shard, [&] { return result.has_value(); }));
    return std::move(*result);
  }
  RawLink& attach_link() {
    auto dialed = dial(attach, wire::AttachAs::Link);
    EXPECT_TRUE(dialed) << dialed.error().context;
    return further.emplace_back(shard, std::move(dialed->peer), mux::Role::Client);
  }
  template <class Message>
  Message next() {
    std::optional<Message> found;
    EXPECT_TRUE(run_until(shard, [&] { return (found = first->take<Message>()).has_value(); }));
    return found.value_or(Message{});
  }

  MemoryBudget budget;
  transport::Shard shard{0, budget};
  std::optional<wire::AttachId> attach;
  std::uint64_t agreed = 0;
  std::optional<RawLink> first;
  std::list<RawLink> further;

 private:
  const session::JoinToken token_;
  std::uint64_t features_ = 0;
  wire::InstanceId instance_{};
};

TEST(LinksOnTheWire, AServerOfOneThreadKnowsNone) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path, [](ServerBuilder& b) { b.threads(1); });
  const RawClient client(server.ready.join_token, wire::kFeaturesOfAttach);
  EXPECT_EQ(client.agreed, wire::kFeatureDirect);
}

TEST(LinksOnTheWire, VisitorsComeOnEachLink) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path, [](ServerBuilder& b) { b.threads(2); });
  RawClient client(server.ready.join_token, wire::kFeaturesOfAttach);
  ASSERT_EQ(client.agreed, wire::kFeaturesOfAttach);
  client.first->say(wire::Register{1, "t", wire::TunnelProto::Tcp, "", 0});
  const auto tunnel = client.next<wire::Registered>();
  std::list<Socket> visitors;
  for (std::uint32_t i = 0; i < app::kVisitorsPerLink; ++i) visitors.push_back(Socket::connect(tunnel.port));
  EXPECT_EQ(client.next<wire::LinksWanted>().want, 1u);
  RawLink& further = client.attach_link();
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.front().links == 2; }));
  for (int i = 0; i < 8; ++i) visitors.push_back(Socket::connect(tunnel.port));
  EXPECT_TRUE(
      run_until(client.shard, [&] { return client.first->opened.size() + further.opened.size() == visitors.size(); }));
  const std::size_t there = further.opened.size();
  EXPECT_GE(there, 4u) << "the first link has more than a few more";
  EXPECT_EQ(further.opened, std::vector<std::uint32_t>(there, tunnel.tunnel));
  EXPECT_TRUE(further.heard.empty());
  // One that nobody waits for.
  auto second = client.dial(client.attach, wire::AttachAs::Link);
  EXPECT_FALSE(second) << "there is one other thread";
  // What is about the session belongs on the first.
  further.say(wire::Unregister{tunnel.tunnel});
  EXPECT_TRUE(run_until(client.shard, [&] { return further.closed; }));
  EXPECT_EQ(further.goaway, static_cast<std::uint32_t>(wire::GoawayCode::Protocol));
  EXPECT_TRUE(
      eventually([&] { return server.server->status().tunnels.front().visitors_now == visitors.size() - there; }));
  EXPECT_FALSE(client.first->closed) << "the session goes on";
  // Another takes its place, without being asked for anew.
  RawLink& other = client.attach_link();
  EXPECT_TRUE(eventually([&] { return server.server->status().sessions.front().links == 2; }));
  client.first->link->close(Error(ErrorCode::Cancelled, Side::Local, true, "the test is over"));
  EXPECT_TRUE(run_until(client.shard, [&] { return other.closed; })) << "they end with the first";
}

TEST(LinksOnTheWire, ALinkThatItsClientTakesBackGetsNobodyNew) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path, [](ServerBuilder& b) { b.threads(2); });
  RawClient client(server.ready.join_token, wire::kFeaturesOfAttach);
  client.first->say(wire::Register{1, "t", wire::TunnelProto::Tcp, "", 0});
  const auto tunnel = client.next<wire::Registered>();
  std::list<Socket> visitors;
  for (std::uint32_t i = 0; i < app::kVisitorsPerLink; ++i) visitors.push_back(Socket::connect(tunnel.port));
  EXPECT_EQ(client.next<wire::LinksWanted>().want, 1u);
  RawLink& further = client.attach_link();
  ASSERT_TRUE(eventually([&] { return server.server->status().sessions.front().links == 2; }));
  visitors.push_back(Socket::connect(tunnel.port));
  ASSERT_TRUE(run_until(client.shard, [&] { return further.opened.size() == 1; }));
  further.link->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "not now");
  EXPECT_EQ(client.next<wire::LinksWanted>().want, 0u);
  for (int i = 0; i < 8; ++i) visitors.push_back(Socket::connect(tunnel.port));
  EXPECT_TRUE(run_until(client.shard, [&] { return client.first->opened.size() == visitors.size() - 1; }));
  EXPECT_EQ(further.opened.size(), 1u);
  EXPECT_FALSE(further.closed) << "who is there stays";
}

TEST(LinksOnTheWire, ALinkThatNobodyWaitsForIsTakenAllTheSame) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path, [](ServerBuilder& b) { b.threads(2); });
  RawClient client(server.ready.join_token, wire::kFeaturesOfAttach);
  const RawLink& unasked = client.attach_link();
  EXPECT_EQ(client.next<wire::LinksWanted>().want, 1u) << "so that both agree on how many there are";
  EXPECT_TRUE(eventually([&] { return server.server->status().sessions.front().links == 2; }));
  EXPECT_FALSE(unasked.closed);
}

// ---- at a client ----------------------------------------------------------------------------------------------------

class RawServer {
 public:
  RawServer() {
    secrets_.add("default", secret_);
    auto fd = transport::listen_on(*transport::parse_ip("127.0.0.1", 0), false);
    port_ = transport::local_address(fd->get())->port();
    listener_ = std::make_unique<transport::Listener>(
        shard, std::move(*fd),
        [this](transport::UniqueFd peer, const transport::SocketAddress&) { accept(std::move(peer)); });
    EXPECT_TRUE(listener_->start());
    attach_.fill(std::byte{5});
  }
  [[nodiscard]] std::string token() const {
    session::JoinToken token;
    token.addresses = {"127.0.0.1:" + std::to_string(port_)};
    token.grant = "default";
    token.secret = secret_;
    token.tls = false;
    return *session::encode(token);
  }
  template <class Condition>
  bool until(Condition condition) {
    return run_until(shard, condition);
  }

  MemoryBudget budget;
  transport::Shard shard{0, budget};
  std::uint32_t limit = 8;  // of further links
  std::optional<RawLink> first;
  std::list<RawLink> further;

 private:
  void accept(transport::UniqueFd peer) {
    const auto at = negotiations_.emplace(negotiations_.end());
    *at = std::make_unique<session::Negotiation>(
        shard, std::make_unique<transport::TcpStream>(std::move(peer)),
        [this](std::optional<session::ExporterKey>) -> std::unique_ptr<session::HandshakeBase> {
          session::ServerHandshakeOptions options;
          options.features = wire::kFeatureLinks;
          options.session = "s1";
          options.heartbeat_ms = 3000;
          options.attach = attach_;
          options.attachable = &book_;
          return std::make_unique<session::ServerHandshake>(std::move(options), secrets_);
        },
        5s, [this, at](Result<session::Negotiated> result) { negotiated(at, std::move(result)); });
    (*at)->start();
  }
  void negotiated(std::list<std::unique_ptr<session::Negotiation>>::iterator at, Result<session::Negotiated> result) {
    const std::unique_ptr<session::Negotiation> over = std::move(*at);
    negotiations_.erase(at);
    ASSERT_TRUE(result) << result.error().context;
    if (result->outcome.place) {
      places_.push_back(result->outcome.place);
      further.emplace_back(shard, std::move(*result), mux::Role::Server);
      return;
    }
    home_->grant = "default";
    home_->instance = result->outcome.instance;
    home_->links.limit = limit;
    book_.add(attach_, home_);
    first.emplace(shard, std::move(*result), mux::Role::Server);
  }

  const session::Secret secret_{std::vector<std::byte>(32, std::byte{9})};
  session::MemorySecrets secrets_;
  wire::AttachId attach_{};
  session::AttachBook book_;
  std::shared_ptr<session::AttachHome> home_ = std::make_shared<session::AttachHome>();
  std::vector<session::AttachPlacePtr> places_;
  std::uint16_t port_ = 0;
  std::unique_ptr<transport::Listener> listener_;
  std::list<std::unique_ptr<session::Negotiation>> negotiations_;
};

class LinksOfAClient : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, LinksOfAClient, ::testing::Values(1u, 3u));

TEST_P(LinksOfAClient, OpenMayOvertakeTheMessageThatGivesItsTunnelTheNumber) {
  const Service echo(Service::echo());
  RawServer server;
  TestClient client(server.token(), [&](ClientBuilder& b) { b.threads(GetParam()).tcp("echo", echo.at()); });
  std::optional<wire::Register> asked;
  ASSERT_TRUE(server.until([&] { return server.first && (asked = server.first->take<wire::Register>()).has_value(); }));
  server.first->say(wire::LinksWanted{2});
  ASSERT_TRUE(server.until([&] { return server.further.size() == 2; }));
  RawLink& early = server.further.front();
  early.open(7, "hello");
  // Long enough that it is there first.
  early.link->ping();
  ASSERT_TRUE(server.until([&] { return early.link->status().rtt > Duration::zero(); }));
  EXPECT_EQ(echo.accepted, 0);
  server.first->say(wire::Registered{asked->req, 7, "tcp://127.0.0.1:1", 1});
  ASSERT_TRUE(server.until([&] { return early.got == "hello" || early.ended; }));
  EXPECT_EQ(early.got, "hello");
  // A number that it knows to be nobody's waits for nothing; one that never comes waits a while.
  RawLink& late = server.further.back();
  late.open(6, "x");
  ASSERT_TRUE(server.until([&] { return late.ended.has_value(); }));
  EXPECT_EQ(late.ended->reason, transport::ResetReason::NoTunnel);
  late.ended.reset();
  const auto began = SteadyClock::now();
  late.open(8, "x");
  ASSERT_TRUE(server.until([&] { return late.ended.has_value(); }));
  EXPECT_EQ(late.ended->reason, transport::ResetReason::NoTunnel);
  EXPECT_GE(SteadyClock::now() - began, 1900ms);
}

// This server is older than `origin`, and would speak HTTP/1.1 to it.
TEST_P(LinksOfAClient, AnHttp2ServiceIsNotSharedWithAServerThatKnowsOfNone) {
  RawServer server;
  TestClient client(server.token(), [&](ClientBuilder& b) {
    b.threads(GetParam()).http("h2", "h2c://127.0.0.1:1").tcp("t", "127.0.0.1:1");
  });
  std::optional<wire::Register> asked;
  ASSERT_TRUE(server.until([&] { return server.first && (asked = server.first->take<wire::Register>()).has_value(); }));
  EXPECT_EQ(asked->name, "t");
  EXPECT_TRUE(client.log.wait("failed h2 version this server is older"));
}

TEST_P(LinksOfAClient, TheyAreDialledAgainWhileTheyAreWanted) {
  RawServer server;
  TestClient client(server.token(), [&](ClientBuilder& b) { b.threads(GetParam()).tcp("t", "127.0.0.1:1"); });
  ASSERT_TRUE(server.until([&] { return server.first.has_value(); }));
  server.first->say(wire::LinksWanted{3});
  ASSERT_TRUE(server.until([&] { return server.further.size() == 3; }));
  EXPECT_TRUE(eventually([&] { return client.client->status().links == 4; }));
  server.further.front().link->close(Error(ErrorCode::Cancelled, Side::Local, true, "it breaks"));
  ASSERT_TRUE(server.until([&] { return server.further.size() == 4; })) << "another one";
  // Not wanted any more, and drained: none comes in its place.
  server.first->say(wire::LinksWanted{2});
  server.further.back().link->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "too many");
  ASSERT_TRUE(server.until([&] { return server.further.back().closed; }));
  // A message about the session on one of them.
  RawLink& wrong = *std::next(server.further.begin());
  wrong.say(wire::LinksWanted{9});
  ASSERT_TRUE(server.until([&] { return wrong.closed; }));
  EXPECT_EQ(wrong.goaway, static_cast<std::uint32_t>(wire::GoawayCode::Protocol));
  ASSERT_TRUE(server.until([&] { return server.further.size() == 5; })) << "of the two that are wanted one was gone";
  EXPECT_FALSE(server.first->closed);
  // One that is drained, and wanted again before its place was known to be free.
  server.further.back().link->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "idle");
  EXPECT_TRUE(server.until([&] { return server.further.size() == 6; })) << "two are wanted still";
}

TEST_P(LinksOfAClient, NoMoreThanItsOwnLimitWhateverTheServerWants) {
  constexpr std::uint32_t kMost = 64;  // ClientBuilder::Options::max_links
  RawServer server;
  server.limit = 1000;
  TestClient client(server.token(), [&](ClientBuilder& b) { b.threads(GetParam()).tcp("t", "127.0.0.1:1"); });
  ASSERT_TRUE(server.until([&] { return server.first.has_value(); }));
  server.first->say(wire::LinksWanted{1000});
  ASSERT_TRUE(server.until([&] { return server.further.size() == kMost; }));
  server.first->say(wire::LinksWanted{999});
  // Each shard has had the time to dial another one, once it has said how it is.
  EXPECT_TRUE(server.until([&] { return client.client->status().links_limited == 2; }));
  EXPECT_FALSE(run_until(server.shard, [&] { return server.further.size() > kMost; }, 500ms));
  EXPECT_EQ(client.client->status().links, kMost + 1);
}

}  // namespace
}  // namespace ferrotunnel::api_test
