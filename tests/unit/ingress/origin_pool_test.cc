#include "ingress/http1/origin_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "transport/shard.h"
#include "unit/ingress/fake_link.h"

namespace ferrotunnel::ingress::test {
namespace {

using namespace std::chrono_literals;
using transport::ResetReason;

class User final : public transport::StreamHandler {
 public:
  std::size_t on_data(transport::Stream&, ConstBytes bytes) override { return bytes.size(); }
  void on_fin(transport::Stream&) override {}
  void on_end(transport::Stream&, transport::StreamEnd) override {}
  transport::Fill fill(transport::Stream&, MutBytes) override { return {}; }
};

class OriginPoolTest : public testing::Test {
 protected:
  [[nodiscard]] OriginPtr open(OriginPool& pool, const TunnelKey& key) {
    auto opened = pool.open(link_, key, {}, user_);
    EXPECT_TRUE(opened.has_value());
    return std::move(*opened);
  }
  // Opens one and puts it into the pool.
  FakeStream& warm(OriginPool& pool, const TunnelKey& key) {
    OriginPtr connection = open(pool, key);
    pool.put(std::move(connection));
    return link_.last();
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition) {
    const TimePoint end = Clock::now() + 10s;
    while (!condition()) {
      if (Clock::now() > end) return false;
      shard_.io().restart();
      shard_.io().run_one_for(5ms);
    }
    return true;
  }

  // All of it at one time, as far as the pool can tell.
  template <class Do>
  void in_turn(Do&& what) {
    struct Task final : transport::TurnTask {
      explicit Task(Do& does) : what(does) {}
      void run_turn() override {
        what();
        done = true;
      }
      Do& what;
      bool done = false;
    } task(what);
    shard_.next_turn(task);
    ASSERT_TRUE(until([&] { return task.done; }));
  }

  static constexpr TunnelKey kA{1, 1}, kB{1, 2}, kC{2, 1};
  MemoryBudget budget_;
  transport::Shard shard_{0, budget_};
  FakeLink link_{shard_};
  User user_;
};

TEST_F(OriginPoolTest, MostRecentlyUsedFirstAndByTunnel) {
  OriginPool pool(shard_, {});
  EXPECT_EQ(pool.take(kA, user_), nullptr);
  OriginPtr first = open(pool, kA), second = open(pool, kA);
  EXPECT_FALSE(first->reused());
  transport::Stream* const second_stream = &second->stream();
  pool.put(std::move(first));
  pool.put(std::move(second));
  EXPECT_EQ(pool.idle(), 2u);
  EXPECT_EQ(pool.take(kB, user_), nullptr);
  EXPECT_EQ(pool.take(kC, user_), nullptr);
  const OriginPtr taken = pool.take(kA, user_);
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(&taken->stream(), second_stream);
  EXPECT_TRUE(taken->reused());
  EXPECT_EQ(pool.idle(kA), 1u);
}

TEST_F(OriginPoolTest, OneWhoseAnswerHadNoBodyRests) {
  OriginPool pool(shard_, {});
  OriginPtr head = open(pool, kA);
  FakeStream& head_stream = link_.last();
  OriginPtr late = open(pool, kA);
  FakeStream& late_stream = link_.last();
  OriginPtr other = open(pool, kA);
  FakeStream& other_stream = link_.last();
  TimePoint since;
  in_turn([&] {
    since = shard_.now();
    pool.put(std::move(head), true);
    pool.put(std::move(late), true);
    EXPECT_EQ(pool.idle(kA), 2u);
    EXPECT_EQ(pool.take(kA, user_), nullptr);
    pool.put(std::move(other));
    OriginPtr usual = pool.take(kA, user_);
    ASSERT_NE(usual, nullptr);
    EXPECT_EQ(&usual->stream(), &other_stream);
    EXPECT_EQ(pool.take(kA, user_), nullptr);
    usual->spend();
    pool.put(std::move(usual));
    // A body behind HEAD is nobody's answer.
    late_stream.say("poisoned");
    EXPECT_EQ(late_stream.got_reset, ResetReason::Cancel);
    EXPECT_EQ(pool.idle(kA), 1u);
  });
  OriginPtr rested;
  ASSERT_TRUE(until([&] { return (rested = pool.take(kA, user_)) != nullptr; }));
  EXPECT_GE(shard_.now() - since, OriginPool::kRest);
  EXPECT_EQ(&rested->stream(), &head_stream);
  EXPECT_TRUE(rested->reused());
  // Used as ever from then on.
  pool.put(std::move(rested));
  EXPECT_NE(pool.take(kA, user_), nullptr);
}

TEST_F(OriginPoolTest, BoundedByTunnelAndInAll) {
  OriginPoolOptions options;
  options.max_idle_per_tunnel = 2;
  options.max_idle = 3;
  OriginPool pool(shard_, options);
  FakeStream& oldest_a = warm(pool, kA);
  warm(pool, kA);
  warm(pool, kA);
  EXPECT_EQ(pool.idle(kA), 2u);
  EXPECT_TRUE(until([&] { return oldest_a.got_fin; }));
  warm(pool, kB);
  warm(pool, kC);
  EXPECT_EQ(pool.idle(), 3u);
  EXPECT_EQ(pool.idle(kA), 1u);
  EXPECT_EQ(pool.counters().dropped, 2u);
}

TEST_F(OriginPoolTest, WhatABurstLeavesBehindStaysAWhile) {
  OriginPoolOptions options;
  options.steady_per_tunnel = 2;
  options.surplus_timeout = 200ms;
  OriginPool pool(shard_, options);
  std::vector<FakeStream*> streams;
  for (int i = 0; i < 10; ++i) streams.push_back(&warm(pool, kA));
  warm(pool, kB);
  EXPECT_EQ(pool.idle(kA), 10u);
  EXPECT_TRUE(until([&] { return pool.idle(kA) == 2; }));
  EXPECT_TRUE(until([&] { return streams[7]->got_fin; }));
  EXPECT_FALSE(streams[8]->got_fin || streams[9]->got_fin);
  EXPECT_EQ(pool.idle(kB), 1u);
  EXPECT_EQ(pool.counters().dropped, 8u);
}

TEST_F(OriginPoolTest, WhatEndsOrSpeaksWhileIdleIsDropped) {
  OriginPool pool(shard_, {});
  FakeStream& speaks = warm(pool, kA);
  speaks.say("HTTP/1.1 408 Request Timeout\r\n\r\n");
  EXPECT_EQ(speaks.got_reset, ResetReason::Cancel);
  FakeStream& ends = warm(pool, kA);
  ends.end(ResetReason::PeerReset);
  FakeStream& closes = warm(pool, kA);
  closes.fin();
  EXPECT_EQ(pool.idle(), 0u);
  EXPECT_EQ(pool.closing(), 1u);
  EXPECT_TRUE(until([&] { return closes.dead; }));
  EXPECT_TRUE(closes.clean);
  EXPECT_EQ(pool.closing(), 0u);
  EXPECT_EQ(pool.counters().dropped, 3u);
  EXPECT_EQ(pool.take(kA, user_), nullptr);
}

TEST_F(OriginPoolTest, IdleTimeoutThenCloseTimeout) {
  OriginPoolOptions options;
  options.idle_timeout = 200ms;
  options.close_timeout = 200ms;
  OriginPool pool(shard_, options);
  FakeStream& polite = warm(pool, kA);
  FakeStream& mute = warm(pool, kA);
  EXPECT_TRUE(until([&] { return polite.got_fin && mute.got_fin; }));
  polite.say("too late, dropped");
  polite.fin();
  EXPECT_TRUE(polite.clean);
  EXPECT_TRUE(until([&] { return mute.dead; }));
  EXPECT_EQ(mute.got_reset, ResetReason::Cancel);
  EXPECT_EQ(pool.closing(), 0u);
}

TEST_F(OriginPoolTest, ForgetSession) {
  OriginPool pool(shard_, {});
  FakeStream& a = warm(pool, kA);
  FakeStream& b = warm(pool, kB);
  FakeStream& other = warm(pool, kC);
  pool.retire(open(pool, kA));
  FakeStream& closing = link_.last();
  pool.forget_session(1);
  EXPECT_TRUE(a.dead && b.dead && closing.dead);
  EXPECT_FALSE(other.dead);
  EXPECT_EQ(pool.idle(), 1u);
}

TEST_F(OriginPoolTest, WhatIsInUseWhenItsSessionGoesIsNotKept) {
  OriginPool pool(shard_, {});
  OriginPtr fresh = open(pool, kA);
  FakeStream& fresh_stream = link_.last();
  FakeStream& warm_stream = warm(pool, kA);
  OriginPtr taken = pool.take(kA, user_);
  OriginPtr other = open(pool, kC);
  pool.forget_session(1);
  pool.put(std::move(fresh));
  pool.put(std::move(taken));
  pool.put(std::move(other));
  EXPECT_EQ(pool.idle(), 1u);
  EXPECT_EQ(pool.idle(kC), 1u);
  EXPECT_TRUE(until([&] { return fresh_stream.got_fin && warm_stream.got_fin; }));
}

TEST_F(OriginPoolTest, CloseKeepsNoMore) {
  OriginPool pool(shard_, {});
  FakeStream& before = warm(pool, kA);
  pool.close();
  FakeStream& after = warm(pool, kA);
  EXPECT_EQ(pool.idle(), 0u);
  EXPECT_TRUE(until([&] { return before.got_fin && after.got_fin; }));
  pool.clear();
  EXPECT_EQ(link_.alive(), 0u);
}

TEST_F(OriginPoolTest, AConnectionThatIsDestroyedIsCancelled) {
  OriginPool pool(shard_, {});
  {
    const OriginPtr gone = open(pool, kA);
  }
  EXPECT_EQ(link_.last().got_reset, ResetReason::Cancel);
}

TEST_F(OriginPoolTest, LinkLost) {
  OriginPool pool(shard_, {});
  warm(pool, kA);
  warm(pool, kB);
  pool.retire(open(pool, kA));
  link_.lose();
  EXPECT_EQ(pool.idle(), 0u);
  EXPECT_EQ(pool.closing(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
