// PortKeeper: ports of TCP tunnels whose session is gone and may come back: only its grant can have them until they are let go.
//
// Nobody listens on such a port; whoever is about to asks first. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "route/router.h"

namespace ferrotunnel::route {

class PortKeeper {
 public:
  // Owners as in router.h.
  enum class Why : std::uint8_t { Away, LetGo };  // LetGo: the same instance may have it under another grant
  void keep(std::uint16_t port, std::string_view owner, SessionId session, Why why = Why::Away) {
    const std::lock_guard lock(mutex_);
    kept_.insert_or_assign(port, Kept{std::string(owner), session, why});
  }
  // False: it is kept for another grant. True: it is this one's to bind.
  [[nodiscard]] bool allows(std::uint16_t port, std::string_view owner) const {
    const std::lock_guard lock(mutex_);
    return may(port, owner);
  }
  // Calls `listen` there, unless it is kept for another grant (nothing), and returns what it does. Who is about to stop listening keeps the
  // port first, and cannot while this goes on: so nobody who asked before is let in after.
  template <class Listen>
  [[nodiscard]] auto take(std::uint16_t port, std::string_view owner, const Listen& listen)
      -> std::optional<decltype(listen())> {
    const std::lock_guard lock(mutex_);
    if (!may(port, owner)) return std::nullopt;
    auto done = listen();
    if (done) kept_.erase(port);
    return done;
  }
  // Somebody listens there again.
  void taken(std::uint16_t port) {
    const std::lock_guard lock(mutex_);
    kept_.erase(port);
  }
  // Unless it was kept anew since, for another session.
  void release(std::uint16_t port, SessionId session) {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(port);
    if (found != kept_.end() && found->second.session == session) kept_.erase(found);
  }

 private:
  struct Kept {
    std::string owner;
    SessionId session;
    Why why;
  };
  [[nodiscard]] bool may(std::uint16_t port, std::string_view owner) const {
    const auto found = kept_.find(port);
    return found == kept_.end() || grant_of(found->second.owner) == grant_of(owner) ||
           (found->second.why == Why::LetGo && !instance_of(owner).empty() &&
            instance_of(found->second.owner) == instance_of(owner));
  }
  mutable std::mutex mutex_;
  std::unordered_map<std::uint16_t, Kept> kept_;
};

}  // namespace ferrotunnel::route
