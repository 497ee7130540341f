// The pool of warm origin connections: what a request pays to get one and to give it back.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "allocations.h"
#include "ingress/http1/origin_pool.h"

namespace ferrotunnel::ingress {
namespace {

struct IdleStream final : transport::Stream {
  void set_handler(transport::StreamHandler&) override {}
  void want_write() override {}
  void resume_read() override {}
  void reset(transport::ResetReason) override {}
  [[nodiscard]] std::uint32_t id() const override { return 2; }
  [[nodiscard]] std::size_t held() const override { return 0; }
  [[nodiscard]] bool blocked() const override { return false; }
};

struct IdleLink final : transport::Link {
  Result<transport::Stream*> open(const transport::OpenInfo&, transport::StreamHandler&) override {
    return streams.emplace_back(std::make_unique<IdleStream>()).get();
  }
  void send_control(std::string_view) override {}
  void ping() override {}
  void goaway(std::uint32_t, std::string_view) override {}
  void close(const Error&) override {}
  [[nodiscard]] transport::LinkCapabilities capabilities() const override { return {}; }
  [[nodiscard]] transport::LinkStatus status() const override { return {}; }
  std::vector<std::unique_ptr<IdleStream>> streams;
};

struct Exchange final : transport::StreamHandler {
  std::size_t on_data(transport::Stream&, ConstBytes bytes) override { return bytes.size(); }
  void on_fin(transport::Stream&) override {}
  void on_end(transport::Stream&, transport::StreamEnd) override {}
  transport::Fill fill(transport::Stream&, MutBytes) override { return {}; }
};

// The argument: tunnels, each of which has a warm connection.
void origin_pool_take_and_put(benchmark::State& state) {
  MemoryBudget budget;
  transport::Shard shard(0, budget);
  IdleLink link;
  OriginPool pool(shard, {});
  Exchange exchange;
  const auto tunnels = static_cast<std::uint32_t>(state.range(0));
  for (std::uint32_t tunnel = 0; tunnel < tunnels; ++tunnel) {
    auto opened = pool.open(link, {1, tunnel}, {}, exchange);
    if (!opened) return state.SkipWithError("it cannot be opened");
    pool.put(std::move(*opened));
  }
  std::uint32_t next = 0;
  {
    const bench::CountAllocations count(state);
    for (auto _ : state) {
      OriginPtr connection = pool.take({1, next}, exchange);
      if (!connection) return state.SkipWithError("none is warm");
      pool.put(std::move(connection));
      next = next + 1 == tunnels ? 0 : next + 1;
    }
  }
  pool.clear();
}
BENCHMARK(origin_pool_take_and_put)->Arg(1)->Arg(500);

}  // namespace
}  // namespace ferrotunnel::ingress
