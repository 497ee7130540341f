// Byte classes of RFC 9110 section 5.6 and case-insensitive comparison, as table lookups.
//
// Locale-free and constexpr. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ferrotunnel::http {

inline constexpr std::uint8_t kTokenByte = 1;   // tchar
inline constexpr std::uint8_t kValueByte = 2;   // field value: HTAB, SP, VCHAR, obs-text
inline constexpr std::uint8_t kTargetByte = 4;  // visible ASCII without '#': what a target may hold here
inline constexpr std::uint8_t kHostByte = 8;    // letters, digits, '-', '.', '_'
inline constexpr std::uint8_t kDigitByte = 16;
inline constexpr std::uint8_t kHexByte = 32;

namespace detail {
consteval std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    std::uint8_t bits = 0;
    if (digit || alpha || std::string_view("!#$%&'*+-.^_`|~").contains(static_cast<char>(c))) bits |= kTokenByte;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) bits |= kValueByte;
    if (c > 0x20 && c < 0x7f && c != '#') bits |= kTargetByte;
    if (digit || alpha || c == '-' || c == '.' || c == '_') bits |= kHostByte;
    if (digit) bits |= kDigitByte;
    if (hex) bits |= kHexByte;
    table[c] = bits;
  }
  return table;
}
inline constexpr auto kClasses = make_classes();
}  // namespace detail

[[nodiscard]] constexpr bool is(char c, std::uint8_t classes) {
  return (detail::kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}
[[nodiscard]] constexpr bool all(std::string_view text, std::uint8_t classes) {
  for (const char c : text)
    if (!is(c, classes)) return false;
  return true;
}
[[nodiscard]] constexpr bool is_token(std::string_view text) { return !text.empty() && all(text, kTokenByte); }

[[nodiscard]] constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

[[nodiscard]] constexpr bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}

// Without the spaces and tabs (OWS) at both ends.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls visit(member) for each non-empty member of a comma-separated list (RFC 9110 section 5.6.1). It does not know quoted strings:
// for lists of tokens only.
template <class Visit>
constexpr void for_each_member(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view member = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (!member.empty()) visit(member);
  }
}

[[nodiscard]] constexpr bool list_has(std::string_view list, std::string_view token) {
  bool found = false;
  for_each_member(list, [&](std::string_view member) { found = found || iequals(member, token); });
  return found;
}

}  // namespace ferrotunnel::http
