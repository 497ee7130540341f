// What a configuration has to be, asked of those who use it (plan_server(), plan_client(), to_grants()): a part of it at a time, in a
// configuration that is right otherwise, so that what they say is about that part. Pure functions; any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::app::config {

// Name, host, kind and PROXY header; not where it leads to.
// Without `to`: with a service that is good for all.
[[nodiscard]] Result<> check_tunnel(const TunnelConfig& tunnel);
// How its service is spoken to over TLS, with where that is.
[[nodiscard]] Result<> check_origin(const TunnelConfig& tunnel);
[[nodiscard]] Result<> check_rule(const TunnelRule& rule);  // without its number
// Token or grant, addresses, and TLS; the tunnels do not matter. A configuration without a token passes: it may come from elsewhere.
[[nodiscard]] Result<> check_sign_in(const ClientConfig& config);
[[nodiscard]] Result<> check_grant_name(const std::string& name);

}  // namespace ferrotunnel::app::config
