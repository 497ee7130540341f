// Every row of docs/wire-protocol.md section 6 that the mux answers for: what it ends, with which code, and what goes on.
#include "mux_fixture.h"

namespace ferrotunnel::mux::test {
namespace {

// What was said last, if that is a GOAWAY: its code.
std::optional<GoawayCode> last_goaway(Side& side) {
  const auto frames = side.sent();
  if (frames.empty() || frames.back().type != FrameType::Goaway) return std::nullopt;
  return static_cast<GoawayCode>(frames.back().number(4));
}

void expect_link_error(Side& side, std::string_view bytes, GoawayCode code) {
  EXPECT_FALSE(side.feed(bytes));
  ASSERT_TRUE(side.failure);
  EXPECT_EQ(side.failure->side, ::ferrotunnel::Side::Tunnel);
  EXPECT_EQ(last_goaway(side), code);
  // Nothing more is taken in.
  const auto counters = side.core.counters();
  side.feed(open_frame(2000) + frame(FrameType::Ping, 0, "12345678"));
  EXPECT_EQ(side.core.counters().streams_accepted, counters.streams_accepted);
  EXPECT_FALSE(side.core.has_output());
  Recorder late;
  EXPECT_FALSE(side.core.open({}, late));
}

// Fed whole and cut at each byte; `prepare` brings a fresh core to where the frame is wrong.
void link_error_at_each_cut(Role role, const std::string& prepare, const std::string& wrong, GoawayCode code,
                            const MuxLimits& limits = {}) {
  for (std::size_t at = 0; at <= wrong.size(); ++at) {
    SCOPED_TRACE(at);
    Side side(role, limits);
    ASSERT_TRUE(side.feed(prepare));
    if (at > 0 && at < wrong.size()) side.feed(std::string_view(wrong).substr(0, at));
    if (side.failure) {
      EXPECT_EQ(last_goaway(side), code);
      continue;
    }
    expect_link_error(side, std::string_view(wrong).substr(at < wrong.size() ? at : 0), code);
  }
}

TEST(MuxViolations, UnknownTypes) {
  for (int type = 8; type < 16; ++type)
    for (const std::uint32_t stream : {0u, 2u})
      link_error_at_each_cut(Role::Client, open_frame(2), frame(static_cast<FrameType>(type), stream, "12345678"),
                             GoawayCode::Protocol);
}

TEST(MuxViolations, StreamFramesOnStreamZero) {
  for (const std::string& wrong :
       {data(0, "x"), data(0, ""), frame(FrameType::Open, 0, open_payload()), credit(0, 1), reset(0, 0)})
    link_error_at_each_cut(Role::Client, open_frame(2), wrong, GoawayCode::Protocol);
}

TEST(MuxViolations, LinkFramesOnAStream) {
  for (const std::string& wrong : {frame(FrameType::Ping, 2, "12345678"), frame(FrameType::Pong, 2, "12345678"),
                                   frame(FrameType::Goaway, 2, u32(0) + u32(0)), frame(FrameType::Control, 2, "{}")})
    link_error_at_each_cut(Role::Client, open_frame(2), wrong, GoawayCode::Protocol);
}

TEST(MuxViolations, LengthsOutsideTheTableAreFoundByTheHeader) {
  const auto header = [](FrameType type, std::uint32_t stream, std::uint32_t length) {
    std::string text(wire::kHeaderSize, '\0');
    wire::encode_header({type, 0, length, stream}, reinterpret_cast<std::byte*>(text.data()));
    return text;  // without any payload
  };
  const struct {
    FrameType type;
    std::uint32_t stream, length;
  } wrong[] = {
      {FrameType::Data, 2, 262'145},   {FrameType::Data, 2, 0xff'ffff}, {FrameType::Open, 4, 7},
      {FrameType::Open, 4, 1025},      {FrameType::Credit, 2, 3},       {FrameType::Credit, 2, 5},
      {FrameType::Reset, 2, 0},        {FrameType::Reset, 2, 8},        {FrameType::Ping, 0, 7},
      {FrameType::Ping, 0, 9},         {FrameType::Pong, 0, 0},         {FrameType::Pong, 0, 16},
      {FrameType::Goaway, 0, 7},       {FrameType::Goaway, 0, 265},     {FrameType::Control, 0, 1},
      {FrameType::Control, 0, 65'537}, {FrameType::Control, 0, 0},      {FrameType::Open, 4, 0},
  };
  for (const auto& one : wrong) {
    SCOPED_TRACE(std::string(to_string(one.type)) + " " + std::to_string(one.length));
    link_error_at_each_cut(Role::Client, open_frame(2), header(one.type, one.stream, one.length), GoawayCode::Protocol);
  }
}

TEST(MuxViolations, OpenOfTheWrongParityOrOutOfOrder) {
  link_error_at_each_cut(Role::Client, open_frame(2), open_frame(3), GoawayCode::Protocol);  // a server's ids are even
  link_error_at_each_cut(Role::Client, open_frame(6), open_frame(6), GoawayCode::Protocol);
  link_error_at_each_cut(Role::Client, open_frame(6), open_frame(4), GoawayCode::Protocol);
  link_error_at_each_cut(Role::Client, open_frame(6) + reset(6, 0), open_frame(6),
                         GoawayCode::Protocol);  // over, still used
  link_error_at_each_cut(Role::Server, "", open_frame(2), GoawayCode::Protocol);
  link_error_at_each_cut(Role::Client, "", open_frame(0x8000'0000), GoawayCode::Protocol);
  Side client(Role::Client);
  EXPECT_TRUE(client.feed(open_frame(2) + open_frame(100) + open_frame(0x7fff'fffe))) << "ids may skip";
  EXPECT_EQ(client.core.streams(), 3u);
}

TEST(MuxViolations, AClientsOpenIsRefused) {
  Side server(Role::Server);
  EXPECT_TRUE(server.feed(open_frame(1) + data(1, "early") + open_frame(3)));
  const auto frames = server.sent();
  ASSERT_EQ(frames.size(), 2u);
  for (const Sent& one : frames) {
    EXPECT_EQ(one.type, FrameType::Reset);
    EXPECT_EQ(one.number(), 6u);
  }
  EXPECT_EQ(frames[0].stream, 1u);
  EXPECT_EQ(frames[1].stream, 3u);
  EXPECT_EQ(server.core.counters().late_frames, 1u);
  EXPECT_FALSE(server.failure);
}

TEST(MuxViolations, OpenThatDoesNotHoldItsAddress) {
  const auto open = [](char kind, char family, std::size_t address) {
    return frame(FrameType::Open, 2, u32(1) + std::string{kind, family, 0, 80} + std::string(address, 'a'));
  };
  for (const std::string& wrong : {open(1, 4, 0), open(1, 4, 3), open(1, 6, 4), open(1, 6, 15), open(1, 5, 16),
                                   open(1, char(0x84), 16), open(0, 0, 0), open(3, 0, 0)}) {
    for (std::size_t at = 0; at <= wrong.size(); ++at) {
      Side client(Role::Client);
      client.feed_cut(wrong, at);
      EXPECT_FALSE(client.failure);
      const auto frames = client.sent();
      ASSERT_EQ(frames.size(), 1u);
      EXPECT_EQ(frames[0].type, FrameType::Reset);
      EXPECT_EQ(frames[0].number(), 8u);
      EXPECT_EQ(client.core.streams(), 0u);
      EXPECT_TRUE(client.link.infos.empty());
      client.feed(data(2, "follows"));  // used once: dropped
      EXPECT_FALSE(client.failure);
    }
  }
  Side client(Role::Client);
  EXPECT_TRUE(client.feed(open(2, 4, 4 + 1000)));  // room for later fields
  EXPECT_EQ(client.core.streams(), 1u);
}

TEST(MuxViolations, OpenPastTheLimitOfStreams) {
  MuxLimits limits;
  limits.max_streams = 3;
  Side client(Role::Client, limits);
  for (const std::uint32_t id : {2u, 4u, 6u, 8u}) EXPECT_TRUE(client.feed(open_frame(id)));
  auto frames = client.sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].stream, 8u);
  EXPECT_EQ(frames[0].number(), 6u);
  EXPECT_EQ(client.core.streams(), 3u);
  EXPECT_EQ(client.core.counters().streams_refused, 1u);
  client.feed(reset(4, 0) + open_frame(10));
  EXPECT_EQ(client.core.streams(), 3u);
  EXPECT_TRUE(client.sent().empty());
  // Our own, too.
  Side server(Role::Server, limits);
  for (int i = 0; i < 3; ++i) server.open();
  Recorder past;
  const auto refused = server.core.open({}, past);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  EXPECT_TRUE(refused.error().retry);
}

TEST(MuxViolations, StreamFramesForAnIdNeverOpened) {
  for (const Role role : {Role::Client, Role::Server}) {
    const std::string prepare = role == Role::Client ? open_frame(2) : "";
    for (const std::uint32_t id : {1u, 4u, 5u, 0x7fff'ffffu})
      for (const std::string& wrong : {data(id, "x"), data(id, "", true), credit(id, 1), reset(id, 0)}) {
        SCOPED_TRACE(id);
        link_error_at_each_cut(role, prepare, wrong, GoawayCode::Protocol);
      }
  }
}

TEST(MuxViolations, DataAfterFin) {
  for (const bool empty : {false, true}) {
    Side client(Role::Client);
    client.feed(open_frame(2) + data(2, "all", true));
    EXPECT_TRUE(client.feed(empty ? data(2, "", true) : data(2, "more")));
    EXPECT_EQ(client.accepted(0).received, "all");
    EXPECT_EQ(client.accepted(0).ends, 1);
    EXPECT_EQ(client.accepted(0).end.reason, ResetReason::Protocol);
    EXPECT_EQ(client.core.counters().stream_protocol_errors, 1u);
    const auto frames = client.sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].number(), 8u);
    EXPECT_TRUE(client.feed(open_frame(4) + data(4, "goes on")));
    EXPECT_EQ(client.accepted(1).received, "goes on");
  }
}

TEST(MuxViolations, CreditOfNothingOrTooMuch) {
  for (const std::uint32_t more : {0u, wire::kMaxCredit, wire::kMaxCredit - wire::kInitialCredit + 1, 0xffff'ffffu}) {
    Side client(Role::Client);
    client.feed(open_frame(2));
    EXPECT_TRUE(client.feed(credit(2, more)));
    EXPECT_EQ(client.accepted(0).ends, 1);
    EXPECT_EQ(client.accepted(0).end.reason, ResetReason::Protocol);
    const auto frames = client.sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].number(), 8u);
  }
}

// ---- limits a second ------------------------------------------------------------------------------------------------

struct Rate {
  const char* name;
  void (*set)(MuxLimits&, std::uint32_t);
  std::string (*make)(std::uint32_t i);
  std::uint32_t free = 0;  // of the frames that `prepare` sent, those that count
};
class MuxRates : public testing::TestWithParam<Rate> {};

// The limit is allowed in the first instant, one more is not; after a second it is allowed again; twice as slowly, for ever.
TEST_P(MuxRates, AreKept) {
  const Rate& rate = GetParam();
  constexpr std::uint32_t kLimit = 50;
  MuxLimits limits;
  rate.set(limits, kLimit);
  for (const bool later : {false, true}) {
    Side client(Role::Client, limits);
    client.feed(open_frame(2));
    std::uint32_t i = 0;
    for (std::uint32_t n = rate.free; n < kLimit; ++n) ASSERT_TRUE(client.feed(rate.make(i++))) << n;
    client.drain();
    if (later) {
      client.now += 1s;
      for (std::uint32_t n = 0; n < kLimit; ++n) ASSERT_TRUE(client.feed(rate.make(i++))) << n;
      client.drain();
    }
    client.now += 10ms;
    // At 50 a second, 10 ms earn nothing.
    expect_link_error(client, rate.make(i++), GoawayCode::Limit);
    EXPECT_EQ(client.core.counters().rate_limited, 1u);
    EXPECT_EQ(client.failure->code, ErrorCode::Limit);
  }
  Side client(Role::Client, limits);
  client.feed(open_frame(2));
  for (std::uint32_t n = 0; n < 20 * kLimit; ++n) {
    client.now += 1000ms / kLimit;
    ASSERT_TRUE(client.feed(rate.make(n))) << "inside its limit: " << n;
    client.drain();
  }
}
INSTANTIATE_TEST_SUITE_P(
    All, MuxRates,
    testing::Values(
        Rate{"opens", [](MuxLimits& l, std::uint32_t n) { l.max_opens_per_second = n; },
             [](std::uint32_t i) { return open_frame(4 + 2 * i); }, 1},
        Rate{"empty", [](MuxLimits& l, std::uint32_t n) { l.max_empty_per_second = n; },
             [](std::uint32_t) { return data(2, ""); }},
        Rate{"tiny", [](MuxLimits& l, std::uint32_t n) { l.max_tiny_per_second = n; },
             [](std::uint32_t) { return data(2, "123456789012345"); }},
        Rate{"pings", [](MuxLimits& l, std::uint32_t n) { l.max_pings_per_second = n; },
             [](std::uint32_t i) { return frame(i % 2 == 0 ? FrameType::Ping : FrameType::Pong, 0, "12345678"); }},
        Rate{"credits", [](MuxLimits& l, std::uint32_t n) { l.max_credits_per_second = n; },
             [](std::uint32_t) { return credit(2, 1); }},
        Rate{"resets", [](MuxLimits& l, std::uint32_t n) { l.max_resets_per_second = n; },
             [](std::uint32_t) { return reset(2, 0); }},
        Rate{"controls", [](MuxLimits& l, std::uint32_t n) { l.max_controls_per_second = n; },
             [](std::uint32_t i) { return i % 2 == 0 ? frame(FrameType::Control, 0, "{}") : goaway(2, 0); }}),
    [](const auto& info) { return info.param.name; });

TEST(MuxViolations, BytesOfControlHaveABurstAndARate) {
  MuxLimits limits;
  limits.max_control_bytes_per_second = 1'000;
  limits.control_burst = 8'000;
  const std::string most = frame(FrameType::Control, 0, "{\"type\":\"x\"" + std::string(988, ' ') + "}");
  ASSERT_EQ(most.size(), wire::kHeaderSize + 1'000);
  Side client(Role::Client, limits);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(client.feed(most)) << i;
  for (int i = 0; i < 100; ++i) {
    client.now += 1s;
    ASSERT_TRUE(client.feed(most)) << "inside its limit: " << i;
  }
  client.now += 900ms;
  expect_link_error(client, most, GoawayCode::Limit);
  EXPECT_EQ(client.core.counters().rate_limited, 1u);
}

TEST(MuxViolations, WhatIsNotTinyOrEmptyIsNotCounted) {
  MuxLimits limits;
  limits.max_tiny_per_second = limits.max_empty_per_second = 1;
  Side client(Role::Client, limits);
  client.feed(open_frame(2));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.feed(data(2, "1234567890123456")));
  for (std::uint32_t id = 4; id < 200; id += 2)
    ASSERT_TRUE(client.feed(open_frame(id) + data(id, id % 4 == 0 ? "" : "x", true))) << "FIN is no nuisance";
}

TEST(MuxViolations, AControlQueueThatIsNotRead) {
  MuxLimits limits;
  limits.max_control_queue = 1000;
  limits.max_pings_per_second = 1'000'000;
  Side client(Role::Client, limits);
  int n = 0;
  while (n < 1000 && client.feed(frame(FrameType::Ping, 0, "12345678"))) ++n;
  EXPECT_NEAR(n, 1000 / 16, 2);
  ASSERT_TRUE(client.failure);
  EXPECT_EQ(client.failure->code, ErrorCode::Limit);
  EXPECT_EQ(last_goaway(client), GoawayCode::Limit);
}

TEST(MuxViolations, GoawayOfAnotherCodeClosesAtOnce) {
  for (const std::uint32_t code : {1u, 2u, 3u, 5u, 6u, 7u, 8u, 0xffff'ffffu}) {
    Side client(Role::Client);
    client.feed(open_frame(2));
    EXPECT_FALSE(client.feed(goaway(0, code, "why") + open_frame(4)));
    ASSERT_TRUE(client.failure);
    EXPECT_EQ(client.failure->code, ErrorCode::Closed);
    ASSERT_EQ(client.link.goaways.size(), 1u);
    EXPECT_EQ(client.link.goaways[0].first, code);
    EXPECT_EQ(client.link.goaways[0].second, "why");
    EXPECT_EQ(client.link.accepted.size(), 1u);
  }
}

TEST(MuxViolations, APongThatNobodyAskedForIsIgnored) {
  Side client(Role::Client);
  EXPECT_TRUE(client.feed(frame(FrameType::Pong, 0, "12345678")));
  EXPECT_EQ(client.core.rtt(), Duration::zero());
  client.core.send_ping(client.now);
  client.now += 5ms;
  EXPECT_TRUE(client.feed(frame(FrameType::Pong, 0, "wrong...")));
  EXPECT_TRUE(client.core.ping_outstanding());
  EXPECT_EQ(client.core.rtt(), Duration::zero());
}

TEST(MuxViolations, AfterAViolationOnlyTheGoawayGoesOut) {
  Side client(Role::Client);
  client.feed(open_frame(2));
  client.accepted(0).send("bytes that wait");
  client.feed(data(1, "never opened"));
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::Goaway);
  EXPECT_LE(frames[0].payload.size(), 264u);
}

}  // namespace
}  // namespace ferrotunnel::mux::test
