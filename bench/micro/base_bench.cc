// The small things that each piece of the path uses: a buffer of the pool, tokens of a bucket, a deadline.
#include <benchmark/benchmark.h>

#include "allocations.h"
#include "base/buffer_pool.h"
#include "base/token_bucket.h"
#include "transport/shard.h"

namespace ferrotunnel {
namespace {

using bench::CountAllocations;

void pool_borrow(benchmark::State& state) {
  MemoryBudget budget;
  BufferPool pool(budget);
  for (const std::uint32_t size : BufferPool::kSizes) benchmark::DoNotOptimize(pool.borrow(size).data());
  const auto size = static_cast<std::size_t>(state.range(0));
  const CountAllocations count(state);
  for (auto _ : state) {
    Buffer buffer = pool.borrow(size);
    benchmark::DoNotOptimize(buffer.data());
  }
}
BENCHMARK(pool_borrow)->Arg(512)->Arg(128 << 10);

// One bucket, as many threads: a grant's bandwidth is shared by shards.
void bucket_take(benchmark::State& state) {
  static TokenBucket bucket;
  if (state.thread_index() == 0) bucket.set(1u << 30, 1u << 30);
  TimePoint now = Clock::now();
  const CountAllocations count(state);
  for (auto _ : state) {
    now += std::chrono::microseconds(1);
    benchmark::DoNotOptimize(bucket.take(now, 1024));
  }
}
BENCHMARK(bucket_take)->Threads(1)->Threads(2);

void bucket_without_limit(benchmark::State& state) {
  TokenBucket bucket;
  const TimePoint now = Clock::now();
  for (auto _ : state) benchmark::DoNotOptimize(bucket.take(now, 1024));
}
BENCHMARK(bucket_without_limit);

struct Nothing final : transport::Deadline {
  void on_deadline() override {}
};

// Armed anew with each byte that moves, as an idle timeout is.
void deadline_arm(benchmark::State& state) {
  MemoryBudget budget;
  transport::Shard shard(0, budget);
  Nothing deadline;
  shard.arm(deadline, std::chrono::seconds(30));
  const CountAllocations count(state);
  for (auto _ : state) shard.arm(deadline, std::chrono::seconds(30));
}
BENCHMARK(deadline_arm);

}  // namespace
}  // namespace ferrotunnel
