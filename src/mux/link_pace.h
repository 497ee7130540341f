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
  // The kernel's unsent queue is as many turns of the rate long, up to kMostUnsent. On a machine of its own that is the most, which lets both
  // ends work in larger steps (measured: a twentieth less processor time a byte than with what a link begins with).
  static constexpr std::size_t kUnsentTurns = 4;
  static constexpr std::size_t kFirstUnsent = transport::kFirstUnsent;  // what a link begins with
  static constexpr std::size_t kMostUnsent = 4096 * 1024;
  // Where the road loses, a keystroke waits for what is sent again, however short our queue is; and a short one leaves the road idle when an
  // acknowledgement lets much go at once (measured: a sixth of the rate at 50 ms and 1 % lost). So it is what the road takes in so many round
  // trips there, and the most until that is known.
  static constexpr std::uint64_t kLossyRoundTrips = 8;
  static constexpr std::uint64_t kLeastLost = 2;
  static constexpr Duration kLossLook = std::chrono::seconds(1);
  static constexpr Duration kLossHold = std::chrono::seconds(10);  // behind the last second that lost some

  // Whether it is time to look again.
  [[nodiscard]] bool due(TimePoint now) const { return now - looked_ >= kLook; }
  // What the kernel measured; of an idle road it says nothing but that it gives at least so much. False: it changed nothing.
  bool look(const transport::RoadCount& road, TimePoint now) {
    looked_ = now;
    const std::size_t unsent_before = unsent(), before = bytes_;
    if (road.bytes_per_second > 0) follow(road.bytes_per_second, road.idle, road.min_rtt);
    look_at_losses(road, now);
    return bytes_ != before || unsent() != unsent_before;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t unsent() const { return lossy_ ? std::max(lossy_unsent_, unsent_) : unsent_; }

 private:
  void follow(std::uint64_t bytes_per_second, bool at_least, Duration rtt) {
    constexpr std::uint64_t kTurns = std::chrono::seconds(1) / kTurn;
    const std::uint64_t turn = bytes_per_second / kTurns / kLeast * kLeast;
    const std::size_t bytes = std::clamp<std::uint64_t>(turn, kLeast, kMost);
    const std::size_t unsent = std::clamp<std::uint64_t>(turn, kLeast, kMostUnsent / kUnsentTurns) * kUnsentTurns;
    const auto trips = static_cast<double>(kLossyRoundTrips * static_cast<std::uint64_t>(rtt.count())) / 1e9;
    const auto lossy =
        trips == 0
            ? kMostUnsent
            : static_cast<std::size_t>(std::min<double>(kMostUnsent, static_cast<double>(bytes_per_second) * trips));
    if (!at_least || bytes > bytes_) bytes_ = bytes;
    if (!at_least || unsent > unsent_) unsent_ = unsent;
    if (!at_least || lossy > lossy_unsent_) lossy_unsent_ = lossy;
  }
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

  std::size_t bytes_ = kMost, unsent_ = kFirstUnsent, lossy_unsent_ = kMostUnsent;
  bool lossy_ = false;
  TimePoint looked_{}, losses_looked_{}, lossy_until_{};
  std::uint64_t sent_ = 0, resent_ = 0;  // when it was looked at
};

}  // namespace ferrotunnel::mux
