// What a server may make a client open: limits, and what a session's threads share of its direct links.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace ferrotunnel::app {

// Connections at once beside the first link. Of the descriptors that the process may have direct links take a quarter at most (their local
// connections another), further links a sixteenth.
struct AskedLimits {
  std::uint32_t direct = 0, links = 0;
  friend bool operator==(const AskedLimits&, const AskedLimits&) = default;
};
[[nodiscard]] inline AskedLimits asked_limits(std::uint32_t max_direct, std::uint32_t max_links,
                                              std::uint64_t descriptors) {
  const auto within = [](std::uint32_t most, std::uint64_t share) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, std::max<std::uint64_t>(share, 1)));
  };
  return {within(max_direct, descriptors / 4), within(max_links, descriptors / 16)};
}

// Times that the server asked for more. Any thread.
struct AskedCounters {
  std::atomic<std::uint64_t> direct_limited{0}, links_limited{0};
};

// What the threads of one session share: how many direct links it shall have waiting, and has or dials; and how many there are in all. Any thread.
class DirectShare {
 public:
  static constexpr std::uint32_t kMostWarm = 256;
  // `counters` outlives it. `most`: with those that have a visitor.
  DirectShare(std::uint32_t most, AskedCounters& counters) : most_(most), counters_(counters) {}

  void want(std::uint32_t count) {
    const std::uint32_t most = std::min(most_, kMostWarm);
    if (count > most) counters_.direct_limited.fetch_add(1, std::memory_order_relaxed);
    want_.store(std::min(count, most));
  }
  // Another one may be dialled.
  [[nodiscard]] bool take() {
    std::uint32_t have = have_.load();
    do {
      if (have >= want_.load()) return false;
    } while (!have_.compare_exchange_weak(have, have + 1));
    if (all_.fetch_add(1) < most_) return true;
    give(1);
    counters_.direct_limited.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  // So many are gone, without a visitor.
  void give(std::size_t count) {
    all_.fetch_sub(static_cast<std::uint32_t>(count));
    have_.fetch_sub(static_cast<std::uint32_t>(count));
  }
  void give_to_visitor() { have_.fetch_sub(1); }
  void visitor_gone() { all_.fetch_sub(1); }

  [[nodiscard]] bool full() const { return all_.load() >= most_; }
  [[nodiscard]] bool lacks() const { return have_.load() < want_.load(); }

 private:
  const std::uint32_t most_;
  AskedCounters& counters_;
  std::atomic<std::uint32_t> want_{0}, have_{0}, all_{0};
};
using DirectSharePtr = std::shared_ptr<DirectShare>;

}  // namespace ferrotunnel::app
