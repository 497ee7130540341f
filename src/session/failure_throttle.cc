#include "session/failure_throttle.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"

namespace ferrotunnel::session {

std::size_t FailureThrottle::KeyHash::operator()(const Key& key) const {
  return std::hash<std::string_view>{}(as_text(key));
}

FailureThrottle::Key FailureThrottle::key_of(const transport::PeerAddress& address) {
  Key key{};
  key[0] = static_cast<std::byte>(address.family);
  std::copy_n(address.bytes.begin(), address.family == 4 ? 4 : 8, key.begin() + 1);
  return key;
}

bool FailureThrottle::admits(const transport::PeerAddress& address, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key_of(address));
  if (found == entries_.end()) return true;
  const Entry& entry = *found->second;
  if (now - entry.began >= kWindow) {
    by_age_.erase(found->second);
    entries_.erase(found);
    return true;
  }
  if (entry.failures < kFailures) return true;
  ++refused_;
  return false;
}

bool FailureThrottle::failed(const transport::PeerAddress& address, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const Key key = key_of(address);
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (entries_.size() >= kAddresses) {
      entries_.erase(by_age_.front().key);
      by_age_.pop_front();
    }
    by_age_.push_back({key, now, 0});
    found = entries_.emplace(key, std::prev(by_age_.end())).first;
  } else {
    by_age_.splice(by_age_.end(), by_age_, found->second);
  }
  Entry& entry = *found->second;
  if (now - entry.began >= kWindow) entry = {key, now, 0};
  return ++entry.failures == kFailures;
}

std::size_t FailureThrottle::addresses() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::uint64_t FailureThrottle::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace ferrotunnel::session
