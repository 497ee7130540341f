#include "http/host.h"

#include <array>
#include <charconv>
#include <cstddef>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kGroups = 8;
using Groups = std::array<std::uint16_t, kGroups>;

bool is_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  // RFC 1123 section 2.1, and the underscore that is in use: labels of 1 to 63, no hyphen at either end.
  std::size_t label = 0;
  char before = '.';
  for (const char c : name) {
    if (!is(c, kHostByte)) return false;
    if (c == '.') {
      if (label == 0 || before == '-') return false;
      label = 0;
    } else {
      if (c == '-' && label == 0) return false;
      if (++label > kMaxLabel) return false;
    }
    before = c;
  }
  return label != 0 && before != '-';
}

// dec-octet "." dec-octet "." dec-octet "." dec-octet, without leading zeros (they would be octal to some).
std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  std::uint32_t address = 0;
  for (int octet = 0; octet < 4; ++octet) {
    const std::size_t dot = octet < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot == 0 || dot > 3) return {};
    const std::string_view digits = text.substr(0, dot);
    if (!all(digits, kDigitByte) || (digits.size() > 1 && digits[0] == '0')) return {};
    unsigned value = 0;
    for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 255) return {};
    address = address << 8 | value;
    text.remove_prefix(octet < 3 ? dot + 1 : dot);
  }
  return address;
}

// RFC 3986 IPv6address, without brackets.
std::optional<Groups> parse_ipv6(std::string_view text) {
  Groups groups{};
  std::size_t count = 0;
  std::size_t gap = kGroups + 1;  // where "::" stands
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (count == kGroups) return {};
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (colon == std::string_view::npos && part.contains('.')) {
      const auto address = parse_ipv4(part);
      if (!address || count + 2 > kGroups) return {};
      groups[count++] = static_cast<std::uint16_t>(*address >> 16);
      groups[count++] = static_cast<std::uint16_t>(*address);
      break;
    }
    if (part.empty() || part.size() > 4 || !all(part, kHexByte)) return {};
    std::from_chars(part.data(), part.data() + part.size(), groups[count++], 16);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.starts_with(':')) {
      if (gap <= kGroups) return {};
      gap = count;
      text.remove_prefix(1);
    } else if (text.empty()) {
      return {};  // ends with a single colon
    }
  }
  if (gap > kGroups) return count == kGroups ? std::optional(groups) : std::nullopt;
  if (count == kGroups) return {};  // "::" has to stand for something
  const std::size_t tail = count - gap;
  for (std::size_t i = 0; i < tail; ++i) {
    groups[kGroups - 1 - i] = groups[count - 1 - i];
    groups[count - 1 - i] = 0;
  }
  return groups;
}

// RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::".
void append_ipv6(std::string& out, const Groups& groups) {
  std::size_t best = 0;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < kGroups;) {
    std::size_t end = i;
    while (end < kGroups && groups[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = end + 1;
  }
  if (best_length == 1) best = kGroups;
  out += '[';
  for (std::size_t i = 0; i < kGroups;) {
    if (i == best) {
      out += "::";
      i += best_length;
      continue;
    }
    if (i != 0 && out.back() != ':') out += ':';
    std::array<char, 4> hex{};
    const auto end = std::to_chars(hex.begin(), hex.end(), groups[i], 16).ptr;
    out.append(hex.data(), end);
    ++i;
  }
  out += ']';
}

bool is_ipv6_literal(std::string_view host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']' && parse_ipv6(host.substr(1, host.size() - 2));
}

}  // namespace

std::optional<Authority> split_authority(std::string_view text) {
  Authority authority;
  std::size_t end = text.find(':');
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return {};
    end = bracket + 1;
    authority.host = text.substr(0, end);
    if (!is_ipv6_literal(authority.host)) return {};
    if (end == text.size()) return authority;
    if (text[end] != ':') return {};
  } else {
    authority.host = text.substr(0, end);
    if (!is_name(authority.host)) return {};
    if (end == std::string_view::npos) return authority;
  }
  const std::string_view digits = text.substr(end + 1);
  if (digits.empty() || digits.size() > 5 || !all(digits, kDigitByte)) return {};
  unsigned port = 0;
  for (const char c : digits) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port == 0 || port > 65535) return {};
  authority.port = static_cast<std::uint16_t>(port);
  return authority;
}

bool normalise_host(std::string_view text, std::string& out) {
  out.clear();
  const auto authority = split_authority(text);
  if (!authority) return false;
  std::string_view host = authority->host;
  if (host.starts_with('[')) {
    append_ipv6(out, *parse_ipv6(host.substr(1, host.size() - 2)));
    return true;
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  out.reserve(host.size());
  for (const char c : host) out += to_lower(c);
  return true;
}

bool same_authority(std::string_view a, std::string_view b, std::uint16_t default_port) {
  const auto left = split_authority(a);
  const auto right = split_authority(b);
  if (!left || !right) return false;
  const auto port = [default_port](std::uint16_t given) { return given != 0 ? given : default_port; };
  if (port(left->port) != port(right->port)) return false;
  if (iequals(left->host, right->host)) return true;
  std::string one;
  std::string other;
  return normalise_host(left->host, one) && normalise_host(right->host, other) && one == other;
}

bool is_wildcard(std::string_view pattern) {
  return pattern.starts_with("*.") && !pattern.ends_with('.') && is_name(pattern.substr(2));
}

bool wildcard_match(std::string_view pattern, std::string_view host) {
  if (!is_wildcard(pattern)) return false;
  const std::string_view suffix = pattern.substr(1);  // ".example.com"
  return host.size() > suffix.size() && host.ends_with(suffix) && !host.starts_with('[') && !host.starts_with('.');
}

}  // namespace ferrotunnel::http
