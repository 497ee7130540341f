// Strict HTTP/1.1 head parsing: bytes -> RequestHead / ResponseHead (RFC 9112 sections 2 to 6, RFC 9110 section 5).
//
// Whatever two parsers could read differently is refused, never repaired: this is what stands between visitors and request smuggling.
// The owner keeps the bytes in one buffer, from the head's first byte on. A HeadScanner goes over bytes once as they arrive, finds
// the end and applies the limits; then one pass parses. No allocation except the fields' storage, which is reused. Owner's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/limits.h"
#include "http/message.h"

namespace ferrotunnel::http {

enum class HeadFault : std::uint8_t;  // h1_fault.h; this room's own

// Why a message was not taken. All text is static.
struct Refusal {
  std::uint16_t status = 0;   // what to answer the visitor: 400, 414, 417, 431, 501, 505; 502 for an origin's message
  std::string_view slug;      // for machines: "host-missing"; goes into Ferrotunnel-Error
  std::string_view sentence;  // for people
};

struct Parse {
  enum class Status : std::uint8_t { NeedMore, Done, Bad };
  Status status = Status::NeedMore;
  std::size_t consumed = 0;          // Done: bytes of the head, including an empty line that was skipped before it
  const Refusal* refusal = nullptr;  // Bad: static

  [[nodiscard]] bool need_more() const { return status == Status::NeedMore; }
  [[nodiscard]] bool done() const { return status == Status::Done; }
  [[nodiscard]] bool bad() const { return status == Status::Bad; }
};

// Finds the end of a head that arrives in pieces; looks at each byte once.
class HeadScanner {
 public:
  enum class Kind : std::uint8_t { Request, Response };
  explicit HeadScanner(Kind kind = Kind::Request) : kind_(kind) {}

  // `buffer` is everything since the head's first byte, and only ever grows between calls (it may move). Done: consumed is where the
  // head ends. Call reset() before the next head; the parse functions below do it themselves on Done.
  [[nodiscard]] Parse scan(std::string_view buffer, const Limits& limits);
  void reset() { *this = HeadScanner(kind_); }

  // Whether nothing of a head was seen: a connection may be closed quietly here. An empty line may have been.
  [[nodiscard]] bool idle() const { return scanned_ == begin_; }
  [[nodiscard]] std::size_t begin() const {
    return begin_;
  }  // where the start line begins: 0, or 2 after an empty line

 private:
  Parse fail(HeadFault fault);
  HeadFault check_start(std::string_view buffer);

  Kind kind_;
  bool started_ = false;  // the first bytes were looked at
  std::uint32_t begin_ = 0;
  std::uint32_t scanned_ = 0;  // bytes looked at
  std::uint32_t line_start_ = 0;
  std::uint32_t lines_ = 0;  // complete lines
  const Refusal* refusal_ = nullptr;
};

// One request head. NeedMore and Bad leave `out` in an unspecified but valid state. The first keeps the place between calls, so that
// a slowly arriving head costs its length; the second starts over each time.
[[nodiscard]] Parse parse_request_head(std::string_view buffer, const Limits& limits, HeadScanner& scanner,
                                       RequestHead& out);
[[nodiscard]] Parse parse_request_head(std::string_view buffer, const Limits& limits, RequestHead& out);

// What a response's meaning depends on.
struct RequestContext {
  bool head = false;                       // the request was HEAD
  bool connect = false;                    // the request was CONNECT
  std::string_view upgrade_protocol = {};  // what was asked for; empty: nothing, and a 101 is refused
};
[[nodiscard]] inline RequestContext context_of(const RequestHead& request) {
  return {request.method == Method::Head, request.method == Method::Connect,
          request.upgrade ? request.upgrade_protocol : std::string_view{}};
}

// One response head, 1xx included: after one that is interim() the next head follows. The scanner's kind has to be Response.
[[nodiscard]] Parse parse_response_head(std::string_view buffer, const Limits& limits, HeadScanner& scanner,
                                        const RequestContext& request, ResponseHead& out);
[[nodiscard]] Parse parse_response_head(std::string_view buffer, const Limits& limits, const RequestContext& request,
                                        ResponseHead& out);

}  // namespace ferrotunnel::http
