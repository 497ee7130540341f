// WindowMemory: how large a window the streams of a link have needed of late, so that the next busy one is given it at once. Otherwise each
// stream finds out anew, by doubling, a round trip for each step; and a congestion control that looks on meanwhile takes the road for a slow
// one (BBR, measured: at 50 ms and 1 % lost a sixth of the rate).
//
// Sans-I/O; one owner, one thread.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace ferrotunnel::mux {

class WindowMemory {
 public:
  static constexpr Duration kKeep = std::chrono::minutes(1);

  // A stream with this window has used half of it.
  void used(std::uint32_t window, TimePoint now) {
    if (window < window_ && now - at_ < kKeep) return;
    window_ = window;
    at_ = now;
  }
  void forget() { window_ = 0; }
  // At least this is what a stream gets that is held up by its window.
  [[nodiscard]] std::uint32_t known(TimePoint now) const { return now - at_ < kKeep ? window_ : 0; }

 private:
  std::uint32_t window_ = 0;
  TimePoint at_{};
};

}  // namespace ferrotunnel::mux
