#include "http/head_match.h"

#include <algorithm>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

std::unexpected<Error> bad(std::string why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(why)));
}

template <class T>
void sort_once(std::vector<T>& list) {
  std::ranges::sort(list);
  const auto twice = std::ranges::unique(list);
  list.erase(twice.begin(), twice.end());
}

}  // namespace

Result<HeadMatch> HeadMatch::parse(std::span<const std::string> methods, std::span<const std::string> headers) {
  HeadMatch match;
  for (const std::string& method : methods) {
    if (!is_token(method)) return bad("'" + method.substr(0, 64) + "' is no method");
    std::string& one = match.methods.emplace_back(method);
    std::ranges::transform(one, one.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
  }
  for (const std::string& header : headers) {
    const std::size_t colon = header.find(':');
    Header one{header.substr(0, colon), {}};
    if (colon != std::string::npos) one.value = trim(std::string_view(header).substr(colon + 1));
    if (!is_token(one.name) || !http::all(one.value, kValueByte))
      return bad("'" + one.name.substr(0, 64) + R"(' is no header: write "Name", or "Name: value")");
    std::ranges::transform(one.name, one.name.begin(), to_lower);
    match.headers.push_back(std::move(one));
  }
  sort_once(match.methods);
  sort_once(match.headers);
  return match;
}

bool HeadMatch::matches(const RequestHead& head) const {
  const auto is_its = [&head](std::string_view method) { return iequals(method, head.method_text); };
  if (!methods.empty() && std::ranges::none_of(methods, is_its)) return false;
  return std::ranges::all_of(headers, [&head](const Header& wanted) {
    return std::ranges::any_of(head.fields, [&wanted](const Field& field) {
      return alike(field.name, wanted.name) && (wanted.value.empty() || field.value == wanted.value);
    });
  });
}

std::string HeadMatch::text() const {
  std::string text;
  for (const std::string& method : methods) text.append(text.empty() ? "" : ",").append(method);
  for (const Header& header : headers) {
    text.append(text.empty() ? "" : " ").append(header.name);
    if (header.value.empty()) continue;
    text.append("=\"");
    for (const char c : header.value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text;
}

}  // namespace ferrotunnel::http
