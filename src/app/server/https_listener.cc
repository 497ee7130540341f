#include "app/server/https_listener.h"

#include <utility>

#include "app/server/server_shard.h"

namespace ferrotunnel::app {

namespace {

ingress::VisitorHandshakeOptions handshake_options(ServerShard& shard) {
  ingress::VisitorHandshakeOptions options = shard.server().options().visitor_handshakes;
  options.shards = shard.server().threads_wanted();
  return options;
}

}  // namespace

HttpsListener::HttpsListener(ServerShard& shard, transport::UniqueFd fd)
    : shard_(shard),
      handshakes_(shard.shard(), handshake_options(shard), *this, shard.http().spares(), this),
      listener_(std::make_unique<transport::Listener>(
          shard.shard(), std::move(fd), [this](transport::UniqueFd visitor, const transport::SocketAddress& peer) {
            accept(std::move(visitor), transport::to_peer_address(peer));
          })) {}

HttpsListener::~HttpsListener() { stop_accepting(); }

Result<> HttpsListener::start() {
  keep_alive(shard_.live().config.tcp_keepalive);
  listener_->on_starved([this](int error) { shard_.server().say_starved(error); });
  return listener_->start();
}

void HttpsListener::keep_alive(Duration silence) {
  if (listener_) listener_->keep_alive(silence);
}

void HttpsListener::take_waiting() {
  if (listener_) listener_->take_waiting();
}

void HttpsListener::stop_accepting() {
  listener_.reset();
  shard_.proxies().forget(*this);
}

void HttpsListener::accept(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  if (!shard_.proxies().trusts(peer)) return on_proxied(std::move(fd), peer);
  auto slot = shard_.http().let_in({});  // who he is comes with the header
  if (!slot) return shard_.count_refused(ingress::Refusal::ServerLimit);
  shard_.proxies().take(std::move(fd), peer, *this, std::move(slot));
}

void HttpsListener::on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) {
  auto slot = shard_.http().let_in(visitor);
  // Nothing can be said before a handshake, and that is not done for one who is not let in.
  if (!slot) return shard_.count_refused(shard_.server().visitors.refusal_of(visitor));
  handshakes_.take(std::move(fd), visitor, shard_.live().https, std::move(slot));
}

void HttpsListener::on_secured(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                               const ingress::VisitorTls& tls, ingress::VisitorSlot slot) {
  shard_.http().adopt(std::move(visitor), peer, {}, tls, std::move(slot));
}

transport::NameGuard::Demand HttpsListener::demand_of(std::string_view name) {
  const route::HostRoutes* routes = shard_.routes().host(name);
  return routes != nullptr ? routes->demand() : Demand{};
}

void HttpsListener::fill_status(ServerStatus& status) const {
  const ingress::VisitorHandshakeCounters& counters = handshakes_.counters();
  VisitorTlsStatus& into = status.visitor_tls;
  into.done += counters.done;
  into.resumed += counters.resumed;
  into.failed += counters.failed;
  into.timed_out += counters.timed_out;
  into.crowded_out += counters.crowded_out;
  into.plain_http += counters.plain_http;
  into.waiting += handshakes_.waiting();
  if (listener_) status.accepts_failed += listener_->failures();
}

}  // namespace ferrotunnel::app
