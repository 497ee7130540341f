// Router: which session serves a host, or a part of its paths. One for the server; shards read it through a RouterCache each.
//
// Registering is a control path and takes a lock. Looking up is not: a shard keeps the last snapshot and compares one atomic number; only
// after a change does it take the lock once to fetch the new one. Hosts are in the one spelling of http/host.h (lower case, no
// port, no trailing dot); "*.example.com" stands for every name under it, and the longest match wins, exact first.
//
// What is claimed is a place, each by one owner: a host, with a path prefix or without ("app.example.com/api", http/path.h), and with what is
// asked of the head besides, or without ('app.example.com/api POST x-beta="yes"', http/head_match.h). The host is found first, then the
// longest of its prefixes, then what asks for most; another host's are not looked at.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "http/head_match.h"
#include "transport/tls/client_authority.h"

namespace ferrotunnel::plugin {
class Chain;  // carried, not looked at
}

namespace ferrotunnel::route {

using SessionId = std::uint64_t;

// Of "GRANT/INSTANCE".
[[nodiscard]] inline std::string_view grant_of(std::string_view owner) { return owner.substr(0, owner.find('/')); }

// Of a place: "HOST", "HOST/PREFIX", and either with " MATCH" behind it. A host has no slash, and neither has a space.
[[nodiscard]] inline std::string_view host_of(std::string_view place) {
  return place.substr(0, place.find_first_of("/ "));
}
[[nodiscard]] inline std::string_view prefix_of(std::string_view place) {
  const std::string_view behind = place.substr(host_of(place).size());
  return behind.substr(0, behind.find(' '));
}
[[nodiscard]] std::string place_of(std::string_view host, std::string_view prefix, const http::HeadMatch& match);

// What the local service behind a tunnel is spoken to in: HTTP/2 by prior knowledge, or over TLS, which the client sees to.
enum class OriginSpeech : std::uint8_t { Http1, Http2, Http2Tls };

struct RouteTarget {
  SessionId session = 0;
  std::uint32_t tunnel = 0;  // the session's number for it
  unsigned shard = 0;        // where the session's first link lives
  bool pinned = false;       // its visitors are all carried there, though the session has links elsewhere
  // The tunnel's rules, of HTTP; null: none. They are in the table, so that no shard ever finds the route without them.
  std::shared_ptr<const plugin::Chain> chain{};
  // Of HTTP: each request gets a connection to the service of its own, which says in front who the visitor is.
  bool single_use = false;
  // Of HTTP: whose certificates its visitors have to show; null: none.
  transport::ClientAuthorityPtr client_ca{};
  OriginSpeech speech = OriginSpeech::Http1;  // of HTTP
  bool connect = false;                       // of HTTP: its service takes CONNECT
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// Of one host; never empty once published.
class HostRoutes {
 public:
  // The one route that has every request; null where the path or more of the head decides.
  [[nodiscard]] const RouteTarget* all() const {
    return entries_.size() == 1 && entries_.front().behind.empty() ? &entries_.front().target : nullptr;
  }
  // Its path in the one spelling.
  [[nodiscard]] const RouteTarget* find(const http::RequestHead& head) const;
  // What its visitors are asked for: required where all of its tunnels want it, of the first that does.
  [[nodiscard]] transport::NameGuard::Demand demand() const;

 private:
  friend class RouteTable;
  friend class Router;
  struct Entry {
    std::string behind;  // of its place, all behind the host: what it is known by. "": it has every request
    std::string prefix;  // "": all paths
    std::shared_ptr<const http::HeadMatch> match;  // null: all heads
    RouteTarget target;
    std::string owner;  // "" is nobody: it was offered
    bool away = false;  // its session is gone, and the place is kept for its grant
  };
  std::vector<Entry> entries_;  // the longest prefix first, and of one prefix what asks for most
};

// Immutable once published.
class RouteTable {
 public:
  [[nodiscard]] const HostRoutes* host(std::string_view host) const;
  // For one who knows nothing of heads and rules: null also where either of them decides.
  [[nodiscard]] const RouteTarget* find(std::string_view host) const { return plain(this->host(host)); }

  [[nodiscard]] static const RouteTarget* plain(const HostRoutes* routes) {
    const RouteTarget* target = routes != nullptr ? routes->all() : nullptr;
    return target != nullptr && target->chain == nullptr ? target : nullptr;
  }

 private:
  friend class Router;
  using Entry = HostRoutes::Entry;
  using Map = std::unordered_map<std::string, HostRoutes, TextHash, std::equal_to<>>;
  // Where a pattern is, or would be, and under which key.
  static bool is_wild(std::string_view host) { return host.starts_with("*."); }
  Map& map_of(std::string_view host) { return is_wild(host) ? wildcard_ : exact_; }
  static std::string_view key_of(std::string_view host) { return is_wild(host) ? host.substr(1) : host; }
  // A place's entry, and where it is this session's.
  [[nodiscard]] Entry* entry(std::string_view place);
  [[nodiscard]] Entry* find_claim(std::string_view place, SessionId session);
  Entry& add(std::string_view place, const http::HeadMatch& match);
  void remove(std::string_view place);

  Map exact_;
  Map wildcard_;  // keyed by what follows "*"
};

class Router {
 public:
  // Claims a place for an owner: "GRANT/INSTANCE", text that is the same when the same client signs in again. The same owner replaces its
  // earlier claim, and one of the same grant a place that is kept; another one gets AddressInUse, and hears no more of a stranger
  // than that there is one. Any thread.
  // `match` is that of the place.
  [[nodiscard]] Result<> claim(const std::string& place, const std::string& owner, const RouteTarget& target,
                               const http::HeadMatch& match = {});
  // Gives the place up, unless another session has taken it over since.
  void release(const std::string& place, SessionId session);
  // The session is gone and may come back: visitors learn as much, and only its grant can claim the place until release(). False: it has
  // no claim on it (any more).
  bool keep(const std::string& place, SessionId session);
  // The session is about to leave: it is still found, so that visitors learn as much, and whoever claims the place next has it.
  void offer(const std::string& place, SessionId session);

  // Of this session's claim, from now on: RouteTarget::pinned.
  void pin(const std::string& place, SessionId session, bool pinned);
  // The same: RouteTarget::chain.
  void set_chain(const std::string& place, SessionId session, std::shared_ptr<const plugin::Chain> chain);

  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const RouteTable> snapshot();

 private:
  void changed();

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
  // Good until the next call.
  [[nodiscard]] const HostRoutes* host(std::string_view host);
  [[nodiscard]] const RouteTarget* find(std::string_view host) { return RouteTable::plain(this->host(host)); }

 private:
  Router& router_;
  std::uint64_t version_ = 0;
  std::shared_ptr<const RouteTable> table_;
};

}  // namespace ferrotunnel::route
