// Network: what counts as one address where there is a limit for each: an IPv4 address, or an IPv6 /64, which is what one machine has. A value.
#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "transport/link.h"

namespace ferrotunnel::transport {

using Network = std::pair<std::uint64_t, std::uint64_t>;  // family, and its bytes

[[nodiscard]] inline Network network_of(const PeerAddress& address) {
  if (address.family == 6) return {6, load_be<std::uint64_t>(address.bytes.data())};
  if (address.family == 4) return {4, load_be<std::uint32_t>(address.bytes.data())};
  return {1, 0};  // unknown: all of those are one
}

}  // namespace ferrotunnel::transport
