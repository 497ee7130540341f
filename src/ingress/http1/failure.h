// Failure: why a visitor gets a page of ours instead of the origin's response, and whose fault it is (docs/wire-protocol.md section 5).
//
// Static text; pure functions; any thread. Private to http1/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/error_page.h"
#include "http/path.h"
#include "ingress/limits/visitor_count.h"
#include "transport/link.h"

namespace ferrotunnel::ingress {

struct Failure {
  std::uint16_t status = 502;
  http::FaultSide side = http::FaultSide::Tunnel;
  std::string_view slug;
  std::string_view sentence;      // "{host}" stands for the host
  std::uint32_t retry_after = 0;  // seconds; 0: no Retry-After
};

namespace failures {
extern const Failure kNoSuchHost, kNoSuchPath, kHostMissing, kLinkLost, kClientAway, kLoop, kLinkLimit, kLinkClosing,
    kServerMemory;
extern const Failure kOriginTimeout, kOriginStalled, kOriginClosed, kBadResponse, kResponseCut, kGrpcDeadline;
extern const Failure kMisdirected, kConnectRefused, kTraceEnds;
extern const Failure kVisitorDenied, kTunnelLimit, kAddressLimit, kVisitorRate, kServerLimit;
extern const Failure kBadBody, kRequestTimeout, kRequestSlow, kRequestCut, kVisitorGone, kVisitorStalled, kVisitorSlow,
    kRuleTimeout, kRuleFailed, kCertificateRequired;
}  // namespace failures

// The path could be read in more than one way, where it decides something.
[[nodiscard]] const Failure& failure_of(http::PathFault fault);
// The stream ended before there was a response.
[[nodiscard]] const Failure& failure_of(transport::ResetReason reason);
// A limit let it not in.
[[nodiscard]] const Failure& failure_of(Refusal why);
// Link::open() refused.
[[nodiscard]] const Failure& failure_of(const Error& error);

[[nodiscard]] std::string sentence_of(const Failure& failure, std::string_view host);
// The page of it, as far as the failure says. `sentence` is that of sentence_of(), and outlives the page as `host` does.
[[nodiscard]] http::ErrorPage page_of(const Failure& failure, std::string_view sentence, std::string_view host);

}  // namespace ferrotunnel::ingress
