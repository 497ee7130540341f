#include "mux/link_pace.h"

#include <gtest/gtest.h>

namespace ferrotunnel::mux {
namespace {

using namespace std::chrono_literals;
using transport::RoadCount;

RoadCount at(std::uint64_t bytes_per_second, bool idle = false) {
  return {.bytes_per_second = bytes_per_second, .idle = idle};
}
RoadCount lost(std::uint64_t resent, std::uint64_t sent, Duration rtt = 50ms) {
  return {.sent = sent, .resent = resent, .min_rtt = rtt};
}

TEST(LinkPace, BeginsWithWhatTheLinkHas) {
  LinkPace pace;
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  EXPECT_EQ(pace.unsent(), LinkPace::kFirstUnsent);
  EXPECT_FALSE(pace.look(at(0), TimePoint(1h))) << "nothing was measured";
}

TEST(LinkPace, FollowsTheRateWithinItsBounds) {
  LinkPace pace;
  EXPECT_TRUE(pace.look(at(25'000'000), TimePoint(1h)));  // 200 Mbit/s: 50,000 bytes in 2 ms
  EXPECT_EQ(pace.bytes(), 48u * 1024);
  EXPECT_TRUE(pace.look(at(100'000), TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kLeast);
  EXPECT_TRUE(pace.look(at(UINT64_MAX), TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  EXPECT_FALSE(pace.look(at(UINT64_MAX), TimePoint(1h)));
}

TEST(LinkPace, ARateThatWeDidNotFillSaysNothingOfTheRoad) {
  LinkPace pace;
  EXPECT_FALSE(pace.look(at(1'000, true), TimePoint(1h)));
  EXPECT_EQ(pace.bytes(), LinkPace::kMost);
  pace.look(at(1'000), TimePoint(1h));
  EXPECT_TRUE(pace.look(at(25'000'000, true), TimePoint(1h))) << "but that it gives at least so much";
  EXPECT_EQ(pace.bytes(), 48u * 1024);
}

TEST(LinkPace, TheUnsentQueueIsSomeTurnsLong) {
  LinkPace pace;
  EXPECT_TRUE(pace.look(at(25'000'000), TimePoint(1h)));
  EXPECT_EQ(pace.unsent(), 4u * 48 * 1024);
  EXPECT_TRUE(pace.look(at(200'000'000), TimePoint(1h)));
  EXPECT_GT(pace.unsent(), 1'500'000u) << "a frame is no longer than kMost, the queue is";
  EXPECT_FALSE(pace.look(at(100'000'000, true), TimePoint(1h)));
  EXPECT_TRUE(pace.look(at(UINT64_MAX), TimePoint(1h)));
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
}

TEST(LinkPace, ALossyRoadGetsALongOneForAWhile) {
  LinkPace pace;
  TimePoint now(1h);
  EXPECT_FALSE(pace.look(lost(1, 1000), now)) << "one may be by chance";
  now += LinkPace::kLossLook;
  EXPECT_TRUE(pace.look(lost(10, 2000), now));
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
  now += LinkPace::kLossHold - 1ns;
  pace.look(lost(10, 3000), now);
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
  now += 1ns;
  EXPECT_TRUE(pace.look(lost(10, 3000), now));
  EXPECT_EQ(pace.unsent(), LinkPace::kFirstUnsent);
  now += LinkPace::kLossLook;
  EXPECT_FALSE(pace.look(lost(1'010, 1'003'000), now)) << "a thousandth is little";
}

TEST(LinkPace, ASlowLossyRoadGetsNoQueueOfSeconds) {
  LinkPace pace;
  RoadCount road = lost(10, 1000);
  road.bytes_per_second = 1'000'000;
  EXPECT_TRUE(pace.look(road, TimePoint(1h)));
  EXPECT_EQ(pace.unsent(), 400'000u) << "eight times what it takes in 50 ms";
  road.bytes_per_second = 20'000'000;
  EXPECT_TRUE(pace.look(road, TimePoint(1h)));
  EXPECT_EQ(pace.unsent(), LinkPace::kMostUnsent);
  road.bytes_per_second = 10'000;
  road.idle = true;
  EXPECT_FALSE(pace.look(road, TimePoint(1h))) << "it may take more than we had";
}

TEST(LinkPace, ANearPeersLossesAreNoReason) {
  LinkPace pace;
  pace.look(lost(0, 1'000, transport::kNearRtt - 1us), TimePoint(1h));
  EXPECT_FALSE(pace.look(lost(500, 2'000, transport::kNearRtt - 1us), TimePoint(1h) + LinkPace::kLossLook));
  EXPECT_EQ(pace.unsent(), LinkPace::kFirstUnsent);
  EXPECT_TRUE(pace.look(lost(900, 3'000, transport::kNearRtt), TimePoint(1h) + 2 * LinkPace::kLossLook));
}

TEST(LinkPace, LooksNowAndThen) {
  LinkPace pace;
  EXPECT_TRUE(pace.due(TimePoint(1h)));
  pace.look(at(1'000), TimePoint(1h));
  EXPECT_FALSE(pace.due(TimePoint(1h) + LinkPace::kLook - 1ns));
  EXPECT_TRUE(pace.due(TimePoint(1h) + LinkPace::kLook));
}

}  // namespace
}  // namespace ferrotunnel::mux
