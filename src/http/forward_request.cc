#include "http/forward.h"

#include <algorithm>

#include "http/head_writer.h"
#include "http/last_hop.h"

namespace ferrotunnel::http {
namespace {

constexpr std::string_view kVersion = " HTTP/1.1\r\n";
constexpr std::string_view kForwardedFor = "X-Forwarded-For";
constexpr std::string_view kForwardedProto = "X-Forwarded-Proto";
constexpr std::string_view kForwardedHost = "X-Forwarded-Host";
constexpr std::string_view kClientCertificate = "X-Forwarded-Client-Cert";
constexpr std::string_view kRequestId = "X-Request-Id";
// Everything constant that can be written besides the fields, generously.
constexpr std::size_t kFixedRoom = 512;

// What forwarding finds on its way over the fields, and writes at the end.
struct Seen {
  bool forwarded_for = false;
  bool forwarded_proto = false;
  bool forwarded_host = false;
  bool te_trailers = false;
};

// One less. What is no number says nothing, and goes on.
void pass_forwards(HeadWriter& out, const Field& field) {
  const auto left = forwards_left(field.value);
  if (!left || *left == 0) return out.field(field.name, field.value);
  out.put(field.name);
  out.put(": ");
  out.put_number(*left - 1);
  out.put("\r\n");
}

// Writes the field if it goes on as it is.
void pass_field(HeadWriter& out, const Field& field, const RequestHead& head, const ForwardContext& context,
                Seen& seen) {
  switch (field.id) {
    case FieldId::Other:
      if (counts_forwards(head.method) && iequals(field.name, "max-forwards")) return pass_forwards(out, field);
      [[fallthrough]];
    case FieldId::Accept:
    case FieldId::Trailer:
    case FieldId::Via:
      if (head.connection_names_fields && named_by_connection(head.fields, field.name)) return;
      out.field(field.name, field.value);
      return;
    case FieldId::Rule: out.field(field.name, field.value); return;
    case FieldId::ProxyAuthorization:
      // RFC 9110 section 11.7.2: of CONNECT the service is the proxy that asks for it.
      if (head.method == Method::Connect) out.field(field.name, field.value);
      return;
    case FieldId::Expect:
      if (head.expect_continue && !context.drop_expect) out.field(field.name, field.value);
      return;
    case FieldId::Te:
      // RFC 9110 section 10.1.4: the only part of it that is about the message and not about this hop.
      if (list_has(field.value, "trailers")) seen.te_trailers = true;
      return;
    case FieldId::XForwardedFor: seen.forwarded_for = true; return;
    case FieldId::XForwardedProto:
      if (!context.trust_forwarded) return;
      seen.forwarded_proto = true;
      out.field(field.name, field.value);
      return;
    case FieldId::XForwardedHost:
      if (!context.trust_forwarded) return;
      seen.forwarded_host = true;
      out.field(field.name, field.value);
      return;
    case FieldId::Forwarded:
    case FieldId::XForwardedOther:
    case FieldId::XRealIp:
      if (context.trust_forwarded) out.field(field.name, field.value);
      return;
    case FieldId::Connection:
    case FieldId::ContentLength:
    case FieldId::Ferrotunnel:
    case FieldId::Host:
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::Proxy:  // HTTP_PROXY to a CGI-like origin
    case FieldId::ProxyAuthenticate:
    case FieldId::ProxyConnection:
    case FieldId::Spent:
    case FieldId::TransferEncoding:
    case FieldId::UnderscoreAlias:
    case FieldId::Upgrade:
    case FieldId::XRequestId: return;  // of this hop, or written anew
  }
}

// One line, the visitor's own say first where it is trusted.
void put_forwarded_for(HeadWriter& out, const RequestHead& head, const ForwardContext& context, const Seen& seen) {
  const bool theirs = context.trust_forwarded && seen.forwarded_for;
  if (!theirs && context.visitor.empty()) return;
  out.put(kForwardedFor);
  out.put(": ");
  bool first = true;
  const auto put_next = [&](std::string_view value) {
    if (value.empty()) return;
    if (!first) out.put(", ");
    first = false;
    out.put_clean(value);
  };
  if (theirs) {
    for (const Field& field : head.fields)
      if (field.id == FieldId::XForwardedFor) put_next(field.value);
  }
  put_next(context.visitor);
  out.put("\r\n");
}

// One element, behind what a trusted proxy said on lines of its own. An address of IPv6 and a host stand in quotes (RFC 7239 sections 4 and 6).
void put_forwarded(HeadWriter& out, const RequestHead& head, const ForwardContext& context) {
  if (!context.forwarded || context.visitor.empty()) return;
  const bool v6 = context.visitor.contains(':');
  out.put("Forwarded: for=");
  if (v6) out.put("\"[");
  out.put_clean(context.visitor);
  if (v6) out.put("]\"");
  // A Host that was let in has no quote and no backslash.
  if (!head.authority.empty()) {
    out.put(";host=\"");
    out.put_clean(head.authority);
    out.put('"');
  }
  out.put(";proto=");
  out.put_clean(context.proto);
  out.put("\r\n");
}

void put_identity(HeadWriter& out, const RequestHead& head, const ForwardContext& context, const Seen& seen) {
  put_forwarded_for(out, head, context, seen);
  if (!seen.forwarded_proto) out.clean_field(kForwardedProto, context.proto);
  if (!seen.forwarded_host && !head.authority.empty()) out.clean_field(kForwardedHost, head.authority);
  put_forwarded(out, head, context);
  if (!context.certificate.empty()) out.clean_field(kClientCertificate, context.certificate);
  if (!context.request_id.empty()) out.clean_field(kRequestId, context.request_id);
  if (!context.via.empty()) out.clean_field("Via", context.via);
}

}  // namespace

std::string_view via_value(std::string_view version, std::string_view by, std::span<char> room) {
  const std::size_t size = version.size() + 1 + by.size();
  if (size > room.size()) return {};
  auto at = std::ranges::copy(version, room.begin()).out;
  *at++ = ' ';
  std::ranges::copy(by, at);
  return {room.data(), size};
}

bool via_names(const Fields& fields, std::string_view by) {
  return !by.empty() && std::ranges::any_of(fields, [by](const Field& field) {
    return field.id == FieldId::Via && field.value.contains(by);
  });
}

void append_request_head(std::string& out, const RequestHead& head, const ForwardContext& context) {
  // The target of CONNECT is what was asked for and what was allowed, and Host says the same (RFC 9110 section 7.2).
  const bool connect = head.method == Method::Connect;
  const std::string_view host = connect || context.host_rewrite.empty() ? head.authority : context.host_rewrite;
  const std::size_t bound = kFixedRoom + head.method_text.size() + head.path_and_query.size() + host.size() +
                            2 * head.authority.size() + head.upgrade_protocol.size() + 2 * context.visitor.size() +
                            2 * context.proto.size() + context.request_id.size() + context.via.size() +
                            context.certificate.size() + bound_of(head.fields);
  HeadWriter::append(out, bound, [&](HeadWriter& writer) {
    writer.put(head.method_text);
    writer.put(' ');
    // absolute-form may end at the authority or go on with the query.
    const bool no_path = head.path_and_query.empty() || head.path_and_query.front() == '?';
    if (no_path && !connect) writer.put('/');
    writer.put(connect ? head.authority : head.path_and_query);
    writer.put(kVersion);
    writer.clean_field("Host", host);
    Seen seen;
    for (const Field& field : head.fields) pass_field(writer, field, head, context, seen);
    writer.framing(head.framing);
    if (head.upgrade) {
      writer.put("Connection: Upgrade\r\n");
      writer.field("Upgrade", head.upgrade_protocol);
    } else if (seen.te_trailers) {
      writer.put("Connection: TE\r\nTE: trailers\r\n");
    }
    put_identity(writer, head, context, seen);
    writer.put("\r\n");
  });
}

}  // namespace ferrotunnel::http
