#include "ingress/limits/visitor_gate.h"

#include "base/bytes.h"

namespace ferrotunnel::ingress {

// A machine of IPv6 has a /64 of its own, and all the addresses in it.
std::pair<std::uint64_t, std::uint64_t> network_of(const transport::PeerAddress& visitor) {
  if (visitor.family == 6) return {6, load_be<std::uint64_t>(visitor.bytes.data())};
  if (visitor.family == 4) return {4, load_be<std::uint32_t>(visitor.bytes.data())};
  return {1, 0};  // unknown: all of those are one
}

void Admission::reset() {
  if (gate_ == nullptr) return;
  --gate_->visitors_;
  if (address_.first != 0) {
    const auto found = gate_->addresses_.find(address_);
    if (--found->second == 0) gate_->addresses_.erase(found);
  }
  gate_.reset();
}

VisitorGate::VisitorGate(transport::Shard& shard, const std::shared_ptr<session::GrantUse>& use)
    : shard_(shard),
      in_(shard, use, use != nullptr ? &use->from_visitors : nullptr),
      out_(shard, use, use != nullptr ? &use->to_visitors : nullptr) {}

void VisitorGate::set(const wire::Limits& limits, AddressRulesPtr tunnel, AddressRulesPtr server) {
  limits_ = limits;
  limits_.allow.clear();
  limits_.deny.clear();
  tunnel_rules_ = tunnel != nullptr && !tunnel->empty() ? std::move(tunnel) : nullptr;
  server_rules_ = server != nullptr && !server->empty() ? std::move(server) : nullptr;
  newcomers_.set(limits.max_new_visitors_per_second, limits.max_new_visitors_per_second);
  in_.set(limits.bandwidth, limits.visitor_bandwidth);
  out_.set(limits.bandwidth, limits.visitor_bandwidth);
}

bool VisitorGate::open() const {
  return limits_ == wire::Limits{} && tunnel_rules_ == nullptr && server_rules_ == nullptr && !throttles();
}

std::expected<Admission, Refusal> VisitorGate::admit(const transport::PeerAddress& visitor) {
  for (const AddressRules* rules : {server_rules_.get(), tunnel_rules_.get()})
    if (rules != nullptr && !rules->admits(visitor)) return std::unexpected(Refusal::Denied);
  if (limits_.max_visitors != 0 && visitors_ >= limits_.max_visitors) return std::unexpected(Refusal::TunnelLimit);
  Admission admission;
  if (limits_.max_visitors_per_address != 0) {
    const Admission::Address address = network_of(visitor);
    const auto found = addresses_.find(address);
    const bool full = found != addresses_.end() ? found->second >= limits_.max_visitors_per_address
                                                : addresses_.size() >= kMaxAddresses;
    if (full) return std::unexpected(Refusal::AddressLimit);
    admission.address_ = address;
  }
  // Last, so that who is refused for another reason takes nothing from those who are not.
  if (newcomers_.take(shard_.now(), 1) == 0) return std::unexpected(Refusal::Rate);
  if (admission.address_.first != 0) ++addresses_[admission.address_];
  ++visitors_;
  admission.gate_ = shared_from_this();
  return admission;
}

}  // namespace ferrotunnel::ingress
