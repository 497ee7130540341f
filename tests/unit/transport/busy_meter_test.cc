#include "transport/busy_meter.h"

#include <gtest/gtest.h>

namespace ferrotunnel::transport {
namespace {

using namespace std::chrono_literals;

TEST(BusyMeter, FourFifthsOfTheTimeIsBusy) {
  BusyMeter meter;
  const TimePoint start(1h);
  meter.look(start, 10s);
  EXPECT_FALSE(meter.busy()) << "it knows of nothing before";
  meter.look(start + 100ms, 10s + 80ms);
  EXPECT_TRUE(meter.busy());
  meter.look(start + 200ms, 10s + 80ms + 79ms);
  EXPECT_FALSE(meter.busy());
}

TEST(BusyMeter, WhatIsLongAgoSaysNothing) {
  BusyMeter meter;
  meter.look(TimePoint(1h), 0s);
  meter.look(TimePoint(1h) + BusyMeter::kOld + 1ns, BusyMeter::kOld);
  EXPECT_FALSE(meter.busy());
  meter.look(TimePoint(1h) + 2 * BusyMeter::kOld + 1ns, 2 * BusyMeter::kOld);
  EXPECT_TRUE(meter.busy());
}

TEST(BusyMeter, LooksNowAndThen) {
  BusyMeter meter;
  EXPECT_TRUE(meter.due(TimePoint(1h)));
  meter.look(TimePoint(1h), 0s);
  EXPECT_FALSE(meter.due(TimePoint(1h) + BusyMeter::kLook - 1ns));
  EXPECT_TRUE(meter.due(TimePoint(1h) + BusyMeter::kLook));
}

}  // namespace
}  // namespace ferrotunnel::transport
