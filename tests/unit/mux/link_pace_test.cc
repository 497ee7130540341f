#include "mux/link_pace.h"

#include <gtest/gtest.h>

namespace ferrotunnel::mux {
namespace {

using namespace std::chrono_literals;

TEST(LinkPace, BeginsWithTheMost) { EXPECT_EQ(LinkPace().bytes(), LinkPace::kMost); }

TEST(LinkPace, FollowsTheRateWithinItsBounds) {
  LinkPace pace;
  EXPECT_TRUE(pace.look(25'000'000, false, TimePoint(1h)));  // 200 Mbit/s: 50,000 bytes in 2 ms
  EXPECT_EQ(pace.bytes(), 48u * 1024);
  EXPECT_TRUE(pace.look(100'000, false, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kLeast);
  EXPECT_TRUE(pace.look(UINT64_MAX, false, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  EXPECT_FALSE(pace.look(UINT64_MAX, false, TimePoint(1h)));
}

TEST(LinkPace, ARateThatWeDidNotFillSaysNothingOfTheRoad) {
  LinkPace pace;
  EXPECT_FALSE(pace.look(1'000, true, TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  pace.look(1'000, false, TimePoint(1h));
  EXPECT_TRUE(pace.look(25'000'000, true, TimePoint(1h))) << "but that it gives at least so much";
  EXPECT_EQ(pace.bytes(), 48u * 1024);
}

TEST(LinkPace, LooksNowAndThen) {
  LinkPace pace;
  EXPECT_TRUE(pace.due(TimePoint(1h)));
  pace.look(1'000, false, TimePoint(1h));
  EXPECT_FALSE(pace.due(TimePoint(1h) + LinkPace::kLook - 1ns));
  EXPECT_TRUE(pace.due(TimePoint(1h) + LinkPace::kLook));
}

}  // namespace
}  // namespace ferrotunnel::mux
