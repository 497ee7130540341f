// Whose job is next, how many a grant, a tunnel and a network may have waiting, and what is forgotten.
#include "plugin/worker.h"

#include <gmock/gmock.h>

#include <future>
#include <string>

namespace ferrotunnel::plugin::test {
namespace {

using testing::ElementsAre;

constexpr JobOwner kOne{"g", 1, {4, 1}}, kTwo{"g", 1, {4, 2}}, kThree{"g", 1, {6, 1}};

// One thread, which waits; what it does then, in order.
struct World {
  World() {
    EXPECT_TRUE(worker.run({"held"}, [this, gone = go.get_future().share()] {
      began.set_value();
      gone.wait();
    }));
    began.get_future().wait();
  }
  [[nodiscard]] auto add(const JobOwner& owner, std::string name) {
    return worker.run(owner, [this, name = std::move(name)] { done.push_back(name); });
  }
  // All that waits, to its end.
  void finish() {
    std::promise<void> last;
    EXPECT_TRUE(worker.run({"last"}, [&] {
      // Behind this one there may be others of those who had more than one: look again.
      last.set_value();
    }));
    go.set_value();
    last.get_future().wait();
    for (int i = 0; i < 32; ++i) {
      std::promise<void> again;
      EXPECT_TRUE(worker.run({"last"}, [&] { again.set_value(); }));
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

TEST(Worker, SoDoTunnelsAndGrants) {
  World world;
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(world.add(kOne, name));
  ASSERT_TRUE(world.add(kTwo, "b1"));
  const JobOwner other_tunnel{"g", 2, {4, 1}}, other_grant{"h", 3, {4, 1}};
  for (const char* name : {"t1", "t2"}) ASSERT_TRUE(world.add(other_tunnel, name));
  for (const char* name : {"h1", "h2", "h3"}) ASSERT_TRUE(world.add(other_grant, name));
  world.finish();
  EXPECT_THAT(world.done, ElementsAre("a1", "h1", "t1", "h2", "b1", "h3", "t2", "a2", "a3"));
}

TEST(Worker, EachHasItsShareAndAllHaveALimit) {
  World world;
  std::size_t all = 0;
  std::uint64_t grant = 0;
  const auto refused = [&](const JobOwner& owner) { return world.add(owner, "").error(); };
  for (; all < Worker::kMaxQueued; ++grant) {
    const std::string name = std::to_string(grant);
    std::uint64_t tunnel = 0;
    for (std::size_t of_grant = 0; of_grant < Worker::kMaxQueuedPerGrant; ++tunnel) {
      std::uint64_t network = 0;
      for (std::size_t of_tunnel = 0; of_tunnel < Worker::kMaxQueuedPerTunnel; ++network) {
        const JobOwner owner{name, tunnel, {4, network}};
        for (std::size_t n = 0; n < Worker::kMaxQueuedPerNetwork; ++n, ++all, ++of_tunnel, ++of_grant)
          ASSERT_TRUE(world.add(owner, ""));
        ASSERT_EQ(refused(owner), Worker::Refused::Share);
      }
      ASSERT_EQ(refused({name, tunnel, {4, network}}), Worker::Refused::Full) << "the tunnel's";
    }
    ASSERT_EQ(refused({name, tunnel, {}}), Worker::Refused::Full) << "the grant's";
  }
  EXPECT_EQ(refused({"newcomer"}), Worker::Refused::Full);
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
