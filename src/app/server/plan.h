// ServerPlan: a ServerConfig that was checked and made into what ServerImpl works with. Values; any thread.
#pragma once

#include <vector>

#include "ferrotunnel/config.h"
#include "session/grant.h"
#include "transport/tcp/ip_set.h"

namespace ferrotunnel::app {

struct ServerPlan {
  std::vector<session::Grant> grants;  // of the configuration; those of the state directory come beside them
  transport::IpSet trusted_proxies;
};

// Touches nothing outside the process. Errors: BadInput.
[[nodiscard]] Result<ServerPlan> plan_server(const ServerConfig& config);

}  // namespace ferrotunnel::app
