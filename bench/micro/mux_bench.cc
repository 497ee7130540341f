// What the mux costs by itself: two cores joined in memory, DATA from one to the other, with nothing that a socket adds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "allocations.h"
#include "mux/mux_core.h"
#include "wire/frame.h"

namespace ferrotunnel::mux {
namespace {

using bench::CountAllocations;

// Sends without an end where it is told to, and takes all that comes.
struct End final : MuxHost, transport::LinkHandler, transport::StreamHandler {
  End(Role role, BufferPool& pool) : core(role, {}, pool, *this, *this) {}

  void on_output() override {}
  void on_open(transport::Stream& stream, const transport::OpenInfo&) override { stream.set_handler(*this); }
  void on_control(std::string_view) override {}
  void on_goaway(std::uint32_t, std::string_view) override {}
  void on_link_closed(const Error&) override {}
  std::size_t on_data(transport::Stream&, ConstBytes bytes) override {
    taken += bytes.size();
    return bytes.size();
  }
  void on_fin(transport::Stream&) override {}
  void on_end(transport::Stream&, transport::StreamEnd) override {}
  transport::Fill fill(transport::Stream&, MutBytes into) override {
    return {std::min(into.size(), piece), false,
            true};  // the bytes are whatever is there: copying them is the socket's work
  }

  MuxCore core;
  std::size_t piece = SIZE_MAX;
  std::uint64_t taken = 0;
};

struct Pair {
  Pair(int streams, std::size_t piece) {
    server.piece = piece;
    for (int i = 0; i < streams; ++i) {
      auto stream = server.core.open({}, server);
      if (stream) (*stream)->want_write();
    }
  }
  // A buffer's worth one way, and what the other says to that.
  bool turn() {
    now += std::chrono::microseconds(100);
    const std::size_t down = server.core.produce(buffer, now);
    if (!client.core.receive(ConstBytes(buffer).first(down), now)) return false;
    const std::size_t up = client.core.produce(buffer, now);
    return server.core.receive(ConstBytes(buffer).first(up), now).has_value() && down != 0;
  }

  MemoryBudget budget;
  BufferPool pool{budget};
  End server{Role::Server, pool}, client{Role::Client, pool};
  std::vector<std::byte> buffer = std::vector<std::byte>(128 << 10);
  TimePoint now{};
};

// Until vectors have grown and every stream has had its turn.
bool warm_up(Pair& pair, int streams) {
  for (int i = 0; i < 64 + std::min(streams, 2000); ++i)
    if (!pair.turn()) return false;
  return true;
}

// Arguments: streams, bytes that each has at a time. All of them are ready.
void mux_data(benchmark::State& state) {
  Pair pair(static_cast<int>(state.range(0)), static_cast<std::size_t>(state.range(1)));
  if (!warm_up(pair, static_cast<int>(state.range(0)))) return state.SkipWithError("nothing comes");
  const std::uint64_t bytes = pair.client.taken;
  const std::uint64_t frames = pair.client.core.counters().data_frames_in;
  {
    const CountAllocations count(state);
    for (auto _ : state) {
      if (!pair.turn()) return state.SkipWithError("nothing more comes");
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(pair.client.taken - bytes));
  state.counters["frames"] = benchmark::Counter(
      static_cast<double>(pair.client.core.counters().data_frames_in - frames), benchmark::Counter::kIsRate);
}
BENCHMARK(mux_data)
    ->Args({1, 64})
    ->Args({1, 1024})
    ->Args({1, 16 << 10})
    ->Args({1, 1 << 20})
    ->Args({64, 1 << 20})
    ->Args({64, 1024})
    ->Args({1000, 1024})
    ->Args({10'000, 64});

// One stream that has something among many that have not (the argument): what nobody sends costs nothing.
void mux_one_of_many(benchmark::State& state) {
  Pair pair(1, 1024);
  for (std::int64_t i = 0; i < state.range(0); ++i)
    if (!pair.server.core.open({}, pair.server)) return state.SkipWithError("it cannot be opened");
  if (!warm_up(pair, static_cast<int>(state.range(0)))) return state.SkipWithError("nothing comes");
  const CountAllocations count(state);
  for (auto _ : state) {
    if (!pair.turn()) return state.SkipWithError("nothing more comes");
  }
}
BENCHMARK(mux_one_of_many)->Arg(0)->Arg(10'000);

// Receiving alone: a read buffer's worth of DATA frames of the argument's size, of one stream whose handler takes all.
void mux_receive(benchmark::State& state) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  Pair pair(1, 64);
  if (!warm_up(pair, 1)) return state.SkipWithError("nothing comes");
  std::vector<std::byte> frames;
  do {
    const std::size_t at = frames.size();
    frames.resize(at + wire::kHeaderSize + size);
    wire::encode_header({wire::FrameType::Data, 0, size, 2}, frames.data() + at);  // a server's first stream
  } while (frames.size() < (48 << 10));
  std::vector<std::byte> answers(64 << 10);
  const std::uint64_t bytes = pair.client.taken;
  const auto turn = [&] {
    pair.now += std::chrono::milliseconds(1);
    const bool good = pair.client.core.receive(frames, pair.now).has_value();
    while (pair.client.core.has_output()) benchmark::DoNotOptimize(pair.client.core.produce(answers, pair.now));
    return good;
  };
  for (int i = 0; i < 16; ++i)
    if (!turn()) return state.SkipWithError("it is refused");
  {
    const CountAllocations count(state);
    for (auto _ : state)
      if (!turn()) return state.SkipWithError("it is refused");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(pair.client.taken - bytes));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * (frames.size() / (wire::kHeaderSize + size))));
}
BENCHMARK(mux_receive)->Arg(64)->Arg(1024)->Arg(16 << 10)->Arg(40 << 10);

void mux_open_and_reset(benchmark::State& state) {
  Pair pair(0, 1);
  const CountAllocations count(state);
  for (auto _ : state) {
    pair.now += std::chrono::seconds(1);  // the limit of opens a second is not what is measured
    auto stream = pair.server.core.open({}, pair.server);
    if (!stream) return state.SkipWithError("it cannot be opened");
    (*stream)->reset(transport::ResetReason::Cancel);
    if (pair.server.core.has_output()) benchmark::DoNotOptimize(pair.turn());
  }
}
BENCHMARK(mux_open_and_reset);

}  // namespace
}  // namespace ferrotunnel::mux
