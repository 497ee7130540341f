// What the mux costs by itself: two cores joined in memory, DATA from one to the other, with nothing that a socket adds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "mux/mux_core.h"

namespace ferrotunnel::mux {
namespace {

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

// Arguments: streams, bytes that each has at a time.
void mux_data(benchmark::State& state) {
  Pair pair(static_cast<int>(state.range(0)), static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    if (!pair.turn()) return state.SkipWithError("nothing more comes");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(pair.client.taken));
  state.counters["frames"] =
      benchmark::Counter(static_cast<double>(pair.client.core.counters().data_frames_in), benchmark::Counter::kIsRate);
}
BENCHMARK(mux_data)->Args({1, 1 << 20})->Args({64, 1 << 20})->Args({64, 1024})->Args({10'000, 64});

void mux_open_and_reset(benchmark::State& state) {
  Pair pair(0, 1);
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
