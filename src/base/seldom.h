// Seldom: whether it is time again for what may be done once in a while, whichever thread asks. Any thread.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace ferrotunnel {

class Seldom {
 public:
  explicit Seldom(Duration between) : between_(between) {}
  // True for one of those who ask, at first and then once in the time between; who is told so does it.
  [[nodiscard]] bool due(TimePoint now) {
    const Duration::rep at = now.time_since_epoch().count();
    Duration::rep last = last_.load(std::memory_order_relaxed);
    if (last != kNever && at - last < between_.count()) return false;
    return last_.compare_exchange_strong(last, at, std::memory_order_relaxed);
  }

 private:
  static constexpr Duration::rep kNever = -1;
  const Duration between_;
  std::atomic<Duration::rep> last_{kNever};
};

}  // namespace ferrotunnel
