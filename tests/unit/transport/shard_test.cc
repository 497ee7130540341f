// Turns: what runs when, once, and never after it died.
#include "transport/shard.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

struct Task final : TurnTask {
  explicit Task(std::function<void()> work) : run(std::move(work)) {}
  std::function<void()> run;
  int runs = 0;
  void run_turn() override {
    ++runs;
    if (run) run();
  }
};

class ShardTurns : public testing::TestWithParam<bool>, public ShardFixture {
 public:
  ShardTurns() : ShardFixture(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Pollers, ShardTurns, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

TEST_P(ShardTurns, ATaskRunsOnceHoweverOftenItIsScheduled) {
  Task end(nullptr), next(nullptr);
  for (int i = 0; i < 5; ++i) {
    shard.at_turn_end(end);
    shard.next_turn(next);
    shard.next_turn(end);
    shard.at_turn_end(next);
  }
  EXPECT_TRUE(end.scheduled() && next.scheduled());
  run_ready();
  EXPECT_EQ(end.runs, 1);
  EXPECT_EQ(next.runs, 1);
  EXPECT_FALSE(end.scheduled() || next.scheduled());
  run_ready();
  EXPECT_EQ(end.runs, 1);
}

TEST_P(ShardTurns, NeverFromInsideTheCall) {
  Task task(nullptr);
  shard.at_turn_end(task);
  EXPECT_EQ(task.runs, 0);
  run_ready();
  shard.next_turn(task);
  EXPECT_EQ(task.runs, 1);
  run_ready();
  EXPECT_EQ(task.runs, 2);
}

TEST_P(ShardTurns, WhatATurnSchedulesForItsEndRunsInIt) {
  std::vector<int> order;
  Task last([&] { order.push_back(3); });
  Task end([&] {
    order.push_back(2);
    shard.at_turn_end(last);
  });
  Task first([&] {
    order.push_back(1);
    shard.at_turn_end(end);
  });
  shard.next_turn(first);
  shard.io().run_one();
  EXPECT_EQ(order, (std::vector{1, 2, 3})) << "one turn";
}

TEST_P(ShardTurns, ATaskThatAlwaysComesBackDoesNotHoldTheShard) {
  Task again(nullptr);
  again.run = [&] {
    if (again.runs < 100'000) shard.at_turn_end(again);
  };
  bool other = false;
  shard.at_turn_end(again);
  boost::asio::post(shard.io(), [&] { other = true; });
  for (int i = 0; i < 4 && !other; ++i) shard.io().run_one();
  EXPECT_TRUE(other);
  EXPECT_LT(again.runs, 100);
  Task next(nullptr);
  next.run = [&] {
    if (next.runs < 1000) shard.next_turn(next);
  };
  shard.next_turn(next);
  again.runs = 100'000;
  run_ready();
  EXPECT_EQ(next.runs, 1000);
}

TEST_P(ShardTurns, ATaskThatDiesIsForgotten) {
  auto task = std::make_unique<Task>([] { FAIL() << "run after its death"; });
  shard.at_turn_end(*task);
  task.reset();
  auto victim = std::make_unique<Task>([] { FAIL() << "run after its death"; });
  Task killer([&] { victim.reset(); });
  shard.at_turn_end(killer);
  shard.at_turn_end(*victim);  // in the same list, behind its killer
  run_ready();
  EXPECT_EQ(killer.runs, 1);
  EXPECT_FALSE(victim);
}

TEST_P(ShardTurns, ATaskMayDestroyItselfAndScheduleOthers) {
  Task other(nullptr);
  auto task = std::make_unique<Task>(nullptr);
  task->run = [&] {
    shard.at_turn_end(other);
    task.reset();
  };
  shard.next_turn(*task);
  run_ready();
  EXPECT_FALSE(task);
  EXPECT_EQ(other.runs, 1);
}

TEST_P(ShardTurns, TheTimeIsThatOfTheTurn) {
  TimePoint first, second;
  Task task([&] {
    first = shard.now();
    const TimePoint until = Clock::now() + 2ms;
    while (Clock::now() < until) {
    }
    second = shard.now();
  });
  const TimePoint before = Clock::now();
  shard.next_turn(task);
  run_ready();
  EXPECT_EQ(first, second);
  EXPECT_GE(first, before);
  const TimePoint outside = shard.now();
  EXPECT_GT(outside, first) << "outside of a turn it is the clock's";
}

TEST_P(ShardTurns, PostFromOtherThreadsAndStop) {
  std::thread runner([this] { shard.run(); });
  std::atomic<int> done = 0;
  std::vector<std::jthread> posters;
  for (int t = 0; t < 4; ++t)
    posters.emplace_back([&] {
      for (int i = 0; i < 500; ++i) shard.post([&done] { ++done; });
    });
  posters.clear();
  shard.post([this] { shard.stop(); });
  runner.join();
  EXPECT_EQ(done, 2000);
}

TEST_P(ShardTurns, APostEndsTheSleepBetweenTwoBursts) {
  // While there is traffic the shard sleeps in its own set: what is posted from elsewhere must not wait for the next byte.
  struct Reader final : PollHandler {
    explicit Reader(int at) : fd(at) {}
    int fd;
    std::atomic<int> got = 0;
    void on_ready(std::uint32_t) override {
      char byte[64];
      while (::recv(fd, byte, sizeof byte, 0) > 0) ++got;
    }
  };
  auto [a, b] = unix_pair();
  Reader reader(a.get());
  ASSERT_TRUE(shard.poller().add(a.get(), reader));
  std::thread runner([this] { shard.run(); });
  std::atomic<int> done = 0;
  for (int i = 0; i < 300; ++i) {
    (void)::send(b.get(), "x", 1, MSG_NOSIGNAL);  // a reader that is late leaves no room: then there is traffic enough
    shard.post([&done] { ++done; });
    if (i % 3 == 0) std::this_thread::sleep_for(1ms);  // some find it asleep
  }
  std::atomic<bool> last = false;
  const TimePoint asked = Clock::now();
  shard.post([&] {
    last = true;
    shard.stop();
  });
  runner.join();
  EXPECT_TRUE(last);
  EXPECT_EQ(done, 300);
  EXPECT_LT(Clock::now() - asked, 10s);
  EXPECT_GT(reader.got, 0);
  shard.poller().remove(a.get(), reader);
}

TEST_P(ShardTurns, TheReadBufferIsOne) {
  EXPECT_EQ(shard.read_buffer().size(), Shard::kReadBuffer);
  EXPECT_EQ(shard.read_buffer().data(), shard.read_buffer().data());
}

TEST_P(ShardTurns, AShardMayDieWithTasksAndDeadlinesPending) {
  struct Never final : Deadline {
    void on_deadline() override { FAIL(); }
  } deadline;
  Task task([] { FAIL(); });
  {
    MemoryBudget memory;
    Shard brief(1, memory, GetParam());
    EXPECT_EQ(brief.index(), 1u);
    brief.at_turn_end(task);
    brief.arm(deadline, 0ms);
  }
  EXPECT_FALSE(task.scheduled());
  EXPECT_FALSE(deadline.armed());
}

}  // namespace
}  // namespace ferrotunnel::transport::test
