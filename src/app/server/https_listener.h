// HttpsListener: a shard's part of the HTTPS port: accepts, has a PROXY header read where one is due, then the TLS handshake done, and hands the
// visitor to the shard's HttpIngress. Owned by its ServerShard; that shard's thread only.
#pragma once

#include <memory>

#include "ferrotunnel/server.h"
#include "ingress/proxy_reader.h"
#include "ingress/tls/visitor_handshakes.h"
#include "transport/tcp/listener.h"

namespace ferrotunnel::app {

class ServerShard;

class HttpsListener final : private ingress::ProxiedVisitors,
                            private ingress::SecuredVisitors,
                            private transport::NameGuard {
 public:
  HttpsListener(ServerShard& shard, transport::UniqueFd fd);
  ~HttpsListener();

  [[nodiscard]] Result<> start();
  void keep_alive(Duration silence);
  // Whoever is connected already is taken; nobody else is, and those go on with their handshakes.
  void take_waiting();
  void stop_accepting();
  void end_handshakes() { handshakes_.stop(); }
  [[nodiscard]] std::size_t waiting() const { return handshakes_.waiting(); }
  void fill_status(ServerStatus& status) const;

 private:
  void accept(transport::UniqueFd fd, const transport::PeerAddress& peer);
  void on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) override;
  void on_secured(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer, const ingress::VisitorTls& tls,
                  ingress::VisitorSlot slot) override;
  [[nodiscard]] Demand demand_of(std::string_view name) override;

  ServerShard& shard_;
  ingress::VisitorHandshakes handshakes_;
  std::unique_ptr<transport::Listener> listener_;  // none: it takes nobody new
};

}  // namespace ferrotunnel::app
