// Field lines of a head and what they say about framing, connection and host (RFC 9112 section 5 to 6, RFC 9110 section 7.6 to 7.8).
//
// This room's own; used by the request and the response parser. One pass over bytes whose line ends the scanner has checked.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/h1_fault.h"
#include "http/limits.h"
#include "http/message.h"

namespace ferrotunnel::http {

struct FieldFacts {
  bool has_length = false;
  bool chunked = false;
  bool has_host = false;
  bool close = false;         // Connection: close
  bool keep_alive = false;    // Connection: keep-alive
  bool upgrade = false;       // Connection: upgrade
  bool names_fields = false;  // Connection: something that is none of these
  bool has_expect = false;
  bool continue_expected = true;  // each Expect is 100-continue
  std::uint8_t upgrades = 0;      // Upgrade fields, at most 2
  std::uint32_t options = 0;      // members of Connection
  std::uint64_t length = 0;
  std::string_view host;
  std::string_view upgrade_to;
};

// `lines` is zero or more field lines, each ended by CRLF. Checks each, adds it to `fields`, and gathers the facts.
[[nodiscard]] HeadFault parse_fields(std::string_view lines, const Limits& limits, Fields& fields, FieldFacts& facts);

// RFC 9112 section 6.3, rules 3 to 5, without what depends on method and status: None where neither field is given.
[[nodiscard]] HeadFault framing_of(const FieldFacts& facts, std::uint8_t minor, Framing& out);

// The one protocol of an Upgrade field, "name" or "name/version"; empty where it is a list or malformed.
[[nodiscard]] std::string_view single_protocol(const FieldFacts& facts);

// The first byte from p on that may not stand in a field value, HTAB being allowed; [p, end) has one.
[[nodiscard]] const char* find_value_end(const char* p, const char* end);

}  // namespace ferrotunnel::http
