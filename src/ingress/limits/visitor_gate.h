// VisitorGate: what one tunnel's visitors may do: who is let in, how many at once, how fast they come, and how fast their bytes go.
//
// Made by the server's session for each of its tunnels; held by visitors who were let in too, for as long as they last, since a request
// may outlive its tunnel. Its shard's thread: a tunnel's visitors are all on one.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <expected>
#include <memory>
#include <utility>

#include "base/token_bucket.h"
#include "ingress/limits/bandwidth.h"
#include "ingress/limits/visitor_count.h"
#include "transport/link.h"
#include "transport/tcp/ip_set.h"
#include "wire/control.h"

namespace ferrotunnel::ingress {

// Who is in `deny` is refused; where `allow` has any, who is not in it too.
struct AddressRules {
  transport::IpSet allow, deny;
  [[nodiscard]] bool admits(const transport::PeerAddress& visitor) const {
    return !deny.contains(visitor) && (allow.empty() || allow.contains(visitor));
  }
  [[nodiscard]] bool empty() const { return allow.empty() && deny.empty(); }
};
using AddressRulesPtr = std::shared_ptr<const AddressRules>;

// What counts as one visitor: family, and the IPv4 address or the /64 of an IPv6 one.
[[nodiscard]] std::pair<std::uint64_t, std::uint64_t> network_of(const transport::PeerAddress& visitor);

class VisitorGate;

// One visitor's place in a tunnel; gives itself back.
class Admission {
 public:
  using Address = std::pair<std::uint64_t, std::uint64_t>;  // family and network: an IPv4 address, an IPv6 /64
  Admission() = default;
  Admission(Admission&& other) noexcept { swap(other); }
  Admission& operator=(Admission&& other) noexcept {
    Admission gone(std::move(other));
    swap(gone);
    return *this;
  }
  ~Admission() { reset(); }
  void reset();
  [[nodiscard]] const std::shared_ptr<VisitorGate>& gate() const { return gate_; }

 private:
  friend class VisitorGate;
  void swap(Admission& other) noexcept {
    gate_.swap(other.gate_);
    std::swap(address_, other.address_);
  }
  std::shared_ptr<VisitorGate> gate_;
  Address address_{};  // family 0: not counted
};

class VisitorGate final : public std::enable_shared_from_this<VisitorGate> {
 public:
  // Addresses that are counted at once; past it, newcomers of others are refused.
  static constexpr std::size_t kMaxAddresses = 100'000;

  // `use`: of the grant; may be none.
  VisitorGate(transport::Shard& shard, const std::shared_ptr<session::GrantUse>& use);

  // From now on. Visitors that are there stay; their bandwidth is the new one, where theirs was limited before.
  void set(const wire::Limits& limits, AddressRulesPtr tunnel, AddressRulesPtr server);
  // Nothing is limited: nobody has to ask.
  [[nodiscard]] bool open() const;
  [[nodiscard]] std::expected<Admission, Refusal> admit(const transport::PeerAddress& visitor);

  [[nodiscard]] bool throttles() const { return in_.limited() || out_.limited(); }
  [[nodiscard]] BandwidthLane& lane(Way way) { return way == Way::In ? in_ : out_; }
  [[nodiscard]] Duration idle_timeout() const { return std::chrono::milliseconds(limits_.idle_timeout_ms); }

  [[nodiscard]] std::uint32_t visitors() const { return visitors_; }
  [[nodiscard]] std::size_t addresses() const { return addresses_.size(); }
  [[nodiscard]] std::uint64_t throttled() const { return in_.waited() + out_.waited(); }

 private:
  friend class Admission;
  transport::Shard& shard_;
  wire::Limits limits_;  // without networks
  AddressRulesPtr tunnel_rules_, server_rules_;
  TokenBucket newcomers_;
  BandwidthLane in_, out_;
  boost::unordered_flat_map<Admission::Address, std::uint32_t> addresses_;
  std::uint32_t visitors_ = 0;
};
using VisitorGatePtr = std::shared_ptr<VisitorGate>;

}  // namespace ferrotunnel::ingress
