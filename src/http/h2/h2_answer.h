// HTTP/2 response blocks to HTTP/1.1 text: what an origin that speaks HTTP/2 answered, in the form that an exchange reads (RFC 9113 section 8.3.2).
//
// What is read is checked by the rules that a visitor's request is: names in lower case, no field of the hop, nothing in a value that could end a
// line. What comes out parses as one HTTP/1.1 head and means the same. Pure functions; owner's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/h2/h2_request.h"
#include "http/limits.h"

namespace ferrotunnel::http {

// What the meaning of a response depends on.
struct H2Asked {
  bool head = false;                // the request was HEAD
  std::string_view ws_accept = {};  // of a WebSocket (RFC 8441): a 2xx becomes the 101 with this Sec-WebSocket-Accept
  bool connect = false;             // it was CONNECT: raw bytes follow a 2xx
};

struct H2Answer {
  bool malformed = false;
  bool interim = false;   // another head follows
  bool chunked = false;   // the payload goes on in the chunked coding: the head says so
  bool switched = false;  // to the WebSocket, or CONNECT's tunnel: raw bytes follow
  std::uint16_t status = 0;
};

// Appends the head to `out`. `end`: the block ended the stream. Malformed: nothing was appended.
[[nodiscard]] H2Answer append_h2_response(const H2Block& block, const Limits& limits, const H2Asked& asked, bool end,
                                          std::string& out);

}  // namespace ferrotunnel::http
