#include "app/limits.h"

#include <algorithm>
#include <string>

namespace ferrotunnel::app {
namespace {

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

Result<> check_networks(std::string_view list, const std::vector<std::string>& networks) {
  if (networks.size() > wire::kMaxNetworks)
    return bad(std::string(list) + " may have " + std::to_string(wire::kMaxNetworks) + " networks, not " +
               std::to_string(networks.size()));
  for (const std::string& network : networks) {
    if (network.size() > wire::kMaxNetwork)
      return bad(std::string(list) + ": '" + wire::clean_text(network, wire::kMaxNetwork) + "…' is no network");
  }
  auto parsed = transport::IpSet::parse(networks);
  if (!parsed) return bad(std::string(list) + ": " + parsed.error().context);
  return {};
}

template <class Number>
Number lower(Number a, Number b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

Result<wire::Limits> to_wire(const TunnelLimits& limits) {
  if (limits.idle_timeout < std::chrono::milliseconds::zero()) return bad("idle_timeout cannot be less than 0");
  if (auto checked = check_networks("allow", limits.allow); !checked) return std::unexpected(checked.error());
  if (auto checked = check_networks("deny", limits.deny); !checked) return std::unexpected(checked.error());
  wire::Limits wire;
  wire.max_visitors = limits.max_visitors;
  wire.max_visitors_per_address = limits.max_visitors_per_address;
  wire.max_new_visitors_per_second = limits.max_new_visitors_per_second;
  wire.bandwidth = std::min(limits.bandwidth, wire::kMaxBandwidth);
  wire.visitor_bandwidth = std::min(limits.visitor_bandwidth, wire::kMaxBandwidth);
  wire.idle_timeout_ms =
      static_cast<std::uint32_t>(std::min<std::int64_t>(limits.idle_timeout.count(), std::int64_t{UINT32_MAX}));
  wire.allow = limits.allow;
  wire.deny = limits.deny;
  return wire;
}

Result<ingress::AddressRulesPtr> to_rules(const wire::Limits& limits) {
  if (limits.allow.empty() && limits.deny.empty()) return nullptr;
  auto allow = transport::IpSet::parse(limits.allow);
  if (!allow) return bad("allow: " + allow.error().context);
  auto deny = transport::IpSet::parse(limits.deny);
  if (!deny) return bad("deny: " + deny.error().context);
  return std::make_shared<const ingress::AddressRules>(std::move(*allow), std::move(*deny));
}

wire::Limits lower_of(const wire::Limits& a, const wire::Limits& b) {
  wire::Limits both;
  both.max_visitors = lower(a.max_visitors, b.max_visitors);
  both.max_visitors_per_address = lower(a.max_visitors_per_address, b.max_visitors_per_address);
  both.max_new_visitors_per_second = lower(a.max_new_visitors_per_second, b.max_new_visitors_per_second);
  both.bandwidth = lower(a.bandwidth, b.bandwidth);
  both.visitor_bandwidth = lower(a.visitor_bandwidth, b.visitor_bandwidth);
  both.idle_timeout_ms = lower(a.idle_timeout_ms, b.idle_timeout_ms);
  return both;
}

RefusedVisitors to_status(const ingress::RefusalCounts& counts) {
  const auto of = [&counts](ingress::Refusal why) { return counts[static_cast<std::size_t>(why)]; };
  return {of(ingress::Refusal::Denied), of(ingress::Refusal::TunnelLimit), of(ingress::Refusal::AddressLimit),
          of(ingress::Refusal::Rate),   of(ingress::Refusal::ServerLimit), of(ingress::Refusal::Memory)};
}

DescriptorStatus to_status(const DescriptorBudget& budget) {
  const auto known = [](std::uint32_t line) { return line == UINT32_MAX ? 0 : line; };
  const std::uint64_t limit = descriptor_limit();
  const DescriptorLines lines = budget.lines();
  DescriptorStatus status;
  status.limit = limit == UINT64_MAX ? 0 : limit;
  status.visitors_line = known(lines.visitors);
  status.data_line = known(lines.data);
  status.clients_line = known(lines.clients);
  status.refused_share = budget.refused_share();
  const auto each = [&](DescriptorUses& into, auto count) {
    into.visitors = count(DescriptorUse::Visitor);
    into.data = count(DescriptorUse::Data);
    into.clients = count(DescriptorUse::Client);
    into.ports = count(DescriptorUse::Port);
    into.handshakes = count(DescriptorUse::Handshake);
  };
  each(status.now, [&](DescriptorUse use) { return budget.now(use); });
  each(status.refused, [&](DescriptorUse use) { return budget.refused(use); });
  return status;
}

}  // namespace ferrotunnel::app
