// Deadlines: never early, a slot late at most, whatever is done to them from inside one.
#include "transport/deadline.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

// How late a timer may be on top of a slot, besides what the machine is late; a missed slot would be another 100 ms.
constexpr Duration kSlack = 30ms;

struct Alarm final : Deadline {
  TimePoint due, fired;
  int count = 0;
  std::function<void()> then;
  void on_deadline() override {
    fired = Clock::now();
    ++count;
    if (then) then();
  }
};

class Deadlines : public testing::Test, public ShardFixture {
 public:
  void arm(Alarm& alarm, Duration after) {
    alarm.due = Clock::now() + after;
    shard.arm(alarm, after);
  }
  void expect_on_time(const Alarm& alarm) const {
    EXPECT_EQ(alarm.count, 1);
    EXPECT_GE(alarm.fired, alarm.due) << "early";
    EXPECT_LE(alarm.fired, alarm.due + DeadlineWheel::kSlot + kSlack + longest_step) << "late";
  }
};

TEST_F(Deadlines, NeverEarlyAndASlotLateAtMost) {
  // Spread over the phases of the slots, armed before and while the wheel runs.
  std::vector<Alarm> alarms(60);
  std::mt19937 random(1);
  for (std::size_t i = 0; i < 30; ++i) arm(alarms[i], std::chrono::milliseconds(random() % 700));
  std::size_t next = 30;
  ASSERT_TRUE(until([&] {
    if (next < alarms.size()) arm(alarms[next++], std::chrono::milliseconds(random() % 700));
    return std::ranges::all_of(alarms, [](const Alarm& one) { return one.count > 0; });
  }));
  for (const Alarm& one : alarms) expect_on_time(one);
}

TEST_F(Deadlines, AgainAfterTheWheelStoodStill) {
  for (int i = 0; i < 3; ++i) {
    Alarm alarm;
    arm(alarm, 10ms);
    ASSERT_TRUE(until([&] { return alarm.count > 0; }));
    expect_on_time(alarm);
    run_ready();
    Alarm after_pause;
    const TimePoint pause = Clock::now() + 130ms;
    until([&] { return Clock::now() > pause; });
    arm(after_pause, 50ms);
    ASSERT_TRUE(until([&] { return after_pause.count > 0; }));
    expect_on_time(after_pause);
  }
}

TEST_F(Deadlines, PastOnesFireSoon) {
  Alarm past, now, far_past;
  arm(past, -150ms);
  arm(far_past, -10min);
  arm(now, 0ms);
  const TimePoint begin = Clock::now();
  ASSERT_TRUE(until([&] { return past.count && now.count && far_past.count; }, 5s));
  EXPECT_LE(Clock::now() - begin, DeadlineWheel::kSlot + kSlack + longest_step);
}

TEST_F(Deadlines, ArmingAgainMovesIt) {
  Alarm alarm, probe;
  arm(alarm, 50ms);
  arm(alarm, 400ms);
  arm(probe, 250ms);
  ASSERT_TRUE(until([&] { return probe.count > 0; }));
  EXPECT_EQ(alarm.count, 0);
  EXPECT_TRUE(alarm.armed());
  arm(alarm, 20ms);
  ASSERT_TRUE(until([&] { return alarm.count > 0; }));
  expect_on_time(alarm);
  EXPECT_FALSE(alarm.armed());
}

TEST_F(Deadlines, DisarmedOnesDoNotFire) {
  Alarm alarm, probe;
  alarm.disarm();  // not armed: nothing
  arm(alarm, 50ms);
  alarm.disarm();
  EXPECT_FALSE(alarm.armed());
  {
    Alarm brief;
    arm(brief, 50ms);
  }
  arm(probe, 200ms);
  ASSERT_TRUE(until([&] { return probe.count > 0; }));
  EXPECT_EQ(alarm.count, 0);
}

TEST_F(Deadlines, MayDestroyItselfAndOthersAndArmAgain) {
  auto self = std::make_unique<Alarm>();
  auto other = std::make_unique<Alarm>();
  Alarm again, fresh;
  self->then = [&] {
    other.reset();
    arm(fresh, 0ms);
    self.reset();
  };
  other->then = [&] {
    self.reset();
    arm(fresh, 0ms);
    other.reset();
  };
  again.then = [&] {
    if (again.count < 3) shard.arm(again, 0ms);
  };
  arm(*self, 30ms);
  arm(*other, 30ms);
  arm(again, 30ms);
  ASSERT_TRUE(until([&] { return again.count == 3 && fresh.count == 1; }));
  EXPECT_FALSE(self || other);
}

// The wheel by itself, with a time that is handed in: a deadline of a later round waits for its round.
TEST(DeadlineWheelTest, OneMoreThanARoundAwayIsNotEarly) {
  ShardFixture fixture;
  Alarm far, near;
  fixture.shard.arm(far,
                    DeadlineWheel::kSlot * static_cast<int>(DeadlineWheel::kSlots) + 50ms);  // the same slot as 50 ms
  fixture.shard.arm(near, 50ms);
  ASSERT_TRUE(fixture.until([&] { return near.count > 0; }));
  EXPECT_EQ(far.count, 0);
  EXPECT_TRUE(far.armed());
}

}  // namespace
}  // namespace ferrotunnel::transport::test
