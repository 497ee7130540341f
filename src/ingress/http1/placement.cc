#include "ingress/http1/placement.h"

#include "http/forward.h"
#include "http/host.h"

namespace ferrotunnel::ingress {

Placement place_request(IngressContext& context, const http::RequestHead& head, const VisitorTls* tls,
                        const transport::PeerAddress& peer, bool holds) {
  Placement place;
  const auto refuse = [&place](const Failure& failure) {
    place.failure = &failure;
    return std::move(place);
  };
  if (head.host.empty() || !http::normalise_host(head.host, context.host_name)) return refuse(failures::kHostMissing);
  if (tls == nullptr && context.https_only(context.host_name)) {
    place.to_https = true;
    return place;
  }
  if (tls != nullptr && context.misdirected(*tls, context.host_name)) return refuse(failures::kMisdirected);
  const route::RouteTarget* target = place.target = context.routes.find(context.host_name);
  if (target == nullptr) return refuse(failures::kNoSuchHost);
  if (http::via_names(head.fields, context.options.via)) {
    place.tunnel = {target->session, target->tunnel};
    return refuse(failures::kLoop);
  }
  const bool elsewhere = target->shard != context.shard.index();
  place.link = elsewhere && target->pinned ? nullptr : context.links.find(target->session);
  if (place.link == nullptr && elsewhere) {
    place.shard = target->shard;
    return place;
  }
  place.tunnel = {target->session, target->tunnel};
  if (holds && context.shard.buffers().budget().full()) {
    ++context.stats.no_memory;
    place.refused = Refusal::Memory;
    return refuse(failures::kServerMemory);
  }
  if (VisitorGate* gate = context.gate_of(place.tunnel); gate != nullptr) {
    auto admitted = gate->admit(peer);
    if (!admitted) {
      place.refused = admitted.error();
      return refuse(failure_of(admitted.error()));
    }
    place.admission = std::move(*admitted);
  }
  return place;
}

}  // namespace ferrotunnel::ingress
