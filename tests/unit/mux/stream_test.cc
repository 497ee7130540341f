// A stream's life between two cores: open, bytes, half-close, reset.
#include "mux_fixture.h"

namespace ferrotunnel::mux::test {
namespace {

TEST(MuxStream, OpenCarriesWhoTheVisitorIs) {
  Pair pair;
  OpenInfo info;
  info.tunnel = 77;
  info.kind = transport::OpenKind::Http;
  info.visitor.family = 6;
  info.visitor.port = 50'000;
  for (std::size_t i = 0; i < 16; ++i) info.visitor.bytes[i] = static_cast<std::byte>(i);
  pair.server.open(info);
  pair.settle();
  ASSERT_EQ(pair.client.link.infos.size(), 1u);
  const OpenInfo& got = pair.client.link.infos[0];
  EXPECT_EQ(got.tunnel, 77u);
  EXPECT_EQ(got.kind, transport::OpenKind::Http);
  EXPECT_EQ(got.visitor.family, 6);
  EXPECT_EQ(got.visitor.port, 50'000);
  EXPECT_EQ(got.visitor.bytes, info.visitor.bytes);
  EXPECT_EQ(pair.client.accepted(0).stream->id(), 2u);
}

TEST(MuxStream, FirstBytesRideBehindOpenInOneBuffer) {
  Side server(Role::Server);
  Recorder& near = server.open();
  near.send("GET / HTTP/1.1\r\n");
  const auto frames = parse(server.produce());
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, FrameType::Open);
  EXPECT_EQ(frames[1].type, FrameType::Data);
  EXPECT_EQ(frames[1].payload, "GET / HTTP/1.1\r\n");
}

TEST(MuxStream, BytesBothWaysThenFinBothWays) {
  Pair pair;
  auto [near, far] = pair.join();
  near->send("question");
  far->send("answer");
  pair.settle();
  EXPECT_EQ(far->received, "question");
  EXPECT_EQ(near->received, "answer");
  near->send("", true);
  pair.settle();
  EXPECT_TRUE(far->fin);
  EXPECT_EQ(far->ends, 0);
  EXPECT_EQ(near->ends, 0);
  // The other direction goes on after a half-close.
  far->send("late answer");
  pair.settle();
  EXPECT_EQ(near->received, "answerlate answer");
  far->send("", true);
  pair.settle();
  EXPECT_EQ(near->ends, 1);
  EXPECT_EQ(far->ends, 1);
  EXPECT_TRUE(near->end.clean);
  EXPECT_TRUE(far->end.clean);
  pair.server.expect_nothing_left();
  pair.client.expect_nothing_left();
}

TEST(MuxStream, AnswerAfterUploadEndedByFin) {
  Pair pair;
  auto [near, far] = pair.join();
  const std::string upload = pattern(300'000);
  far->at_fin = [far](Stream&) { far->send("got " + std::to_string(far->received.size()), true); };
  near->send(upload, true);
  pair.settle();
  EXPECT_EQ(far->received, upload);
  EXPECT_EQ(near->received, "got 300000");
  EXPECT_EQ(near->ends, 1);
  EXPECT_EQ(far->ends, 1);
}

TEST(MuxStream, ClientMayFinishFirst) {
  Pair pair;
  auto [near, far] = pair.join();
  far->send("hello, I am done", true);
  pair.settle();
  EXPECT_TRUE(near->fin);
  near->send("so am I", true);
  pair.settle();
  EXPECT_EQ(far->received, "so am I");
  EXPECT_TRUE(near->end.clean && far->end.clean);
}

TEST(MuxStream, FinWaitsForHeldBytes) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 3;
  near->send("abcdef", true);
  pair.settle();
  EXPECT_EQ(far->received, "abc");
  EXPECT_FALSE(far->fin);
  EXPECT_EQ(far->stream->held(), 3u);
  far->take(2);
  EXPECT_FALSE(far->fin);
  far->take();
  EXPECT_EQ(far->received, "abcdef");
  EXPECT_TRUE(far->fin);
}

class ResetReasons : public testing::TestWithParam<std::uint32_t> {};
TEST_P(ResetReasons, ArriveWithTheirReason) {
  const auto reason = static_cast<ResetReason>(GetParam());
  for (const bool from_server : {true, false}) {
    Pair pair;
    auto [near, far] = pair.join();
    Recorder& ender = from_server ? *near : *far;
    Recorder& hearer = from_server ? *far : *near;
    hearer.appetite = 0;
    ender.send(pattern(50'000));
    pair.settle();
    ender.stream->reset(reason);
    pair.settle();
    EXPECT_EQ(ender.ends, 0) << "who resets is not told";
    EXPECT_EQ(hearer.ends, 1);
    EXPECT_FALSE(hearer.end.clean);
    EXPECT_EQ(hearer.end.reason, reason);
    pair.server.expect_nothing_left();
    pair.client.expect_nothing_left();
  }
}
INSTANTIATE_TEST_SUITE_P(All, ResetReasons, testing::Range(0u, 13u));

TEST(MuxStream, UnknownReasonIsCancel) {
  for (const std::uint32_t reason : {13u, 14u, 0x1'0000u, 0xffff'ffffu}) {
    Side server(Role::Server);
    Recorder& near = server.open();
    EXPECT_TRUE(server.feed(reset(2, reason)));
    EXPECT_EQ(near.ends, 1);
    EXPECT_EQ(near.end.reason, ResetReason::Cancel);
  }
}

TEST(MuxStream, LinkLostHasNoNumberOnTheWire) {
  Side server(Role::Server);
  server.open().stream->reset(ResetReason::LinkLost);
  const auto frames = server.sent();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].number(), 0u);
}

TEST(MuxStream, ResetAfterHalfClose) {
  Pair pair;
  auto [near, far] = pair.join();
  near->send("x", true);
  pair.settle();
  far->stream->reset(ResetReason::PeerReset);
  pair.settle();
  EXPECT_EQ(near->ends, 1);
  EXPECT_EQ(near->end.reason, ResetReason::PeerReset);
  pair.server.expect_nothing_left();
}

TEST(MuxStream, FramesThatCrossTheResetAreDroppedAndCounted) {
  Pair pair;
  auto [near, far] = pair.join();
  far->send("crosses");                      // DATA, not yet carried
  near->stream->reset(ResetReason::Cancel);  // crosses it
  pair.carry(pair.client, pair.server);
  pair.settle();
  EXPECT_EQ(pair.server.core.counters().late_frames, 1u);
  EXPECT_EQ(pair.server.core.counters().bytes_in, 7u);
  EXPECT_FALSE(pair.server.failure);
  EXPECT_EQ(far->ends, 1);
  // And each type of frame.
  pair.server.feed(data(2, "abc") + data(2, "", true) + credit(2, 5) + reset(2, 0));
  EXPECT_EQ(pair.server.core.counters().late_frames, 5u);
  EXPECT_FALSE(pair.server.failure);
}

TEST(MuxStream, LostEndsAll) {
  Pair pair;
  auto [a, fa] = pair.join();
  auto [b, fb] = pair.join();
  fa->appetite = 0;
  a->send(pattern(1000));
  pair.settle();
  b->to_send = "unsent";
  b->stream->want_write();
  pair.server.core.lost();
  pair.client.core.lost();
  pair.server.lost = pair.client.lost = true;
  for (Recorder* one : {a, b, fa, fb}) {
    EXPECT_EQ(one->ends, 1);
    EXPECT_EQ(one->end.reason, ResetReason::LinkLost);
    EXPECT_FALSE(one->end.clean);
  }
  pair.server.expect_nothing_left();
  pair.client.expect_nothing_left();
  Recorder late;
  EXPECT_FALSE(pair.server.core.open({}, late));
}

TEST(MuxStream, ALateHandlerGetsWhatWasHeld) {
  // The client's dispatcher holds while it dials, then hands the stream on.
  Pair pair;
  pair.client.link.appetite = 0;
  auto [near, far] = pair.join();
  near->send("first bytes", true);
  pair.settle();
  Recorder relay;
  relay.stream = far->stream;
  far->stream->set_handler(relay);
  relay.stream->resume_read();
  EXPECT_EQ(relay.received, "first bytes");
  EXPECT_TRUE(relay.fin);
  relay.send("ok", true);
  pair.settle();
  EXPECT_TRUE(relay.end.clean);
  EXPECT_EQ(far->ends, 0);
}

TEST(MuxStream, WantWriteWithNothingSendsNothing) {
  Side server(Role::Server);
  Recorder& near = server.open();
  server.drain();
  near.stream->want_write();
  near.stream->want_write();
  EXPECT_TRUE(server.core.has_output());
  EXPECT_EQ(server.drain(), "");
  EXPECT_EQ(near.fills, 1u);
}

TEST(MuxStream, AFlagThatIsUnknownIsIgnored) {
  Pair pair;
  auto [near, far] = pair.join();
  pair.client.feed(frame(FrameType::Data, 2, "abc", 0xe));
  EXPECT_EQ(far->received, "abc");
  EXPECT_FALSE(far->fin);
  pair.client.feed(frame(FrameType::Data, 2, "d", 0xf));
  EXPECT_TRUE(far->fin);
  EXPECT_EQ(near->ends, 0);
}

// Everything that two cores say, cut at each byte, and one byte at a time.
TEST(MuxStream, CutAtEachByte) {
  std::string script = open_frame(2) + data(2, "hello") + open_frame(4) + data(4, "world") +
                       frame(FrameType::Ping, 0, "12345678") + credit(2, 100) +
                       frame(FrameType::Control, 0, R"({"type":"x"})") + data(2, "!", true) + data(4, "") +
                       reset(4, 2) + goaway(0, 0, "bye");
  const auto check = [&](Side& client) {
    ASSERT_EQ(client.link.accepted.size(), 2u);
    EXPECT_EQ(client.accepted(0).received, "hello!");
    EXPECT_TRUE(client.accepted(0).fin);
    EXPECT_EQ(client.accepted(1).received, "world");
    EXPECT_EQ(client.accepted(1).ends, 1);
    EXPECT_EQ(client.accepted(1).end.reason, ResetReason::OriginRefused);
    ASSERT_EQ(client.link.controls.size(), 1u);
    EXPECT_EQ(client.link.controls[0], R"({"type":"x"})");
    ASSERT_EQ(client.link.goaways.size(), 1u);
    EXPECT_EQ(client.link.goaways[0].second, "bye");
    EXPECT_FALSE(client.failure);
    const auto frames = client.sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].type, FrameType::Pong);
    EXPECT_EQ(frames[0].payload, "12345678");
  };
  for (std::size_t at = 0; at <= script.size(); ++at) {
    SCOPED_TRACE(at);
    Side client(Role::Client);
    client.feed_cut(script, at);
    check(client);
  }
  Side client(Role::Client);
  for (const char& byte : script) client.feed({&byte, 1});
  check(client);
}

// The output comes out whole whatever the size of the buffers it goes to.
TEST(MuxStream, ProducedInBuffersOfEachSize) {
  for (const std::size_t room : {1024u, 1025u, 1500u, 2048u, 3000u, 4096u, 65'536u}) {
    SCOPED_TRACE(room);
    Pair pair;
    pair.room = room;
    pair.cut = 777;
    auto [a, fa] = pair.join();
    auto [b, fb] = pair.join();
    const std::string one = pattern(200'000, 1), two = pattern(150'000, 2);
    pair.server.core.send_control(R"({"type":")" + std::string(20'000, 'x') + R"("})");
    a->send(one, true);
    b->send(two, true);
    fa->send(two, true);
    fb->send(one, true);
    pair.settle();
    EXPECT_EQ(fa->received, one);
    EXPECT_EQ(fb->received, two);
    EXPECT_EQ(a->received, two);
    EXPECT_EQ(b->received, one);
    EXPECT_EQ(pair.client.link.controls.size(), 1u);
    EXPECT_TRUE(a->end.clean && b->end.clean && fa->end.clean && fb->end.clean);
  }
}

TEST(MuxStream, NoSmallFramesAtTheTailOfABuffer) {
  Side server(Role::Server);
  Recorder& near = server.open();
  server.drain();
  near.send(pattern(10'000));
  server.core.send_control(R"({"type":"x","y":")" + std::string(4096 - 8 - 18 - 30, 'x') + R"("})");
  const auto frames = parse(server.drain(4096));
  std::size_t small = 0;
  for (const Sent& one : frames) small += one.type == FrameType::Data && one.payload.size() < 1500 ? 1 : 0;
  EXPECT_LE(small, 1u) << "the last one at most";
}

// ---- a quota that links share --------------------------------------------------------------------------------------

TEST(MuxQuota, LinksShareOneAndGiveBackHoweverAStreamEnds) {
  const auto quota = std::make_shared<StreamQuota>();
  quota->limit = 3;
  auto one = std::make_unique<Pair>();
  Pair two;
  one->server.core.set_quota(quota);
  two.server.core.set_quota(quota);
  auto [reset_here, peer_a] = one->join();
  auto [reset_there, peer_b] = two.join();
  one->join();  // lives until its link is gone
  EXPECT_EQ(quota->used, 3u);
  const auto refused = two.server.core.open({}, *reset_there);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  EXPECT_EQ(two.server.core.counters().streams_refused, 1u);
  EXPECT_EQ(quota->used, 3u);

  reset_here->stream->reset(ResetReason::Cancel);
  EXPECT_EQ(quota->used, 2u);
  peer_b->stream->reset(ResetReason::Cancel);
  two.settle();
  EXPECT_EQ(quota->used, 1u);
  two.join();
  quota->limit = 1;  // ends nothing
  EXPECT_EQ(quota->used, 2u);
  EXPECT_FALSE(two.server.core.open({}, *reset_there));
  two.server.core.lost();
  EXPECT_EQ(quota->used, 1u);
  one.reset();
  EXPECT_EQ(quota->used, 0u);
}

}  // namespace
}  // namespace ferrotunnel::mux::test
