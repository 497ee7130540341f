// HTTP/1.1 response heads to HTTP/2 fields: what goes to a visitor over HTTP/2 (RFC 9113 section 8.3.2), by the rules of forward.h.
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
  WebSocket,  // an origin's 101, which becomes the 200 of an extended CONNECT (RFC 8441 section 5)
  Server,     // a page of ours
};

class H2Fields {
 public:
  struct Line {
    std::string_view name, value;
  };
  // Of a final response or an interim one.
  void set_response(const ResponseHead& head, H2Source source = H2Source::Origin);
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
