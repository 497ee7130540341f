// No allocation and no lock for a frame: frames run through relays and a pair of links on one shard, and what they cost is counted.
//
// Asio takes locks around each look of its loop at readiness, whatever the look finds. So locks are held to the number of looks, and of these
// there must be few for many frames: a lock that each frame takes would be many times what is allowed.
#include "support/byte_path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "byte_path/counted.h"

namespace ferrotunnel::test {
namespace {

// Vectors have grown, Asio has filled its caches, and credit was given back, which is twice in 64 KiB of a stream.
std::uint64_t warm_of(const BytePath::Shape& shape) { return std::max<std::uint64_t>(50, (128 << 10) / shape.piece); }
// Enough that credit is given back again.
std::uint64_t bursts_of(const BytePath::Shape& shape) { return std::max<std::uint64_t>(100, (64 << 10) / shape.piece); }

// A socket that is full for once, whose bytes are then held, may make a vector grow late. No more than that, however many frames there are.
constexpr std::uint64_t kOneOffs = 4;

struct Cost {
  Counted counted;
  BytePath::Sample moved;
  [[nodiscard]] double locks_a_look() const {
    return static_cast<double>(counted.locks) / static_cast<double>(counted.looks);
  }
  [[nodiscard]] double frames_a_look() const {
    return static_cast<double>(moved.frames) / static_cast<double>(counted.looks);
  }
};

Cost cost_of(const BytePath::Shape& shape) {
  BytePath path(shape);
  Counted before, after;
  BytePath::Sample from, to;
  const std::uint64_t bursts = bursts_of(shape);
  const bool whole = path.run(bursts, warm_of(shape), [&](bool end, const BytePath::Sample& sample) {
    (end ? to : from) = sample;
    (end ? after : before) = counted();
  });
  EXPECT_TRUE(whole);
  Cost cost{after - before, {to.frames - from.frames, to.bytes - from.bytes, to.turns - from.turns}};
  EXPECT_EQ(cost.moved.bytes, bursts * shape.piece * static_cast<std::uint64_t>(shape.streams));
  EXPECT_EQ(cost.moved.turns, bursts);
  std::printf("%3d streams of %7zu bytes: %6llu frames, %llu allocations, %.2f locks and %.2f frames a look\n",
              shape.streams, shape.piece, static_cast<unsigned long long>(cost.moved.frames),
              static_cast<unsigned long long>(cost.counted.allocations), cost.locks_a_look(), cost.frames_a_look());
  return cost;
}

// What Asio's loop takes for a look, as one small frame at a time shows it; a few more for timers and tasks.
bool keeps_to(const Cost& base, const Cost& cost) { return cost.locks_a_look() < 1.5 * base.locks_a_look() + 1; }

TEST(BytePathCost, small_frames_neither_allocate_nor_lock) {
  const Cost one = cost_of({1, 100});
  const Cost many = cost_of({64, 400});
  EXPECT_EQ(one.moved.frames, one.moved.turns);
  EXPECT_EQ(many.moved.frames, 64 * many.moved.turns);
  EXPECT_EQ(one.counted.allocations, 0u);
  EXPECT_EQ(many.counted.allocations, 0u);
  EXPECT_LT(one.locks_a_look(), 6);
  EXPECT_GT(many.frames_a_look(), 4) << "so few frames a look that a lock for each would not show";
  EXPECT_TRUE(keeps_to(one, many)) << one.locks_a_look() << " locks a look became " << many.locks_a_look();
}

TEST(BytePathCost, large_frames_neither_allocate_nor_lock) {
  const Cost one = cost_of({1, 100});
  for (const BytePath::Shape& shape : {BytePath::Shape{1, 16 << 10}, {1, 1 << 20}, {16, 256 << 10}, {64, 64 << 10}}) {
    const Cost cost = cost_of(shape);
    EXPECT_LE(cost.counted.allocations, kOneOffs);
    EXPECT_TRUE(keeps_to(one, cost)) << one.locks_a_look() << " locks a look became " << cost.locks_a_look();
  }
}

// The hook itself: it sees the mistakes that it is there for.
TEST(BytePathCost, an_allocation_for_each_piece_shows) {
  const Cost cost = cost_of({16, 400, BytePath::Over::Tcp, [] { delete new volatile int(1); }});
  EXPECT_GE(cost.counted.allocations, 16 * cost.moved.turns);
}
TEST(BytePathCost, a_lock_for_each_piece_shows) {
  std::mutex mutex;
  const auto locks = [&mutex] { const std::lock_guard lock(mutex); };
  const Cost one = cost_of({1, 100});
  EXPECT_FALSE(keeps_to(one, cost_of({64, 400, BytePath::Over::Tcp, locks})));
  EXPECT_FALSE(keeps_to(one, cost_of({64, 64 << 10, BytePath::Over::Tcp, locks})));
}

}  // namespace
}  // namespace ferrotunnel::test
