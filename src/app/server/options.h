// What a ServerBuilder collected. Fixed once the server starts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/buffer_pool.h"
#include "ferrotunnel/server.h"
#include "ingress/proxy_reader.h"
#include "mux/limits.h"
#include "session/heartbeat.h"
#include "transport/tcp/ip_set.h"

namespace ferrotunnel {

struct ServerBuilder::Options {
  std::string listen = ":7835";
  std::string http_listen = ":8080";
  std::string tcp_listen_host;
  std::vector<std::string> public_addresses;
  std::string state_dir;
  bool tls = true;
  std::string tls_certificate, tls_key, tls_client_ca;
  std::vector<GrantOptions> grants;
  std::vector<std::string> trusted_proxy_networks;
  transport::IpSet trusted_proxies;  // what build() made of them
  ingress::ProxyReaderOptions proxies;
  unsigned threads = 0;
  std::size_t memory_limit = MemoryBudget::kDefaultLimit;
  bool built = false;  // build() took all this away
  mux::MuxLimits mux;
  session::HeartbeatOptions heartbeat;
  std::size_t max_handshakes = 2048;  // waiting at once on a shard; past it the oldest goes

  std::function<void(const SessionEvent&)> on_session;
  std::function<void(const TunnelEvent&)> on_tunnel;
  std::function<void(const VisitorEvent&)> on_visitor;
  std::function<void(const RequestEvent&)> on_request;
  std::function<void(const Error&)> on_error;
};

}  // namespace ferrotunnel
