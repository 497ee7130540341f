// OriginTarget: where a tunnel's local service is. Values; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::origin {

struct OriginTarget {
  transport::SocketAddress address;
  std::string text;  // as people write it: "http://127.0.0.1:8080", "unix:/run/app.sock"
};

using TargetPtr = std::shared_ptr<const OriginTarget>;

// "8080", "HOST:PORT" with a numeric host or localhost, "[::1]:80", "unix:PATH", each with "tcp://" or "http://" before it where
// that fits. Errors: BadInput, with what would be right.
[[nodiscard]] Result<OriginTarget> parse_target(std::string_view text, std::string_view scheme);

}  // namespace ferrotunnel::origin
