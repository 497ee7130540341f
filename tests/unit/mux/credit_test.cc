// Credit: what stops a sender, what starts it again, how windows grow and shrink, and what may be held.
#include "mux_fixture.h"

namespace ferrotunnel::mux::test {
namespace {

constexpr std::size_t kCredit = wire::kInitialCredit;

TEST(MuxCredit, ExhaustedAndGivenBack) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  near->send(pattern(200'000));
  pair.settle();
  EXPECT_EQ(far->stream->held(), kCredit);
  EXPECT_EQ(pair.client.core.held(), kCredit);
  EXPECT_EQ(near->to_send.size(), 200'000 - kCredit);
  EXPECT_TRUE(near->stream->blocked());
  // Less than half of the window: no CREDIT yet.
  far->take(kCredit / 2 - 1);
  pair.settle();
  EXPECT_EQ(pair.client.core.counters().credits_sent, 0u);
  EXPECT_EQ(near->to_send.size(), 200'000 - kCredit);
  // Half of it: given back, and used at once.
  far->take(1);
  pair.settle();
  EXPECT_EQ(pair.client.core.counters().credits_sent, 1u);
  EXPECT_EQ(far->stream->held(), kCredit);
  EXPECT_EQ(near->to_send.size(), 200'000 - kCredit - kCredit / 2);
  far->take();
  pair.settle();
  EXPECT_EQ(far->received, pattern(200'000));
  EXPECT_FALSE(near->stream->blocked());
}

TEST(MuxCredit, ASenderWithoutCreditIsNotAskedForBytes) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  near->send(pattern(kCredit + 1));
  pair.settle();
  const auto fills = near->fills;
  for (int i = 0; i < 10; ++i) near->stream->want_write();
  pair.settle();
  EXPECT_FALSE(pair.server.core.has_output());
  EXPECT_EQ(near->fills, fills);
  // Nor when it asks from inside the fill() that used the credit up.
  auto [other, far2] = pair.join();
  far2->appetite = 0;
  other->at_fill = [](Stream& stream) { stream.want_write(); };
  other->send(pattern(kCredit));
  pair.settle();
  EXPECT_TRUE(other->stream->blocked());
  EXPECT_FALSE(pair.server.core.has_output());
  other->at_fill = nullptr;
  far2->take();
  pair.settle();
  EXPECT_EQ(far2->received.size(), kCredit);
}

TEST(MuxCredit, BothDirectionsAreIndependent) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  near->send(pattern(100'000));
  far->send(pattern(1'000'000, 2));
  pair.settle();
  EXPECT_EQ(near->received.size(), 1'000'000u);
  EXPECT_TRUE(near->stream->blocked());
}

TEST(MuxCredit, EmptyFinNeedsNone) {
  Side client(Role::Client);
  client.feed(open_frame(2));
  client.link.accepted[0].appetite = 0;
  client.feed(data(2, pattern(kCredit)));
  EXPECT_FALSE(client.failure);
  client.feed(data(2, "", true));
  EXPECT_EQ(client.accepted(0).ends, 0);
  client.accepted(0).take();
  EXPECT_TRUE(client.accepted(0).fin);
}

TEST(MuxCredit, NoneIsGivenBackAfterFin) {
  Side client(Role::Client);
  client.link.appetite = 0;
  client.feed(open_frame(2) + data(2, pattern(60'000)) + data(2, "last", true));
  client.accepted(0).take();
  EXPECT_TRUE(client.accepted(0).fin);
  EXPECT_TRUE(client.sent().empty()) << "nobody is left to use it";
}

TEST(MuxCredit, AllOfItInOneByteFrames) {
  Side client(Role::Client);
  client.link.appetite = 0;
  client.feed(open_frame(2));
  for (std::size_t i = 0; i < kCredit; ++i) client.feed(data(2, "x"));
  EXPECT_EQ(client.accepted(0).ends, 0);
  EXPECT_EQ(client.core.held(), kCredit);
  EXPECT_LT(client.budget.used(), 4 * kCredit) << "one-byte frames are held together";
  client.feed(data(2, "x"));
  EXPECT_EQ(client.accepted(0).ends, 1);
  EXPECT_EQ(client.accepted(0).end.reason, ResetReason::FlowControl);
  client.expect_nothing_left();
}

TEST(MuxCredit, OneByteTooManyEndsTheStreamOnly) {
  Side client(Role::Client);
  client.link.appetite = 0;
  client.feed(open_frame(2) + open_frame(4));
  client.feed(data(2, pattern(kCredit)));
  EXPECT_EQ(client.accepted(0).ends, 0);
  client.feed(data(2, "x"));
  EXPECT_EQ(client.accepted(0).ends, 1);
  EXPECT_EQ(client.accepted(0).end.reason, ResetReason::FlowControl);
  EXPECT_EQ(client.core.counters().flow_control_errors, 1u);
  EXPECT_FALSE(client.failure);
  EXPECT_EQ(client.core.streams(), 1u);
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::Reset);
  EXPECT_EQ(frames[0].number(), 7u);
}

TEST(MuxCredit, TooLongAFrameIsNotDeliveredEvenInPart) {
  Side client(Role::Client);
  client.feed(open_frame(2));
  const std::string frame = data(2, pattern(kCredit + 1));
  client.feed(frame.substr(0, 1000));
  EXPECT_EQ(client.accepted(0).received, "");
  EXPECT_EQ(client.accepted(0).ends, 1);
  client.feed(frame.substr(1000));  // the rest is dropped, the link stays in step
  client.feed(open_frame(4) + data(4, "fine"));
  EXPECT_EQ(client.accepted(1).received, "fine");
}

TEST(MuxCredit, NothingIsEverSentPastIt) {
  // The peer of a server core counts by hand.
  Side server(Role::Server);
  Recorder& near = server.open();
  near.send(pattern(1'000'000));
  std::size_t allowed = kCredit, got = 0;
  std::uint32_t step = 1;
  while (got < 1'000'000) {
    for (const Sent& one : server.sent())
      if (one.type == FrameType::Data) got += one.payload.size();
    ASSERT_LE(got, allowed);
    ASSERT_TRUE(got == allowed || got == 1'000'000);
    step = step * 3 % 70'001 + 1;
    server.feed(credit(2, step));
    allowed += step;
  }
}

TEST(MuxCredit, UpToTwoToTheThirtyAndNotMore) {
  Side server(Role::Server);
  Recorder& near = server.open();
  server.feed(credit(2, wire::kMaxCredit - kCredit));
  EXPECT_EQ(near.ends, 0);
  server.feed(credit(2, 1));
  EXPECT_EQ(near.ends, 1);
  EXPECT_EQ(near.end.reason, ResetReason::Protocol);
  EXPECT_FALSE(server.failure);

  Recorder& two = server.open();
  server.feed(credit(4, 0xffff'ffff));
  EXPECT_EQ(two.ends, 1);
  EXPECT_EQ(two.end.reason, ResetReason::Protocol);
}

// ---- the window -----------------------------------------------------------------------------------------------------

// There is always more to send.
void keep_sending(Recorder& near) {
  near.at_fill = [&near](Stream&) {
    if (near.to_send.size() < 256 * 1024) near.to_send += pattern(256 * 1024);
  };
  near.send(pattern(256 * 1024));
}

// A second of bulk over 50 ms of round trip; returns the bytes that came in the last 300 ms.
std::size_t bulk(SlowPair& pair, Recorder& near, Recorder& far, int ms) {
  far.keep = false;
  keep_sending(near);
  std::uint64_t before = 0;
  for (int i = 0; i < ms; ++i) {
    if (i == ms - 300) before = far.taken;
    pair.tick(25ms);
  }
  return far.taken - before;
}

TEST(MuxWindow, GrowsWithTheRoundTripUpToTheCap) {
  MuxLimits limits;
  limits.max_window = 4u << 20;
  SlowPair pair(limits, limits);
  auto [near, far] = pair.join();
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  EXPECT_FALSE(pair.client.core.ping_outstanding());
  EXPECT_GE(pair.client.core.rtt(), 50ms);
  EXPECT_LE(pair.client.core.rtt(), 53ms);
  const std::size_t last = bulk(pair, *near, *far, 2000);
  EXPECT_EQ(pair.client.core.counters().window_growths, 3u) << "64 KiB to 4 MiB";
  EXPECT_GT(last, 6u * (2u << 20))
      << "credit comes in steps of half a window: between a half and a whole one a round trip";
  EXPECT_LT(last, 7u * (5u << 20));
  EXPECT_FALSE(pair.client.failure);
  EXPECT_EQ(pair.client.core.counters().flow_control_errors, 0u);
}

TEST(MuxWindow, ASlowLinkKeepsASmallOne) {
  // 4 MB/s and 50 ms are 200 KB in flight: some times that are enough, the cap of 8 MiB is not for it.
  SlowPair pair;
  pair.per_ms = 4096;
  auto [near, far] = pair.join();
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  bulk(pair, *near, *far, 3000);
  EXPECT_LE(pair.client.core.counters().window_growths, 3u) << "64 KiB to 2 MiB";
}

TEST(MuxWindow, StaysWhileTheRoundTripIsUnknown) {
  SlowPair pair;
  auto [near, far] = pair.join();
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  const std::size_t last = bulk(pair, *near, *far, 1000);
  EXPECT_EQ(pair.client.core.counters().window_growths, 0u);
  EXPECT_LE(last, 7 * kCredit);
}

TEST(MuxWindow, ShrinksUnderMemoryPressure) {
  SlowPair pair({}, {}, 64u << 20);
  auto [near, far] = pair.join();
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  bulk(pair, *near, *far, 1000);
  EXPECT_EQ(pair.client.core.counters().window_growths, 4u);
  pair.client.budget.add(40u << 20);  // somebody else's
  ASSERT_TRUE(pair.client.budget.tight());
  bulk(pair, *near, *far, 1000);
  const std::size_t last = bulk(pair, *near, *far, 1000);
  EXPECT_EQ(pair.client.core.counters().window_growths, 4u);
  EXPECT_LE(last, 7 * kCredit) << "back to the first window";
  EXPECT_GT(last, 4 * kCredit) << "but not stuck";
  pair.client.budget.sub(40u << 20);
}

// How much the other end may send on a stream before it hears of us again.
std::uint32_t credit_of(Side& side, std::uint32_t stream) {
  std::uint32_t credit = kCredit;
  for (const Sent& one : side.sent())
    if (one.type == FrameType::Credit && one.stream == stream) credit += one.number();
  return credit;
}
// A client's core whose road has this round trip.
void measure_rtt(Side& side, Duration rtt) {
  side.core.send_ping(side.now);
  const auto frames = side.sent();
  ASSERT_EQ(frames.size(), 1u);
  side.now += rtt;
  side.feed(frame(FrameType::Pong, 0, frames[0].payload));
  ASSERT_EQ(side.core.min_rtt(), rtt);
}

TEST(MuxWindow, TheFirstOfSomethingLargeGrowsItOnALongRoad) {
  for (const auto& [rtt, bytes, grows] : {std::tuple{MuxCore::kLongRoad, MuxCore::kEarlyFrame, true},
                                          {MuxCore::kLongRoad, MuxCore::kEarlyFrame - 1, false},
                                          {MuxCore::kLongRoad - 1us, MuxCore::kEarlyFrame, false}}) {
    Side client(Role::Client);
    measure_rtt(client, rtt);
    client.feed(open_frame(2) + data(2, pattern(bytes)));
    EXPECT_EQ(client.core.counters().window_growths, grows ? 1u : 0u);
    EXPECT_EQ(credit_of(client, 2) - bytes, grows ? 4 * kCredit : kCredit - bytes);
    client.feed(data(2, pattern(bytes)));
    EXPECT_EQ(client.core.counters().window_growths, grows ? 1u : 0u) << "once";
  }
}

TEST(MuxWindow, AStreamThatIsBusyGetsWhatOthersNeeded) {
  MuxLimits limits;
  limits.max_window = 4u << 20;
  SlowPair pair(limits, limits);
  auto [near, far] = pair.join();
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  bulk(pair, *near, *far, 2000);
  near->at_fill = nullptr;
  const auto growths = pair.client.core.counters().window_growths;
  EXPECT_EQ(growths, 3u);
  auto [second, there] = pair.join();
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  bulk(pair, *second, *there, 1000);
  EXPECT_EQ(pair.client.core.counters().window_growths, growths + 1) << "in one step";
}

TEST(MuxWindow, ReadersWhoAllPauseAreNotResetForWantOfRoom) {
  MuxLimits limits;
  limits.max_window = 2u << 20;
  limits.max_held = 8u << 20;
  SlowPair pair(limits, limits);
  std::vector<std::pair<Recorder*, Recorder*>> streams;
  for (int i = 0; i < 40; ++i) streams.emplace_back(pair.join());
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  for (auto& [near, far] : streams) {
    far->keep = false;
    keep_sending(*near);
  }
  for (int i = 0; i < 1500; ++i) pair.tick(25ms);
  EXPECT_GT(pair.client.core.counters().window_growths, 40u);
  for (auto& [near, far] : streams) far->appetite = 0;
  for (int i = 0; i < 1500; ++i) pair.tick(25ms);
  EXPECT_EQ(pair.client.core.counters().memory_resets, 0u);
  for (auto& [near, far] : streams) EXPECT_EQ(far->ends, 0);
  // They read on.
  for (auto& [near, far] : streams) {
    const std::uint64_t before = far->taken;
    far->take(SIZE_MAX);
    EXPECT_GT(far->taken, before);
  }
}

TEST(MuxWindow, OneTakesAQuarterOfWhatIsLeftAndGivesItBackWithItsEnd) {
  MuxLimits limits;
  limits.max_window = 4u << 20;
  limits.max_held = 2 * 4 * 4 * kCredit;  // so that the first may have 4 * kCredit more
  Side client(Role::Client, limits);
  measure_rtt(client, 50ms);
  const auto window_of = [&](std::uint32_t id) {
    client.feed(open_frame(id) + data(id, pattern(MuxCore::kEarlyFrame)));
    return credit_of(client, id) - MuxCore::kEarlyFrame;
  };
  EXPECT_EQ(window_of(2), 4 * kCredit) << "fourfold, less than a quarter";
  EXPECT_EQ(window_of(4), 4 * kCredit);
  EXPECT_EQ(window_of(6), kCredit + (16 - 6) * kCredit / 4) << "a quarter of what the two left";
  client.feed(reset(2, 1) + reset(4, 1) + reset(6, 1));
  EXPECT_EQ(window_of(8), 4 * kCredit);
}

TEST(MuxWindow, OneThatHasMoreThanItNeedsGivesItBackWhereMuchIsGiven) {
  MuxLimits limits;
  limits.max_held = 8 * kCredit;
  for (const bool much : {false, true}) {
    Side client(Role::Client, limits);
    measure_rtt(client, 50ms);
    client.feed(open_frame(2) + data(2, pattern(MuxCore::kEarlyFrame)));  // the first: a quarter of 4
    ASSERT_EQ(credit_of(client, 2) - MuxCore::kEarlyFrame, 2 * kCredit);
    if (much) {
      client.feed(open_frame(4) + data(4, pattern(MuxCore::kEarlyFrame)));
      client.feed(open_frame(6) + data(6, pattern(MuxCore::kEarlyFrame)));
    }
    client.sent();
    client.now += 17 * 50ms;
    client.feed(data(2, pattern(kCredit)) + data(2, pattern(kCredit / 2)));
    EXPECT_EQ(credit_of(client, 2), much ? kCredit + kCredit / 2 : 2 * kCredit) << much;
  }
}

TEST(MuxWindow, WhatIsKnownIsForgotten) {
  WindowMemory memory;
  const TimePoint start(1h);
  EXPECT_EQ(memory.known(start), 0u);
  memory.used(1u << 20, start);
  memory.used(1u << 16, start + 1s);
  EXPECT_EQ(memory.known(start + WindowMemory::kKeep - 1ns), 1u << 20);
  EXPECT_EQ(memory.known(start + WindowMemory::kKeep), 0u);
  memory.used(1u << 16, start + WindowMemory::kKeep);
  EXPECT_EQ(memory.known(start + WindowMemory::kKeep), 1u << 16) << "a smaller one, once the larger is old";
  memory.forget();
  EXPECT_EQ(memory.known(start + WindowMemory::kKeep), 0u);
}

TEST(MuxWindow, ASlowReaderDoesNotGrowIt) {
  // It takes a little every 200 ms. All of it was held first, so the round trip was never what it waited for.
  SlowPair pair;
  auto [near, far] = pair.join();
  pair.client.core.send_ping(pair.client.now);
  for (int i = 0; i < 60; ++i) pair.tick(25ms);
  far->appetite = 0;
  near->send(pattern(4'000'000));
  for (int i = 0; i < 6000; ++i) {
    pair.tick(25ms);
    if (i % 200 == 199) far->take(SIZE_MAX), far->appetite = 0;
  }
  EXPECT_EQ(pair.client.core.counters().window_growths, 0u);
}

// ---- what is held ---------------------------------------------------------------------------------------------------

TEST(MuxHeld, AStreamThatIsNeverReadDelaysNoOther) {
  Pair pair;
  auto [stuck, far_stuck] = pair.join();
  far_stuck->appetite = 0;
  auto [other, far_other] = pair.join();
  stuck->send(pattern(1'000'000));
  other->send(pattern(3'000'000, 2), true);
  pair.settle();
  EXPECT_EQ(far_other->received, pattern(3'000'000, 2));
  EXPECT_TRUE(far_other->fin);
  EXPECT_EQ(pair.client.core.held(), kCredit);
  EXPECT_EQ(far_stuck->received, "");
}

TEST(MuxHeld, ManyStuckStreamsHoldTheirCreditOnly) {
  Pair pair;
  std::vector<Recorder*> far;
  for (int i = 0; i < 100; ++i) {
    auto [near, end] = pair.join();
    end->appetite = 0;
    near->send(pattern(200'000));
    far.push_back(end);
  }
  pair.settle();
  EXPECT_EQ(pair.client.core.held(), 100 * kCredit);
  for (Recorder* one : far) one->take();
  pair.settle();
  for (Recorder* one : far) EXPECT_EQ(one->received, pattern(200'000));
  EXPECT_EQ(pair.client.core.held(), 0u);
  EXPECT_EQ(pair.client.pool.lent(), 0u) << "an idle stream keeps no buffer";
}

TEST(MuxHeld, ResetFreesIt) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  near->send(pattern(kCredit));
  pair.settle();
  EXPECT_GT(pair.client.budget.used(), 0u);
  far->stream->reset(ResetReason::Cancel);
  EXPECT_EQ(pair.client.budget.used(), 0u);
  EXPECT_EQ(pair.client.core.held(), 0u);
}

TEST(MuxHeld, TakenInAnyPieces) {
  Pair pair;
  auto [near, far] = pair.join();
  far->appetite = 0;
  const std::string sent = pattern(500'000);
  near->send(sent, true);
  std::size_t step = 1;
  for (int i = 0; i < 100'000 && !far->fin; ++i) {
    pair.settle();
    step = step * 7 % 9973 + 1;
    far->take(step);
  }
  EXPECT_EQ(far->received, sent);
  EXPECT_EQ(pair.client.pool.lent(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::mux::test
