// FailureThrottle: ten failures a minute, then silence; bounded whatever comes.
#include "session/failure_throttle.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace ferrotunnel::session {
namespace {

using std::chrono::seconds;

constexpr TimePoint at(Duration since) { return TimePoint{} + since; }

transport::PeerAddress v4(std::uint32_t number) {
  transport::PeerAddress address{.family = 4, .port = 1, .bytes = {}};
  store_be(address.bytes.data(), number);
  return address;
}

transport::PeerAddress v6(std::uint64_t network, std::uint64_t host) {
  transport::PeerAddress address{.family = 6, .port = 1, .bytes = {}};
  store_be(address.bytes.data(), network);
  store_be(address.bytes.data() + 8, host);
  return address;
}

TEST(FailureThrottleTest, TenAMinuteThenSilence) {
  FailureThrottle throttle;
  const auto culprit = v4(1), other = v4(2);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(throttle.admits(culprit, at(seconds(i))));
    EXPECT_EQ(throttle.failed(culprit, at(seconds(i))), i == 9) << "told once";
  }
  EXPECT_FALSE(throttle.admits(culprit, at(seconds(10))));
  EXPECT_FALSE(throttle.admits(culprit, at(seconds(59))));
  EXPECT_TRUE(throttle.admits(other, at(seconds(59))));
  EXPECT_EQ(throttle.refused(), 2u);
  // The minute began with the first failure.
  EXPECT_TRUE(throttle.admits(culprit, at(seconds(60))));
  EXPECT_EQ(throttle.addresses(), 0u);
}

TEST(FailureThrottleTest, HandshakesThatWereUnderWayCountToo) {
  FailureThrottle throttle;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(throttle.failed(v4(1), at(seconds(1))), i == 9);
  EXPECT_FALSE(throttle.admits(v4(1), at(seconds(2))));
  // A new minute, though nobody asked in between.
  EXPECT_FALSE(throttle.failed(v4(1), at(seconds(70))));
  EXPECT_TRUE(throttle.admits(v4(1), at(seconds(70))));
}

TEST(FailureThrottleTest, AnIpv6SubscriberIsOne) {
  FailureThrottle throttle;
  for (std::uint64_t i = 0; i < 10; ++i) throttle.failed(v6(7, i), at(seconds(1)));
  EXPECT_FALSE(throttle.admits(v6(7, 99), at(seconds(2))));
  EXPECT_TRUE(throttle.admits(v6(8, 1), at(seconds(2))));
}

TEST(FailureThrottleTest, ItForgetsTheOldestWhenFull) {
  FailureThrottle throttle;
  for (int i = 0; i < 10; ++i) throttle.failed(v4(0), at(seconds(1)));
  for (std::uint32_t i = 1; i < FailureThrottle::kAddresses; ++i) throttle.failed(v4(i), at(seconds(1)));
  EXPECT_FALSE(throttle.admits(v4(0), at(seconds(2))));
  throttle.failed(v4(1), at(seconds(2)));  // the latest now
  throttle.failed(v4(FailureThrottle::kAddresses), at(seconds(2)));
  EXPECT_EQ(throttle.addresses(), FailureThrottle::kAddresses);
  EXPECT_TRUE(throttle.admits(v4(0), at(seconds(2)))) << "forgotten";
  for (int i = 0; i < 8; ++i) throttle.failed(v4(1), at(seconds(3)));
  EXPECT_FALSE(throttle.admits(v4(1), at(seconds(3)))) << "remembered";
}

}  // namespace
}  // namespace ferrotunnel::session
