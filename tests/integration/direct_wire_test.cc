// Direct links as a client of the test's own hand speaks them: what the server asks for, gives a visitor, refuses and drops.
#include <deque>
#include <list>

#include "ferrotunnel/version.h"
#include "integration/api_world.h"
#include "mux/mux_link.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "session/road_meter.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::api_test {
namespace {

class RawClient final : private transport::LinkHandler {
 public:
  explicit RawClient(const std::string& token_text) : token_(*session::decode_join_token(token_text)) {
    fill_instance();
    auto dialed = dial({});
    EXPECT_TRUE(dialed) << dialed.error().context;
    attach_ = dialed->peer.outcome.attach;
    link_ = std::make_unique<mux::MuxLink>(shard_, std::move(dialed->peer.stream), mux::Role::Client, mux::MuxLimits{},
                                           static_cast<transport::LinkHandler&>(*this), dialed->peer.early);
    EXPECT_TRUE(link_->start());
  }

  Result<session::Dialed> dial(std::optional<wire::AttachId> attach) {
    session::DialOptions options;
    options.addresses = token_.addresses;
    options.handshake.features = wire::kFeatureDirect;
    options.handshake.grant = token_.grant;
    options.handshake.key = session::AuthKey::of(token_.secret);
    options.handshake.instance = instance_;
    options.handshake.attach = attach;
    options.handshake.version = std::string(version());
    std::optional<Result<session::Dialed>> result;
    session::Dialer dialer(shard_, std::move(options), [&](auto dialed) { result.emplace(std::move(dialed)); });
    dialer.start();
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return std::move(*result);
  }
  Result<session::Dialed> attach() { return dial(attach_); }
  void say(const wire::ControlMessage& message) { link_->send_control(wire::encode(message)); }
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
  wire::Registered register_tcp(wire::Carry carry) {
    say(wire::Register{1, "t", wire::TunnelProto::Tcp, "", 0, {}, carry});
    return next<wire::Registered>();
  }
  template <class Condition>
  bool until(Condition condition) {
    const auto end = SteadyClock::now() + kPatience;
    while (!condition()) {
      if (SteadyClock::now() >= end) return false;
      shard_.io().restart();
      shard_.io().run_one_for(5ms);
    }
    return true;
  }
  // So many bytes of a connection, or what there is before its end.
  std::string read(transport::ByteStream& stream, std::size_t size) {
    std::string got;
    bool over = false;
    EXPECT_TRUE(until([&] {
      std::array<std::byte, 4096> buffer;
      while (got.size() < size && !over) {
        const auto one = stream.read(MutBytes(buffer).first(std::min(size - got.size(), buffer.size())));
        if (one.status == transport::IoStatus::WouldBlock) return false;
        if (one.status != transport::IoStatus::Ok) over = true;
        got.append(as_text(ConstBytes(buffer).first(one.n)));
      }
      return true;
    }));
    return got;
  }
  void close() {
    link_->close(Error(ErrorCode::Cancelled, Side::Local, true, "the test is over"));
    EXPECT_TRUE(until([this] { return closed_; }));
  }
  int instance_streams = 0;  // opened over the link
  wire::InstanceId instance_{};
  std::optional<wire::AttachId> attach_;

 private:
  void fill_instance() { instance_.fill(std::byte{42}); }
  void on_open(transport::Stream& stream, const transport::OpenInfo&) override {
    ++instance_streams;
    stream.reset(transport::ResetReason::Refused);
  }
  void on_control(std::string_view json) override {
    const auto message = wire::decode(json);
    ASSERT_TRUE(message && *message) << json;
    heard_.push_back(**message);
  }
  void on_goaway(std::uint32_t, std::string_view) override {}
  void on_link_closed(const Error&) override { closed_ = true; }

  const session::JoinToken token_;
  MemoryBudget budget_;
  transport::Shard shard_{0, budget_};
  std::unique_ptr<mux::MuxLink> link_;
  std::deque<wire::ControlMessage> heard_;
  bool closed_ = false;
};

struct OpenSeen {
  wire::FrameHeader header;
  std::optional<wire::OpenPayload> open;
};
OpenSeen read_open(RawClient& client, transport::ByteStream& stream) {
  OpenSeen seen;
  const std::string head = client.read(stream, wire::kHeaderSize);
  const auto header = wire::decode_header(as_bytes(head).first<wire::kHeaderSize>());
  EXPECT_TRUE(header);
  if (!header) return seen;
  seen.header = *header;
  seen.open = wire::decode_open(as_bytes(client.read(stream, header->length)));
  return seen;
}

TEST(DirectOnTheWire, AVisitorComesWithOneOpenAndIsRawFromThenOn) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  ASSERT_TRUE(client.attach_) << "a session is told what its further connections shall say";
  const auto tunnel = client.register_tcp(wire::Carry::Direct);
  EXPECT_EQ(client.next<wire::DirectWanted>().want, 4u);
  auto warm = client.attach();
  ASSERT_TRUE(warm) << warm.error().context;
  EXPECT_EQ(warm->peer.outcome.attach, std::nullopt);
  Socket visitor = Socket::connect(tunnel.port);
  visitor.send("hello");
  const OpenSeen seen = read_open(client, *warm->peer.stream);
  EXPECT_EQ(seen.header.type, wire::FrameType::Open);
  EXPECT_EQ(seen.header.stream, wire::kDirectStream);
  ASSERT_TRUE(seen.open);
  EXPECT_EQ(seen.open->tunnel, tunnel.tunnel);
  EXPECT_EQ(seen.open->kind, 1);
  EXPECT_EQ(seen.open->family, 4);
  EXPECT_EQ(client.read(*warm->peer.stream, 5), "hello");
  EXPECT_EQ(client.instance_streams, 0);
}

// The road is what the client says of it: visitors go direct while it is lossy, and none is kept before.
TEST(DirectOnTheWire, AutoGoesByTheRoad) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  const auto tunnel = client.register_tcp(wire::Carry::Auto);
  {
    Socket visitor = Socket::connect(tunnel.port);
    ASSERT_TRUE(client.until([&] { return client.instance_streams == 1; }));
  }
  client.say(wire::Road{session::kLossyPpm});
  EXPECT_EQ(client.next<wire::DirectWanted>().want, 4u);
  auto warm = client.attach();
  ASSERT_TRUE(warm);
  Socket visitor = Socket::connect(tunnel.port);
  EXPECT_TRUE(read_open(client, *warm->peer.stream).open);
  // With none at hand auto does not wait.
  Socket another = Socket::connect(tunnel.port);
  ASSERT_TRUE(client.until([&] { return client.instance_streams == 2; }));
}

TEST(DirectOnTheWire, WithNoWarmOneInTimeAVisitorGoesOverTheLink) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  const auto tunnel = client.register_tcp(wire::Carry::Direct);
  EXPECT_EQ(client.next<wire::DirectWanted>().want, 4u);
  Socket visitor = Socket::connect(tunnel.port);
  ASSERT_TRUE(client.until([&] { return client.instance_streams == 1; }));
}

TEST(DirectOnTheWire, OneThatComesWhileAVisitorWaitsIsHis) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  const auto tunnel = client.register_tcp(wire::Carry::Direct);
  Socket visitor = Socket::connect(tunnel.port);
  visitor.send("early");
  auto warm = client.attach();
  ASSERT_TRUE(warm);
  // Both may be in one segment: what was read with the handshake is the beginning.
  std::string all(as_text(warm->peer.early));
  all += client.read(*warm->peer.stream, wire::kHeaderSize + 12 + 5 - all.size());
  EXPECT_TRUE(all.ends_with("early")) << all;
  EXPECT_EQ(client.instance_streams, 0);
}

TEST(DirectOnTheWire, AttachingElsewhereIsRefusedAndNoFailedSignIn) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  client.register_tcp(wire::Carry::Direct);
  wire::AttachId wrong{};
  const auto gone = client.dial(wrong);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::Closed);
  const auto right = client.instance_;
  client.instance_.fill(std::byte{1});
  const auto other = client.attach();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::Closed);
  client.instance_ = right;
  const auto status = server.server->status();
  EXPECT_EQ(status.direct_refused, 2u);
  EXPECT_EQ(status.handshakes_failed, 0u);
  EXPECT_EQ(status.sign_ins_refused, 0u);
  EXPECT_EQ(status.sign_ins, 1u);
}

TEST(DirectOnTheWire, NoMoreThanMaxDirectAndWhatIsNotWantedIsClosed) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path, [](ServerBuilder& builder) { builder.max_direct(2); });
  RawClient client(server.ready.join_token);
  auto unwanted = client.attach();
  ASSERT_TRUE(unwanted);
  EXPECT_EQ(client.read(*unwanted->peer.stream, 1), "") << "no tunnel needs one";
  client.register_tcp(wire::Carry::Direct);
  EXPECT_EQ(client.next<wire::DirectWanted>().want, 2u);
  auto one = client.attach(), two = client.attach();
  ASSERT_TRUE(one && two);
  const auto three = client.attach();
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().code, ErrorCode::Limit);
}

TEST(DirectOnTheWire, OneThatSpeaksFirstIsClosedAndAllEndWithTheSession) {
  const TemporaryDirectory directory;
  const TestServer server(directory.path);
  RawClient client(server.ready.join_token);
  client.register_tcp(wire::Carry::Direct);
  auto speaks = client.attach(), silent = client.attach();
  ASSERT_TRUE(speaks && silent);
  char byte = 'x';
  const iovec piece{&byte, 1};
  EXPECT_EQ(speaks->peer.stream->write({&piece, 1}).n, 1u);
  EXPECT_EQ(client.read(*speaks->peer.stream, 1), "");
  client.close();
  EXPECT_EQ(client.read(*silent->peer.stream, 1), "");
  const auto late = client.attach();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::Closed);
}

}  // namespace
}  // namespace ferrotunnel::api_test
