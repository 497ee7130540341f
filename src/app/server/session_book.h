// SessionBook: what the shards of one session share: the counts of its tunnels, and of its links that are gone.
//
// The session adds a tunnel before any visitor can come for it, and removes it with its place. A shard looks one up once and keeps it: the counts
// are atomics, and nothing of this is locked for a visitor, or for a byte. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "app/tunnel_visitors.h"
#include "ingress/limits/visitor_count.h"

namespace ferrotunnel::app {

struct TunnelCounts : TunnelVisitors {  // `now` of TCP tunnels
  explicit TunnelCounts(std::string n) : name(std::move(n)) {}
  const std::string name;
  std::array<std::atomic<std::uint64_t>, ingress::kRefusals> refused{};

  void count_refused(ingress::Refusal why) {
    refused[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] ingress::RefusalCounts refusals() const {
    ingress::RefusalCounts counts{};
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = refused[i].load(std::memory_order_relaxed);
    return counts;
  }
};
using TunnelCountsPtr = std::shared_ptr<TunnelCounts>;

class SessionBook {
 public:
  void add(std::uint32_t number, TunnelCountsPtr counts) {
    const std::lock_guard lock(mutex_);
    tunnels_.insert_or_assign(number, std::move(counts));
  }
  void remove(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    tunnels_.erase(number);
  }
  // None: the tunnel is gone.
  [[nodiscard]] TunnelCountsPtr find(std::uint32_t number) const {
    const std::lock_guard lock(mutex_);
    const auto found = tunnels_.find(number);
    return found == tunnels_.end() ? nullptr : found->second;
  }

  std::atomic<std::uint64_t> bytes_in{0}, bytes_out{0};  // of further links that are gone

 private:
  mutable std::mutex mutex_;
  std::map<std::uint32_t, TunnelCountsPtr> tunnels_;
};

}  // namespace ferrotunnel::app
