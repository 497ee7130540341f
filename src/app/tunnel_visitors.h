// TunnelVisitors: how many visitors a tunnel has and had, over all links of its session; at either end.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace ferrotunnel::app {

// Any thread.
struct TunnelVisitors {
  std::atomic<std::uint64_t> now{0}, total{0};
  // One came (+1) or went (-1).
  // The two after the change.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> count(int change) {
    if (change > 0) {
      const std::uint64_t is = now.fetch_add(1, std::memory_order_relaxed) + 1;
      return {is, total.fetch_add(1, std::memory_order_relaxed) + 1};
    }
    return {now.fetch_sub(1, std::memory_order_relaxed) - 1, total.load(std::memory_order_relaxed)};
  }
};

}  // namespace ferrotunnel::app
