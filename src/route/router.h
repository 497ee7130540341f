// Router: which session serves a host, or a part of its requests. One for the server; shards read it through a RouterCache each.
//
// Registering is a control path and takes a lock. Looking up is not: a shard keeps the last snapshot and compares one atomic number; only
// after a change does it take the lock once to fetch the new one, which shares with the last all that has not changed. Hosts are in the one
// spelling of http/host.h (lower case, no port, no trailing dot); "*.example.com" stands for every name under it, and the longest match
// wins, exact first.
//
// What is claimed is a place (place.h), each by one owner; all places of a host are of one grant. The host is found first, then the longest of
// its prefixes, then what asks for most; another host's are not looked at.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/message.h"
#include "route/place.h"
#include "transport/tls/client_authority.h"

namespace ferrotunnel::plugin {
class Chain;  // carried, not looked at
}

namespace ferrotunnel::route {

using SessionId = std::uint64_t;

// Of one host: a request to it looks at each of its places until one fits, and at those with a match the longest.
inline constexpr std::size_t kMaxPlacesPerHost = 1024;
inline constexpr std::size_t kMaxMatchesPerHost = 64;  // of them, such as ask for methods or headers

// Of "GRANT/INSTANCE".
[[nodiscard]] inline std::string_view grant_of(std::string_view owner) { return owner.substr(0, owner.find('/')); }

// The instance is known to that client and the server only. Empty: there is none.
[[nodiscard]] inline std::string_view instance_of(std::string_view owner) {
  const std::size_t slash = owner.find('/');
  return slash == std::string_view::npos ? std::string_view() : owner.substr(slash + 1);
}

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
    return entries_.size() == 1 && entries_.front().part->all() ? &entries_.front().target : nullptr;
  }
  // Its path in the one spelling.
  [[nodiscard]] const RouteTarget* find(const http::RequestHead& head) const;
  // What its visitors are asked for: required where all of its tunnels want it, of the first that does.
  [[nodiscard]] transport::NameGuard::Demand demand() const;

 private:
  friend class RouteTable;
  friend class Router;
  // But for Here: another owner of the grant may have the place.
  enum class Holder : std::uint8_t { Here, Leaving, Away, LetGo };
  struct Entry {
    PartPtr part;
    RouteTarget target;
    std::string owner;
    Holder holder = Holder::Here;
    [[nodiscard]] bool away() const { return holder == Holder::Away || holder == Holder::LetGo; }
  };
  [[nodiscard]] const Entry* find(const Part& part) const;
  // All that there is was let go of by this owner, under whatever grant.
  [[nodiscard]] bool let_go_by(std::string_view owner) const;
  std::vector<Entry> entries_;  // the longest prefix first, and of one prefix what asks for most
  std::string grant_;           // of all their owners
  bool reserves_ = true;        // ClaimRights
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
  // Tables share the buckets that did not change between them: a change copies one, and a pointer of each.
  static constexpr std::size_t kBuckets = 256;
  struct Hosts {
    std::array<std::shared_ptr<Map>, kBuckets> buckets{};  // null: empty
    std::bitset<kBuckets> published;  // of the router's own: a snapshot has it too, so it is not written to
    std::size_t count = 0;
    [[nodiscard]] static std::size_t bucket_of(std::string_view key) { return TextHash{}(key) >> 24U & (kBuckets - 1); }
    [[nodiscard]] const HostRoutes* find(std::string_view key) const;
    [[nodiscard]] Map& write(std::string_view key);
  };
  // Where a pattern is, or would be, and under which key.
  static bool is_wild(std::string_view host) { return host.starts_with("*."); }
  [[nodiscard]] const Hosts& hosts_of(std::string_view host) const { return is_wild(host) ? wildcard_ : exact_; }
  [[nodiscard]] Hosts& hosts_of(std::string_view host) { return is_wild(host) ? wildcard_ : exact_; }
  static std::string_view key_of(std::string_view host) { return is_wild(host) ? host.substr(1) : host; }
  [[nodiscard]] const HostRoutes* at(std::string_view host) const { return hosts_of(host).find(key_of(host)); }
  // This session's claim of exactly this place, to look at and to change; null: it has none (any more).
  [[nodiscard]] const Entry* find_claim(const Place& place, SessionId session) const;
  [[nodiscard]] Entry* write_claim(const Place& place, SessionId session);
  [[nodiscard]] HostRoutes& write(std::string_view host);  // made where there is none
  static Entry& write(HostRoutes& routes, const PartPtr& part);
  void remove(const Place& place);

  Hosts exact_;
  Hosts wildcard_;  // keyed by what follows "*"
};

// What a claimant may, beside having what nobody has.
struct ClaimRights {
  // Of a wildcard: another grant has no name under it, unless it is granted that very part of it.
  bool reserves = true;
  // Whether the place's host is granted as such, or by less than this wildcard, which another grant has. None: it is not.
  std::function<bool(std::string_view wildcard)> granted_in{};
};

class Router {
 public:
  // Claims a place for an owner: "GRANT/INSTANCE", text that is the same when the same client signs in again. The same owner's later session
  // replaces its earlier claim, and another one of the grant has a place that is kept or left. Any thread. Errors: AddressInUse, where the
  // place is somebody else's, its host another grant's or under another grant's wildcard, and the claimant hears no more of a stranger than that
  // there is one; Limit, where the host has as many places as it may.
  [[nodiscard]] Result<> claim(const Place& place, const std::string& owner, const RouteTarget& target,
                               const ClaimRights& rights = {});
  // Whether claim() would do it now, as far as this place alone is concerned.
  [[nodiscard]] Result<> could_claim(const Place& place, const std::string& owner, const RouteTarget& target,
                                     const ClaimRights& rights = {});
  // Gives the place up, unless another session has taken it over since; and its host, where leave() reserved it.
  void release(const Place& place, SessionId session);
  // Of what is kept or let go next: without rules and certificates, which take memory and do nothing where nobody serves.
  void forget_rules(const Place& place, SessionId session);
  // The session is gone and may come back: visitors learn as much, and only its grant can claim the place until release(). False: it has
  // no claim on it (any more).
  bool keep(const Place& place, SessionId session);
  // The session goes on without it: the same, for visitors and its grant, but under a name that is nobody's, `as`, by which release() is told.
  // And the same instance may have the host under another grant: that is a client which moves.
  bool let_go(const Place& place, SessionId session, SessionId as);
  // The session is about to leave: it is still found, so that visitors learn as much, and whoever of its grant claims the place next has it.
  void offer(const Place& place, SessionId session);
  // The session has left: the place is given up, and its host, where nobody serves any other part of it, is only its grant's to claim until
  // release(), however soon the parts that are kept are released. False: nothing is reserved.
  bool leave(const Place& place, SessionId session);

  // Of this session's claim, from now on: RouteTarget::pinned.
  void pin(const Place& place, SessionId session, bool pinned);
  // The same: RouteTarget::chain.
  void set_chain(const Place& place, SessionId session, std::shared_ptr<const plugin::Chain> chain);

  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const RouteTable> snapshot();

 private:
  // A host that nobody serves, and that is kept for the grant of the session that left it.
  struct Reserved {
    std::string grant;
    SessionId session = 0;
    bool reserves = true;
  };
  void changed();
  bool set_holder(const Place& place, SessionId session, HostRoutes::Holder holder);
  [[nodiscard]] Result<> may_claim(const Place& place, std::string_view owner, const RouteTarget& target,
                                   const ClaimRights& rights) const;
  [[nodiscard]] Result<> may_claim_under(std::string_view host, std::string_view grant,
                                         const ClaimRights& rights) const;
  [[nodiscard]] const Reserved* reserved(std::string_view host) const;

  std::mutex mutex_;
  RouteTable table_;
  std::unordered_map<std::string, Reserved, TextHash, std::equal_to<>> reserved_;
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
