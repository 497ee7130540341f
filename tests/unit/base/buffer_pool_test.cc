// Buffers are lent, counted and given back, whatever way they go.
#include "base/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace ferrotunnel {
namespace {

TEST(BufferPool, GivesTheSmallestSizeThatHolds) {
  MemoryBudget budget;
  BufferPool pool(budget);
  const std::pair<std::size_t, std::size_t> cases[] = {
      {0, 512},       {1, 512},        {512, 512},       {513, 4096},      {4096, 4096},      {4097, 16384},
      {16384, 16384}, {16385, 131072}, {131072, 131072}, {131073, 131072}, {1u << 30, 131072}};
  for (const auto& [least, size] : cases) {
    const Buffer buffer = pool.borrow(least);
    EXPECT_TRUE(buffer);
    EXPECT_EQ(buffer.size(), size) << least;
    EXPECT_EQ(buffer.bytes().size(), size);
    std::memset(buffer.data(), 0x5a, buffer.size());  // all of it is ours
    EXPECT_EQ(pool.lent(), 1u);
    EXPECT_EQ(budget.used(), size);
  }
  EXPECT_EQ(pool.lent(), 0u);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BufferPool, MovingKeepsOneOwner) {
  MemoryBudget budget;
  BufferPool pool(budget);
  Buffer a = pool.borrow(100);
  std::byte* const data = a.data();
  Buffer b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what a move leaves is part of the contract
  EXPECT_EQ(b.data(), data);
  Buffer c = pool.borrow(5000);
  c = std::move(b);  // the larger one goes back
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(pool.lent(), 1u);
  EXPECT_EQ(budget.used(), 512u);
  Buffer& self = c;
  c = std::move(self);
  EXPECT_EQ(c.data(), data);
  c.reset();
  c.reset();
  EXPECT_FALSE(c);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(pool.lent(), 0u);
  c = pool.borrow(1);
  EXPECT_TRUE(c);
}

TEST(MemoryBudget, AFullOneLeavesEachHolderItsShare) {
  MemoryBudget budget(1142);
  ASSERT_EQ(budget.body_limit(), 1000u);
  budget.add(999);
  EXPECT_TRUE(budget.admits(0, 5000)) << "not full";
  budget.add(1);
  EXPECT_TRUE(budget.bodies_full());
  EXPECT_FALSE(budget.full()) << "the last eighth is for heads";
  EXPECT_TRUE(budget.admits(0, 1000)) << "the first holder: all of it";
  EXPECT_FALSE(budget.admits(0, 1001));
  for (int i = 0; i < 4; ++i) budget.add_holder();
  EXPECT_EQ(budget.holders(), 4u);
  EXPECT_TRUE(budget.admits(0, 200)) << "it would be the fifth";
  EXPECT_FALSE(budget.admits(0, 201));
  EXPECT_TRUE(budget.admits(100, 150));
  EXPECT_FALSE(budget.admits(100, 151));
  EXPECT_TRUE(budget.admits(300, 50, 100)) << "no longer full, with that given back";
  EXPECT_FALSE(budget.admits(300, 0));
  budget.add(999);
  EXPECT_TRUE(budget.admits(100, 150));
  budget.add(1);
  EXPECT_FALSE(budget.admits(100, 1)) << "twice the limit: nobody";
  EXPECT_TRUE(budget.admits(100, 1, 1));
}

TEST(BufferPool, FreedBlocksAreUsedAgain) {
  MemoryBudget budget;
  BufferPool pool(budget);
  std::byte* const first = pool.borrow(4000).data();
  EXPECT_EQ(pool.borrow(4000).data(), first);
}

TEST(BufferPool, KeepsABoundedNumber) {
  MemoryBudget budget;
  BufferPool pool(budget);
  for (int round = 0; round < 3; ++round) {
    std::vector<Buffer> many;
    for (int i = 0; i < 500; ++i) many.push_back(pool.borrow(static_cast<std::size_t>(i) * 40));
    EXPECT_EQ(pool.lent(), 500u);
  }
  EXPECT_EQ(pool.lent(), 0u);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BufferPool, TellsWhatGoesBackToMalloc) {
  MemoryBudget budget;
  BufferPool pool(budget);
  const std::size_t size = BufferPool::kSizes.back(), kept = BufferPool::kKept.back();
  const auto burst = [&](std::size_t blocks) {
    std::vector<Buffer> many(blocks);
    for (Buffer& buffer : many) buffer = pool.borrow(size);
  };
  std::size_t told = 0, calls = 0;
  pool.tell_freed([&](std::size_t bytes) {
    EXPECT_GE(bytes, BufferPool::kTellEach);
    told += bytes;
    ++calls;
  });
  burst(kept);
  EXPECT_EQ(calls, 0u) << "it keeps those";
  burst(kept + 20);
  EXPECT_EQ(told, 20 * size);
  EXPECT_LE(calls, 20 * size / BufferPool::kTellEach);
  burst(kept + 1);
  EXPECT_EQ(told, 20 * size) << "too little to tell";
  pool.tell_freed({});
  burst(kept + 20);
  EXPECT_EQ(told, 20 * size);
}

TEST(MemoryBudget, SaysWhenItIsTightAndWhenFull) {
  MemoryBudget budget(100'000);
  EXPECT_EQ(budget.limit(), 100'000u);
  budget.add(50'000);
  EXPECT_FALSE(budget.tight());
  budget.add(1);
  EXPECT_TRUE(budget.tight());
  EXPECT_FALSE(budget.full());
  budget.add(49'999);
  EXPECT_TRUE(budget.full());
  BufferPool pool(budget);
  EXPECT_TRUE(pool.borrow(10)) << "advice, not a wall: what was paid for finds room";
  budget.sub(100'000);
  EXPECT_FALSE(budget.tight());
  EXPECT_EQ(budget.used(), 0u);
}

TEST(MemoryBudget, IsSharedByThePoolsOfManyThreads) {
  MemoryBudget budget;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&budget] {
        BufferPool pool(budget);
        for (int i = 0; i < 2000; ++i) {
          Buffer one = pool.borrow(static_cast<std::size_t>(i) * 10);
          Buffer two = pool.borrow(1);
          two = std::move(one);
        }
      });
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace ferrotunnel
