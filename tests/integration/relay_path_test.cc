// Bytes, half-close and RST from end to end: visitor, relay, link, link, relay, origin.
#include "relay_world.h"

namespace ferrotunnel::integration {
namespace {

constexpr std::size_t kCredit = wire::kInitialCredit;

class RelayPath : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Pollers, RelayPath, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

TEST_P(RelayPath, FiftyMegabytesBothWays) {
  World world(GetParam());
  constexpr std::size_t kAll = 50'000'000;
  auto [visitor, origin] = world.meet();
  world.near.link->ping();
  world.far.link->ping();
  visitor.send(kAll, true);
  origin.send(kAll, true);
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_TRUE(world.until([&] { return visitor.over() && origin.over(); }));
  EXPECT_EQ(visitor.received, kAll);
  EXPECT_EQ(origin.received, kAll);
  EXPECT_TRUE(visitor.eof && origin.eof);
  EXPECT_EQ(visitor.error, 0);
  EXPECT_EQ(origin.error, 0);
  EXPECT_TRUE(world.near_relays.front().end.clean);
  EXPECT_TRUE(world.far_relays.front().end.clean);
  EXPECT_GT(world.near.link->status().rtt, Duration::zero());
  EXPECT_EQ(world.near.link->status().bytes_in, kAll);
  EXPECT_EQ(world.near.link->status().bytes_out, kAll);
  EXPECT_EQ(world.shard.buffers().lent(), 0u) << "idle again, nothing is borrowed";
}

TEST_P(RelayPath, LargePayloadsGoByPipesThatAreGivenBack) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  // Of one alone the last frame may be a small one, which is copied.
  std::vector<Peer*> others;
  for (int i = 0; i < 7; ++i) {
    auto [other, its_origin] = world.meet();
    other.reading = false;
    its_origin.send(5'000'000, true);
    other.send(1, true);
    others.push_back(&other);
  }
  visitor.reading = false;
  origin.send(5'000'000, true);
  ASSERT_TRUE(world.until_stuck());
  for (Peer* other : others) other->reading = true;
  EXPECT_GT(world.shard.pipes().lent(), 0u) << "what the visitor does not take waits in one";
  visitor.reading = true;
  visitor.send(5'000'000, true);
  ASSERT_TRUE(world.until_relays_end());
  ASSERT_TRUE(world.until([&] { return visitor.over() && origin.over(); }));
  EXPECT_EQ(visitor.received, 5'000'000u);
  EXPECT_EQ(origin.received, 5'000'000u);
  EXPECT_EQ(world.shard.pipes().lent(), 0u);
  EXPECT_EQ(world.shard.buffers().budget().used(), 0u);
  transport::PipePool& pipes = world.shard.pipes();
  EXPECT_TRUE(world.until([&] { return pipes.idle() == 0; })) << "and closed when nobody needs them any more";
}

TEST_P(RelayPath, WithoutAPipeToBeHadTheyAreCopied) {
  World world(GetParam());
  std::vector<transport::PipeLease> all;
  for (;;) {
    transport::PipeLease one = world.shard.pipes().borrow();
    if (!one) break;
    all.push_back(std::move(one));
  }
  auto [visitor, origin] = world.meet();
  visitor.send(3'000'000, true);
  origin.send(3'000'000, true);
  ASSERT_TRUE(world.until_relays_end());
  ASSERT_TRUE(world.until([&] { return visitor.over() && origin.over(); }));
  EXPECT_EQ(visitor.received, 3'000'000u);
  EXPECT_EQ(origin.received, 3'000'000u);
  EXPECT_GT(world.shard.pipes().refused(), 0u);
}

TEST_P(RelayPath, ManyAtOnceOverUnixSockets) {
  World world(GetParam(), nullptr, {}, Kind::Unix);
  world.at_origin = [](Peer& origin, int) { origin.send(700'001, true); };
  for (int i = 0; i < 30; ++i) world.visit().send(500'000 + static_cast<std::size_t>(i), true);
  EXPECT_TRUE(world.until([&] { return world.origins.size() == 30; }));
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_TRUE(world.until([&] {
    for (auto* peers : {&world.visitors, &world.origins})
      for (Peer& one : *peers)
        if (!one.eof) return false;
    return true;
  }));
  std::size_t n = 0;
  for (const Peer& one : world.visitors) EXPECT_EQ(one.received, 700'001u);
  for (const Peer& one : world.origins) n += one.received;
  EXPECT_EQ(n, 30 * 500'000u + 29 * 30 / 2);
}

TEST_P(RelayPath, AnUploadEndedByFinGetsItsAnswer) {
  World world(GetParam());
  world.at_origin = [](Peer& origin, int) { origin.at_eof = [](Peer& self) { self.send(12'345, true); }; };
  Peer& visitor = world.visit();
  visitor.send(300'000, true);
  ASSERT_TRUE(world.until_relays_end());
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(world.origins.front().received, 300'000u);
  EXPECT_EQ(visitor.received, 12'345u);
  EXPECT_TRUE(world.near_relays.front().end.clean);
}

TEST_P(RelayPath, APrefixGoesFirst) {
  World world(GetParam());
  Peer& visitor = world.visit(std::string(pattern(1).at(0, 40'000)));
  visitor.sent = visitor.to_send = 40'000;  // as if it had
  visitor.send(30'000, true);
  ASSERT_TRUE(world.until([&] { return !world.origins.empty() && world.origins.front().eof; }));
  EXPECT_EQ(world.origins.front().received, 70'000u);
}

TEST_P(RelayPath, ACallerThatSaysNothingAndLeaves) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  visitor.close();
  ASSERT_TRUE(world.until([&] { return origin.eof; }));
  origin.close();
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_TRUE(world.near_relays.front().end.clean);
}

// ---- RST --------------------------------------------------------------------------------------------------------------

// Who resets, and what went on before.
enum class Before { Idle, Streaming, OwnCreditGone, PeerHalfClosed, OwnHalfClosed };
class RelayReset : public testing::TestWithParam<std::tuple<bool, bool, Before>> {};
INSTANTIATE_TEST_SUITE_P(All, RelayReset,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(Before::Idle, Before::Streaming, Before::OwnCreditGone,
                                                          Before::PeerHalfClosed, Before::OwnHalfClosed)));

TEST_P(RelayReset, ArrivesAsOne) {
  const auto [portable, by_visitor, before] = GetParam();
  World world(portable);
  auto [visitor, origin] = world.meet();
  Peer& resetting = by_visitor ? visitor : origin;
  Peer& hearing = by_visitor ? origin : visitor;
  MuxLink& hearing_link = by_visitor ? *world.far.link : *world.near.link;
  switch (before) {
    case Before::Idle: break;
    case Before::Streaming:
      resetting.send(1u << 30);
      hearing.send(1u << 30);
      ASSERT_TRUE(
          world.until([&, &r = resetting, &h = hearing] { return r.received > 1'000'000 && h.received > 1'000'000; }));
      break;
    case Before::OwnCreditGone:
      hearing.reading = false;
      resetting.send(1u << 30);
      ASSERT_TRUE(world.until_stuck());
      ASSERT_GT(hearing_link.status().held, kCredit / 2);
      break;
    case Before::PeerHalfClosed:
      hearing.send(1000, true);
      ASSERT_TRUE(world.until([&, &r = resetting] { return r.eof; }));
      break;
    case Before::OwnHalfClosed:
      resetting.send(1000, true);
      ASSERT_TRUE(world.until([&, &h = hearing] { return h.eof; }));
      break;
  }
  resetting.close_with_reset();
  ASSERT_TRUE(world.until_relays_end());
  // At the hearing end the RST may come behind bytes that it did not read yet.
  hearing.reading = true;
  hearing.check = before != Before::OwnCreditGone;
  if (before == Before::OwnHalfClosed) {
    // It read our FIN before: reads say "end" for ever, but a write tells.
    hearing.send(1);
    ASSERT_TRUE(world.until([&, &h = hearing] { return h.was_reset(); }));
  } else {
    ASSERT_TRUE(world.until([&, &h = hearing] { return h.over(); }));
    EXPECT_FALSE(hearing.eof) << "a FIN instead of an RST";
    EXPECT_TRUE(hearing.was_reset());
  }
  for (const Joined* one : {&world.near_relays.front(), &world.far_relays.front()}) {
    EXPECT_FALSE(one->end.clean);
    EXPECT_EQ(one->end.reason, ResetReason::PeerReset);
  }
  EXPECT_TRUE(world.near.link && world.far.link);
  auto [next, its] = world.meet();
  next.send(1000, true);
  EXPECT_TRUE(world.until([&, &i = its] { return i.eof; }));
}

TEST_P(RelayPath, AnRstBehindMoreBytesThanThereIsCreditFor) {
  // Nothing is blocked when the RST is seen; the credit ends while what came before it is read.
  World world(GetParam());
  world.at_origin = [](Peer& outer, int inside) {
    int little = 4096;
    ::setsockopt(inside, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    ::setsockopt(outer.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  };
  auto [visitor, origin] = world.meet();
  origin.reading = false;
  int size = 4 << 20;
  ::setsockopt(visitor.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  visitor.send(20u << 20);
  while (visitor.pump()) {  // the shard does not run: the bytes stay in the kernel
  }
  ASSERT_GT(visitor.sent, 3 * kCredit);
  visitor.close_with_reset();
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_EQ(world.near_relays.front().end.reason, ResetReason::PeerReset);
}

TEST_P(RelayPath, AnEarlyAnswerBeforeTheResetArrives) {
  // An origin that refuses an upload: it answers, and closes with the upload unread, which is an RST. The answer was sent before.
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  visitor.send(1u << 30);
  origin.reading = false;
  ASSERT_TRUE(world.until_stuck());
  ASSERT_GT(world.far.link->status().held, kCredit / 2);
  visitor.to_send = visitor.sent;  // a write would hear of the RST before the answer is read
  origin.send(20'000);
  while (origin.sent < origin.to_send) ASSERT_TRUE(origin.pump());
  origin.close();
  ASSERT_TRUE(world.until_relays_end());
  ASSERT_TRUE(world.until([&, &v = visitor] { return v.over(); }));
  EXPECT_EQ(visitor.received, 20'000u);
  EXPECT_TRUE(visitor.was_reset());
}

TEST_P(RelayPath, StopResetsBothEnds) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  world.near_relays.front().relay->stop(ResetReason::Idle);
  world.near_relays.front().relay->stop(ResetReason::Idle);
  ASSERT_TRUE(world.until([&, &v = visitor, &o = origin] { return v.over() && o.over(); }));
  EXPECT_TRUE(visitor.was_reset() && origin.was_reset());
  EXPECT_EQ(world.far_relays.front().end.reason, ResetReason::Idle);
}

TEST_P(RelayPath, ARelayMayBeDestroyedAtAnyTime) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  visitor.send(1u << 30);
  ASSERT_TRUE(world.until([&, &o = origin] { return o.received > 100'000; }));
  world.near_relays.front().relay.reset();
  world.near_relays.front().ends = 1;
  ASSERT_TRUE(world.until([&, &o = origin] { return o.over(); }));
  EXPECT_TRUE(origin.was_reset());
}

// ---- slow beside fast --------------------------------------------------------------------------------------------------

TEST_P(RelayPath, ASlowReaderBesideAFastOne) {
  World world(GetParam());
  auto [slow, slow_origin] = world.meet();
  auto [fast, fast_origin] = world.meet();
  slow.reading = false;
  slow_origin.send(100'000'000, true);
  ASSERT_TRUE(world.until_stuck());
  const std::size_t held = world.near.link->status().held, stuck = slow_origin.sent;
  EXPECT_GT(held, kCredit / 2);
  EXPECT_LE(held, kCredit);
  fast_origin.send(20'000'000, true);
  ASSERT_TRUE(world.until([&, &f = fast] { return f.eof; }));
  EXPECT_EQ(fast.received, 20'000'000u);
  EXPECT_EQ(world.near.link->status().held, held);
  EXPECT_LE(slow_origin.sent, stuck + (1u << 20)) << "its writer is held back";
  slow.reading = true;
  ASSERT_TRUE(world.until([&, &s = slow] { return s.eof; }));
  EXPECT_EQ(slow.received, 100'000'000u);
}

// ---- the link ----------------------------------------------------------------------------------------------------------

TEST_P(RelayPath, ALinkThatIsCutEndsAllStreams) {
  World world(GetParam());
  for (int i = 0; i < 5; ++i) {
    auto [visitor, origin] = world.meet();
    visitor.send(1u << 30);
    if (i % 2 == 0) origin.send(1u << 30);
  }
  ASSERT_TRUE(world.until([&] { return world.origins.front().received > 3'000'000; }));
  world.cut_link();
  ASSERT_TRUE(world.until_links_closed());
  ASSERT_TRUE(world.until_relays_end());
  for (auto* relays : {&world.near_relays, &world.far_relays})
    for (const Joined& one : *relays) {
      EXPECT_EQ(one.ends, 1);
      EXPECT_EQ(one.end.reason, ResetReason::LinkLost);
    }
  EXPECT_TRUE(world.until([&] {
    for (auto* peers : {&world.visitors, &world.origins})
      for (Peer& one : *peers)
        if (!one.was_reset()) return false;
    return true;
  }));
}

TEST_P(RelayPath, ALinkDestroyedWithoutCloseTellsItsStreams) {
  World world(GetParam());
  world.meet();
  world.near.link.reset();
  world.near.closed = Error();
  world.forget_cut();
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_EQ(world.near_relays.front().end.reason, ResetReason::LinkLost);
  EXPECT_TRUE(world.until([&] { return world.far.closed.has_value(); }));
}

}  // namespace
}  // namespace ferrotunnel::integration
