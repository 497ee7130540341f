// What concerns the link as a whole: turns, what goes first, PING, drain, the end of the ids; and handlers that call back.
#include <climits>
#include <map>

#include "mux_fixture.h"

namespace ferrotunnel::mux::test {
namespace {

TEST(MuxTurns, StreamsTakeTurnsInQuanta) {
  Side server(Role::Server);
  std::vector<Recorder*> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(&server.open());
    server.feed(credit(all.back()->stream->id(), 10'000'000));
  }
  server.drain();
  for (Recorder* one : all) one->send(pattern(1'000'000));
  std::vector<Sent> frames;
  while (frames.size() < 40) {
    for (Sent& one : parse(server.produce())) frames.push_back(std::move(one));
  }
  // No stream is ever a turn ahead of another.
  std::map<std::uint32_t, int> turns;
  std::map<std::uint32_t, std::size_t> bytes;
  for (const Sent& one : frames) {
    ASSERT_EQ(one.type, FrameType::Data);
    ASSERT_LE(one.payload.size(), 65'536u);
    ++turns[one.stream];
    bytes[one.stream] += one.payload.size();
    int least = INT_MAX, most = 0;
    for (Recorder* each : all)
      least = std::min(least, turns[each->stream->id()]), most = std::max(most, turns[each->stream->id()]);
    ASSERT_LE(most - least, 1);
  }
  for (const auto& [id, n] : bytes) EXPECT_GT(n, 400'000u);
}

TEST(MuxTurns, AKeystrokeWaitsForOneTurnOfTheOthersAtMost) {
  Side server(Role::Server);
  for (int i = 0; i < 10; ++i) {
    Recorder& bulk = server.open();
    server.feed(credit(bulk.stream->id(), 100'000'000));
    bulk.send(pattern(2'000'000));
  }
  Recorder& key = server.open();
  server.produce();
  key.send("k");
  std::size_t before = 0;
  for (int i = 0; i < 100; ++i)
    for (const Sent& one : parse(server.produce())) {
      if (one.stream == key.stream->id() && one.type == FrameType::Data) {
        EXPECT_LE(before, 10u);
        return;
      }
      before += one.type == FrameType::Data ? 1 : 0;
    }
  FAIL() << "never sent";
}

TEST(MuxTurns, TheQuantumIsALimit) {
  MuxLimits limits;
  limits.quantum = 1000;
  Pair pair(limits);
  auto [near, far] = pair.join();
  near->send(pattern(10'500));
  for (const Sent& one : pair.server.sent()) EXPECT_LE(one.payload.size(), 1000u);
}

TEST(MuxTurns, ControlFramesGoFirst) {
  Side server(Role::Server);
  Recorder& a = server.open();
  Recorder& b = server.open();
  server.drain();
  a.send(pattern(60'000));
  server.core.send_control(R"({"type":"x"})");
  server.core.send_ping(server.now);
  b.stream->reset(ResetReason::Idle);
  const auto frames = server.sent();
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].type, FrameType::Control);
  EXPECT_EQ(frames[1].type, FrameType::Ping);
  EXPECT_EQ(frames[2].type, FrameType::Reset);
  EXPECT_EQ(frames[3].type, FrameType::Data);
}

TEST(MuxTurns, WhatAHandlerQueuesWhileFilledGoesBeforeTheNextPayload) {
  Side server(Role::Server);
  Recorder& a = server.open();
  Recorder& b = server.open();
  Recorder& c = server.open();
  server.drain();
  a.at_fill = [&](Stream&) {
    if (c.stream != nullptr) std::exchange(c.stream, nullptr)->reset(ResetReason::Cancel);
  };
  a.send("from a");
  b.send("from b");
  const auto frames = server.sent();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].payload, "from a");
  EXPECT_EQ(frames[1].type, FrameType::Reset);
  EXPECT_EQ(frames[2].payload, "from b");
}

TEST(MuxTurns, HandlersThatAskForNothingEndlesslyEndTheTurn) {
  Side server(Role::Server);
  Recorder& a = server.open();
  Recorder& b = server.open();
  Recorder& c = server.open();
  server.drain();
  a.at_fill = [&](Stream&) { b.stream->want_write(); };
  b.at_fill = [&](Stream&) { a.stream->want_write(); };
  a.stream->want_write();
  EXPECT_EQ(server.produce(), "");  // returns
  c.send("and the others have theirs");
  std::string got;
  for (int i = 0; i < 3; ++i) got += server.produce();
  EXPECT_NE(got.find("theirs"), std::string::npos);
}

TEST(MuxOutput, TheHostHearsWhenThereIsSome) {
  Pair pair;
  auto [near, far] = pair.join();
  const int before = pair.server.host.outputs;
  near->send("x");
  EXPECT_GT(pair.server.host.outputs, before);
  pair.settle();
  const int client_before = pair.client.host.outputs;
  pair.client.feed(frame(FrameType::Ping, 0, "12345678"));
  EXPECT_GT(pair.client.host.outputs, client_before);
  // Credit wakes a blocked sender.
  far->appetite = 0;
  near->send(pattern(100'000));
  pair.settle();
  const int blocked = pair.server.host.outputs;
  pair.server.feed(credit(2, 1));
  EXPECT_GT(pair.server.host.outputs, blocked);
  pair.server.drain();
}

TEST(MuxPing, MeasuresAndKeepsTheSmallest) {
  Pair pair;
  const auto round = [&](Duration rtt) {
    pair.server.core.send_ping(pair.server.now);
    pair.server.core.send_ping(pair.server.now);  // nothing while one is under way
    EXPECT_TRUE(pair.server.core.ping_outstanding());
    pair.client.feed(pair.server.drain());
    pair.advance(rtt);
    pair.server.feed(pair.client.drain());
    EXPECT_FALSE(pair.server.core.ping_outstanding());
    EXPECT_EQ(pair.server.core.rtt(), std::max(rtt, Duration(1)));
  };
  round(80ms);
  EXPECT_EQ(pair.server.core.min_rtt(), 80ms);
  round(30ms);
  EXPECT_EQ(pair.server.core.min_rtt(), 30ms);
  round(50ms);
  EXPECT_EQ(pair.server.core.min_rtt(), 30ms);
  pair.advance(31s);  // the path may be another one by now
  round(50ms);
  EXPECT_EQ(pair.server.core.min_rtt(), 50ms);
  round(0ms);
  EXPECT_GT(pair.server.core.rtt(), Duration::zero()) << "0 means unknown";
}

// ---- drain ----------------------------------------------------------------------------------------------------------

TEST(MuxDrain, OpenStreamsFinishNewOnesAreRefused) {
  for (const bool by_server : {true, false}) {
    SCOPED_TRACE(by_server);
    Pair pair;
    auto [near, far] = pair.join();
    (by_server ? pair.server : pair.client).core.goaway(GoawayCode::Done, "restart");
    Recorder late;
    if (by_server) EXPECT_FALSE(pair.server.core.open({}, late));
    pair.settle();
    auto& hearer = by_server ? pair.client : pair.server;
    ASSERT_EQ(hearer.link.goaways.size(), 1u);
    EXPECT_EQ(hearer.link.goaways[0].first, 0u);
    EXPECT_EQ(hearer.link.goaways[0].second, "restart");
    EXPECT_TRUE(pair.server.core.draining() && pair.client.core.draining());
    const auto refused = pair.server.core.open({}, late);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Closed);
    EXPECT_FALSE(pair.server.core.drained() || pair.client.core.drained());
    near->send(pattern(200'000), true);
    far->send("bye", true);
    const int server_outputs = pair.server.host.outputs, client_outputs = pair.client.host.outputs;
    pair.settle();
    EXPECT_EQ(far->received.size(), 200'000u);
    EXPECT_TRUE(near->end.clean && far->end.clean);
    EXPECT_TRUE(pair.server.core.drained() && pair.client.core.drained());
    EXPECT_GT(pair.server.host.outputs, server_outputs);
    EXPECT_GT(pair.client.host.outputs, client_outputs) << "the shell is told to look";
  }
}

TEST(MuxDrain, TheShellIsToldWhenTheLastStreamEndsWithoutOutput) {
  // Both FINs crossed long ago, the bytes were held: nothing is sent when they are taken at last.
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  near->send("held", true);
  far->send("", true);
  pair.server.core.goaway(GoawayCode::Done, "");
  pair.settle();
  EXPECT_TRUE(pair.server.core.drained());
  EXPECT_FALSE(pair.client.core.drained());
  const int before = pair.client.host.outputs;
  far->take();
  EXPECT_EQ(far->ends, 1);
  EXPECT_TRUE(pair.client.core.drained());
  EXPECT_GT(pair.client.host.outputs, before);
}

TEST(MuxDrain, AnIdleLinkIsDrainedAtOnce) {
  Pair pair;
  pair.client.core.goaway(GoawayCode::Done, "");
  EXPECT_FALSE(pair.client.core.drained()) << "GOAWAY is not out";
  const int before = pair.server.host.outputs;
  pair.settle();
  EXPECT_TRUE(pair.client.core.drained() && pair.server.core.drained());
  EXPECT_GT(pair.server.host.outputs, before);
}

TEST(MuxDrain, AnOpenThatCrossedTheGoawayEndsWithGoingAway) {
  Pair pair;
  auto [near, far] = pair.join();
  pair.client.core.goaway(GoawayCode::Done, "");
  Recorder& crossing = pair.server.open();  // does not know yet
  crossing.send("x");
  pair.settle();
  EXPECT_EQ(crossing.ends, 1);
  EXPECT_EQ(crossing.end.reason, ResetReason::GoingAway);
  EXPECT_EQ(pair.client.core.streams(), 1u);
  EXPECT_EQ(near->ends, 0);
  EXPECT_FALSE(pair.server.failure || pair.client.failure);
  // Its bytes and RESETs that are still under way harm nobody.
  near->send("goes on", true);
  pair.settle();
  EXPECT_EQ(far->received, "goes on");
}

TEST(MuxDrain, StreamsPastTheLastOneNamedEndWithoutWaiting) {
  for (const std::uint32_t code : {0u, 4u}) {
    Side server(Role::Server);
    Recorder& served = server.open();
    Recorder& one = server.open();
    Recorder& two = server.open();
    one.at_end = [&](Stream&) {
      if (two.stream != nullptr) std::exchange(two.stream, nullptr)->reset(ResetReason::Cancel);
    };
    two.at_end = [&](Stream&) {
      if (one.stream != nullptr) std::exchange(one.stream, nullptr)->reset(ResetReason::Cancel);
    };
    EXPECT_TRUE(server.feed(goaway(2, code)));
    EXPECT_EQ(served.ends, 0);
    EXPECT_EQ(one.ends + two.ends, 1) << "the first to hear reset the other";
    EXPECT_EQ((one.ends == 1 ? one : two).end.reason, ResetReason::GoingAway);
    EXPECT_EQ(server.core.streams(), 1u);
    EXPECT_TRUE(server.feed(reset(4, 10) + reset(6, 10)));
    EXPECT_EQ(server.core.counters().late_frames, 2u);
    EXPECT_TRUE(server.feed(data(2, "", true)));
    served.send("", true);
    server.drain();
    EXPECT_TRUE(served.end.clean);
    EXPECT_TRUE(server.core.drained());
  }
}

TEST(MuxDrain, GoawaySaysTheLastStreamAndAtMost256Bytes) {
  Side client(Role::Client);
  client.feed(open_frame(2) + open_frame(40));
  client.core.goaway(GoawayCode::Replaced, std::string(1000, 't'));
  client.core.goaway(GoawayCode::Done, "once only");
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].number(0), 40u);
  EXPECT_EQ(frames[0].number(4), 5u);
  EXPECT_EQ(frames[0].payload.size(), 264u);
}

TEST(MuxDrain, AViolationDuringADrainIsStillSaid) {
  Side client(Role::Client);
  client.core.goaway(GoawayCode::Done, "");
  client.drain();
  EXPECT_FALSE(client.feed(data(1, "x")));
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].number(4), 1u);
}

TEST(MuxIds, WhenTheyAreUsedUp) {
  Pair pair;
  pair.server.core.set_next_id(0x7fff'fffc);
  auto [a, fa] = pair.join();
  auto [b, fb] = pair.join();
  EXPECT_EQ(b->stream->id(), 0x7fff'fffeu);
  Recorder none;
  const auto refused = pair.server.core.open({}, none);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  pair.settle();
  ASSERT_EQ(pair.client.link.goaways.size(), 1u);
  EXPECT_EQ(pair.client.link.goaways[0].first, 4u);
  EXPECT_FALSE(pair.client.failure);
  a->send("still here", true);
  fa->send("yes", true);
  pair.settle();
  EXPECT_EQ(fa->received, "still here");
  EXPECT_TRUE(a->end.clean);
  b->stream->reset(ResetReason::Cancel);
  pair.settle();
  EXPECT_TRUE(pair.server.core.drained() && pair.client.core.drained());
  EXPECT_EQ(pair.server.core.open({}, none).error().code, ErrorCode::Closed);
}

// ---- handlers that call back ----------------------------------------------------------------------------------------

enum class Where { Data, Fin, End, Fill, HeldData };
enum class What {
  ResetSelf,
  ResetOther,
  ResetAll,
  ResumeOther,
  ResumeSelf,
  Open,
  WantWrite,
  Control,
  Goaway,
  Lost,
  SwapHandler
};
class MuxCallbacks : public testing::TestWithParam<std::tuple<Where, What>> {};

TEST_P(MuxCallbacks, AreSafe) {
  const auto [where, what] = GetParam();
  Recorder extra, taker;
  Pair pair;
  auto [near, far] = pair.join();
  auto [other, far_other] = pair.join();
  far_other->appetite = 0;
  other->send("held for the other");
  pair.settle();
  bool did = false;
  const auto act = [&](Stream& self) {
    if (std::exchange(did, true)) return;
    switch (what) {
      case What::ResetSelf:
        if (where != Where::End) far->stream->reset(ResetReason::Cancel);
        break;
      case What::ResetOther: far_other->stream->reset(ResetReason::Idle); break;
      case What::ResetAll:
        far_other->stream->reset(ResetReason::Idle);
        if (where != Where::End) self.reset(ResetReason::Idle);
        break;
      case What::ResumeOther: far_other->take(); break;
      case What::ResumeSelf: self.resume_read(); break;
      case What::Open:
        if (auto opened = pair.client.core.open({}, extra)) extra.stream = *opened;
        break;
      case What::WantWrite:
        far_other->send("from inside");
        self.want_write();
        break;
      case What::Control: pair.client.core.send_control("{}"); break;
      case What::Goaway: pair.client.core.goaway(GoawayCode::Done, "from inside"); break;
      case What::Lost:
        pair.client.core.lost();
        pair.client.lost = true;
        break;
      case What::SwapHandler:
        if (where != Where::End) {
          taker.stream = &self;
          taker.fin = far->fin;
          self.set_handler(taker);
        }
        break;
    }
  };
  switch (where) {
    case Where::Data:
      far->at_data = act;
      near->send(pattern(40'000), true);
      break;
    case Where::HeldData:
      far->appetite = 0;
      near->send(pattern(60'000), true);
      pair.settle();
      far->at_data = act;
      far->take(10'000);
      break;
    case Where::Fin:
      far->at_fin = act;
      near->send("x", true);
      break;
    case Where::End:
      far->at_end = act;
      near->stream->reset(ResetReason::PeerReset);
      near->stream = nullptr;
      break;
    case Where::Fill:
      far->at_fill = act;
      far->send(pattern(40'000), true);
      break;
  }
  pair.cut = 5000;
  if (!pair.client.lost) pair.settle();
  EXPECT_TRUE(did);
  // The link still works, unless it was ended.
  if (pair.client.lost) {
    pair.client.expect_nothing_left();
    EXPECT_EQ(far_other->ends, 1);
    return;
  }
  EXPECT_FALSE(pair.server.failure || pair.client.failure);
  if (what == What::ResumeOther) EXPECT_EQ(far_other->received, "held for the other");
  if (what == What::ResetOther || what == What::ResetAll) {
    EXPECT_EQ(other->ends, 1);
    EXPECT_EQ(other->end.reason, ResetReason::Idle);
  }
  if (what == What::WantWrite) EXPECT_EQ(other->received, "from inside");
  if (what == What::Goaway) EXPECT_EQ(pair.server.link.goaways.size(), 1u);
  if (what != What::Goaway) {
    auto [last, far_last] = pair.join();
    last->send("alive");
    pair.settle();
    EXPECT_EQ(far_last->received, "alive");
  }
}
INSTANTIATE_TEST_SUITE_P(
    All, MuxCallbacks,
    testing::Combine(testing::Values(Where::Data, Where::Fin, Where::End, Where::Fill, Where::HeldData),
                     testing::Values(What::ResetSelf, What::ResetOther, What::ResetAll, What::ResumeOther,
                                     What::ResumeSelf, What::Open, What::WantWrite, What::Control, What::Goaway,
                                     What::Lost, What::SwapHandler)));

TEST(MuxCallbacks2, FromOnOpen) {
  Side client(Role::Client);
  client.link.at_open = [&](Stream& stream, Recorder& recorder) {
    switch (client.link.accepted.size()) {
      case 1:
        stream.reset(ResetReason::NoTunnel);
        recorder.stream = nullptr;
        break;
      case 2: recorder.send("banner", true); break;
      case 3: stream.resume_read(); break;
      case 4: client.core.goaway(GoawayCode::Done, ""); break;
      case 5: ADD_FAILURE() << "draining"; break;
      default: break;
    }
  };
  client.feed(open_frame(2) + open_frame(4) + open_frame(6) + open_frame(8) + open_frame(10) + data(4, "x"));
  EXPECT_EQ(client.accepted(1).received, "x");
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].type, FrameType::Reset);
  EXPECT_EQ(frames[0].number(), 5u);
  EXPECT_EQ(frames[1].type, FrameType::Goaway);
  EXPECT_EQ(frames[1].number(), 8u);
  EXPECT_EQ(frames[2].type, FrameType::Reset);
  EXPECT_EQ(frames[2].number(), 10u);
  EXPECT_EQ(frames[3].payload, "banner");
}

TEST(MuxCallbacks2, LostFromOnOpenOnControlAndOnGoaway) {
  for (int where = 0; where < 3; ++where) {
    Side client(Role::Client);
    client.feed(open_frame(2));
    const auto end = [&] {
      if (std::exchange(client.lost, true)) return;
      client.core.lost();
    };
    if (where == 0) client.link.at_open = [&](Stream&, Recorder&) { end(); };
    if (where == 1) client.link.at_control = end;
    if (where == 2) client.link.at_goaway = end;
    client.feed(open_frame(4) + frame(FrameType::Control, 0, "{}") + goaway(4, 0) + open_frame(6));
    EXPECT_TRUE(client.lost);
    for (const Recorder& one : client.link.accepted) EXPECT_EQ(one.ends, 1);
    EXPECT_LE(client.link.accepted.size(), 2u);
    client.expect_nothing_left();
  }
}

TEST(MuxCallbacks2, BytesGivenToAHandlerOutliveTheStream) {
  // Recorder compares the bytes after its hook; here the hook resets a stream whose bytes come from what was held.
  Side client(Role::Client);
  client.link.appetite = 0;
  client.feed(open_frame(2) + data(2, pattern(20'000)));
  Recorder& far = client.accepted(0);
  far.at_data = [](Stream& stream) { stream.reset(ResetReason::Cancel); };
  far.take();
  EXPECT_EQ(far.ends, 0);
  client.expect_nothing_left();
}

TEST(MuxCallbacks2, WantWriteInsideTheLastFillDoesNotAskAgain) {
  Pair pair;
  auto [near, far] = pair.join();
  near->at_fill = [](Stream& stream) { stream.want_write(); };
  near->send("last", true);  // Recorder fails when it is asked after FIN
  pair.settle();
  EXPECT_TRUE(far->fin);
  pair.server.feed(credit(2, 1000));
  near->stream->want_write();
  pair.settle();
  EXPECT_EQ(near->fills, 1u);
}

TEST(MuxCallbacks2, ManyStreamsEndedFromOneCallback) {
  Pair pair;
  std::vector<Recorder*> far;
  for (int i = 0; i < 200; ++i) far.push_back(pair.join().second);
  far[100]->at_end = [&](Stream&) {
    for (Recorder* one : far)
      if (one != far[100] && one->stream != nullptr) std::exchange(one->stream, nullptr)->reset(ResetReason::Cancel);
  };
  pair.server.opened[100].stream->reset(ResetReason::Cancel);
  pair.settle();
  pair.server.expect_nothing_left();
  pair.client.expect_nothing_left();
}

}  // namespace
}  // namespace ferrotunnel::mux::test
