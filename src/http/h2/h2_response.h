// HTTP/1.1 heads to HTTP/2 fields: responses for a visitor (RFC 9113 section 8.3.2), by the rules of forward.h, and requests for an origin (8.3.1).
//
// Names in lower case, no field of the hop, no reason phrase. The fields are views into the head and into H2Fields' own text; storage is
// reused. Owner's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ferrotunnel::http {

enum class H2Source : std::uint8_t {
  Origin,
  Connect,    // an origin's answer to CONNECT: what a proxy asks for passes
  WebSocket,  // an origin's 101, which becomes the 200 of an extended CONNECT (RFC 8441 section 5)
  Server,     // a page of ours
};

// The handshake of a WebSocket.
[[nodiscard]] bool is_websocket(const RequestHead& head);

class H2Fields {
 public:
  struct Line {
    std::string_view name, value;
  };
  // Of a final response or an interim one.
  void set_response(const ResponseHead& head, H2Source source = H2Source::Origin);
  // Of a request that is for an origin: a WebSocket's handshake becomes an extended CONNECT (RFC 8441); another upgrade is not asked for.
  void set_request(const RequestHead& head, std::string_view scheme);
  // `lines`: field lines and the empty one behind them, checked by BodyFramer.
  void set_trailers(std::string_view lines);
  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }

 private:
  void reserve(std::size_t bytes);
  void add(std::string_view name, std::string_view value);

  std::string text_;
  std::vector<Line> lines_;
};

}  // namespace ferrotunnel::http
