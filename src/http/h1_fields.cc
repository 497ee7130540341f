#include "http/h1_fields.h"

#include <bit>
#include <cstring>
#include <limits>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

constexpr std::uint64_t kMaxLength =
    std::numeric_limits<std::int64_t>::max();  // so that sums of lengths and offsets stay safe

constexpr std::uint64_t each_byte(std::uint8_t b) { return 0x0101'0101'0101'0101u * b; }

// A set high bit for each control byte (below 0x20, or 0x7f). Borrows can set wrong bits, but only above a right one.
std::uint64_t control_bytes(std::uint64_t word) {
  const std::uint64_t del = word ^ each_byte(0x7f);
  return (((word - each_byte(0x20)) & ~word) | ((del - each_byte(1)) & ~del)) & each_byte(0x80);
}

// What is wrong with the line that begins at `line`; p is the first byte that is no token byte, and not a colon after a name.
HeadFault diagnose_name(const char* line, const char* p, bool first_line) {
  if (p == line && (*p == ' ' || *p == '\t')) return first_line ? HeadFault::LeadingSpace : HeadFault::ObsFold;
  if (*p == '\r') return p[1] == '\n' ? HeadFault::FieldNoColon : HeadFault::BareCr;
  if (*p == ' ' || *p == '\t') {
    while (*p == ' ' || *p == '\t') ++p;
    if (*p == ':') return HeadFault::SpaceBeforeColon;
  }
  return HeadFault::FieldName;
}

HeadFault on_content_length(std::string_view value, FieldFacts& facts) {
  if (facts.has_length)
    return HeadFault::ContentLengthRepeated;  // even where equal: someone else put one of them there
  facts.has_length = true;
  if (value.empty()) return HeadFault::ContentLength;
  std::uint64_t length = 0;
  for (const char c : value) {
    if (!is(c, kDigitByte)) return HeadFault::ContentLength;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kMaxLength - digit) / 10) return HeadFault::ContentLength;
    length = length * 10 + digit;
  }
  facts.length = length;
  return HeadFault::None;
}

HeadFault on_connection(std::string_view value, const Limits& limits, FieldFacts& facts) {
  for_each_member(value, [&](std::string_view member) {
    ++facts.options;
    if (iequals(member, "close")) {
      facts.close = true;
    } else if (iequals(member, "keep-alive")) {
      facts.keep_alive = true;
    } else if (iequals(member, "upgrade")) {
      facts.upgrade = true;
    } else {
      facts.names_fields = true;
    }
  });
  return facts.options > limits.connection_options ? HeadFault::ConnectionOptions : HeadFault::None;
}

HeadFault on_field(const Field& field, const Limits& limits, FieldFacts& facts) {
  switch (field.id) {
    case FieldId::ContentLength: return on_content_length(field.value, facts);
    case FieldId::TransferEncoding:
      if (facts.chunked) return HeadFault::TransferEncodingRepeated;
      facts.chunked = true;
      return iequals(field.value, "chunked") ? HeadFault::None : HeadFault::TransferEncoding;
    case FieldId::Host:
      if (facts.has_host) return HeadFault::HostRepeated;
      facts.has_host = true;
      facts.host = field.value;
      return HeadFault::None;
    case FieldId::Connection: return on_connection(field.value, limits, facts);
    case FieldId::Upgrade:
      if (facts.upgrades < 2) ++facts.upgrades;
      facts.upgrade_to = field.value;
      return HeadFault::None;
    case FieldId::Expect:
      facts.has_expect = true;
      if (!iequals(field.value, "100-continue")) facts.continue_expected = false;
      return HeadFault::None;
    default: return HeadFault::None;
  }
}

}  // namespace

const char* find_value_end(const char* p, const char* end) {
  while (true) {
    if constexpr (std::endian::native == std::endian::little) {
      std::uint64_t found = 0;
      while (end - p >= 8) {
        std::uint64_t word;
        std::memcpy(&word, p, sizeof word);
        found = control_bytes(word);
        if (found != 0) break;
        p += 8;
      }
      if (found != 0) p += std::countr_zero(found) / 8;
    }
    while (is(*p, kValueByte) && *p != '\t') ++p;
    if (*p != '\t') return p;
    ++p;
  }
}

HeadFault parse_fields(std::string_view lines, const Limits& limits, Fields& fields, FieldFacts& facts) {
  const char* p = lines.data();
  const char* const end = p + lines.size();
  while (p != end) {
    const char* const line = p;
    while (is(*p, kTokenByte)) ++p;
    if (*p != ':') return diagnose_name(line, p, line == lines.data());
    if (p == line) return HeadFault::FieldName;
    const std::string_view name(line, static_cast<std::size_t>(p - line));
    ++p;
    while (*p == ' ' || *p == '\t') ++p;
    const char* const value = p;
    p = find_value_end(p, end);
    if (*p != '\r') return HeadFault::FieldValueByte;
    if (p[1] != '\n') return HeadFault::BareCr;
    const char* value_end = p;
    while (value_end != value && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;
    p += 2;

    const Field field{name, {value, static_cast<std::size_t>(value_end - value)}, field_id(name)};
    fields.add(field);
    if (field.id == FieldId::Other) continue;
    if (const HeadFault fault = on_field(field, limits, facts); fault != HeadFault::None) return fault;
  }
  return HeadFault::None;
}

HeadFault framing_of(const FieldFacts& facts, std::uint8_t minor, Framing& out) {
  if (facts.chunked && facts.has_length) return HeadFault::LengthAndTransferEncoding;
  if (facts.chunked && minor == 0) return HeadFault::TransferEncodingOn10;
  out = facts.chunked ? Framing::chunked() : facts.has_length ? Framing::of_length(facts.length) : Framing::none();
  return HeadFault::None;
}

std::string_view single_protocol(const FieldFacts& facts) {
  if (facts.upgrades != 1) return {};
  const std::string_view all_of_it = facts.upgrade_to;
  const std::size_t slash = all_of_it.find('/');
  if (!is_token(all_of_it.substr(0, slash))) return {};
  if (slash != std::string_view::npos && !is_token(all_of_it.substr(slash + 1))) return {};
  return all_of_it;
}

}  // namespace ferrotunnel::http
