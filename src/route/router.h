// Router: which session serves a host. One for the server; shards read it through a RouterCache each.
//
// Registering is a control path and takes a lock. Looking up is not: a shard keeps the last snapshot and compares one atomic number; only
// after a change does it take the lock once to fetch the new one. Hosts are in the one spelling of http/host.h (lower case, no
// port, no trailing dot); "*.example.com" stands for every name under it, and the longest match wins, exact first.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

namespace ferrotunnel::route {

using SessionId = std::uint64_t;

// Of "GRANT/INSTANCE".
[[nodiscard]] inline std::string_view grant_of(std::string_view owner) { return owner.substr(0, owner.find('/')); }

struct RouteTarget {
  SessionId session = 0;
  std::uint32_t tunnel = 0;  // the session's number for it
  unsigned shard = 0;        // where the session's first link lives
  bool pinned = false;       // its visitors are all carried there, though the session has links elsewhere
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// Immutable once published.
class RouteTable {
 public:
  [[nodiscard]] const RouteTarget* find(std::string_view host) const;

 private:
  friend class Router;
  struct Entry {
    RouteTarget target;
    std::string owner;  // "" is nobody: it was offered
    bool away = false;  // its session is gone, and the place is kept for its grant
  };
  using Map = std::unordered_map<std::string, Entry, TextHash, std::equal_to<>>;
  // Where a pattern is, or would be, and under which key.
  static bool is_wild(std::string_view host) { return host.starts_with("*."); }
  Map& map_of(std::string_view host) { return is_wild(host) ? wildcard_ : exact_; }
  static std::string_view key_of(std::string_view host) { return is_wild(host) ? host.substr(1) : host; }
  [[nodiscard]] Map::iterator find_claim(std::string_view host, SessionId session);

  Map exact_;
  Map wildcard_;  // keyed by what follows "*"
};

class Router {
 public:
  // Claims a host for an owner: "GRANT/INSTANCE", text that is the same when the same client signs in again. The same owner replaces its
  // earlier claim, and one of the same grant a place that is kept; another one gets AddressInUse, and hears no more of a stranger
  // than that there is one. Any thread.
  [[nodiscard]] Result<> claim(const std::string& host, const std::string& owner, const RouteTarget& target);
  // Gives the host up, unless another session has taken it over since.
  void release(const std::string& host, SessionId session);
  // The session is gone and may come back: visitors learn as much, and only its grant can claim the host until release(). False: it has
  // no claim on it (any more).
  bool keep(const std::string& host, SessionId session);
  // The session is about to leave: it is still found, so that visitors learn as much, and whoever claims the host next has it.
  void offer(const std::string& host, SessionId session);

  // Of this session's claim, from now on: RouteTarget::pinned.
  void pin(const std::string& host, SessionId session, bool pinned);

  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const RouteTable> snapshot();

 private:
  std::mutex mutex_;
  RouteTable table_;
  std::shared_ptr<const RouteTable> snapshot_ = std::make_shared<const RouteTable>();
  bool dirty_ = false;
  std::atomic<std::uint64_t> version_{0};
};

// One shard's view.
class RouterCache {
 public:
  explicit RouterCache(Router& router) : router_(router), table_(router.snapshot()) {}
  [[nodiscard]] const RouteTarget* find(std::string_view host);  // good until the next call

 private:
  Router& router_;
  std::uint64_t version_ = 0;
  std::shared_ptr<const RouteTable> table_;
};

}  // namespace ferrotunnel::route
