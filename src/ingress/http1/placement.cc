#include "ingress/http1/placement.h"

#include "http/forward.h"
#include "http/host.h"
#include "http/last_hop.h"
#include "http/path.h"

namespace ferrotunnel::ingress {

namespace {

// What decides is what is sent.
const Failure* spell_path(IngressContext& context, http::RequestHead& head) {
  if (head.path_and_query.data() == context.path.data()) return nullptr;  // it is
  const http::PathFault fault = http::normalise_path(head, context.path);
  return fault == http::PathFault::None ? nullptr : &failure_of(fault);
}

// Not of another authority's, and not one that was shown for another name.
bool shows(const VisitorTls& tls, const transport::ClientAuthority& wanted) {
  return tls.certificate != nullptr && tls.certificate->authority != nullptr &&
         tls.certificate->authority->id() == wanted.id();
}

// A certificate is worth as much as who has signed it: a tunnel hears of those that its own authority has, and those that the server asked for
// in the name of this host. Another tunnel's authority can sign any name that it likes.
bool tells(const IngressContext& context, const route::RouteTarget& target, const VisitorTls& tls) {
  if (tls.certificate == nullptr) return false;
  if (tls.certificate->authority != nullptr) return target.client_ca != nullptr && shows(tls, *target.client_ca);
  return context.https.book != nullptr && context.https.book->guards(context.host_name);
}

// RFC 9110 section 9.3.6: it is for who asks for it, and by a connection that may ask him. Nobody hears who does.
bool may_connect(const IngressContext& context, const http::RequestHead& head, const VisitorTls* tls) {
  const route::HostRoutes* routes = context.routes.host(context.host_name);
  if (routes == nullptr || (tls == nullptr && context.https_only(context.host_name))) return false;
  const route::RouteTarget* target = routes->all() != nullptr ? routes->all() : routes->find(head);
  return target != nullptr && target->connect && (tls != nullptr || target->client_ca == nullptr);
}

}  // namespace

Placement place_request(IngressContext& context, http::RequestHead& head, const VisitorTls* tls,
                        const transport::PeerAddress& peer, bool holds, RuleRun* waited) {
  Placement place;
  const auto refuse = [&place](const Failure& failure) {
    place.failure = &failure;
    return std::move(place);
  };
  if (head.host.empty() || !http::normalise_host(head.host, context.host_name)) return refuse(failures::kHostMissing);
  if (head.method == http::Method::Connect && !may_connect(context, head, tls))
    return refuse(failures::kConnectRefused);
  if (tls == nullptr && context.https_only(context.host_name)) {
    place.to_https = true;
    return place;
  }
  if (tls != nullptr && context.misdirected(*tls, context.host_name)) return refuse(failures::kMisdirected);
  const route::HostRoutes* routes = context.routes.host(context.host_name);
  if (routes == nullptr) return refuse(failures::kNoSuchHost);
  const route::RouteTarget* target = routes->all();
  if (target == nullptr) {
    if (const Failure* fault = spell_path(context, head); fault != nullptr) return refuse(*fault);
    target = routes->find(head);
    if (target == nullptr) return refuse(failures::kNoSuchPath);
  }
  if (target->client_ca != nullptr) {
    if (tls == nullptr) {
      place.to_https = true;
      return place;
    }
    if (!shows(*tls, *target->client_ca))
      return refuse(tls->name == context.host_name ? failures::kCertificateRequired : failures::kMisdirected);
  }
  place.target = target;
  if (http::via_names(head.fields, context.options.via)) {
    place.tunnel = {target->session, target->tunnel};
    return refuse(failures::kLoop);
  }
  if (http::ends_here(head)) {
    place.tunnel = {target->session, target->tunnel};
    if (head.method == http::Method::Trace) return refuse(failures::kTraceEnds);
    place.own_options = true;
    return place;
  }
  if (tls != nullptr && tells(context, *target, *tls)) place.certificate = &tls->certificate;
  const bool elsewhere = target->shard != context.shard.index();
  place.link = elsewhere && target->pinned ? nullptr : context.links.find(target->session);
  if (place.link == nullptr && elsewhere) {
    place.shard = target->shard;
    return place;
  }
  place.tunnel = {target->session, target->tunnel};
  if (holds && context.heads_full()) {
    ++context.stats.no_memory;
    place.refused = Refusal::Memory;
    return refuse(failures::kServerMemory);
  }
  if (target->chain != nullptr && target->chain->looks_at_paths()) {
    if (const Failure* fault = spell_path(context, head); fault != nullptr) return refuse(*fault);
  }
  if (waited != nullptr && waited->is_for(target->chain, place.tunnel)) {
    place.resumed = true;
    place.admission = waited->take_admission();
    return place;
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
