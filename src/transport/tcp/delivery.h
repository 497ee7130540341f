// How far the peer has taken what was written to a connection. Any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace ferrotunnel::transport {

struct Delivery {
  std::uint64_t acknowledged = 0;  // bytes that the peer's system has said to have, since the connection began
  bool waiting = false;            // some are not sent, or not acknowledged
};
// None: not a TCP connection, or the system does not tell (anything but Linux 4.6 and later).
[[nodiscard]] std::optional<Delivery> delivery_of(int fd);

}  // namespace ferrotunnel::transport
