// Backoff and Heartbeat by table, on a clock that is moved by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "session/backoff.h"
#include "session/heartbeat.h"

namespace ferrotunnel::session {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint at(Duration since) { return TimePoint() + std::chrono::hours(1) + since; }

constexpr BackoffOptions kDoubling{
    .base = milliseconds(100), .factor = 2, .cap = seconds(4), .steady_after = seconds(10)};

TEST(Backoff, TheCeilingGrowsUpToTheCap) {
  Backoff backoff(kDoubling, JitterRng(1));
  for (const int most : {100, 200, 400, 800, 1600, 3200, 4000, 4000}) {
    EXPECT_EQ(backoff.ceiling(), milliseconds(most));
    const Duration wait = backoff.next();
    EXPECT_GE(wait, milliseconds(most == 100 ? 0 : most / 2)) << "all but the first are of the upper half";
    EXPECT_LE(wait, milliseconds(most));
  }
  EXPECT_EQ(backoff.attempts(), 8u);
  for (int i = 0; i < 10'000; ++i) EXPECT_LE(backoff.next(), seconds(4));
}

TEST(Backoff, TheFirstWaitIsEvenFromZero) {
  JitterRng rng(42);
  std::vector<int> tenths(10);
  for (int i = 0; i < 10'000; ++i) {
    Backoff backoff({}, JitterRng(rng.next()));
    ++tenths[static_cast<std::size_t>(std::min<Duration::rep>(9, backoff.next() / milliseconds(100)))];
  }
  for (const int n : tenths) EXPECT_NEAR(n, 1000, 200);
}

// What bench/trust/reconnect.py measures with processes: however long the server is away, they do not come back in a heap.
TEST(Backoff, ManyClientsOfOneServerComeBackSpread) {
  constexpr int kClients = 500;
  JitterRng rng(4);
  for (const int down_ms : {50, 200, 500, 800, 1200, 2000, 3000, 5000, 20'000}) {
    std::vector<Duration> back;
    for (int i = 0; i < kClients; ++i) {
      Backoff backoff({}, JitterRng(rng.next()));
      Duration at{};
      while (at < milliseconds(down_ms)) at += backoff.next();
      back.push_back(at - milliseconds(down_ms));
    }
    std::ranges::sort(back);
    EXPECT_LE(back.back(), BackoffOptions{}.cap);
    std::vector<int> buckets(static_cast<std::size_t>((back.back() - back.front()) / milliseconds(100)) + 1);
    for (const Duration one : back) ++buckets[static_cast<std::size_t>((one - back.front()) / milliseconds(100))];
    EXPECT_LT(std::ranges::max(buckets) * static_cast<int>(buckets.size()), 3 * kClients) << down_ms;
  }
}

TEST(Backoff, WhoIsAloneTriesSoonOnce) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Backoff backoff({}, JitterRng(seed));
    EXPECT_LE(backoff.next(true), Backoff::kAlone);
    EXPECT_GE(backoff.next(true), milliseconds(625)) << "the rest as for anybody";
  }
}

TEST(Backoff, SameSeedSameWaits) {
  Backoff a({}, JitterRng(7)), b({}, JitterRng(7)), c({}, JitterRng(8));
  bool differs = false;
  for (int i = 0; i < 5; ++i) {
    const Duration wait = a.next();
    EXPECT_EQ(wait, b.next());
    differs |= wait != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Backoff, OnlyASteadyLinkStartsTheCountAnew) {
  struct Row {
    Duration lived;
    unsigned attempts;
  };
  for (const Row row : {Row{seconds(0), 3}, Row{milliseconds(9'999), 3}, Row{seconds(10), 0}, Row{seconds(1000), 0}}) {
    Backoff backoff(kDoubling, JitterRng(1));
    for (int i = 0; i < 3; ++i) (void)backoff.next();
    backoff.on_link_up(at({}));
    backoff.on_link_down(at(row.lived));
    EXPECT_EQ(backoff.attempts(), row.attempts);
    EXPECT_EQ(backoff.ceiling(), milliseconds(row.attempts == 0 ? 100 : 800));
    backoff.on_link_down(at(row.lived + seconds(100)));  // without an up: nothing
    EXPECT_EQ(backoff.attempts(), row.attempts);
  }
}

TEST(Backoff, OddOptions) {
  Backoff over({.base = seconds(10), .factor = 2, .cap = seconds(4), .steady_after = {}}, JitterRng(1));
  EXPECT_LE(over.next(), seconds(4));
  Backoff steep({.base = milliseconds(1), .factor = 1e300, .cap = seconds(4), .steady_after = {}}, JitterRng(1));
  (void)steep.next();
  EXPECT_EQ(steep.ceiling(), seconds(4));
  Backoff none({.base = {}, .factor = 2, .cap = {}, .steady_after = {}}, JitterRng(1));
  EXPECT_EQ(none.next(), Duration::zero());
}

TEST(JitterRng, Below) {
  JitterRng rng(3);
  EXPECT_EQ(rng.below(0), 0u);
  EXPECT_EQ(rng.below(1), 0u);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.below(7), 7u);
  EXPECT_NE(JitterRng::from_system().next(), JitterRng::from_system().next());
}

using Action = Heartbeat::Action;

// What is done at a time, and what is expected of it.
struct Step {
  int ms;
  bool bytes;  // received just before
  Action action;
  int deadline_ms;
};
void follow(const std::vector<Step>& steps) {
  Heartbeat heartbeat({}, at({}));
  for (const Step& step : steps) {
    SCOPED_TRACE(step.ms);
    const TimePoint now = at(milliseconds(step.ms));
    if (step.bytes) heartbeat.on_bytes(now);
    const auto next = heartbeat.next(now);
    EXPECT_EQ(next.action, step.action);
    EXPECT_EQ(next.deadline, at(milliseconds(step.deadline_ms)));
  }
}

TEST(Heartbeat, AnsweredPings) {
  follow({{0, false, Action::None, 3000},
          {2999, false, Action::None, 3000},
          {3000, false, Action::SendPing, 8000},
          {3001, false, Action::None, 8000},
          {3050, true, Action::None, 6000},
          {6000, false, Action::SendPing, 11000},
          {6020, true, Action::None, 9000}});
}

TEST(Heartbeat, SilenceForTheWholeTimeoutIsDeath) {
  follow({{3000, false, Action::SendPing, 8000},
          {7999, false, Action::None, 8000},
          {8000, false, Action::Dead, 8000},
          {8001, true, Action::Dead, 8001}});
}

TEST(Heartbeat, AnyByteIsLife) {
  follow({{3000, false, Action::SendPing, 8000},
          {7999, true, Action::SendPing, 12999},  // not the pong; the next ping is due already
          {12998, true, Action::SendPing, 17998},
          {17998, false, Action::Dead, 17998}});
}

TEST(Heartbeat, ALateLookIsOurOwnFaultOnce) {
  follow({{3000, false, Action::SendPing, 8000},
          {60'000, false, Action::SendPing, 65'000},  // we slept
          {65'000, false, Action::Dead, 65'000}});
  follow({{3000, false, Action::SendPing, 8000},
          {60'000, false, Action::SendPing, 65'000},
          {120'000, false, Action::Dead, 120'000}});  // and again: enough
  follow({{3000, false, Action::SendPing, 8000},
          {60'000, false, Action::SendPing, 65'000},
          {60'001, true, Action::None, 63'000},
          {63'000, false, Action::SendPing, 68'000},
          {120'000, false, Action::SendPing, 125'000},  // forgiven anew after a sign of life
          {125'000, false, Action::Dead, 125'000}});
}

TEST(Heartbeat, BytesFromBeforeThePingDoNotCount) {
  Heartbeat heartbeat({}, at({}));
  heartbeat.on_bytes(at(milliseconds(2900)));
  EXPECT_EQ(heartbeat.next(at(milliseconds(3000))).action, Action::SendPing);
  heartbeat.on_bytes(at(milliseconds(2900)));  // told again
  EXPECT_EQ(heartbeat.next(at(milliseconds(8000))).action, Action::Dead);
}

// A peer that talks and never listens: what waits for it, looked at each second, and what it took.
struct Look {
  bool waiting;
  std::uint64_t taken;
};

Duration until_stalled(const std::vector<Look>& looks, Duration step) {
  Heartbeat heartbeat({}, at({}));
  Duration now{};
  for (const Look& look : looks) {
    now += step;
    heartbeat.on_bytes(at(now));
    heartbeat.on_output(look.waiting, look.taken, at(now));
    if (heartbeat.next(at(now)).action == Action::Stalled) return now;
  }
  return {};
}

TEST(Heartbeat, OutputThatNobodyTakesIsAStall) {
  const Duration second = std::chrono::seconds(1);
  EXPECT_EQ(until_stalled(std::vector<Look>(30, {true, 7}), second), 16 * second);  // first seen waiting after one
  EXPECT_EQ(until_stalled(std::vector<Look>(60, {false, 7}), second), Duration{}) << "nothing waits";
  // Any progress, or a moment in which all was taken, begins it anew.
  std::vector<Look> slow(60, {true, 7});
  for (std::size_t i = 0; i < slow.size(); ++i) slow[i].taken = i / 14;
  EXPECT_EQ(until_stalled(slow, second), Duration{});
  std::vector<Look> paused(40, {true, 7});
  paused[10].waiting = false;
  EXPECT_EQ(until_stalled(paused, second), 27 * second);
}

TEST(Heartbeat, TimeInWhichWeStoodStillIsNoStall) {
  // Ten minutes between two looks: they count as two intervals.
  const Duration away = std::chrono::minutes(10);
  EXPECT_EQ(until_stalled({{true, 7}, {true, 7}, {true, 7}}, away), Duration{});
  EXPECT_EQ(until_stalled(std::vector<Look>(10, {true, 7}), away), 4 * away);
}

}  // namespace
}  // namespace ferrotunnel::session
