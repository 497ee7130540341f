// Whose job is next, how many one network may have waiting, and what is forgotten.
#include "plugin/worker.h"

#include <gmock/gmock.h>

#include <future>
#include <string>

namespace ferrotunnel::plugin::test {
namespace {

using testing::ElementsAre;

constexpr Network kOne{4, 1}, kTwo{4, 2}, kThree{6, 1};

// One thread, which waits; what it does then, in order.
struct World {
  World() {
    EXPECT_TRUE(worker.run({0, 0}, [this, gone = go.get_future().share()] {
      began.set_value();
      gone.wait();
    }));
    began.get_future().wait();
  }
  [[nodiscard]] auto add(const Network& network, std::string name) {
    return worker.run(network, [this, name = std::move(name)] { done.push_back(name); });
  }
  // All that waits, to its end.
  void finish() {
    std::promise<void> last;
    EXPECT_TRUE(worker.run({9, 9}, [&] {
      // Behind this one there may be others of those who had more than one: look again.
      last.set_value();
    }));
    go.set_value();
    last.get_future().wait();
    for (int i = 0; i < 32; ++i) {
      std::promise<void> again;
      EXPECT_TRUE(worker.run({9, 9}, [&] { again.set_value(); }));
      again.get_future().wait();
    }
  }

  std::promise<void> go, began;
  std::vector<std::string> done;  // the worker's thread; read when it is done
  Worker worker{1};
};

TEST(Worker, NetworksTakeTurns) {
  World world;
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(world.add(kOne, name));
  for (const char* name : {"b1", "b2"}) ASSERT_TRUE(world.add(kTwo, name));
  ASSERT_TRUE(world.add(kThree, "c1"));
  world.finish();
  EXPECT_THAT(world.done, ElementsAre("a1", "b1", "c1", "a2", "b2", "a3"));
}

TEST(Worker, EachHasItsShareAndAllHaveALimit) {
  World world;
  std::size_t all = 0;
  for (std::uint64_t i = 0; all < Worker::kMaxQueued; ++i) {
    for (std::size_t n = 0; n < Worker::kMaxQueuedPerNetwork; ++n, ++all) ASSERT_TRUE(world.add({4, i}, ""));
    const auto above = world.add({4, i}, "");
    ASSERT_FALSE(above);
    EXPECT_EQ(above.error(), Worker::Refused::Share);
  }
  const auto full = world.add(kThree, "");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error(), Worker::Refused::Full);
  world.go.set_value();
}

TEST(Worker, WhatNobodyWantsIsForgotten) {
  World world;
  const auto a1 = world.add(kOne, "a1"), a2 = world.add(kOne, "a2"), b1 = world.add(kTwo, "b1");
  ASSERT_TRUE(a1 && a2 && b1);
  EXPECT_FALSE(world.worker.cancel(kTwo, *a1)) << "that is another's";
  EXPECT_TRUE(world.worker.cancel(kOne, *a1));
  EXPECT_FALSE(world.worker.cancel(kOne, *a1));
  EXPECT_TRUE(world.worker.cancel(kTwo, *b1));
  world.finish();
  EXPECT_THAT(world.done, ElementsAre("a2"));
  EXPECT_FALSE(world.worker.cancel(kOne, *a2)) << "it is over";
  world.worker.stop();
  const auto late = world.add(kOne, "late");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Worker::Refused::Full);
}

}  // namespace
}  // namespace ferrotunnel::plugin::test
