// RouteHold: what the places of one HTTP tunnel take of what its grant may have (GrantLimits::places, route_bytes); given back with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "session/grant_book.h"

namespace ferrotunnel::app {

class RouteHold {
 public:
  RouteHold() = default;
  RouteHold(RouteHold&& other) noexcept { *this = std::move(other); }
  RouteHold& operator=(RouteHold&& other) noexcept {
    std::swap(use_, other.use_);
    std::swap(places_, other.places_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  RouteHold(const RouteHold&) = delete;
  RouteHold& operator=(const RouteHold&) = delete;
  ~RouteHold() {
    if (use_ == nullptr) return;
    session::GrantUse::give_back(use_->places, places_);
    session::GrantUse::give_back(use_->route_bytes, bytes_);
  }

  // Errors: Limit.
  [[nodiscard]] static Result<RouteHold> take(std::shared_ptr<session::GrantUse> use, const session::Grant& grant,
                                              std::uint64_t places, std::uint64_t bytes) {
    const auto full = [&grant](const std::string& what) {
      return std::unexpected(Error(ErrorCode::Limit, Side::Local, false,
                                   "the grant " + grant.name + " may have " + what +
                                       " in its HTTP tunnels together: it goes with its max_tunnels"));
    };
    if (!session::GrantUse::take(use->places, grant.limits.places(), places))
      return full(std::to_string(grant.limits.places()) + " hosts times paths");
    if (!session::GrantUse::take(use->route_bytes, grant.limits.route_bytes(), bytes)) {
      session::GrantUse::give_back(use->places, places);
      return full(std::to_string(grant.limits.route_bytes()) + " bytes of hosts, paths, methods and headers");
    }
    RouteHold hold;
    hold.use_ = std::move(use);
    hold.places_ = places;
    hold.bytes_ = bytes;
    return hold;
  }

 private:
  std::shared_ptr<session::GrantUse> use_;  // null: nothing is held
  std::uint64_t places_ = 0, bytes_ = 0;
};

}  // namespace ferrotunnel::app
