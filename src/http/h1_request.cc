#include "http/chars.h"
#include "http/h1_fault.h"
#include "http/h1_fields.h"
#include "http/h1_head.h"
#include "http/host.h"

namespace ferrotunnel::http {
namespace {

constexpr auto kKind = HeadScanner::Kind::Request;
constexpr std::string_view kAnyPath = "*";

HeadFault parse_version(std::string_view text, RequestHead& out) {
  if (text == "HTTP/1.1" || text == "HTTP/1.0") {
    out.minor = text.back() == '1' ? 1 : 0;
    return HeadFault::None;
  }
  // Another version of HTTP, rather than more words on the line.
  if (!text.starts_with("HTTP/") || text.size() == 5) return HeadFault::RequestLine;
  for (const char c : text.substr(5))
    if (!is(c, kDigitByte) && c != '.') return c == '\r' ? HeadFault::BareCr : HeadFault::RequestLine;
  return HeadFault::Version;
}

void split_query(RequestHead& out) {
  const std::size_t mark = out.path_and_query.find('?');
  out.path = out.path_and_query.substr(0, mark);
  if (mark != std::string_view::npos) out.query = out.path_and_query.substr(mark + 1);
}

// absolute-form, RFC 9112 section 3.2.2.
HeadFault parse_absolute(RequestHead& out) {
  const std::size_t colon = out.target.find("://");
  if (colon == std::string_view::npos) return HeadFault::TargetForm;
  out.form = TargetForm::Absolute;
  out.scheme = out.target.substr(0, colon);
  if (!iequals(out.scheme, "http") && !iequals(out.scheme, "https")) return HeadFault::Scheme;
  const std::string_view rest = out.target.substr(colon + 3);
  const std::size_t end = rest.find_first_of("/?");
  out.authority = rest.substr(0, end);
  if (out.authority.contains('@')) return HeadFault::Userinfo;
  out.path_and_query = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  // RFC 9112 section 3.2.4: this is how a request for "*" looks on its way through a proxy.
  if (out.path_and_query.empty() && out.method == Method::Options) out.path_and_query = kAnyPath;
  return HeadFault::None;
}

// authority-form, RFC 9112 section 3.2.3: a port is part of it. What comes behind the head is no next request, whatever is answered.
HeadFault parse_connect(RequestHead& out) {
  const auto authority = split_authority(out.target);
  if (!authority || authority->port == 0) return HeadFault::ConnectTarget;
  out.form = TargetForm::Authority;
  out.authority = out.target;
  return HeadFault::None;
}

HeadFault parse_target(RequestHead& out) {
  if (out.method == Method::Connect) return parse_connect(out);
  if (out.target.front() == '/') {
    out.form = TargetForm::Origin;
    out.path_and_query = out.target;
  } else if (out.target == kAnyPath) {
    if (out.method != Method::Options) return HeadFault::TargetForm;
    out.form = TargetForm::Asterisk;
    out.path_and_query = kAnyPath;
  } else if (const HeadFault fault = parse_absolute(out); fault != HeadFault::None) {
    return fault;
  }
  split_query(out);
  return HeadFault::None;
}

// `line` is without its CRLF, but a byte that is no target byte stands behind it.
HeadFault parse_request_line(std::string_view line, const Limits& limits, RequestHead& out) {
  const char* p = line.data();
  const char* const end = p + line.size();
  while (is(*p, kTokenByte)) ++p;
  if (*p != ' ') return p == end ? HeadFault::RequestLine : *p == '\r' ? HeadFault::BareCr : HeadFault::Method;
  out.method_text = line.substr(0, static_cast<std::size_t>(p - line.data()));
  if (out.method_text.size() > limits.method_bytes) return HeadFault::MethodTooLong;
  out.method = method_of(out.method_text);
  const char* const target = ++p;
  while (is(*p, kTargetByte)) ++p;
  out.target = {target, static_cast<std::size_t>(p - target)};
  if (*p != ' ') {
    if (p == end) return HeadFault::RequestLine;
    return *p == '#' ? HeadFault::TargetFragment : *p == '\r' ? HeadFault::BareCr : HeadFault::TargetByte;
  }
  if (out.target.empty()) return HeadFault::RequestLine;
  if (out.target.size() > limits.target_bytes) return HeadFault::TargetTooLong;
  ++p;
  if (const HeadFault fault = parse_version({p, static_cast<std::size_t>(end - p)}, out); fault != HeadFault::None)
    return fault;
  return parse_target(out);
}

// Which host is meant, once and for all (RFC 9112 section 3.2 and 3.3).
HeadFault settle_host(const FieldFacts& facts, RequestHead& out) {
  if (!facts.has_host && out.minor == 1) return HeadFault::HostMissing;
  const bool in_target = out.form == TargetForm::Absolute || out.form == TargetForm::Authority;
  if (facts.has_host && !in_target) out.authority = facts.host;
  if (!facts.has_host && !in_target) return HeadFault::None;
  const auto authority = split_authority(out.authority);
  if (!authority) return HeadFault::HostInvalid;
  out.host = authority->host;
  out.port = authority->port;
  if (!facts.has_host || !in_target || facts.host == out.authority) return HeadFault::None;
  if (!split_authority(facts.host)) return HeadFault::HostInvalid;
  // CONNECT has no scheme; who leaves the port out of Host means that of https.
  const bool https = out.form == TargetForm::Authority || out.scheme.size() == std::string_view("https").size();
  const std::uint16_t default_port = https ? 443 : 80;
  return same_authority(facts.host, out.authority, default_port) ? HeadFault::None : HeadFault::HostDiffers;
}

// Only what can be relayed blindly: one protocol, no body that the origin could take for the protocol's first bytes, and not another HTTP,
// whose requests would then pass without being seen (h2c smuggling).
void settle_upgrade(const FieldFacts& facts, RequestHead& out) {
  if (out.method == Method::Connect || out.minor != 1 || !facts.upgrade || !out.framing.empty()) return;
  const std::string_view protocol = single_protocol(facts);
  const std::string_view name = protocol.substr(0, protocol.find('/'));
  if (name.empty() || iequals(name, "h2c") || iequals(name, "h2") || iequals(name, "http")) return;
  out.upgrade = true;
  out.upgrade_protocol = protocol;
}

HeadFault parse(std::string_view head, const Limits& limits, RequestHead& out) {
  // The scanner saw a line feed after a carriage return.
  const std::size_t line_end = head.find('\n') - 1;
  if (const HeadFault fault = parse_request_line(head.substr(0, line_end), limits, out); fault != HeadFault::None)
    return fault;
  FieldFacts facts;
  const std::string_view lines = head.substr(line_end + 2, head.size() - line_end - 4);
  if (const HeadFault fault = parse_fields(lines, limits, out.fields, facts); fault != HeadFault::None) return fault;
  if (const HeadFault fault = framing_of(facts, out.minor, out.framing); fault != HeadFault::None) return fault;
  if (out.method == Method::Connect && (facts.has_length || facts.chunked)) return HeadFault::ConnectBody;
  if (const HeadFault fault = settle_host(facts, out); fault != HeadFault::None) return fault;
  settle_upgrade(facts, out);
  // RFC 9110 section 10.1.1: an HTTP/1.0 client cannot mean it, and without a body there is nothing to wait for.
  if (facts.has_expect && out.minor == 1) {
    if (!facts.continue_expected) return HeadFault::Expectation;
    out.expect_continue = !out.framing.empty();
  }
  out.keep_alive = !facts.close && (out.minor == 1 || facts.keep_alive) && out.method != Method::Connect;
  out.connection_names_fields = facts.names_fields;
  return HeadFault::None;
}

}  // namespace

Parse parse_request_head(std::string_view buffer, const Limits& limits, HeadScanner& scanner, RequestHead& out) {
  const Parse scanned = scanner.scan(buffer, limits);
  if (!scanned.done()) {
    out.reset();  // of another message, whose bytes may be gone
    return scanned;
  }
  const std::size_t begin = scanner.begin();
  scanner.reset();
  out.reset();
  const HeadFault fault = parse(buffer.substr(begin, scanned.consumed - begin), limits, out);
  return fault == HeadFault::None ? scanned : refuse(fault, kKind);
}

Parse parse_request_head(std::string_view buffer, const Limits& limits, RequestHead& out) {
  HeadScanner scanner(kKind);
  return parse_request_head(buffer, limits, scanner, out);
}

}  // namespace ferrotunnel::http
