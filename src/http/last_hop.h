// Max-Forwards (RFC 9110 section 7.6.2): how many more proxies a TRACE or an OPTIONS may pass. Here the count goes down, and ends.
//
// A TRACE that ends here is refused by a page: what it would be told is its own head, credentials among it. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ferrotunnel::http {

// Whether its field counts: for other methods it goes on as it is.
[[nodiscard]] inline bool counts_forwards(Method method) {
  return method == Method::Trace || method == Method::Options;
}
// Of a value of Max-Forwards; nothing: it is no number. What does not fit is as many as do.
[[nodiscard]] std::optional<std::uint64_t> forwards_left(std::string_view value);
// It may go no further than this server, which has to answer it.
[[nodiscard]] bool ends_here(const RequestHead& head);

struct OwnOptions {
  std::string_view request_id = {};
  std::string_view date = {};
  std::string_view hsts = {};
  bool keep_alive = false;
  std::uint8_t visitor_minor = 1;
};
inline constexpr std::uint16_t kNoContent = 204;
// The answer to an OPTIONS that ends here: 204, and what may be asked through this server.
[[nodiscard]] std::string make_own_options(const OwnOptions& options);

}  // namespace ferrotunnel::http
