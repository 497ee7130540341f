// TokenBucket: so much a second, with a burst. Time is handed in, nothing is waited for.
//
// One number, the time at which the bucket will be full again, is all its state: what is taken moves it on, what is given back moves it
// back. So it is lock-free, and may be shared by shards. Whoever waits for tokens is woken late, and what would have flowed over
// meanwhile is still his: that is `grace`. Any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace ferrotunnel {

class TokenBucket {
 public:
  TokenBucket() = default;
  TokenBucket(const TokenBucket&) = delete;
  TokenBucket& operator=(const TokenBucket&) = delete;

  // Tokens a second, and the most that it holds. A rate of 0: no limit. It is full when its first limit is set; another one later
  // holds from then on, for what is missing too: whoever changes it again and again gains nothing.
  void set(std::uint64_t rate, std::uint64_t burst) {
    const double depth = rate == 0 ? 0 : static_cast<double>(burst) / static_cast<double>(rate) * 1e9;
    depth_.store(static_cast<std::int64_t>(std::min(depth, kLongest)), std::memory_order_relaxed);
    if (rate_.exchange(rate, std::memory_order_relaxed) == 0) full_at_.store(kLongAgo, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t rate() const { return rate_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t available(TimePoint now, Duration grace = {}) const {
    const std::uint64_t rate = this->rate();
    if (rate == 0) return UINT64_MAX;
    return tokens(now, grace, full_at_.load(std::memory_order_relaxed), rate);
  }

  // Up to `most`: what is there.
  std::uint64_t take(TimePoint now, std::uint64_t most, Duration grace = {}) {
    const std::uint64_t rate = this->rate();
    if (rate == 0) return most;
    std::int64_t at = full_at_.load(std::memory_order_relaxed);
    while (true) {
      const std::uint64_t n = std::min(most, tokens(now, grace, at, rate));
      if (n == 0) return 0;
      const std::int64_t from = std::max(at, ticks(now) - grace.count());
      if (full_at_.compare_exchange_weak(at, from + cost(n, rate), std::memory_order_relaxed)) return n;
    }
  }

  void give_back(std::uint64_t n) {
    if (const std::uint64_t rate = this->rate(); rate != 0)
      full_at_.fetch_sub(cost(n, rate), std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kLongAgo = INT64_MIN / 2;
  static constexpr double kLongest = 1e15;  // ns, 11 days: no bucket is deeper, and no sum below runs over

  static std::int64_t ticks(TimePoint at) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  }
  static std::int64_t cost(std::uint64_t n, std::uint64_t rate) {
    return static_cast<std::int64_t>(
        std::min(std::ceil(static_cast<double>(n) / static_cast<double>(rate) * 1e9), kLongest));
  }
  [[nodiscard]] std::uint64_t tokens(TimePoint now, Duration grace, std::int64_t full_at, std::uint64_t rate) const {
    const std::int64_t missing = std::max<std::int64_t>(full_at - ticks(now), -grace.count());
    const std::int64_t filled = depth_.load(std::memory_order_relaxed) - missing;
    // Rounded, so that what was put in as n comes out as n.
    return filled <= 0
               ? 0
               : static_cast<std::uint64_t>(static_cast<double>(filled) * static_cast<double>(rate) / 1e9 + 0.001);
  }

  std::atomic<std::uint64_t> rate_{0};
  std::atomic<std::int64_t> depth_{0};  // ns of its rate that it holds
  std::atomic<std::int64_t> full_at_{kLongAgo};
};

// Of bytes: a tenth of a second's worth, and no less than makes a decent segment.
[[nodiscard]] constexpr std::uint64_t bandwidth_burst(std::uint64_t bytes_a_second) {
  return std::max<std::uint64_t>(bytes_a_second / 10, 16 * 1024);
}

}  // namespace ferrotunnel
