// Placement: where a request goes, or why it does not: host, route, link, and what limits say. The same for every version of HTTP.
//
// Pure but for what it takes from gates and for the context's host_name, which is the host's one spelling afterwards. The shard's thread.
#pragma once

#include <optional>

#include "http/message.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"

namespace ferrotunnel::ingress {

struct Placement {
  const Failure* failure = nullptr;            // it is refused
  std::optional<Refusal> refused;              // by a limit
  bool to_https = false;                       // this host is for the HTTPS port
  std::optional<unsigned> shard;               // its link is there, and none is here
  const route::RouteTarget* target = nullptr;  // where one was found
  TunnelKey tunnel;
  transport::Link* link = nullptr;  // may be none: it is lost
  Admission admission;
};

// `tls`: none for a visitor over plain HTTP. `holds`: it would hold more than its connection does, so that it needs memory.
[[nodiscard]] Placement place_request(IngressContext& context, const http::RequestHead& head, const VisitorTls* tls,
                                      const transport::PeerAddress& peer, bool holds);

}  // namespace ferrotunnel::ingress
