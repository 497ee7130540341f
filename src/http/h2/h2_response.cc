#include "http/h2/h2_response.h"

#include <algorithm>

#include "http/body.h"
#include "http/chars.h"
#include "http/head_writer.h"

namespace ferrotunnel::http {
namespace {

constexpr std::size_t kStatusDigits = 3;

bool passes(const ResponseHead& head, const Field& field, H2Source source) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::ProxyAuthorization:
    case FieldId::ProxyConnection:
    case FieldId::Te:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return false;
    case FieldId::ProxyAuthenticate: return source == H2Source::Connect || source == H2Source::Server;
    case FieldId::ContentLength: return head.status >= 200 && head.status != 204 && !head.upgrade;
    case FieldId::Ferrotunnel: return source == H2Source::Server;  // nobody takes an origin's word for the tunnel's
    default: break;
  }
  if (source == H2Source::WebSocket && iequals(field.name, "sec-websocket-accept")) return false;
  return !head.connection_names_fields || !named_by_connection(head.fields, field.name);
}

}  // namespace

void H2Fields::reserve(std::size_t bytes) {
  lines_.clear();
  text_.clear();
  text_.reserve(bytes);  // so that what points into it stays
}

void H2Fields::add(std::string_view name, std::string_view value) {
  const std::size_t begin = text_.size();
  for (const char c : name) text_ += to_lower(c);
  lines_.push_back({std::string_view(text_).substr(begin), value});
}

void H2Fields::set_response(const ResponseHead& head, H2Source source) {
  reserve(bound_of(head.fields) + kStatusDigits);
  const unsigned status = source == H2Source::WebSocket ? 200U : head.status;
  for (const unsigned part : {status / 100, status / 10 % 10, status % 10}) text_ += static_cast<char>('0' + part);
  lines_.push_back({":status", std::string_view(text_).substr(0, kStatusDigits)});
  for (const Field& field : head.fields)
    if (passes(head, field, source)) add(field.name, field.value);
}

namespace {

bool passes(const RequestHead& head, const Field& field, bool websocket) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Host:  // it is :authority
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return false;
    case FieldId::Te: return list_has(field.value, "trailers");
    default: break;
  }
  if (websocket && iequals(field.name, "sec-websocket-key")) return false;
  return !head.connection_names_fields || !named_by_connection(head.fields, field.name);
}

}  // namespace

// RFC 6455 section 4.1: a GET.
bool is_websocket(const RequestHead& head) {
  return head.upgrade && head.method == Method::Get && iequals(head.upgrade_protocol, "websocket");
}

void H2Fields::set_request(const RequestHead& head, std::string_view scheme) {
  reserve(bound_of(head.fields));
  const bool websocket = is_websocket(head);
  lines_.push_back({":method", websocket ? std::string_view("CONNECT") : head.method_text});
  if (websocket) lines_.push_back({":protocol", "websocket"});
  const bool connect = head.method == Method::Connect;  // RFC 9113 section 8.5
  if (!connect) lines_.push_back({":scheme", scheme});
  if (!head.authority.empty()) lines_.push_back({":authority", head.authority});
  if (!connect) lines_.push_back({":path", head.path_and_query});
  for (const Field& field : head.fields) {
    if (!passes(head, field, websocket)) continue;
    add(field.name, field.id == FieldId::Te ? std::string_view("trailers") : field.value);
  }
}

void H2Fields::set_trailers(std::string_view lines) {
  reserve(lines.size());
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) continue;
    const std::string_view name = line.substr(0, colon);
    if (!forbidden_trailer(name)) add(name, trim(line.substr(colon + 1)));
  }
}

}  // namespace ferrotunnel::http
