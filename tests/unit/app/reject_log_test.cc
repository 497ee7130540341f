// RejectLog: ten a minute are told, and the rest counted.
#include "app/server/reject_log.h"

#include <gtest/gtest.h>

namespace ferrotunnel::app {
namespace {

using namespace std::chrono_literals;

TEST(RejectLog, TellsTenAMinuteAndCountsTheRest) {
  RejectLog log;
  TimePoint now{1h};
  for (int i = 0; i < 10; ++i, now += 1s) EXPECT_EQ(log.add(now), 0u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(log.add(now), std::nullopt);
  now += 49s;
  EXPECT_EQ(log.add(now), std::nullopt) << "59 s after the first";
  now += 1s;
  EXPECT_EQ(log.add(now), 501u);
  for (int i = 1; i < 10; ++i) EXPECT_EQ(log.add(now), 0u);
  EXPECT_EQ(log.add(now), std::nullopt);
  EXPECT_EQ(log.take(), 1u);
  EXPECT_EQ(log.take(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::app
