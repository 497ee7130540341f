// Limits as a client may send them that is not ours: what is no network, and what comes for a tunnel that is not there.
#include <deque>

#include "ferrotunnel/version.h"
#include "integration/api_world.h"
#include "mux/mux_link.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "wire/control.h"

namespace ferrotunnel::api_test {
namespace {

// Signs in and says what the test likes.
class RawClient final : private transport::LinkHandler {
 public:
  explicit RawClient(const std::string& token_text) {
    const auto token = session::decode_join_token(token_text);
    EXPECT_TRUE(token);
    session::DialOptions options;
    options.addresses = token->addresses;
    options.handshake.grant = token->grant;
    options.handshake.key = session::AuthKey::of(token->secret);
    options.handshake.version = std::string(version());
    dialer_ = std::make_unique<session::Dialer>(shard_, std::move(options), [this](Result<session::Dialed> dialed) {
      ASSERT_TRUE(dialed) << dialed.error().context;
      link_ =
          std::make_unique<mux::MuxLink>(shard_, std::move(dialed->peer.stream), mux::Role::Client, mux::MuxLimits{},
                                         static_cast<transport::LinkHandler&>(*this), dialed->peer.early);
      EXPECT_TRUE(link_->start());
    });
    dialer_->start();
    EXPECT_TRUE(until([this] { return link_ != nullptr; }));
  }
  void say(std::string_view json) { link_->send_control(json); }
  // The next message of this kind; others are dropped.
  template <class Message>
  Message next() {
    std::optional<Message> found;
    EXPECT_TRUE(until([&] {
      for (; !heard_.empty() && !found; heard_.pop_front())
        if (const auto* one = std::get_if<Message>(&heard_.front())) found = *one;
      return found.has_value();
    }));
    return found.value_or(Message{});
  }
  [[nodiscard]] bool closed() const { return closed_; }
  template <class Condition>
  bool until(Condition condition) {
    const auto end = SteadyClock::now() + kPatience;
    while (!condition()) {
      if (SteadyClock::now() >= end) return false;
      shard_.io().run_one_for(20ms);
    }
    return true;
  }

 private:
  void on_open(transport::Stream& stream, const transport::OpenInfo&) override {
    stream.reset(transport::ResetReason::Refused);
  }
  void on_control(std::string_view json) override {
    const auto message = wire::decode(json);
    ASSERT_TRUE(message && *message) << json;
    heard_.push_back(**message);
  }
  void on_goaway(std::uint32_t, std::string_view) override {}
  void on_link_closed(const Error&) override { closed_ = true; }

  MemoryBudget budget_;
  transport::Shard shard_{0, budget_};
  std::unique_ptr<session::Dialer> dialer_;
  std::unique_ptr<mux::MuxLink> link_;
  std::deque<wire::ControlMessage> heard_;
  bool closed_ = false;
};

constexpr std::string_view kGood = R"({"type":"register","req":1,"name":"t","proto":"tcp","port":0})";

TEST(LimitsOnTheWire, ARegistrationWithWhatIsNoNetworkIsRejected) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  client.say(R"({"type":"register","req":7,"name":"t","proto":"tcp","port":0,"limits":{"deny":["nonsense"]}})");
  const auto rejected = client.next<wire::Rejected>();
  EXPECT_EQ(rejected.req, 7u);
  EXPECT_EQ(rejected.code, wire::kRejectBadRequest);
  EXPECT_TRUE(rejected.text.starts_with("deny: ")) << rejected.text;
  client.say(kGood);
  EXPECT_EQ(client.next<wire::Registered>().req, 1u) << "and nothing else happens to it";
}

TEST(LimitsOnTheWire, AfterAnUpdateWithWhatIsNoNetworkNobodyComesIn) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  client.say(R"({"type":"update","tunnel":99,"limits":{"max_visitors":1}})");  // of a tunnel that is not there: nothing
  client.say(kGood);
  const auto registered = client.next<wire::Registered>();
  EXPECT_TRUE(Socket::connect(registered.port).open());
  wire::Update update;
  update.tunnel = registered.tunnel;
  update.limits.emplace().allow = {"10.0.0.0/99"};
  client.say(wire::encode(update));
  const auto withdrawn = client.next<wire::Withdrawn>();
  EXPECT_EQ(withdrawn.tunnel, registered.tunnel);
  EXPECT_EQ(withdrawn.code, wire::kRejectBadRequest);
  EXPECT_TRUE(withdrawn.text.starts_with("allow: ")) << withdrawn.text;
  EXPECT_FALSE(Socket::connect(registered.port).open());
}

// RawClient takes no message that decode() does not.
TEST(LimitsOnTheWire, AUrlHasThePathOnlyWhereThereIsRoom) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  wire::Register request;
  request.name = "t";
  request.proto = wire::TunnelProto::Http;
  const std::string front = "http://a.test:" + std::to_string(server.http_port());
  for (const std::size_t size : {wire::kMaxUrl - front.size(), wire::kMaxUrl - front.size() + 1, wire::kMaxPath}) {
    ++request.req;
    request.host = "a.test";
    request.paths = {"/" + std::string(size - 1, 'a')};
    client.say(wire::encode(request));
    const auto registered = client.next<wire::Registered>();
    EXPECT_EQ(registered.url, front.size() + size <= wire::kMaxUrl ? front + request.paths[0] : front);
  }
}

TEST(LimitsOnTheWire, AFieldOfAnotherTypeEndsTheLink) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  client.say(R"({"type":"update","tunnel":1,"limits":{"bandwidth":"fast"}})");
  EXPECT_TRUE(client.until([&] { return client.closed(); }));
}

}  // namespace
}  // namespace ferrotunnel::api_test
