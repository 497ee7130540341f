// LinkPace: how much a link commits to at once, so that a keystroke never waits long behind a download.
//
// What has been handed over cannot be overtaken: a frame that has begun, the output buffer, the kernel's unsent queue. So each follows the rate
// that the peer takes bytes at: kTurn of it, between kLeast and kMost bytes. On a fast road that is the most, which costs the least; on a slow
// one a quarter megabyte would be a wait. Sans-I/O; one owner, one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace ferrotunnel::mux {

class LinkPace {
 public:
  static constexpr Duration kTurn = std::chrono::milliseconds(2);
  static constexpr Duration kLook = std::chrono::milliseconds(50);  // between two looks at the rate
  static constexpr std::size_t kLeast = 16 * 1024;
  static constexpr std::size_t kMost = 256 * 1024;

  // Whether it is time to look again.
  [[nodiscard]] bool due(TimePoint now) const { return now - looked_ >= kLook; }
  // What the kernel measured; `idle`: there was nothing more to send, so the road may give more than that. False: it changed nothing.
  bool look(std::uint64_t bytes_per_second, bool idle, TimePoint now) {
    looked_ = now;
    constexpr std::uint64_t kTurns = std::chrono::seconds(1) / kTurn;
    const std::size_t wanted = std::clamp<std::uint64_t>(bytes_per_second / kTurns / kLeast * kLeast, kLeast, kMost);
    if (wanted == bytes_ || (idle && wanted < bytes_)) return false;
    bytes_ = wanted;
    return true;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = kMost;
  TimePoint looked_{};
};

}  // namespace ferrotunnel::mux
