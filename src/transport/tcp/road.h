// What the kernel knows of one TCP connection's road (TCP_INFO). Any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace ferrotunnel::transport {

// A road to a peer nearer than this is never called lossy: what it loses, its full buffers mostly, is sent again before anybody waits for it.
inline constexpr Duration kNearRtt = std::chrono::milliseconds(1);

struct RoadCount {
  // Since the connection began, in segments.
  std::uint64_t sent = 0, resent = 0;
  std::uint64_t received = 0, waited = 0;  // waited: came behind a hole, and so not when they arrived
  // How fast the peer took what was written, as it was measured last; 0: not yet.
  std::uint64_t bytes_per_second = 0;
  bool idle = false;   // we had nothing more to send then: it may be more
  Duration min_rtt{};  // the shortest of late; 0: not known
  [[nodiscard]] bool near() const { return min_rtt > Duration::zero() && min_rtt < kNearRtt; }
};

// Of a million segments sent, so many had to be sent again: from here on a road is lossy.
inline constexpr std::uint32_t kLossyPpm = 2'000;

// Nothing: not a TCP connection, or a system that does not count.
[[nodiscard]] std::optional<RoadCount> read_road(int fd);

}  // namespace ferrotunnel::transport
