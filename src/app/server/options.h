// What a ServerBuilder collected. Fixed once the server starts.
#pragma once

#include <functional>

#include "ferrotunnel/server.h"
#include "ingress/proxy_reader.h"
#include "ingress/tls/visitor_handshakes.h"
#include "mux/limits.h"
#include "session/heartbeat.h"

namespace ferrotunnel {

struct ServerBuilder::Options : ServerConfig {
  ingress::ProxyReaderOptions proxies;
  ingress::VisitorHandshakeOptions visitor_handshakes;
  bool built = false;  // build() took all this away
  mux::MuxLimits mux;
  session::HeartbeatOptions heartbeat;
  // Connections on a shard that have not signed in yet; fewer where there are few descriptors (join_crowd.h). Past it the oldest goes.
  std::size_t max_handshakes = 2048;
  std::size_t max_handshakes_per_address = 0;  // of them; 0: a quarter

  std::function<void(const SessionEvent&)> on_session;
  std::function<void(const TunnelEvent&)> on_tunnel;
  std::function<void(const VisitorEvent&)> on_visitor;
  std::function<void(const RequestEvent&)> on_request;
  std::function<void(const Error&)> on_error;
  std::function<void(const std::string&)> on_note;
  ServerBuilder::DrainAsked on_drain_asked;
  ServerBuilder::ReloadAsked on_reload_asked;
};

}  // namespace ferrotunnel
