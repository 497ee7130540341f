#include "route/router.h"

#include <algorithm>
#include <utility>

#include "http/path.h"

namespace ferrotunnel::route {
namespace {

// Of all matches of a host together: a request may have to look for each of them among all of its own fields.
constexpr std::size_t kMaxMatchHeadersPerHost = 256;

std::size_t headers_of(const Part& part) { return part.match != nullptr ? part.match->headers.size() : 0; }

std::unexpected<Error> taken(std::string why) {
  return std::unexpected(Error(ErrorCode::AddressInUse, Side::Tunnel, true, std::move(why)));
}

std::unexpected<Error> too_many(std::string_view host, std::size_t most, const char* what) {
  return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, false,
                               std::string(host) + " has " + std::to_string(most) + " " + what +
                                   ", and no host may have more: put some on another host"));
}

}  // namespace

// ---- looking up ---------------------------------------------------------------------------------------------------

const RouteTarget* HostRoutes::find(const http::RequestHead& head) const {
  for (const Entry& entry : entries_) {
    const Part& part = *entry.part;
    if (http::path_prefix(head.path, part.prefix) && (part.match == nullptr || part.match->matches(head)))
      return &entry.target;
  }
  return nullptr;
}

transport::NameGuard::Demand HostRoutes::demand() const {
  transport::NameGuard::Demand demand;
  for (const Entry& entry : entries_)
    if (demand.authority == nullptr) demand.authority = entry.target.client_ca;
  demand.required = std::ranges::all_of(entries_, [&demand](const Entry& entry) {
    const auto& own = entry.target.client_ca;
    return own != nullptr && own->id() == demand.authority->id();
  });
  return demand;
}

const HostRoutes* RouteTable::host(std::string_view host) const {
  if (const HostRoutes* found = exact_.find(host); found != nullptr) return found;
  if (wildcard_.count == 0) return nullptr;
  // "a.b.example.com": ".b.example.com", ".example.com", ".com"; the first is the longest.
  for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
    if (const HostRoutes* found = wildcard_.find(host.substr(dot)); found != nullptr) return found;
  }
  return nullptr;
}

const HostRoutes* RouteTable::Hosts::find(std::string_view key) const {
  const auto& bucket = buckets[bucket_of(key)];
  if (bucket == nullptr) return nullptr;
  const auto found = bucket->find(key);
  return found != bucket->end() ? &found->second : nullptr;
}

// ---- the table ----------------------------------------------------------------------------------------------------

RouteTable::Map& RouteTable::Hosts::write(std::string_view key) {
  const std::size_t at = bucket_of(key);
  auto& bucket = buckets[at];
  if (bucket == nullptr)
    bucket = std::make_shared<Map>();
  else if (published[at])
    bucket = std::make_shared<Map>(*bucket);
  published[at] = false;
  return *bucket;
}

const HostRoutes::Entry* HostRoutes::find(const Part& part) const {
  const auto at = std::ranges::lower_bound(
      entries_, 0, [](int order, int) { return order > 0; },
      [&part](const Entry& one) { return compare(*one.part, part); });
  return at != entries_.end() && compare(*at->part, part) == 0 ? &*at : nullptr;
}

bool HostRoutes::let_go_by(std::string_view owner) const {
  const std::string_view instance = instance_of(owner);
  return !instance.empty() && std::ranges::all_of(entries_, [&](const Entry& one) {
    return one.holder == Holder::LetGo && instance_of(one.owner) == instance;
  });
}

const RouteTable::Entry* RouteTable::find_claim(const Place& place, SessionId session) const {
  const HostRoutes* routes = at(place.host);
  const Entry* entry = routes != nullptr ? routes->find(*place.part) : nullptr;
  return entry != nullptr && entry->target.session == session ? entry : nullptr;
}

RouteTable::Entry* RouteTable::write_claim(const Place& place, SessionId session) {
  return find_claim(place, session) != nullptr ? &write(write(place.host), place.part) : nullptr;
}

HostRoutes& RouteTable::write(std::string_view host) {
  Hosts& hosts = hosts_of(host);
  const auto [routes, is_new] = hosts.write(key_of(host)).try_emplace(std::string(key_of(host)));
  if (is_new) ++hosts.count;
  return routes->second;
}

RouteTable::Entry& RouteTable::write(HostRoutes& routes, const PartPtr& part) {
  auto& entries = routes.entries_;
  const auto at = std::ranges::find_if(entries, [&part](const Entry& one) { return compare(*one.part, *part) <= 0; });
  if (at != entries.end() && compare(*at->part, *part) == 0) return *at;
  Entry added;
  added.part = part;
  return *entries.insert(at, std::move(added));
}

void RouteTable::remove(const Place& place) {
  Hosts& hosts = hosts_of(place.host);
  Map& map = hosts.write(key_of(place.host));
  const auto routes = map.find(key_of(place.host));
  if (routes == map.end()) return;
  std::erase_if(routes->second.entries_, [&](const Entry& one) { return compare(*one.part, *place.part) == 0; });
  if (!routes->second.entries_.empty()) return;
  map.erase(routes);
  --hosts.count;
}

// ---- claims -------------------------------------------------------------------------------------------------------

Result<> Router::claim(const Place& place, const std::string& owner, const RouteTarget& target,
                       const ClaimRights& rights) {
  const std::lock_guard lock(mutex_);
  if (auto may = may_claim(place, owner, target, rights); !may) return may;
  reserved_.erase(place.host);
  HostRoutes& routes = table_.write(place.host);
  if (routes.grant_ != grant_of(owner)) routes.entries_.clear();  // what this very client let go of under another
  routes.grant_ = grant_of(owner);
  routes.reserves_ = rights.reserves;
  RouteTable::Entry& entry = table_.write(routes, place.part);
  entry.target = target;
  entry.owner = owner;
  entry.holder = HostRoutes::Holder::Here;
  changed();
  return {};
}

Result<> Router::could_claim(const Place& place, const std::string& owner, const RouteTarget& target,
                             const ClaimRights& rights) {
  const std::lock_guard lock(mutex_);
  return may_claim(place, owner, target, rights);
}

Result<> Router::may_claim(const Place& place, std::string_view owner, const RouteTarget& target,
                           const ClaimRights& rights) const {
  using Holder = HostRoutes::Holder;
  const std::string_view grant = grant_of(owner);
  const HostRoutes* routes = table_.at(place.host);
  if (routes == nullptr) {
    const Reserved* left = reserved(place.host);
    if (left == nullptr) return may_claim_under(place.host, grant, rights);
    if (left->grant != grant) return taken(place.host + " is kept for another client, which left");
    return {};
  }
  if (routes->grant_ != grant && !routes->let_go_by(owner)) {
    const bool away = std::ranges::all_of(routes->entries_, &HostRoutes::Entry::away);
    return taken(place.host +
                 (away ? " is kept for another client, which lost its connection" : " is in use by another client"));
  }
  if (const RouteTable::Entry* entry = routes->find(*place.part); entry != nullptr) {
    const bool same_session = entry->target.session == target.session;
    if (same_session && entry->target.tunnel != target.tunnel)
      return taken("this client has a tunnel for " + text_of(place) + " already");
    if (entry->owner != owner && entry->holder == Holder::Here)
      return taken(text_of(place) + " is in use by another client of this grant, session s" +
                   std::to_string(entry->target.session));
    return {};
  }
  if (routes->entries_.size() >= kMaxPlacesPerHost) return too_many(place.host, kMaxPlacesPerHost, "paths");
  if (place.part->match == nullptr) return {};
  std::size_t matches = 0, headers = headers_of(*place.part);
  for (const RouteTable::Entry& one : routes->entries_) {
    matches += one.part->match != nullptr ? 1 : 0;
    headers += headers_of(*one.part);
  }
  if (matches >= kMaxMatchesPerHost)
    return too_many(place.host, kMaxMatchesPerHost, "paths and tunnels that ask for methods or headers");
  if (headers > kMaxMatchHeadersPerHost)
    return too_many(place.host, kMaxMatchHeadersPerHost, "headers, or almost, that its paths and tunnels ask for");
  return {};
}

// Whose visitors it would take: those of the longest wildcard above it.
Result<> Router::may_claim_under(std::string_view host, std::string_view grant, const ClaimRights& rights) const {
  const std::string_view key = RouteTable::key_of(host);
  std::string wildcard;
  for (std::size_t dot = key.find('.', 1); dot != std::string_view::npos; dot = key.find('.', dot + 1)) {
    wildcard.assign("*").append(key.substr(dot));
    const HostRoutes* routes = table_.at(wildcard);
    const Reserved* left = routes == nullptr ? reserved(wildcard) : nullptr;
    if (routes == nullptr && left == nullptr) continue;
    const bool others = (routes != nullptr ? std::string_view(routes->grant_) : left->grant) != grant &&
                        (routes != nullptr ? routes->reserves_ : left->reserves);
    if (!others || (rights.granted_in && rights.granted_in(wildcard))) return {};
    return taken(std::string(host) + " is under " + wildcard + ", which another client has");
  }
  return {};
}

const Router::Reserved* Router::reserved(std::string_view host) const {
  const auto found = reserved_.find(host);
  return found != reserved_.end() ? &found->second : nullptr;
}

void Router::release(const Place& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  if (const Reserved* left = reserved(place.host); left != nullptr && left->session == session)
    reserved_.erase(place.host);
  if (table_.find_claim(place, session) == nullptr) return;
  table_.remove(place);
  changed();
}

// Nothing that a look-up would see changes.
bool Router::set_holder(const Place& place, SessionId session, HostRoutes::Holder holder) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.write_claim(place, session);
  if (entry != nullptr) entry->holder = holder;
  return entry != nullptr;
}

bool Router::keep(const Place& place, SessionId session) {
  return set_holder(place, session, HostRoutes::Holder::Away);
}

bool Router::let_go(const Place& place, SessionId session, SessionId as) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.write_claim(place, session);
  if (entry == nullptr) return false;
  entry->holder = HostRoutes::Holder::LetGo;
  entry->target.session = as;
  entry->target.tunnel = 0;
  changed();
  return true;
}

void Router::offer(const Place& place, SessionId session) { set_holder(place, session, HostRoutes::Holder::Leaving); }

bool Router::leave(const Place& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  if (table_.find_claim(place, session) == nullptr) return false;
  const HostRoutes& routes = *table_.at(place.host);
  Reserved left{routes.grant_, session, routes.reserves_};
  table_.remove(place);
  changed();
  const HostRoutes* rest = table_.at(place.host);
  if (rest != nullptr && !std::ranges::all_of(rest->entries_, &HostRoutes::Entry::away)) return false;
  reserved_.insert_or_assign(place.host, std::move(left));
  return true;
}

// ---- what a claim says --------------------------------------------------------------------------------------------

void Router::pin(const Place& place, SessionId session, bool pinned) {
  const std::lock_guard lock(mutex_);
  const RouteTable::Entry* entry = table_.find_claim(place, session);
  if (entry == nullptr || entry->target.pinned == pinned) return;
  table_.write_claim(place, session)->target.pinned = pinned;
  changed();
}

void Router::set_chain(const Place& place, SessionId session, std::shared_ptr<const plugin::Chain> chain) {
  const std::lock_guard lock(mutex_);
  const RouteTable::Entry* entry = table_.find_claim(place, session);
  if (entry == nullptr || entry->target.chain == chain) return;
  table_.write_claim(place, session)->target.chain = std::move(chain);
  changed();
}

void Router::forget_rules(const Place& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.write_claim(place, session);
  if (entry == nullptr) return;
  entry->target.chain.reset();
  entry->target.client_ca.reset();
  changed();
}

// ---- snapshots ----------------------------------------------------------------------------------------------------

void Router::changed() {
  dirty_ = true;
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const RouteTable> Router::snapshot() {
  const std::lock_guard lock(mutex_);
  if (dirty_) {
    snapshot_ = std::make_shared<const RouteTable>(table_);
    table_.exact_.published.set();
    table_.wildcard_.published.set();
    dirty_ = false;
  }
  return snapshot_;
}

const HostRoutes* RouterCache::host(std::string_view host) {
  // The number is read before the table: a change in between only makes the next look-up fetch again.
  if (const std::uint64_t version = router_.version(); version != version_) {
    table_ = router_.snapshot();
    version_ = version;
  }
  return table_->host(host);
}

}  // namespace ferrotunnel::route
