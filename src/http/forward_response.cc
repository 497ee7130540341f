#include "http/forward.h"
#include "http/head_writer.h"

namespace ferrotunnel::http {
namespace {

constexpr std::uint16_t kUpgradeRequired = 426;
constexpr std::size_t kFixedRoom = 256;
constexpr std::string_view kHsts = "Strict-Transport-Security";  // RFC 6797

// RFC 9110 section 8.6: a 1xx or 204 has no Content-Length; a 304, or the answer to HEAD, tells that of the body that it stands for.
bool may_announce_length(const ResponseHead& head) {
  return head.framing.kind == Framing::Kind::None && head.status >= 200 && head.status != 204;
}

void pass_field(HeadWriter& out, const Field& field, const ResponseHead& head, const ResponseContext& context) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Ferrotunnel:  // nobody takes an origin's word for the tunnel's
    case FieldId::KeepAlive:
    case FieldId::ProxyAuthorization:
    case FieldId::ProxyConnection:
    case FieldId::Te:
    case FieldId::TransferEncoding: return;
    case FieldId::Upgrade:  // RFC 9110 section 15.5.22: a 426 has to say to what
      if (head.status == kUpgradeRequired) out.field(field.name, field.value);
      return;
    case FieldId::ContentLength:
      if (may_announce_length(head)) out.field(field.name, field.value);
      return;
    case FieldId::ProxyAuthenticate:  // RFC 9110 section 11.7.1
      if (context.connect_request) out.field(field.name, field.value);
      return;
    case FieldId::Rule: out.field(field.name, field.value); return;
    case FieldId::XRequestId:
      if (context.request_id.empty()) out.field(field.name, field.value);
      return;
    default:
      if (head.connection_names_fields && named_by_connection(head.fields, field.name)) return;
      out.field(field.name, field.value);
      return;
  }
}

ResponsePlan plan_of(const ResponseHead& head, const ResponseContext& context) {
  ResponsePlan plan;
  if (head.upgrade) {
    plan.keep_alive = false;
    return plan;
  }
  plan.keep_alive = context.keep_alive;
  if (head.status < 200) {
    plan.send = context.visitor_minor >= 1;  // RFC 9110 section 15.2
    return plan;
  }
  if (context.head_request) return plan;
  plan.dechunk = head.framing.kind == Framing::Kind::Chunked && context.visitor_minor == 0;
  if (plan.dechunk || head.framing.kind == Framing::Kind::UntilClose) plan.keep_alive = false;
  return plan;
}

void put_connection(HeadWriter& out, const ResponseHead& head, const ResponseContext& context,
                    const ResponsePlan& plan) {
  if (head.status == 101) {
    out.put("Connection: Upgrade\r\n");
    out.field("Upgrade", head.upgrade_protocol);
    return;
  }
  if (head.status < 200 || head.upgrade) return;
  const bool upgrade_required = head.status == kUpgradeRequired && head.fields.find(FieldId::Upgrade) != nullptr;
  if (!plan.keep_alive) {
    out.put(upgrade_required ? "Connection: close, Upgrade\r\n" : "Connection: close\r\n");
  } else if (upgrade_required) {
    out.put(context.visitor_minor == 0 ? "Connection: keep-alive, Upgrade\r\n" : "Connection: Upgrade\r\n");
  } else if (context.visitor_minor == 0) {
    out.put("Connection: keep-alive\r\n");
  }
}

}  // namespace

ResponsePlan append_response_head(std::string& out, const ResponseHead& head, const ResponseContext& context) {
  const ResponsePlan plan = plan_of(head, context);
  if (!plan.send) return plan;
  const std::size_t bound = kFixedRoom + head.reason.size() + head.upgrade_protocol.size() + context.request_id.size() +
                            context.hsts.size() + context.date.size() + bound_of(head.fields);
  const bool add_hsts = !context.hsts.empty() && !head.interim() && head.fields.find(kHsts) == nullptr;
  const bool add_date =
      !context.date.empty() && head.status >= 200 && !head.upgrade && head.fields.find("date") == nullptr;
  HeadWriter::append(out, bound, [&](HeadWriter& writer) {
    writer.put("HTTP/1.1 ");
    writer.put_number(head.status);
    writer.put(' ');
    writer.put(head.reason);
    writer.put("\r\n");
    if (add_date) writer.clean_field("Date", context.date);
    for (const Field& field : head.fields) pass_field(writer, field, head, context);
    if (!plan.dechunk && !context.head_request) writer.framing(head.framing);
    put_connection(writer, head, context, plan);
    if (!context.request_id.empty() && !head.interim()) writer.clean_field("X-Request-Id", context.request_id);
    if (add_hsts) writer.clean_field(kHsts, context.hsts);
    writer.put("\r\n");
  });
  return plan;
}

}  // namespace ferrotunnel::http
