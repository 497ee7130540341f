// What the kernel has counted of one TCP connection's road (TCP_INFO). Any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace ferrotunnel::transport {

// Since the connection began, in segments.
struct RoadCount {
  std::uint64_t sent = 0, resent = 0;
  std::uint64_t received = 0, waited = 0;  // waited: came behind a hole, and so not when they arrived
};

// Nothing: not a TCP connection, or a system that does not count.
[[nodiscard]] std::optional<RoadCount> read_road(int fd);

}  // namespace ferrotunnel::transport
