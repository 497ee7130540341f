#include "ingress/http1/http_ingress.h"

#include <algorithm>
#include <memory>

namespace ferrotunnel::ingress {

HttpIngress::HttpIngress(transport::Shard& shard, route::RouterCache& routes, route::LinkDirectory& links,
                         const HttpIngressOptions& options, HttpIngressHost& host)
    : context_(shard, routes, links, options, host) {}

HttpIngress::~HttpIngress() { stop(); }

void HttpIngress::adopt(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                        std::string_view early_bytes, const VisitorTls& tls, VisitorSlot slot) {
  HttpIngressStats& stats = context_.stats;
  ++stats.accepted;
  // While draining, only a request that was already read elsewhere is still served, and who had come when it began and then shook hands.
  if (stats.visitors >= context_.options.max_visitors) make_room();
  if (stats.visitors >= context_.options.max_visitors || (context_.draining && early_bytes.empty() && !tls.on) ||
      early_bytes.size() > BufferPool::kSizes.back()) {
    ++stats.refused;
    return;
  }
  if (VisitorCount* count = context_.options.visitors; count != nullptr && !slot) {
    if (!(slot = let_in(peer))) return turn_away(*visitor, count->refusal_of(peer));
  }
  if (tls.h2) {
    if (add_http2({std::move(visitor), peer, tls, nullptr, std::move(slot)}, early_bytes)) ++stats.visitors;
    return;
  }
  auto connection = std::make_unique<VisitorConnection>(context_, static_cast<VisitorOwner&>(*this), std::move(visitor),
                                                        peer, std::move(slot), tls);
  if (!connection->start(early_bytes)) {
    ++stats.refused;
    return;
  }
  ++stats.visitors;
  visitors_.push_back(*connection.release());
}

VisitorSlot HttpIngress::let_in(const transport::PeerAddress& peer) {
  VisitorCount& count = *context_.options.visitors;
  const bool crowded = count.crowded_by(peer);
  if (!crowded && !count.full()) {
    if (VisitorSlot slot = count.enter(peer)) return slot;
  }
  const transport::PeerAddress of = crowded ? peer : transport::PeerAddress{};
  if (make_room(of)) return count.enter(peer);
  if (context_.host.make_room(of)) {
    if (VisitorSlot slot = count.enter_beyond(peer)) return slot;
  }
  return crowded ? VisitorSlot() : count.enter(peer);
}

void HttpIngress::adopt_http2(Http2Parcel parcel) {
  HttpIngressStats& stats = context_.stats;
  ++stats.accepted;
  if (stats.visitors >= context_.options.max_visitors) {
    ++stats.refused;
    return;
  }
  if (add_http2(std::move(parcel), {})) ++stats.visitors;
}

bool HttpIngress::add_http2(Http2Parcel parcel, std::string_view early_bytes, bool upgrades) {
  auto connection =
      std::make_unique<Http2Connection>(context_, static_cast<Http2Owner&>(*this), std::move(parcel.stream),
                                        parcel.peer, parcel.tls, std::move(parcel.slot));
  const bool good = parcel.server ? connection->go_on(std::move(parcel.server)).has_value()
                    : upgrades    ? connection->take_over(early_bytes)
                                  : connection->start(early_bytes).has_value();
  if (!good) {
    ++context_.stats.refused;
    return false;
  }
  Http2Connection& added = *connection.release();
  http2_.push_back(added);
  if (context_.draining) added.drain();
  return true;
}

// It stays a visitor, and its place.
void HttpIngress::on_http2(VisitorConnection& visitor) {
  VisitorConnection::Parts parts = visitor.release();
  delete &visitor;
  if (!add_http2({std::move(parts.stream), parts.peer, parts.tls, nullptr, std::move(parts.slot)}, parts.early,
                 parts.upgrades))
    --context_.stats.visitors;
}

void HttpIngress::on_http2_over(Http2Connection& connection) {
  --context_.stats.visitors;
  delete &connection;
}

void HttpIngress::turn_away(transport::ByteStream& visitor, Refusal why) {
  const Failure& failure = failures::kServerLimit;
  http::ErrorPage page = page_of(failure, failure.sentence, {});
  page.templates = context_.pages.get();
  page.date = context_.date();
  std::string text = http::make_error_response(page);
  iovec piece{text.data(), text.size()};
  (void)visitor.write({&piece, 1});
  visitor.shutdown_write();
  // What it has asked by now is read away: left unread it would make the close an RST, which may overtake the page.
  (void)visitor.read(context_.shard.read_buffer());
  ++context_.stats.refused;
  context_.host.on_turned_away(why);
}

void HttpIngress::set_gate(const TunnelKey& tunnel, VisitorGatePtr gate) {
  if (gate == nullptr) {
    context_.gates.erase(tunnel);
  } else {
    context_.gates[tunnel] = std::move(gate);
  }
}

void HttpIngress::on_visitor_over(VisitorConnection& visitor) {
  --context_.stats.visitors;
  delete &visitor;
}

std::size_t HttpIngress::reading() const {
  return static_cast<std::size_t>(std::ranges::count_if(visitors_, &VisitorConnection::reading) +
                                  std::ranges::count_if(http2_, &Http2Connection::reading));
}

void HttpIngress::drain() { drain_idle(true); }

void HttpIngress::drain_idle(bool fresh) {
  context_.draining = true;
  context_.pool.close();
  for (auto at = visitors_.begin(); at != visitors_.end();) {
    VisitorConnection& visitor = *at++;
    visitor.drain(fresh);
  }
  for (auto at = http2_.begin(); at != http2_.end();) {
    Http2Connection& connection = *at++;
    connection.drain();
  }
}

void HttpIngress::stop() {
  context_.draining = true;
  while (!visitors_.empty()) on_visitor_over(visitors_.front());
  while (!http2_.empty()) on_http2_over(http2_.front());
  context_.pool.clear();
}

HttpIngressStats HttpIngress::stats() const {
  HttpIngressStats stats = context_.stats;
  const OriginPool::Counters& pool = context_.pool.counters();
  stats.idle_origins = context_.pool.idle();
  stats.origins_opened = pool.opened;
  stats.origins_reused = pool.reused;
  stats.origins_dropped = pool.dropped;
  stats.h2_origin_abuse = context_.pool.h2().abuses();
  return stats;
}

}  // namespace ferrotunnel::ingress
