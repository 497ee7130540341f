// `Upgrade: h2c` (RFC 7540 section 3.2; RFC 9113 has it no more): a request of HTTP/1.1 that becomes stream 1 of an HTTP/2 connection.
// Pure functions; any thread.
#pragma once

#include <string_view>

#include "http/h2/h2_request.h"
#include "http/limits.h"
#include "http/message.h"

namespace ferrotunnel::http {

// Whether it asks for that, and nothing stands against it: HTTP/1.1, no body, Upgrade is h2c alone, one HTTP2-Settings, both named by
// Connection. `settings`: the field's value then, base64url.
[[nodiscard]] bool asks_h2c(const RequestHead& head, std::string_view& settings);

// The request as HTTP/2 would have said it, without the fields of the hop.
void fill_h2_block(const RequestHead& head, const Limits& limits, H2Block& block);

}  // namespace ferrotunnel::http
