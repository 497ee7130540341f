// HTTP/2 header blocks to heads: the fields of a HEADERS frame as a RequestHead, or the reason why not (RFC 9113 section 8).
//
// HPACK and frames are nghttp2's; what the fields mean is decided here, by the rules of the HTTP/1.1 parser (h1_head.h), so that a request is
// read the same whichever way it came. What cannot stand in an HTTP/1.1 head never passes: it is what goes on to the origin.
// A head holds views into the block. Owner's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_head.h"
#include "http/limits.h"
#include "http/message.h"

namespace ferrotunnel::http {

// The fields of one block, as they are decoded.
class H2Block {
 public:
  // RFC 9113 section 6.5.2: what a field counts beyond its name and value.
  static constexpr std::size_t kFieldOverhead = 32;

  void clear();
  // Past the limits fields are counted only; overflow() says so.
  void add(std::string_view name, std::string_view value, const Limits& limits);

  [[nodiscard]] std::size_t decoded() const { return decoded_; }  // bytes, with kFieldOverhead for each field
  [[nodiscard]] bool overflow() const { return too_large_ || too_many_; }
  [[nodiscard]] std::size_t size() const { return lines_.size(); }
  [[nodiscard]] std::size_t bytes() const {
    return text_.capacity() + lines_.capacity() * sizeof(Line);
  }  // that it holds
  // A response's head begins so, trailers do not.
  [[nodiscard]] bool begins_with_status() const {
    return !lines_.empty() && std::string_view(text_).substr(lines_.front().begin).starts_with(":status");
  }

 private:
  friend class H2Reader;
  friend class H2AnswerReader;
  struct Line {
    std::uint32_t begin, name, value;  // sizes of the two, which stand behind one another
  };
  std::string text_;
  std::vector<Line> lines_;
  std::size_t decoded_ = 0;
  bool too_large_ = false, too_many_ = false;
};

struct H2Read {
  enum class Status : std::uint8_t {
    Good,
    Malformed,  // RST_STREAM PROTOCOL_ERROR: RFC 9113 section 8.1.1
    Refused,    // to be answered by a page
  };
  Status status = Status::Good;
  const Refusal* refusal = nullptr;  // Refused
};

// `end`: no body follows. With Refused, `out` has what was understood before. An extended CONNECT (RFC 8441) becomes the GET of a WebSocket
// handshake: upgrade is set, and the fields that only HTTP/1.1 has are for the caller to add.
[[nodiscard]] H2Read read_h2_request(H2Block& block, const Limits& limits, bool end, RequestHead& out);

// Trailers as HTTP/1.1 field lines, appended to `out`; those that may not come after the body are left out, as RFC 9110 section 6.5.1 says.
// False: malformed.
[[nodiscard]] bool append_h2_trailers(const H2Block& block, const Limits& limits, std::string& out);

}  // namespace ferrotunnel::http
