// Counts what a benchmark allocates: allocations.cc stands under operator new of bench_micro.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>

namespace ferrotunnel::bench {

[[nodiscard]] std::uint64_t allocations();  // of this thread, ever

// Lives around a benchmark's loop, after what warms it up, and reports allocations an operation as "allocs".
class CountAllocations {
 public:
  explicit CountAllocations(benchmark::State& state) : state_(state), before_(allocations()) {}
  ~CountAllocations() {
    state_.counters["allocs"] =
        benchmark::Counter(static_cast<double>(allocations() - before_), benchmark::Counter::kAvgIterations);
  }
  CountAllocations(const CountAllocations&) = delete;
  CountAllocations& operator=(const CountAllocations&) = delete;

 private:
  benchmark::State& state_;
  const std::uint64_t before_;
};

}  // namespace ferrotunnel::bench
