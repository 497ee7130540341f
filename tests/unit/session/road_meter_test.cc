// RoadMeter: when a road counts as lossy, and for how long.
#include "session/road_meter.h"

#include <gtest/gtest.h>

namespace ferrotunnel::session {
namespace {

using namespace std::chrono_literals;
using transport::RoadCount;

class RoadMeterTest : public testing::Test {
 public:
  // A look after so many segments more.
  void look(std::uint64_t sent, std::uint64_t resent, std::uint64_t received = 0, std::uint64_t waited = 0) {
    count.sent += sent;
    count.resent += resent;
    count.received += received;
    count.waited += waited;
    now += kRoadLook;
    meter.look(count, now);
  }
  [[nodiscard]] bool lossy() const { return meter.lossy(now); }

  RoadMeter meter;
  RoadCount count;
  TimePoint now = TimePoint() + 1h;
};

TEST_F(RoadMeterTest, ACleanRoadIsNotLossy) {
  for (int i = 0; i < 20; ++i) look(100'000, 0, 100'000, 0);
  EXPECT_FALSE(lossy());
  EXPECT_EQ(meter.loss_ppm(), 0u);
}

TEST_F(RoadMeterTest, WhatWasBeforeTheFirstLookIsNoRate) {
  look(1'000, 500, 1'000, 900);
  EXPECT_FALSE(lossy());
  look(1'000, 0, 1'000, 0);
  EXPECT_FALSE(lossy());
}

TEST_F(RoadMeterTest, LossIsCountedOverSomeLooksAndHoldsForAWhile) {
  look(0, 0);
  look(10'000, 100);
  EXPECT_EQ(meter.loss_ppm(), 10'000u);
  EXPECT_TRUE(lossy());
  const TimePoint seen = now;
  for (std::size_t i = 0; i < RoadMeter::kLooks; ++i) look(1'000'000, 0);
  EXPECT_EQ(meter.loss_ppm(), 0u);
  EXPECT_TRUE(lossy()) << "no verdict goes up and down with each second";
  EXPECT_TRUE(meter.lossy(seen + kRoadHold - 1ms));
  EXPECT_FALSE(meter.lossy(seen + RoadMeter::kLooks * kRoadLook + kRoadHold));
}

// On a loopback, too, segments are sent again: where the other end's buffer was full.
TEST_F(RoadMeterTest, ANearRoadIsNeverLossy) {
  count.min_rtt = transport::kNearRtt - 1us;
  look(0, 0);
  look(10'000, 1'000, 10'000, 9'000);
  EXPECT_FALSE(lossy());
  EXPECT_EQ(meter.loss_ppm(), 0u);
  count.min_rtt = transport::kNearRtt;
  look(10'000, 1'000);
  EXPECT_TRUE(lossy());
}

TEST_F(RoadMeterTest, TooLittleSaysNothing) {
  look(0, 0);
  look(kLeastRoadSegments - 1, 20);
  EXPECT_FALSE(lossy());
  RoadMeter fresh;
  fresh.look({}, now);
  fresh.look({.sent = 400, .resent = kLeastRoadLosses - 1}, now + kRoadLook);
  EXPECT_FALSE(fresh.lossy(now + kRoadLook)) << "one that came too early";
  fresh.look({.sent = 400, .resent = kLeastRoadLosses}, now + 2 * kRoadLook);
  EXPECT_TRUE(fresh.lossy(now + 2 * kRoadLook));
}

TEST_F(RoadMeterTest, TheThresholdIsThatOfItsName) {
  look(0, 0);
  look(1'000'000, kLossyPpm - 1);
  EXPECT_FALSE(lossy());
  RoadMeter other;
  other.look({}, now);
  other.look({.sent = 1'000'000, .resent = kLossyPpm}, now);
  EXPECT_TRUE(other.lossy(now));
}

TEST_F(RoadMeterTest, SegmentsThatWaitForOneBeforeThemCountToo) {
  look(0, 0);
  look(0, 0, 100'000, 4'000);
  EXPECT_EQ(meter.waiting_ppm(), 40'000u);
  EXPECT_FALSE(lossy());
  look(0, 0, 100'000, 20'000);
  EXPECT_TRUE(lossy());
}

TEST_F(RoadMeterTest, WhatTheClientSaysStandsUntilItSaysSomethingElse) {
  meter.peer_says(kLossyPpm - 1, now);
  EXPECT_FALSE(lossy());
  meter.peer_says(kLossyPpm, now);
  now += 1h;
  EXPECT_TRUE(lossy());
  meter.peer_says(0, now);
  EXPECT_TRUE(lossy());
  now += kRoadHold;
  EXPECT_FALSE(lossy());
}

TEST_F(RoadMeterTest, OnlyWhatDiffersIsWorthSaying) {
  EXPECT_FALSE(worth_saying(0, 0));
  EXPECT_FALSE(worth_saying(0, kLossyPpm - 1));
  EXPECT_TRUE(worth_saying(0, kLossyPpm));
  EXPECT_FALSE(worth_saying(10'000, 12'000));
  EXPECT_TRUE(worth_saying(10'000, 20'000));
  EXPECT_TRUE(worth_saying(10'000, 5'000));
  EXPECT_TRUE(worth_saying(10'000, 0));
}

}  // namespace
}  // namespace ferrotunnel::session
