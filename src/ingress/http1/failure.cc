#include "ingress/http1/failure.h"

namespace ferrotunnel::ingress {

using http::FaultSide;
using transport::ResetReason;

namespace failures {
constinit const Failure kNoSuchHost{404, FaultSide::Visitor, "no-such-host", "No tunnel serves {host} here."};
constinit const Failure kNoSuchPath{404, FaultSide::Visitor, "no-such-path", "No tunnel serves this path of {host}."};
constinit const Failure kHostMissing{400, FaultSide::Visitor, "host-missing",
                                     "The request does not say which host it is for."};
constinit const Failure kLoop{508, FaultSide::Tunnel, "loop-detected",
                              "The local service behind the tunnel to {host} leads back to this server."};
constinit const Failure kMisdirected{421, FaultSide::Visitor, "misdirected",
                                     "This connection was made for another name than {host}: ask on a new one."};
constinit const Failure kConnectRefused{501, FaultSide::Visitor, "connect-refused", "CONNECT is not offered here."};
constinit const Failure kTraceEnds{
    501, FaultSide::Visitor, "trace-ends",
    "The TRACE was to go no further than this server (Max-Forwards: 0), which answers none."};
constinit const Failure kLinkLost{502, FaultSide::Tunnel, "link-lost",
                                  "The tunnel to {host} lost its connection to this server."};
constinit const Failure kClientAway{503, FaultSide::Tunnel, "client-away",
                                    "The client that serves {host} has lost its connection to this server.", 1};
constinit const Failure kLinkLimit{503, FaultSide::Tunnel, "link-limit",
                                   "The tunnel to {host} carries as many connections as it may."};
constinit const Failure kLinkClosing{503, FaultSide::Tunnel, "link-closing", "The tunnel to {host} is being closed."};
constinit const Failure kServerMemory{503, FaultSide::Server, "server-memory",
                                      "This server has no memory left for more requests now.", 1};
constinit const Failure kVisitorDenied{403, FaultSide::Visitor, "visitor-denied",
                                       "The tunnel to {host} does not take visitors from your address."};
constinit const Failure kTunnelLimit{503, FaultSide::Tunnel, "tunnel-limit",
                                     "The tunnel to {host} has as many visitors as it may.", 1};
constinit const Failure kAddressLimit{429, FaultSide::Visitor, "address-limit",
                                      "Your address has as many requests at {host} as it may.", 1};
constinit const Failure kVisitorRate{429, FaultSide::Visitor, "visitor-rate",
                                     "More requests come to {host} than it takes in a second.", 1};
constinit const Failure kServerLimit{503, FaultSide::Server, "server-limit",
                                     "This server has as many visitors as it may.", 1};
constinit const Failure kOriginTimeout{504, FaultSide::Origin, "origin-timeout",
                                       "The tunnel to {host} is up, but its local service did not answer in time."};
constinit const Failure kOriginStalled{504, FaultSide::Origin, "origin-stalled",
                                       "The tunnel to {host} is up, but its local service stopped taking the request."};
constinit const Failure kOriginClosed{
    502, FaultSide::Origin, "origin-closed",
    "The tunnel to {host} is up, but its local service closed the connection without an answer."};
constinit const Failure kBadResponse{
    502, FaultSide::Origin, "bad-response",
    "The tunnel to {host} is up, but its local service did not answer with valid HTTP."};
constinit const Failure kResponseCut{502, FaultSide::Origin, "response-cut",
                                     "The local service of {host} broke its answer off."};
constinit const Failure kGrpcDeadline{504, FaultSide::Origin, "grpc-deadline",
                                      "The local service of {host} did not answer within grpc-timeout."};
constinit const Failure kBadBody{400, FaultSide::Visitor, "bad-body", "The request's chunked body is malformed."};
constinit const Failure kRequestTimeout{408, FaultSide::Visitor, "request-timeout",
                                        "The request did not arrive in time."};
constinit const Failure kRequestSlow{408, FaultSide::Visitor, "request-slow", "The request's body came too slowly."};
constinit const Failure kRequestCut{400, FaultSide::Visitor, "request-cut", "The connection ended inside the request."};
constinit const Failure kVisitorGone{499, FaultSide::Visitor, "visitor-gone",
                                     "The visitor went away before the answer was complete."};
constinit const Failure kVisitorStalled{499, FaultSide::Visitor, "visitor-stalled",
                                        "The visitor stopped reading the answer."};
constinit const Failure kVisitorSlow{499, FaultSide::Visitor, "visitor-slow",
                                     "The visitor read the answer too slowly."};
constinit const Failure kRuleTimeout{503, FaultSide::Server, "rule-timeout",
                                     "A rule of this tunnel did not decide in time.", 1};
constinit const Failure kCertificateRequired{403, FaultSide::Visitor, "certificate-required",
                                             "{host} wants to see a certificate, and none of its own was shown."};
constinit const Failure kRuleFailed{500, FaultSide::Server, "rule-failed",
                                    "A rule of the tunnel to {host} could not change the answer."};
}  // namespace failures

const Failure& failure_of(http::PathFault fault) {
  using enum http::PathFault;
  const auto of = [](http::PathFault what) {
    return Failure{400, FaultSide::Visitor, "ambiguous-path", http::sentence(what)};
  };
  static const std::array faults = {of(None), of(Escape), of(EncodedSlash), of(Control), of(Backslash), of(Parameter)};
  return faults[static_cast<std::size_t>(fault)];
}

const Failure& failure_of(ResetReason reason) {
  static constexpr Failure kCancel{502, FaultSide::Tunnel, "cancel", "The client of {host} gave the connection up."};
  static constexpr Failure kPeerReset{502, FaultSide::Origin, "peer-reset",
                                      "The tunnel to {host} is up, but its local service reset the connection."};
  static constexpr Failure kRefusedByOrigin{
      502, FaultSide::Origin, "origin-refused",
      "The tunnel to {host} is up, but its local service refused the connection."};
  static constexpr Failure kUnreachable{502, FaultSide::Origin, "origin-unreachable",
                                        "The tunnel to {host} is up, but its local service cannot be reached."};
  static constexpr Failure kNoTunnel{502, FaultSide::Tunnel, "no-tunnel",
                                     "The client of {host} does not serve it any more."};
  static constexpr Failure kRefused{503, FaultSide::Tunnel, "refused",
                                    "The client of {host} takes no more connections now."};
  static constexpr Failure kFlowControl{502, FaultSide::Tunnel, "flow-control",
                                        "The tunnel to {host} broke its own flow control."};
  static constexpr Failure kProtocol{502, FaultSide::Tunnel, "protocol", "The tunnel to {host} broke its protocol."};
  static constexpr Failure kMemory{503, FaultSide::Tunnel, "memory",
                                   "The tunnel to {host} has no memory left for more."};
  static constexpr Failure kGoingAway{503, FaultSide::Tunnel, "going-away", "The client of {host} is shutting down."};
  static constexpr Failure kIdle{502, FaultSide::Tunnel, "idle",
                                 "The tunnel to {host} closed a connection that was idle for too long."};
  static constexpr Failure kOriginTls{
      502, FaultSide::Origin, "origin-tls",
      "The tunnel to {host} is up, but no TLS connection that can be trusted is to be had with its local service."};
  static constexpr Failure kUnprocessed{503, FaultSide::Origin, "origin-busy",
                                        "The tunnel to {host} is up, but its local service takes no more requests now.",
                                        1};
  static constexpr Failure kNotHttp2{502, FaultSide::Origin, "origin-not-http2",
                                     "The local service of {host} does not answer in HTTP/2: share it as http:// or "
                                     "https://, and gRPC over TLS as h2s://."};
  static constexpr Failure kNoWebSocket{502, FaultSide::Origin, "origin-no-websocket",
                                        "The local service of {host} takes no WebSocket over HTTP/2 (RFC 8441): share "
                                        "it as http:// or https://."};
  switch (reason) {
    case ResetReason::Cancel: return kCancel;
    case ResetReason::PeerReset: return kPeerReset;
    case ResetReason::OriginRefused: return kRefusedByOrigin;
    case ResetReason::OriginTimeout: return failures::kOriginTimeout;
    case ResetReason::OriginUnreachable: return kUnreachable;
    case ResetReason::NoTunnel: return kNoTunnel;
    case ResetReason::Refused: return kRefused;
    case ResetReason::FlowControl: return kFlowControl;
    case ResetReason::Protocol: return kProtocol;
    case ResetReason::Memory: return kMemory;
    case ResetReason::GoingAway: return kGoingAway;
    case ResetReason::Idle: return kIdle;
    case ResetReason::OriginTls: return kOriginTls;
    case ResetReason::LinkLost: return failures::kLinkLost;
    case ResetReason::Unprocessed: return kUnprocessed;
    case ResetReason::BadResponse: return failures::kBadResponse;
    case ResetReason::NotHttp2: return kNotHttp2;
    case ResetReason::NoWebSocket: return kNoWebSocket;
  }
  return kCancel;
}

const Failure& failure_of(Refusal why) {
  switch (why) {
    case Refusal::Denied: return failures::kVisitorDenied;
    case Refusal::TunnelLimit: return failures::kTunnelLimit;
    case Refusal::AddressLimit: return failures::kAddressLimit;
    case Refusal::Rate: return failures::kVisitorRate;
    case Refusal::ServerLimit: return failures::kServerLimit;
    case Refusal::Memory: return failures::kServerMemory;
  }
  return failures::kServerLimit;
}

const Failure& failure_of(const Error& error) {
  return error.code == ErrorCode::Limit ? failures::kLinkLimit : failures::kLinkClosing;
}

std::string sentence_of(const Failure& failure, std::string_view host) {
  static constexpr std::string_view kHost = "{host}";
  const std::size_t at = failure.sentence.find(kHost);
  if (at == std::string_view::npos) return std::string(failure.sentence);
  std::string text(failure.sentence.substr(0, at));
  text.append(host).append(failure.sentence.substr(at + kHost.size()));
  return text;
}

http::ErrorPage page_of(const Failure& failure, std::string_view sentence, std::string_view host) {
  http::ErrorPage page;
  page.status = failure.status;
  page.side = failure.side;
  page.slug = failure.slug;
  page.sentence = sentence;
  page.retry_after = failure.retry_after;
  page.host = host;
  return page;
}

}  // namespace ferrotunnel::ingress
