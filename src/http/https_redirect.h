// The answer to a request that came without TLS and should have come with it: 308 (RFC 9110 section 15.4.9), which keeps method and body.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferrotunnel::http {

inline constexpr std::uint16_t kPermanentRedirect = 308;

struct HttpsRedirect {
  std::string_view host = {};            // in the one spelling
  std::uint16_t port = 443;              // of HTTPS
  std::string_view path_and_query = {};  // as a checked head has it; what it lacks of a leading '/' is added
  std::string_view request_id = {};
  std::string_view date = {};  // of now; "": no Date
  bool keep_alive = false;
  std::uint8_t visitor_minor = 1;
};
[[nodiscard]] std::string make_https_redirect(const HttpsRedirect& redirect);

}  // namespace ferrotunnel::http
