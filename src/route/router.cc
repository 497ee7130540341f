#include "route/router.h"

namespace ferrotunnel::route {

const RouteTarget* RouteTable::find(std::string_view host) const {
  if (const auto found = exact_.find(host); found != exact_.end()) return &found->second.target;
  if (wildcard_.empty()) return nullptr;
  // "a.b.example.com": ".b.example.com", ".example.com", ".com"; the first is the longest.
  for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
    if (const auto found = wildcard_.find(host.substr(dot)); found != wildcard_.end()) return &found->second.target;
  }
  return nullptr;
}

// The claim of this session on exactly this host; end() when it has none (any more).
RouteTable::Map::iterator RouteTable::find_claim(std::string_view host, SessionId session) {
  Map& map = map_of(host);
  const auto found = map.find(key_of(host));
  return found != map.end() && found->second.target.session == session ? found : map.end();
}

Result<> Router::claim(const std::string& host, const std::string& owner, const RouteTarget& target) {
  const std::lock_guard lock(mutex_);
  const auto [entry, added] = table_.map_of(host).try_emplace(std::string(RouteTable::key_of(host)));
  if (!added && !entry->second.owner.empty() && entry->second.owner != owner) {
    const RouteTable::Entry& there = entry->second;
    const bool same_grant = grant_of(there.owner) == grant_of(owner);
    if (!same_grant || !there.away) {
      return std::unexpected(Error(ErrorCode::AddressInUse, Side::Tunnel, true,
                                   host + (there.away   ? " is kept for another client, which lost its connection"
                                           : same_grant ? " is in use by another client of this grant, session s" +
                                                              std::to_string(there.target.session)
                                                        : " is in use by another client")));
    }
  }
  entry->second = {target, owner, false};
  dirty_ = true;
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

void Router::release(const std::string& host, SessionId session) {
  const std::lock_guard lock(mutex_);
  const auto found = table_.find_claim(host, session);
  if (found == table_.map_of(host).end()) return;
  table_.map_of(host).erase(found);
  dirty_ = true;
  version_.fetch_add(1, std::memory_order_release);
}

bool Router::keep(const std::string& host, SessionId session) {
  const std::lock_guard lock(mutex_);
  // Nothing that a look-up would see changes.
  const auto found = table_.find_claim(host, session);
  if (found == table_.map_of(host).end()) return false;
  found->second.away = true;
  return true;
}

void Router::offer(const std::string& host, SessionId session) {
  const std::lock_guard lock(mutex_);
  // Nothing that a look-up would see changes.
  if (const auto found = table_.find_claim(host, session); found != table_.map_of(host).end())
    found->second.owner.clear();
}

void Router::pin(const std::string& host, SessionId session, bool pinned) {
  const std::lock_guard lock(mutex_);
  const auto found = table_.find_claim(host, session);
  if (found == table_.map_of(host).end() || found->second.target.pinned == pinned) return;
  found->second.target.pinned = pinned;
  dirty_ = true;
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const RouteTable> Router::snapshot() {
  const std::lock_guard lock(mutex_);
  if (dirty_) {
    snapshot_ = std::make_shared<const RouteTable>(table_);
    dirty_ = false;
  }
  return snapshot_;
}

const RouteTarget* RouterCache::find(std::string_view host) {
  // The number is read before the table: a change in between only makes the next look-up fetch again.
  if (const std::uint64_t version = router_.version(); version != version_) {
    table_ = router_.snapshot();
    version_ = version;
  }
  return table_->find(host);
}

}  // namespace ferrotunnel::route
