// What a visitor reads when something failed: a whole HTTP/1.1 response that names the side at fault, as HTML, JSON or text by Accept.
//
// It holds no external resource and escapes everything that came from outside. Headers for machines: Ferrotunnel-Error (the slug),
// Ferrotunnel-Side, X-Request-Id. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferrotunnel::http {

// Who has to act. Server: this server itself (base's Side::Local).
enum class FaultSide : std::uint8_t { Visitor, Server, Tunnel, Origin };
[[nodiscard]] std::string_view to_string(FaultSide side);  // "visitor", ...

class PageTemplates;

struct ErrorPage {
  std::uint16_t status = 502;
  FaultSide side = FaultSide::Server;
  std::string_view slug = {};        // "origin-refused"
  std::string_view sentence = {};    // for a person
  std::string_view request_id = {};  // "": left out
  std::string_view accept = {};      // the request's Accept
  std::string_view asked_type = {};  // its Content-Type: a call of gRPC-Web is answered as such
  std::string_view host = {};        // as the visitor asked; "": left out
  bool head_request = false;         // no body, same head
  bool keep_alive = false;
  std::uint8_t visitor_minor = 1;
  std::uint32_t retry_after = 0;             // seconds; 0: no Retry-After
  std::string_view hsts = {};                // Strict-Transport-Security; "": none
  const PageTemplates* templates = nullptr;  // pages of the owner's, where they have one for it
  std::string_view date = {};                // of now; "": no Date
  std::string_view more = {};                // whole field lines, each with its CRLF, that were checked
};
[[nodiscard]] std::string make_error_response(const ErrorPage& page);

enum class PageFormat : std::uint8_t { Text, Json, Html };
// Text for */* and no Accept at all (curl), else whichever of the three is liked best (RFC 9110 section 12.5.1).
[[nodiscard]] PageFormat preferred_format(std::string_view accept);

// The phrase of RFC 9110 section 15; "Unknown" where there is none.
[[nodiscard]] std::string_view reason_phrase(std::uint16_t status);

}  // namespace ferrotunnel::http
