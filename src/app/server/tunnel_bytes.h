// TunnelBytes: what one tunnel says counts against what those of its grant may say together (GrantLimits::tunnel_bytes); given back with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "session/grant_book.h"

namespace ferrotunnel::app {

class TunnelBytes {
 public:
  TunnelBytes() = default;
  TunnelBytes(TunnelBytes&& other) noexcept { *this = std::move(other); }
  TunnelBytes& operator=(TunnelBytes&& other) noexcept {
    std::swap(use_, other.use_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  TunnelBytes(const TunnelBytes&) = delete;
  TunnelBytes& operator=(const TunnelBytes&) = delete;
  ~TunnelBytes() {
    if (use_ != nullptr) session::GrantUse::give_back(use_->tunnel_bytes, bytes_);
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  // So many from now on. Errors: Limit; it stays as it was.
  [[nodiscard]] Result<> set(const std::shared_ptr<session::GrantUse>& use, const session::Grant& grant,
                             std::uint64_t bytes) {
    const std::uint64_t most = grant.limits.tunnel_bytes;
    if (bytes > bytes_ && !session::GrantUse::take(use->tunnel_bytes, most, bytes - bytes_)) {
      return std::unexpected(Error(ErrorCode::Limit, Side::Local, false,
                                   "the grant " + grant.name + " may have " + std::to_string(most) +
                                       " bytes of hosts, paths, rules, networks and certificates in its tunnels "
                                       "together (max_tunnel_bytes)"));
    }
    if (bytes < bytes_) session::GrantUse::give_back(use->tunnel_bytes, bytes_ - bytes);
    use_ = use;
    bytes_ = bytes;
    return {};
  }

 private:
  std::shared_ptr<session::GrantUse> use_;  // null: nothing is held
  std::uint64_t bytes_ = 0;
};

}  // namespace ferrotunnel::app
