// ClientPlan: a ClientConfig that was checked and made into what ClientImpl works with. Values; any thread.
#pragma once

#include <optional>
#include <vector>

#include "ferrotunnel/config.h"
#include "http/head_match.h"
#include "origin/target.h"
#include "session/join_token.h"
#include "transport/tls/tls_context.h"
#include "wire/control.h"

namespace ferrotunnel::app {

// More hosts than one, or a part of their requests.
[[nodiscard]] inline bool has_routes(const TunnelConfig& config) {
  return !config.hosts.empty() || !config.paths.empty() || !config.methods.empty() || !config.headers.empty();
}

struct PlannedTunnel {
  TunnelConfig config;
  origin::TargetPtr target;
  wire::Limits limits;  // as the server hears them
  wire::Carry carry = wire::Carry::Auto;
  std::vector<std::string> paths;  // in the one spelling
  http::HeadMatch match;           // of config's methods and headers
  std::vector<wire::Rule> rules;
  std::string client_ca{};  // PEM, of config's file: load_origin_tls()
  // The server has to know of rules.
  [[nodiscard]] bool needs_rules() const {
    return config.kind == TunnelConfig::Kind::Http &&
           (!rules.empty() || single_use() || !config.client_ca.empty() || has_routes(config));
  }
  // The local service hears who the visitor is before a connection's first byte, and not again.
  [[nodiscard]] bool single_use() const {
    return config.kind == TunnelConfig::Kind::Http && config.proxy_protocol != ProxyProtocol::Off;
  }
  [[nodiscard]] wire::TunnelProto proto() const {
    return config.kind == TunnelConfig::Kind::Http ? wire::TunnelProto::Http : wire::TunnelProto::Tcp;
  }
};

// What the server hears of it; the request's number is not in it.
[[nodiscard]] wire::Register register_of(const PlannedTunnel& tunnel);

// Makes what the tunnels' services over TLS need. Reads their files of CA and certificate, the system's authorities, and those that visitors
// have to be known to. Errors: BadInput, Io, Tls.
[[nodiscard]] Result<> load_origin_tls(std::vector<PlannedTunnel>& tunnels);

struct ClientPlan {
  std::vector<PlannedTunnel> tunnels;
  session::JoinToken token;  // addresses, grant, secret, pin, tls
};

// Opens the directories that are shared; touches nothing else outside the process. Errors: BadInput.
[[nodiscard]] Result<ClientPlan> plan_client(const ClientConfig& config);
// Reads the files of CA and certificate. Nothing: the plan is without TLS. Errors: BadInput, Io, Tls.
[[nodiscard]] Result<std::optional<transport::TlsClientContext>> load_client_tls(const ClientConfig& config,
                                                                                 const session::JoinToken& token);

}  // namespace ferrotunnel::app
