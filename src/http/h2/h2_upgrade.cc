#include "http/h2/h2_upgrade.h"

#include <algorithm>
#include <string>

#include "http/chars.h"
#include "http/head_writer.h"

namespace ferrotunnel::http {
namespace {

constexpr std::string_view kH2c = "h2c";
constexpr std::string_view kSettings = "http2-settings";

bool of_the_hop(const RequestHead& head, const Field& field) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Host:
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::ProxyAuthenticate:
    case FieldId::ProxyAuthorization:
    case FieldId::ProxyConnection:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return true;
    case FieldId::Te: return !iequals(field.value, "trailers");
    default: return head.connection_names_fields && named_by_connection(head.fields, field.name);
  }
}

}  // namespace

bool asks_h2c(const RequestHead& head, std::string_view& settings) {
  if (head.method == Method::Connect) return false;
  if (head.minor != 1 || head.expect_continue || !head.framing.empty() || head.host.empty()) return false;
  const auto of = [&head](FieldId id) {
    return std::ranges::count_if(head.fields, [id](const Field& field) { return field.id == id; });
  };
  if (of(FieldId::Upgrade) != 1 || of(FieldId::Http2Settings) != 1) return false;
  if (!iequals(head.fields.value(FieldId::Upgrade), kH2c)) return false;
  if (!named_by_connection(head.fields, "upgrade") || !named_by_connection(head.fields, kSettings)) return false;
  settings = head.fields.value(FieldId::Http2Settings);
  return true;
}

void fill_h2_block(const RequestHead& head, const Limits& limits, H2Block& block) {
  block.clear();
  block.add(":method", head.method_text, limits);
  block.add(":scheme", "http", limits);
  block.add(":authority", head.authority, limits);
  std::string text(head.path_and_query);
  if (head.form != TargetForm::Asterisk && !text.starts_with('/')) text.insert(0, 1, '/');
  block.add(":path", text, limits);
  for (const Field& field : head.fields) {
    if (of_the_hop(head, field)) continue;
    text.assign(field.name);
    std::ranges::transform(text, text.begin(), to_lower);
    block.add(text, field.value, limits);
  }
}

}  // namespace ferrotunnel::http
