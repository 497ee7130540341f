// ServerPlan: a ServerConfig that was checked and made into what ServerImpl works with. Values; any thread.
#pragma once

#include <vector>

#include "ferrotunnel/config.h"
#include "ingress/limits/visitor_gate.h"
#include "session/grant.h"
#include "transport/tcp/ip_set.h"

namespace ferrotunnel::app {

struct ServerPlan {
  std::vector<session::Grant> grants;  // of the configuration; those of the state directory come beside them
  transport::IpSet trusted_proxies;
  std::string domain;  // in the one spelling; empty: none was given
  wire::Limits tunnel_limits;
  ingress::AddressRulesPtr visitor_rules;  // of these
};

// Touches nothing outside the process. Errors: BadInput.
[[nodiscard]] Result<ServerPlan> plan_server(const ServerConfig& config);

// Visitors that a server of this configuration has room for: what it says, or as many as there are descriptors for, less those that are
// kept for clients, files and the control socket. Whatever it is, a DescriptorBudget stops them sooner where others have descriptors.
[[nodiscard]] std::uint32_t visitor_limit(const ServerConfig& config);

}  // namespace ferrotunnel::app
