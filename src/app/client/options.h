// What a ClientBuilder collected. Fixed once the client starts.
#pragma once

#include <cstdint>
#include <functional>

#include "ferrotunnel/client.h"
#include "mux/limits.h"
#include "session/backoff.h"
#include "session/heartbeat.h"

namespace ferrotunnel {

struct ClientBuilder::Options : ClientConfig {
  bool built = false;  // build() took all this away
  mux::MuxLimits mux;
  session::BackoffOptions backoff;
  session::HeartbeatOptions heartbeat;
  // What a server may make it open beside its first link; fewer where there are few descriptors (app::AskedLimits).
  std::uint32_t max_direct = 1024;  // direct links at once, those with a visitor among them
  std::uint32_t max_links = 64;     // further links

  std::function<void(const Connecting&)> on_connecting;
  std::function<void(const Connected&)> on_connected;
  std::function<void(const Disconnected&)> on_disconnected;
  std::function<void(const TunnelUp&)> on_tunnel_up;
  std::function<void(const TunnelFailed&)> on_tunnel_failed;
  std::function<void(const VisitorEvent&)> on_visitor;
  std::function<void(const Error&)> on_error;
  ClientBuilder::DrainAsked on_drain_asked;
  ClientBuilder::ReloadAsked on_reload_asked;
};

}  // namespace ferrotunnel
