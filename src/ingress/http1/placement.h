// Placement: where a request goes, or why it does not: host, route, link, and what limits say. The same for every version of HTTP.
//
// Pure but for what it takes from gates and for the context's host_name, which is the host's one spelling afterwards, and the request's
// path, which is in its one spelling (in the context) where it decides. The shard's thread.
#pragma once

#include <optional>

#include "http/message.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/rule_run.h"

namespace ferrotunnel::ingress {

struct Placement {
  const Failure* failure = nullptr;            // it is refused
  std::optional<Refusal> refused;              // by a limit
  bool to_https = false;                       // this host is for the HTTPS port
  bool own_options = false;                    // an OPTIONS that goes no further than here
  std::optional<unsigned> shard;               // its link is there, and none is here
  const route::RouteTarget* target = nullptr;  // where one was found
  TunnelKey tunnel;
  transport::Link* link = nullptr;  // may be none: it is lost
  Admission admission;
  // What the service may hear of what the visitor has shown; null: nothing. A part of the visitor's.
  const transport::VisitorCertificatePtr* certificate = nullptr;
  bool resumed = false;  // what `waited` has decided so far is good for it
};

// `tls`: none for a visitor over plain HTTP. `holds`: it would hold more than its connection does, so that it needs memory. `waited`: of
// the same request, where it was placed before and a rule had to wait.
[[nodiscard]] Placement place_request(IngressContext& context, http::RequestHead& head, const VisitorTls* tls,
                                      const transport::PeerAddress& peer, bool holds, RuleRun* waited = nullptr);

}  // namespace ferrotunnel::ingress
