// A token bucket of one second's depth, for counting what a peer sends. Time is handed in. One owner.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace ferrotunnel::mux {

class RateLimit {
 public:
  explicit RateLimit(std::uint32_t per_second) : per_second_(per_second), tokens_(per_second) {}

  // Takes one; false when the second's worth is used up.
  [[nodiscard]] bool take(TimePoint now) {
    if (tokens_ == 0) refill(now);
    if (tokens_ == 0) return false;
    if (tokens_ == per_second_) last_ = now;  // a full bucket earns nothing: its second begins with the first one taken
    --tokens_;
    return true;
  }

 private:
  // Only when empty: a peer inside its limit costs a decrement a frame.
  void refill(TimePoint now) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(now - last_).count();
    if (elapsed <= 0) return;
    const auto earned =
        elapsed >= 1'000'000 ? per_second_ : static_cast<std::uint64_t>(elapsed) * per_second_ / 1'000'000;
    if (earned == 0) return;
    tokens_ = static_cast<std::uint32_t>(earned);
    last_ = now;
  }

  std::uint32_t per_second_;
  std::uint32_t tokens_;
  TimePoint last_{};
};

}  // namespace ferrotunnel::mux
