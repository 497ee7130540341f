// What the kernel still holds of a TCP connection's output. Any thread.
#pragma once

#include <cstddef>

namespace ferrotunnel::transport {

// Bytes that were written and that the peer has not acknowledged; 0 where the system does not say.
[[nodiscard]] std::size_t unacknowledged(int fd);

}  // namespace ferrotunnel::transport
