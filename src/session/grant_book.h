// GrantBook: the grants of a server as they stand now.
//
// A change replaces the whole content at once, so a broken file changes nothing. Looking up is a control path (a sign-in, a registration, and
// each session once after a change) and takes a lock. What sessions of a grant use together is counted in a GrantUse, which outlives
// changes of the grant. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/token_bucket.h"
#include "mux/limits.h"
#include "session/credentials.h"
#include "session/grant.h"

namespace ferrotunnel::session {

// What all sessions of one grant hold now, against what it may.
struct GrantUse {
  std::atomic<std::uint32_t> sessions{0}, tunnels{0};
  std::atomic<std::uint32_t> descriptors{0};   // of its links and ports: GrantDescriptor
  std::atomic<std::uint64_t> leases{0};        // places and ports that are kept for it: GrantLimits::leases()
  std::atomic<std::uint64_t> tunnel_bytes{0};  // what its tunnels said: GrantLimits::tunnel_bytes
  std::atomic<std::uint64_t> kept_bytes{
      0};                                // of those that are gone, while their places are kept; at most as many again
  std::atomic<std::uint64_t> let_go{0};  // the same, while its client goes on without them; as many again
  std::atomic<std::uint64_t> places{0}, route_bytes{0};  // of HTTP tunnels: GrantLimits::places(), route_bytes()
  std::shared_ptr<mux::StreamQuota> streams = std::make_shared<mux::StreamQuota>();
  // Bytes of its visitors, one way, and how many tunnels wait for some.
  struct Bandwidth {
    TokenBucket bucket;
    std::atomic<std::uint32_t> waiting{0};
  };
  Bandwidth from_visitors, to_visitors;

  // Take before use. False: there would be more than `limit`, and nothing was taken.
  template <class Count>
  [[nodiscard]] static bool take(std::atomic<Count>& count, std::type_identity_t<Count> limit,
                                 std::type_identity_t<Count> some = 1) {
    Count now = count.load(std::memory_order_relaxed);
    while (now < limit && some <= limit - now) {
      if (count.compare_exchange_weak(now, now + some, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  template <class Count>
  static void give_back(std::atomic<Count>& count, std::type_identity_t<Count> some = 1) {
    count.fetch_sub(some, std::memory_order_relaxed);
  }
};

class GrantBook final : public SecretSource {
 public:
  // In place of all there were. Names are wire::valid_name() and differ; each has 1 to Grant::kMaxSecrets secrets.
  void replace(std::vector<Grant> grants);

  [[nodiscard]] std::shared_ptr<const Grant> find(std::string_view name) const;
  [[nodiscard]] std::vector<std::shared_ptr<const Grant>> all() const;       // by name
  [[nodiscard]] std::shared_ptr<GrantUse> use(std::string_view name) const;  // none: there is no such grant
  // Moves with each replace(): whoever keeps a Grant asks again when it has.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  [[nodiscard]] GrantKeys keys(std::string_view grant) const override;
  [[nodiscard]] Result<> admits(std::string_view grant) const override;

 private:
  struct Entry {
    std::shared_ptr<const Grant> grant;
    std::shared_ptr<GrantUse> use;
  };
  // What a sign-in asks for, by a digest of the name that nobody outside can make. In words, so that a look-up can take all of them through a
  // mask: which steps it takes and what memory it reads has nothing to do with the name. Wiped on destruction.
  using Digest = std::array<std::byte, 32>;
  struct alignas(64) Proving {
    Proving() = default;
    Proving(const Digest& digest, const GrantKeys& keys);
    Proving(const Proving&) = default;
    Proving& operator=(const Proving&) = default;
    ~Proving();
    [[nodiscard]] GrantKeys keys() const;
    std::array<std::uint64_t, (sizeof(Digest) + GrantKeys::kMost * sizeof(AuthKey)) / 8 + 1>
        words{};  // digest, keys, count
  };
  [[nodiscard]] Digest digest_of(std::string_view name) const;

  const AuthKey pepper_ = AuthKey::random();
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Proving> proving_;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace ferrotunnel::session
