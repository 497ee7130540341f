#include "http/chars.h"
#include "http/h1_fault.h"
#include "http/h1_fields.h"
#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

constexpr auto kKind = HeadScanner::Kind::Response;
constexpr std::uint16_t kSwitchingProtocols = 101;
constexpr std::uint16_t kNoContent = 204;
constexpr std::uint16_t kNotModified = 304;

// "HTTP/1.x SSS reason"; the space before an empty reason is often left out, and nothing depends on it.
HeadFault parse_status_line(std::string_view line, ResponseHead& out) {
  constexpr std::size_t kVersion = std::string_view("HTTP/1.1").size();
  constexpr std::size_t kShortest = kVersion + 4;
  const std::string_view version = line.substr(0, kVersion);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return HeadFault::Version;
  out.minor = version.back() == '1' ? 1 : 0;
  if (line.size() < kShortest || line[kVersion] != ' ') return HeadFault::StatusLine;
  const std::string_view digits = line.substr(kVersion + 1, 3);
  // RFC 9110 section 15: 100 to 599.
  if (!all(digits, kDigitByte) || digits[0] == '0' || digits[0] > '5') return HeadFault::StatusLine;
  out.status = static_cast<std::uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
  if (line.size() == kShortest) return HeadFault::None;
  if (line[kShortest] != ' ') return HeadFault::StatusLine;
  out.reason = line.substr(kShortest + 1);
  for (const char c : out.reason)
    if (!is(c, kValueByte)) return c == '\r' ? HeadFault::BareCr : HeadFault::StatusLine;
  return HeadFault::None;
}

HeadFault settle_switch(const FieldFacts& facts, const RequestContext& request, ResponseHead& out) {
  const std::string_view protocol = single_protocol(facts);
  if (request.upgrade_protocol.empty() || out.minor != 1 || !facts.upgrade ||
      !iequals(protocol, request.upgrade_protocol))
    return HeadFault::UpgradeUnasked;
  out.upgrade = true;
  out.upgrade_protocol = protocol;
  out.keep_alive = false;
  out.framing = Framing::none();
  return HeadFault::None;
}

// RFC 9112 section 6.3.
HeadFault settle_framing(const FieldFacts& facts, const RequestContext& request, ResponseHead& out) {
  out.keep_alive = !facts.close && (out.minor == 1 || facts.keep_alive);
  // RFC 9110 section 9.3.6: whatever it says of a body, there is none.
  if (request.connect && out.status >= 200 && out.status < 300) {
    out.framing = Framing::until_close();
    out.upgrade = true;
    out.keep_alive = false;
    return HeadFault::None;
  }
  if (const HeadFault fault = framing_of(facts, out.minor, out.framing); fault != HeadFault::None) return fault;
  if (out.status < 200) {
    if (!out.framing.empty()) return HeadFault::InterimFraming;
    out.framing = Framing::none();
    return out.status == kSwitchingProtocols ? settle_switch(facts, request, out) : HeadFault::None;
  }
  if (out.status == kNoContent || out.status == kNotModified) {
    // An origin that announces a body here may also send one; its connection is not worth the risk of reading that as the next head.
    const bool announced =
        out.framing.kind == Framing::Kind::Chunked || (out.status == kNoContent && !out.framing.empty());
    if (announced) out.keep_alive = false;
    out.framing = Framing::none();
    return HeadFault::None;
  }
  if (request.head) {
    out.framing = Framing::none();
    return HeadFault::None;
  }
  if (out.framing.kind == Framing::Kind::None) {
    out.framing = Framing::until_close();
    out.keep_alive = false;
  }
  return HeadFault::None;
}

HeadFault parse(std::string_view head, const Limits& limits, const RequestContext& request, ResponseHead& out) {
  const std::size_t line_end = head.find('\n') - 1;
  if (const HeadFault fault = parse_status_line(head.substr(0, line_end), out); fault != HeadFault::None) return fault;
  FieldFacts facts;
  const std::string_view lines = head.substr(line_end + 2, head.size() - line_end - 4);
  if (const HeadFault fault = parse_fields(lines, limits, out.fields, facts); fault != HeadFault::None) return fault;
  out.connection_names_fields = facts.names_fields;
  return settle_framing(facts, request, out);
}

}  // namespace

Parse parse_response_head(std::string_view buffer, const Limits& limits, HeadScanner& scanner,
                          const RequestContext& request, ResponseHead& out) {
  const Parse scanned = scanner.scan(buffer, limits);
  if (!scanned.done()) {
    out.reset();  // of another message, whose bytes may be gone
    return scanned;
  }
  scanner.reset();
  out.reset();
  const HeadFault fault = parse(buffer.substr(0, scanned.consumed), limits, request, out);
  if (fault == HeadFault::None) return scanned;
  out.reset();
  return refuse(fault, kKind);
}

Parse parse_response_head(std::string_view buffer, const Limits& limits, const RequestContext& request,
                          ResponseHead& out) {
  HeadScanner scanner(kKind);
  return parse_response_head(buffer, limits, scanner, request, out);
}

}  // namespace ferrotunnel::http
