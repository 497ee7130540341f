// TunnelLimits as they cross the wire, and as they are enforced. Values; any thread.
#pragma once

#include "base/error.h"
#include "ferrotunnel/config.h"
#include "ferrotunnel/server.h"
#include "ingress/limits/visitor_gate.h"
#include "wire/control.h"

namespace ferrotunnel::app {

// What is larger than the wire carries is as good as no limit of that size. Errors: BadInput, a list that is too long, a network that is
// none, a time less than 0.
[[nodiscard]] Result<wire::Limits> to_wire(const TunnelLimits& limits);
// allow and deny. Errors: BadInput, naming the network.
[[nodiscard]] Result<ingress::AddressRulesPtr> to_rules(const wire::Limits& limits);
// Of two limits the lower one. Networks are not looked at: both lists have to admit a visitor.
[[nodiscard]] wire::Limits lower_of(const wire::Limits& a, const wire::Limits& b);

[[nodiscard]] RefusedVisitors to_status(const ingress::RefusalCounts& counts);
[[nodiscard]] DescriptorStatus to_status(const DescriptorBudget& budget);

}  // namespace ferrotunnel::app
