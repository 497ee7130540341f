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
#include "transport/tcp/road.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::mux {

class LinkPace {
 public:
  static constexpr Duration kTurn = std::chrono::milliseconds(2);
  static constexpr Duration kLook = std::chrono::milliseconds(50);  // between two looks at the rate
  static constexpr std::size_t kLeast = 16 * 1024;
  static constexpr std::size_t kMost = 256 * 1024;
  // The kernel's unsent queue is as many turns long.
  static constexpr std::size_t kUnsentTurns = 4;
  static constexpr std::size_t kMostUnsent = transport::kMostUnsent;  // what a link begins with
  // Where the road loses, a keystroke waits for what is sent again, however short our queue is; and a short one leaves the road idle when an
  // acknowledgement lets much go at once (measured: a sixth of the rate at 50 ms and 1 % lost).
  static constexpr std::size_t kLossyUnsent = 4096 * 1024;
  static constexpr std::uint64_t kLeastLost = 2;
  static constexpr Duration kLossLook = std::chrono::seconds(1);
  static constexpr Duration kLossHold = std::chrono::seconds(10);  // behind the last second that lost some

  // Whether it is time to look again.
  [[nodiscard]] bool due(TimePoint now) const { return now - looked_ >= kLook; }
  // What the kernel measured; of an idle road it says nothing but that it gives at least so much. False: it changed nothing.
  bool look(const transport::RoadCount& road, TimePoint now) {
    looked_ = now;
    const std::size_t unsent_before = unsent(), before = bytes_;
    constexpr std::uint64_t kTurns = std::chrono::seconds(1) / kTurn;
    const std::uint64_t rate = road.bytes_per_second > 0 ? road.bytes_per_second : UINT64_MAX;
    const std::size_t wanted = std::clamp<std::uint64_t>(rate / kTurns / kLeast * kLeast, kLeast, kMost);
    if (!road.idle || wanted > bytes_) bytes_ = wanted;
    look_at_losses(road, now);
    return bytes_ != before || unsent() != unsent_before;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t unsent() const {
    return lossy_ ? kLossyUnsent : std::min(bytes_ * kUnsentTurns, kMostUnsent);
  }

 private:
  void look_at_losses(const transport::RoadCount& road, TimePoint now) {
    const std::uint64_t lost = road.resent - resent_, all = road.sent - sent_;
    if (!road.near() && lost >= kLeastLost && lost * 1'000'000 >= all * transport::kLossyPpm) {
      lossy_ = true;
      lossy_until_ = now + kLossHold;
    } else if (now >= lossy_until_) {
      lossy_ = false;
    }
    if (now - losses_looked_ < kLossLook) return;
    losses_looked_ = now;
    sent_ = road.sent;
    resent_ = road.resent;
  }

  std::size_t bytes_ = kMost;
  bool lossy_ = false;
  TimePoint looked_{}, losses_looked_{}, lossy_until_{};
  std::uint64_t sent_ = 0, resent_ = 0;  // when it was looked at
};

}  // namespace ferrotunnel::mux
