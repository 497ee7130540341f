#include "session/grant_book.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cassert>
#include <chrono>

#include "session/constant_time.h"

namespace ferrotunnel::session {

namespace {
std::uint64_t head_of(ConstBytes digest) { return load_be<std::uint64_t>(digest.data()); }
}  // namespace

void GrantBook::replace(std::vector<Grant> grants) {
  std::map<std::string, Entry, std::less<>> entries;
  std::vector<Proving> proving(1);
  for (Grant& grant : grants) {
    assert(!grant.secrets.empty() && grant.secrets.size() <= GrantKeys::kMost);
    Proving& one = proving.emplace_back();
    one.digest = digest_of(grant.name);
    for (const Secret& secret : grant.secrets) one.keys.keys[one.keys.count++] = AuthKey::of(secret);
    Entry entry;
    entry.grant = std::make_shared<const Grant>(std::move(grant));
    const std::string& name = entry.grant->name;
    entries.emplace(name, std::move(entry));
  }
  std::vector<std::uint64_t> heads;
  heads.reserve(proving.size());
  for (const Proving& one : proving) heads.push_back(head_of(one.digest));
  const std::lock_guard lock(mutex_);
  proving_.swap(proving);
  heads_.swap(heads);
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

GrantBook::Digest GrantBook::digest_of(std::string_view name) const {
  std::vector<std::byte> text(pepper_.bytes.begin(), pepper_.bytes.end());
  const ConstBytes bytes = as_bytes(name);
  text.insert(text.end(), bytes.begin(), bytes.end());
  Digest digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// The same steps for every name, known or not: no branch on what is found, and no search that ends early. 10,000 grants cost some microseconds.
GrantKeys GrantBook::keys(std::string_view grant) const {
  const Digest digest = digest_of(grant);
  const std::uint64_t head = head_of(digest);
  const std::lock_guard lock(mutex_);
  // Where a name that is unknown looks: anywhere, but there each time. (32 bits by 32: a division takes as long as its numbers need.)
  std::uint64_t at = (load_be<std::uint32_t>(digest.data() + 8) * static_cast<std::uint64_t>(heads_.size())) >> 32;
  for (std::uint64_t i = 0; i < heads_.size(); ++i) {
    const std::uint64_t mask = -static_cast<std::uint64_t>(heads_[i] == head);
    at = (at & ~mask) | (i & mask);
  }
  GrantKeys found = proving_[at].keys;
  found.count *=
      is_zero(static_cast<std::uint32_t>(CRYPTO_memcmp(proving_[at].digest.data(), digest.data(), digest.size())));
  return found;
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
