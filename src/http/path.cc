#include "http/path.h"

#include <algorithm>
#include <cstring>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// RFC 3986 section 2.3.
bool is_unreserved(char c) {
  return is(c, kDigitByte) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

PathFault decode(std::string_view path, std::string& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') return PathFault::Backslash;
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
    if (high < 0 || low < 0) return PathFault::Escape;
    const auto c = static_cast<char>(high * 16 + low);
    i += 2;
    if (c == '/' || c == '\\') return PathFault::EncodedSlash;
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return PathFault::Control;
    if (is_unreserved(c)) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<std::size_t>(high)];
      out += kHex[static_cast<std::size_t>(low)];
    }
  }
  return PathFault::None;
}

// In place: what is written is never longer than what was read.
PathFault resolve(std::string& path) {
  std::size_t written = 0;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = std::string_view(path).substr(at + 1, end - at - 1);
    const bool last = end == path.size();
    const std::string_view name = segment.substr(0, segment.find(';'));
    const bool dots = name == "." || name == "..";
    if (name.size() != segment.size() && (name.empty() || dots)) return PathFault::Parameter;
    if (name == "..") {
      const std::size_t up = std::string_view(path).substr(0, written).rfind('/');
      written = up == std::string_view::npos ? 0 : up;
    }
    if (dots || segment.empty()) {
      if (last) path[written++] = '/';
    } else {
      const std::size_t size = segment.size() + 1;
      std::memmove(path.data() + written, path.data() + at, size);
      written += size;
    }
    at = end;
  }
  path.resize(written);
  return PathFault::None;
}

}  // namespace

std::string_view sentence(PathFault fault) {
  switch (fault) {
    case PathFault::None: break;
    case PathFault::Escape: return "The request's path has a '%' without two hex digits.";
    case PathFault::EncodedSlash: return "The request's path has an encoded slash.";
    case PathFault::Control: return "The request's path has an encoded control character.";
    case PathFault::Backslash: return "The request's path has a backslash.";
    case PathFault::Parameter: return "The request's path has a parameter behind an empty or a dot segment.";
  }
  return {};
}

PathFault normalise_path(std::string_view path, std::string& out) {
  out.clear();
  if (path.empty() || path.front() != '/') out += '/';
  PathFault fault = decode(path, out);
  if (fault == PathFault::None) fault = resolve(out);
  if (fault != PathFault::None) out.clear();
  return fault;
}

PathFault normalise_path(RequestHead& head, std::string& storage) {
  if (head.path_and_query == "*" || head.form == TargetForm::Authority) return PathFault::None;
  if (const PathFault fault = normalise_path(head.path, storage); fault != PathFault::None) return fault;
  const std::size_t size = storage.size();
  const bool asks = head.path_and_query.contains('?');
  if (asks) storage.append("?").append(head.query);
  head.path_and_query = storage;
  head.path = head.path_and_query.substr(0, size);
  head.query = asks ? head.path_and_query.substr(size + 1) : std::string_view{};
  return PathFault::None;
}

std::optional<std::string> normalise_prefix(std::string_view prefix) {
  std::string out;
  if (!prefix.starts_with('/') || prefix.contains(';')) return std::nullopt;
  for (const char c : prefix)
    if (!is(c, kTargetByte) || c == '?') return std::nullopt;
  if (normalise_path(prefix, out) != PathFault::None) return std::nullopt;
  if (out.ends_with('/')) out.pop_back();
  return out;
}

std::optional<std::size_t> path_prefix(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return 0;
  std::size_t at = 0, matched = 0;
  while (matched < prefix.size()) {
    if (at == path.size()) return std::nullopt;
    if (path[at] == ';') {
      at = std::min(path.find('/', at), path.size());
      continue;
    }
    if (path[at] != prefix[matched]) return std::nullopt;
    ++at;
    ++matched;
  }
  if (at < path.size() && path[at] == ';') at = std::min(path.find('/', at), path.size());
  if (at < path.size() && path[at] != '/') return std::nullopt;
  return at;
}

}  // namespace ferrotunnel::http
