#include "origin/files/path.h"

#include "http/chars.h"

namespace ferrotunnel::origin::files {
namespace {

constexpr std::size_t kMaxName = 255;  // NAME_MAX of every file system here

int hex_value(char c) {
  if (!http::is(c, http::kHexByte)) return -1;
  return http::is(c, http::kDigitByte) ? c - '0' : (c | 0x20) - 'a' + 10;
}

// Appends the decoded segment; false where an escape is cut or wrong, or is a NUL.
bool decode(std::string_view segment, std::string& out) {
  for (std::size_t i = 0; i < segment.size(); ++i) {
    char c = segment[i];
    if (c == '%') {
      if (segment.size() - i < 3) return false;
      const int high = hex_value(segment[i + 1]), low = hex_value(segment[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return false;
    out += c;
  }
  return true;
}

}  // namespace

bool servable_name(std::string_view name, bool top) {
  if (name.empty() || name.size() > kMaxName || name.find_first_of("/\\") != std::string_view::npos) return false;
  return !name.starts_with('.') || (top && name == ".well-known");
}

std::expected<RelativePath, std::uint16_t> relative_path(std::string_view path) {
  if (!path.starts_with('/')) return std::unexpected(400);
  RelativePath result;
  result.directory = path.ends_with('/');
  path.remove_prefix(1);
  if (path.empty()) return result;
  if (result.directory) path.remove_suffix(1);  // of "//" an empty segment is left, which names nothing
  std::string segment;
  bool found = true;
  while (true) {
    const std::size_t slash = path.find('/');
    segment.clear();
    if (!decode(path.substr(0, slash), segment)) return std::unexpected(400);
    found = found && servable_name(segment, result.path.empty());
    if (!result.path.empty()) result.path += '/';
    result.path += segment;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  if (!found) return std::unexpected(404);
  return result;
}

void append_segment(std::string& out, std::string_view name) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : name) {
    if (http::is(c, http::kHostByte) || c == '~') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

}  // namespace ferrotunnel::origin::files
