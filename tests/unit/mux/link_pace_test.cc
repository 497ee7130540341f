#include "mux/link_pace.h"

#include <gtest/gtest.h>

namespace ferrotunnel::mux {
namespace {

using namespace std::chrono_literals;

TEST(LinkPace, BeginsWithTheMost) { EXPECT_EQ(LinkPace().bytes(), LinkPace::kMost); }

TEST(LinkPace, FollowsTheRateWithinItsBounds) {
  LinkPace pace;
  EXPECT_TRUE(pace.look(25'000'000, false, 0, 0, TimePoint(1h)));  // 200 Mbit/s: 50,000 bytes in 2 ms
  EXPECT_EQ(pace.bytes(), 48u * 1024);
  EXPECT_TRUE(pace.look(100'000, false, 0, 0, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kLeast);
  EXPECT_TRUE(pace.look(UINT64_MAX, false, 0, 0, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  EXPECT_FALSE(pace.look(UINT64_MAX, false, 0, 0, TimePoint(1h)));
}

TEST(LinkPace, ARateThatWeDidNotFillSaysNothingOfTheRoad) {
  LinkPace pace;
  EXPECT_FALSE(pace.look(1'000, true, 0, 0, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  pace.look(1'000, false, 0, 0, TimePoint(1h));
  EXPECT_TRUE(pace.look(25'000'000, true, 0, 0, TimePoint(1h))) << "but that it gives at least so much";
  EXPECT_EQ(pace.bytes(), 48u * 1024);
}

TEST(LinkPace, TheUnsentQueueIsSomeTurnsLong) {
  LinkPace pace;
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
  pace.look(25'000'000, false, 0, 0, TimePoint(1h));
  EXPECT_EQ(pace.unsent(), 4u * 48 * 1024);
}

TEST(LinkPace, ALossyRoadGetsALongOneForAWhile) {
  LinkPace pace;
  TimePoint now(1h);
  EXPECT_FALSE(pace.look(UINT64_MAX, false, 1000, 1, now)) << "one may be by chance";
  now += LinkPace::kLossLook;
  EXPECT_TRUE(pace.look(UINT64_MAX, false, 2000, 10, now));
  EXPECT_EQ(pace.unsent(), LinkPace::kLossyUnsent);
  now += LinkPace::kLossHold - 1ns;
  pace.look(UINT64_MAX, false, 3000, 10, now);
  EXPECT_EQ(pace.unsent(), LinkPace::kLossyUnsent);
  now += 1ns;
  EXPECT_TRUE(pace.look(UINT64_MAX, false, 3000, 10, now));
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
  now += LinkPace::kLossLook;
  EXPECT_FALSE(pace.look(UINT64_MAX, false, 1'003'000, 1'010, now)) << "a thousandth is little";
}

TEST(LinkPace, LooksNowAndThen) {
  LinkPace pace;
  EXPECT_TRUE(pace.due(TimePoint(1h)));
  pace.look(1'000, false, 0, 0, TimePoint(1h));
  EXPECT_FALSE(pace.due(TimePoint(1h) + LinkPace::kLook - 1ns));
  EXPECT_TRUE(pace.due(TimePoint(1h) + LinkPace::kLook));
}

}  // namespace
}  // namespace ferrotunnel::mux
