// The head to send on: a proxy's duties of RFC 9110 section 7.6 and RFC 9112 section 6, for requests to an origin and responses to a visitor.
//
// Hop-by-hop fields go (Connection, what it names, Keep-Alive, Proxy-*, Upgrade and Transfer-Encoding as received), framing is written anew
// from the checked head, and who the visitor is comes from us, not from the visitor. What calls itself Ferrotunnel-* goes, both ways. The
// origin always gets HTTP/1.1, origin-form (CONNECT: authority-form) and Host. What is written parses again as the same message. Output is appended to a string
// whose capacity is reused. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ferrotunnel::http {

struct ForwardContext {
  std::string_view visitor = {};     // address without port; "" leaves X-Forwarded-For out
  std::string_view proto = "http";   // what the visitor spoke to us: "http" or "https"
  std::string_view request_id = {};  // replaces the visitor's X-Request-Id; "" only removes it
  std::string_view host_rewrite =
      {};                     // Host for the origin; "": the visitor's. X-Forwarded-Host always tells the visitor's
  std::string_view via = {};  // value to append as Via; "": none
  bool trust_forwarded =
      false;  // the visitor is a proxy we trust: append to its X-Forwarded-For, keep the rest it says
  std::string_view certificate = {};  // what the visitor has shown, as X-Forwarded-Client-Cert; "": nothing
  bool forwarded = false;             // says it as Forwarded (RFC 7239) too
  bool drop_expect = false;           // 100 Continue was already answered here
};
// "1.1 by", as a proxy says it in Via (RFC 9110 section 7.6.3), within `room`.
[[nodiscard]] std::string_view via_value(std::string_view version, std::string_view by, std::span<char> room);
// Whether the request has been at this proxy before: one of its Via names it.
[[nodiscard]] bool via_names(const Fields& fields, std::string_view by);

// The body is to be passed on with the framing of `head`.
void append_request_head(std::string& out, const RequestHead& head, const ForwardContext& context);

struct ResponseContext {
  std::uint8_t visitor_minor = 1;  // HTTP/1.minor that the visitor spoke
  bool keep_alive = true;          // the visitor's connection is to be kept, as far as the request and we are concerned
  bool head_request = false;
  std::string_view request_id = {};  // replaces the origin's X-Request-Id; "": the origin's stays
  std::string_view hsts = {};        // Strict-Transport-Security, where the origin says none; "": none
  std::string_view date = {};        // of now, where the origin says none (RFC 9110 section 6.6.1); "": none
  bool connect_request = false;      // what a proxy asks for passes: Proxy-Authenticate
};
struct ResponsePlan {
  bool send = true;        // false: nothing was written; a 1xx that an HTTP/1.0 visitor may not get
  bool keep_alive = true;  // whether the visitor's connection outlives this message
  bool dechunk = false;    // pass on only the payload (BodyFramer's sink), then close
};
[[nodiscard]] ResponsePlan append_response_head(std::string& out, const ResponseHead& head,
                                                const ResponseContext& context);

}  // namespace ferrotunnel::http
