// The whole path in one thread, with its system calls: visitor, relay, link, link, relay, origin (tests/support/byte_path.h).
#include <benchmark/benchmark.h>

#include <algorithm>

#include "allocations.h"
#include "support/byte_path.h"

namespace ferrotunnel {
namespace {

using test::BytePath;

// Arguments: streams, bytes that each sends in a burst. An operation is a burst: all of them, from the visitors to the origins.
void through(benchmark::State& state, BytePath::Over over) {
  BytePath path({static_cast<int>(state.range(0)), static_cast<std::size_t>(state.range(1)), over});
  std::uint64_t allocated = 0, before = 0, frames = 0, counted = 0;
  BytePath::Sample from;
  const auto mark = [&](bool end, const BytePath::Sample& sample) {
    if (!end) {
      from = sample;
      before = bench::allocations();
      return;
    }
    allocated += bench::allocations() - before;
    frames += sample.frames - from.frames;
    counted += sample.turns - from.turns;
  };
  constexpr std::uint64_t kBatch = 64, kWarm = 8;  // bursts of a run; the first ones fill Asio's caches
  // Until credit was given back, which is twice in 64 KiB of a stream.
  const auto first = std::max<std::uint64_t>(kBatch, (128 << 10) / static_cast<std::uint64_t>(state.range(1)));
  if (!path.run(first, 0, {})) return state.SkipWithError("an end failed");
  while (state.KeepRunningBatch(kBatch))
    if (!path.run(kBatch - kWarm, kWarm, mark)) return state.SkipWithError("an end failed");
  state.counters["allocs"] =
      benchmark::Counter(static_cast<double>(allocated) / static_cast<double>(std::max<std::uint64_t>(1, counted)));
  state.counters["frames/op"] = static_cast<double>(frames) / static_cast<double>(std::max<std::uint64_t>(1, counted));
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}
void path_over_tcp(benchmark::State& state) { through(state, BytePath::Over::Tcp); }
void path_over_socketpair(benchmark::State& state) { through(state, BytePath::Over::Socketpair); }
BENCHMARK(path_over_tcp)->Args({1, 64})->Args({64, 64})->Args({1, 64 << 10})->Args({16, 64 << 10})->UseRealTime();
BENCHMARK(path_over_socketpair)->Args({1, 64})->Args({64, 64})->Args({16, 64 << 10})->UseRealTime();

}  // namespace
}  // namespace ferrotunnel
