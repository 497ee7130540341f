// TunnelKey: which tunnel of which session. A value; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "route/router.h"

namespace ferrotunnel::ingress {

struct TunnelKey {
  route::SessionId session = 0;
  std::uint32_t tunnel = 0;
  bool operator==(const TunnelKey&) const = default;
};
struct TunnelKeyHash {
  std::size_t operator()(const TunnelKey& key) const {
    // Sessions and tunnels are small counters: spread them.
    const std::uint64_t mixed =
        (key.session * 0x9e37'79b9'7f4a'7c15) ^ (std::uint64_t{key.tunnel} * 0xc2b2'ae3d'27d4'eb4f);
    return static_cast<std::size_t>(mixed ^ (mixed >> 32));
  }
};

}  // namespace ferrotunnel::ingress
