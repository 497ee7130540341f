#include "ingress/http1/http_ingress.h"

#include <memory>

namespace ferrotunnel::ingress {

HttpIngress::HttpIngress(transport::Shard& shard, route::RouterCache& routes, route::LinkDirectory& links,
                         const HttpIngressOptions& options, HttpIngressHost& host)
    : context_(shard, routes, links, options, host) {}

HttpIngress::~HttpIngress() { stop(); }

void HttpIngress::adopt(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                        std::string_view early_bytes) {
  HttpIngressStats& stats = context_.stats;
  ++stats.accepted;
  // While draining, only a request that was already read elsewhere is still served.
  if (stats.visitors >= context_.options.max_visitors || (context_.draining && early_bytes.empty()) ||
      early_bytes.size() > BufferPool::kSizes.back()) {
    ++stats.refused;
    return;
  }
  auto connection =
      std::make_unique<VisitorConnection>(context_, static_cast<VisitorOwner&>(*this), std::move(visitor), peer);
  if (!connection->start(early_bytes)) {
    ++stats.refused;
    return;
  }
  ++stats.visitors;
  visitors_.push_back(*connection.release());
}

void HttpIngress::on_visitor_over(VisitorConnection& visitor) {
  --context_.stats.visitors;
  delete &visitor;
}

void HttpIngress::drain() {
  context_.draining = true;
  context_.pool.close();
  for (auto at = visitors_.begin(); at != visitors_.end();) {
    VisitorConnection& visitor = *at++;
    visitor.drain();
  }
}

void HttpIngress::stop() {
  context_.draining = true;
  while (!visitors_.empty()) on_visitor_over(visitors_.front());
  context_.pool.clear();
}

HttpIngressStats HttpIngress::stats() const {
  HttpIngressStats stats = context_.stats;
  const OriginPool::Counters& pool = context_.pool.counters();
  stats.idle_origins = context_.pool.idle();
  stats.origins_opened = pool.opened;
  stats.origins_reused = pool.reused;
  stats.origins_dropped = pool.dropped;
  return stats;
}

}  // namespace ferrotunnel::ingress
