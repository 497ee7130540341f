#include "session/grant_book.h"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace ferrotunnel::session {

void GrantBook::replace(std::vector<Grant> grants) {
  std::map<std::string, Entry, std::less<>> entries;
  for (Grant& grant : grants) {
    assert(!grant.secrets.empty() && grant.secrets.size() <= GrantKeys::kMost);
    Entry entry;
    for (const Secret& secret : grant.secrets) entry.keys.keys[entry.keys.count++] = AuthKey::of(secret);
    entry.grant = std::make_shared<const Grant>(std::move(grant));
    const std::string& name = entry.grant->name;
    entries.emplace(name, std::move(entry));
  }
  const std::lock_guard lock(mutex_);
  // Sessions of a grant that stays go on counting where they did.
  for (auto& [name, entry] : entries) {
    const auto before = entries_.find(name);
    entry.use = before != entries_.end() ? before->second.use : std::make_shared<GrantUse>();
    entry.use->streams->limit.store(entry.grant->limits.streams, std::memory_order_relaxed);
    const std::uint64_t bandwidth = entry.grant->limits.bandwidth;
    for (GrantUse::Bandwidth* way : {&entry.use->from_visitors, &entry.use->to_visitors})
      way->bucket.set(bandwidth, bandwidth_burst(bandwidth));
  }
  entries_.swap(entries);
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const Grant> GrantBook::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.grant;
}

std::vector<std::shared_ptr<const Grant>> GrantBook::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Grant>> grants;
  grants.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) grants.push_back(entry.grant);
  return grants;
}

std::shared_ptr<GrantUse> GrantBook::use(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.use;
}

GrantKeys GrantBook::keys(std::string_view grant) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(grant);
  return found == entries_.end() ? GrantKeys{} : found->second.keys;
}

Result<> GrantBook::admits(std::string_view grant) const {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(grant);
  // Revoked between its proof and this question: as if it had never been.
  if (found == entries_.end())
    return std::unexpected(Error(ErrorCode::Unauthorized, Side::Tunnel, false, "the grant was revoked"));
  if (found->second.grant->expired(now))
    return std::unexpected(
        Error(ErrorCode::Unauthorized, Side::Tunnel, false, "the grant " + std::string(grant) + " has expired"));
  return {};
}

}  // namespace ferrotunnel::session
