// What control.h says of names and of text for people, and utf8.h.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "wire/control.h"
#include "wire/utf8.h"

namespace ferrotunnel::wire {
namespace {

// The character at the front of `text` (not empty): its bytes, 0 where they are not UTF-8, and its code point.
struct Character {
  std::size_t size = 0;
  char32_t point = 0;
};
Character front(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return {1, first};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
  char32_t point = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    point = (point << 6) | (at(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (point < kLeast[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return {};
  return {size, point};
}

bool shown_as_itself(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;  // C0, DEL, C1
  if (c >= 0x200b && c <= 0x200f) return false;           // zero width, direction marks
  if (c >= 0x2028 && c <= 0x202e) return false;           // line separators, direction overrides
  if (c >= 0x2060 && c <= 0x206f) return false;           // joiners, isolates
  return c != 0xfeff && c != 0x061c;
}

}  // namespace

bool valid_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  // No flag, no hidden file and no way up, wherever a name is used as one.
  return !name.empty() && name.size() <= kMaxName && name[0] != '.' && name[0] != '-' &&
         std::ranges::all_of(name, allowed);
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = front(text).size;
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string clean_text(std::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const Character c = front(text);
    const std::size_t size = std::max<std::size_t>(c.size, 1);
    const bool keep = c.size != 0 && shown_as_itself(c.point);
    if (out.size() + (keep ? size : 1) > limit) break;
    if (keep) {
      out.append(text.substr(0, size));
    } else {
      out += '?';
    }
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace ferrotunnel::wire
