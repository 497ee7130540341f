// What a ClientBuilder collected. Fixed once the client starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "ferrotunnel/client.h"
#include "mux/limits.h"
#include "origin/target.h"
#include "session/backoff.h"
#include "session/heartbeat.h"
#include "session/join_token.h"
#include "wire/control.h"

namespace ferrotunnel {

struct ClientBuilder::Options {
  struct Tunnel {
    std::string name, to, host;
    wire::TunnelProto proto = wire::TunnelProto::Tcp;
    std::uint16_t port = 0;
    origin::TargetPtr target;  // set by build()
    ProxyProtocol proxy_protocol = ProxyProtocol::Off;
  };

  std::string join;
  std::vector<std::string> servers;
  std::string grant = "default", secret;
  bool with_grant = false;  // given, instead of the token's
  std::optional<bool> tls;
  std::string tls_ca, tls_certificate, tls_key;
  std::vector<Tunnel> tunnels;
  std::chrono::milliseconds origin_connect_timeout{10'000};
  std::size_t memory_limit = MemoryBudget::kDefaultLimit;
  bool fail_fast = false;
  bool built = false;  // build() took all this away
  mux::MuxLimits mux;
  session::BackoffOptions backoff;
  session::HeartbeatOptions heartbeat;
  session::JoinToken token;  // what build() made of all this: addresses, grant, secret, pin, tls

  std::function<void(const Connecting&)> on_connecting;
  std::function<void(const Connected&)> on_connected;
  std::function<void(const Disconnected&)> on_disconnected;
  std::function<void(const TunnelUp&)> on_tunnel_up;
  std::function<void(const TunnelFailed&)> on_tunnel_failed;
  std::function<void(const VisitorEvent&)> on_visitor;
  std::function<void(const Error&)> on_error;
};

}  // namespace ferrotunnel
