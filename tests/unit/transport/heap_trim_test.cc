// HeapTrim: once what was freed is worth it, seldom, and not where nothing was freed.
#include "transport/heap_trim.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

constexpr Duration kSoon = 200ms;

class HeapTrims : public testing::Test, public ShardFixture {
 public:
  // So many bytes in blocks of the largest size are lent at once and given back; the pool keeps four of them.
  void burst(std::size_t bytes) {
    std::vector<Buffer> blocks;
    for (std::size_t i = 0; i < bytes / BufferPool::kSizes.back(); ++i)
      blocks.push_back(shard.buffers().borrow(SIZE_MAX));
  }
  // Runs the shard for so long that one that was asked for would have come.
  void wait() {
    const TimePoint last = Clock::now() + kSoon + DeadlineWheel::kSlot * 2;
    EXPECT_TRUE(until([&] { return Clock::now() > last; }));
  }

  int asked = 0;
  bool possible = true;
  std::optional<HeapTrim> trim{std::in_place, shard,
                               [this] {
                                 ++asked;
                                 return possible;
                               },
                               kSoon};
};

TEST_F(HeapTrims, ComesOnceAfterABurst) {
  const TimePoint start = Clock::now();
  burst(2u << 20);
  burst(2u << 20);  // the same one
  EXPECT_EQ(asked, 0) << "while it goes on";
  ASSERT_TRUE(until([&] { return asked > 0; }));
  EXPECT_GE(Clock::now() - start, kSoon);
  wait();
  EXPECT_EQ(asked, 1) << "nothing was freed since";
  burst(2u << 20);
  EXPECT_TRUE(until([&] { return asked == 2; })) << "and after the next";
}

TEST_F(HeapTrims, DoesNotComeForLittleOrForWhatThePoolKeeps) {
  for (int i = 0; i < 100; ++i) burst(BufferPool::kSizes.back() * BufferPool::kKept.back());
  burst(HeapTrim::kAfter);  // half of it is kept
  wait();
  EXPECT_EQ(asked, 0);
  burst(HeapTrim::kAfter + BufferPool::kSizes.back());
  EXPECT_TRUE(until([&] { return asked == 1; })) << "the little adds up";
}

TEST_F(HeapTrims, ComesForWhatOthersFreed) {
  trim->freed(HeapTrim::kAfter - 1);
  wait();
  EXPECT_EQ(asked, 0);
  trim->freed(1);
  EXPECT_TRUE(until([&] { return asked == 1; }));
}

TEST_F(HeapTrims, IsAskedAgainWhereItCouldNotBe) {
  possible = false;
  burst(2u << 20);
  ASSERT_TRUE(until([&] { return asked >= 3; }));
  possible = true;
  const int before = asked;
  ASSERT_TRUE(until([&] { return asked > before; }));
  wait();
  EXPECT_EQ(asked, before + 1);
}

TEST_F(HeapTrims, MayGoBeforeTheShard) {
  burst(2u << 20);
  trim.reset();
  burst(2u << 20);
  wait();
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace ferrotunnel::transport::test
