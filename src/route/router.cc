#include "route/router.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "http/path.h"

namespace ferrotunnel::route {
namespace {

std::string_view behind_of(std::string_view place) { return place.substr(host_of(place).size()); }

}  // namespace

std::string place_of(std::string_view host, std::string_view prefix, const http::HeadMatch& match) {
  std::string place(host);
  place.append(prefix);
  if (!match.all()) place.append(" ").append(match.text());
  return place;
}

const RouteTarget* HostRoutes::find(const http::RequestHead& head) const {
  for (const Entry& entry : entries_)
    if (http::path_prefix(head.path, entry.prefix) && (entry.match == nullptr || entry.match->matches(head)))
      return &entry.target;
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
  if (const auto found = exact_.find(host); found != exact_.end()) return &found->second;
  if (wildcard_.empty()) return nullptr;
  // "a.b.example.com": ".b.example.com", ".example.com", ".com"; the first is the longest.
  for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
    if (const auto found = wildcard_.find(host.substr(dot)); found != wildcard_.end()) return &found->second;
  }
  return nullptr;
}

RouteTable::Entry* RouteTable::entry(std::string_view place) {
  Map& map = map_of(place);
  const auto routes = map.find(key_of(host_of(place)));
  if (routes == map.end()) return nullptr;
  auto& entries = routes->second.entries_;
  const auto at = std::ranges::find(entries, behind_of(place), &Entry::behind);
  return at != entries.end() ? &*at : nullptr;
}

// None when it has no claim on exactly this place (any more).
RouteTable::Entry* RouteTable::find_claim(std::string_view place, SessionId session) {
  Entry* found = entry(place);
  return found != nullptr && found->target.session == session ? found : nullptr;
}

RouteTable::Entry& RouteTable::add(std::string_view place, const http::HeadMatch& match) {
  auto& entries = map_of(place)[std::string(key_of(host_of(place)))].entries_;
  Entry added;
  added.behind = behind_of(place);
  added.prefix = prefix_of(place);
  if (!match.all()) added.match = std::make_shared<const http::HeadMatch>(match);
  // Whoever came first is not what decides between two that ask for as much.
  const auto rank = [](const Entry& one) {
    return std::tuple(one.prefix.size(), one.match ? one.match->weight() : 0, std::string_view(one.behind));
  };
  const auto at = std::ranges::find_if(entries, [&](const Entry& one) { return rank(one) < rank(added); });
  return *entries.insert(at, std::move(added));
}

void RouteTable::remove(std::string_view place) {
  Map& map = map_of(place);
  const auto routes = map.find(key_of(host_of(place)));
  if (routes == map.end()) return;
  std::erase_if(routes->second.entries_, [&](const Entry& one) { return one.behind == behind_of(place); });
  if (routes->second.entries_.empty()) map.erase(routes);
}

Result<> Router::claim(const std::string& place, const std::string& owner, const RouteTarget& target,
                       const http::HeadMatch& match) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.entry(place);
  if (entry != nullptr && !entry->owner.empty() && entry->owner != owner) {
    const bool same_grant = grant_of(entry->owner) == grant_of(owner);
    if (!same_grant || !entry->away) {
      return std::unexpected(Error(ErrorCode::AddressInUse, Side::Tunnel, true,
                                   place + (entry->away  ? " is kept for another client, which lost its connection"
                                            : same_grant ? " is in use by another client of this grant, session s" +
                                                               std::to_string(entry->target.session)
                                                         : " is in use by another client")));
    }
  }
  if (entry == nullptr) entry = &table_.add(place, match);
  entry->target = target;
  entry->owner = owner;
  entry->away = false;
  changed();
  return {};
}

void Router::changed() {
  dirty_ = true;
  version_.fetch_add(1, std::memory_order_release);
}

void Router::release(const std::string& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  if (table_.find_claim(place, session) == nullptr) return;
  table_.remove(place);
  changed();
}

bool Router::keep(const std::string& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  // Nothing that a look-up would see changes.
  RouteTable::Entry* entry = table_.find_claim(place, session);
  if (entry != nullptr) entry->away = true;
  return entry != nullptr;
}

void Router::offer(const std::string& place, SessionId session) {
  const std::lock_guard lock(mutex_);
  // Nothing that a look-up would see changes.
  if (RouteTable::Entry* entry = table_.find_claim(place, session); entry != nullptr) entry->owner.clear();
}

void Router::pin(const std::string& place, SessionId session, bool pinned) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.find_claim(place, session);
  if (entry == nullptr || entry->target.pinned == pinned) return;
  entry->target.pinned = pinned;
  changed();
}

void Router::set_chain(const std::string& place, SessionId session, std::shared_ptr<const plugin::Chain> chain) {
  const std::lock_guard lock(mutex_);
  RouteTable::Entry* entry = table_.find_claim(place, session);
  if (entry == nullptr || entry->target.chain == chain) return;
  entry->target.chain = std::move(chain);
  changed();
}

std::shared_ptr<const RouteTable> Router::snapshot() {
  const std::lock_guard lock(mutex_);
  if (dirty_) {
    snapshot_ = std::make_shared<const RouteTable>(table_);
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
