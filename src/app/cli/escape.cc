#include "app/cli/escape.h"

#include <algorithm>
#include <cstdint>

namespace ferrotunnel::cli {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t length = 0;  // bytes; 0: not UTF-8
};

// The character that text begins with, if it is well-formed UTF-8 (Unicode table 3-7).
Character first_character(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return {};
  char32_t code = first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (at(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return {};
  return {code, length};
}

bool harmless(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return false;
  const bool reorders =
      c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  const bool breaks_line = c == 0x2028 || c == 0x2029;
  return !reorders && !breaks_line;
}

constexpr std::string_view kHex = "0123456789abcdef";

void append_hex(std::string& out, std::string_view bytes, std::string_view lead) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += lead;
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

// \u and four digits; what needs it here lies in the basic plane.
void append_u(std::string& out, char32_t code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 15];
}

}  // namespace

void append_shown(std::string& out, std::string_view text, std::size_t limit) {
  const std::size_t begin = out.size();
  while (!text.empty()) {
    const std::size_t before = out.size();
    const Character c = first_character(text);
    const std::size_t length = c.length == 0 ? 1 : c.length;
    if (c.code == '\\') {
      out += "\\\\";
    } else if (c.length != 0 && harmless(c.code)) {
      out += text.substr(0, length);
    } else {
      append_hex(out, text.substr(0, length), "\\x");
    }
    if (limit != 0 && out.size() - begin > limit) {
      out.resize(before);
      out += "…";
      return;
    }
    text.remove_prefix(length);
  }
}

std::string shown(std::string_view text, std::size_t limit) {
  std::string out;
  append_shown(out, text, limit);
  return out;
}

void append_json(std::string& out, std::string_view text) {
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
  while (!text.empty()) {
    if (const auto run = static_cast<std::size_t>(std::ranges::find_if_not(text, plain) - text.begin()); run > 0) {
      out += text.substr(0, run);
      text.remove_prefix(run);
      continue;
    }
    const Character c = first_character(text);
    const std::size_t length = c.length == 0 ? 1 : c.length;
    if (c.length == 0) {
      append_hex(out, text.substr(0, 1), "\\\\x");
    } else if (c.code == '"' || c.code == '\\') {
      out += '\\';
      out += text[0];
    } else if (c.code == '\n') {
      out += "\\n";
    } else if (c.code == '\t') {
      out += "\\t";
    } else if (!harmless(c.code)) {
      append_u(out, c.code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

}  // namespace ferrotunnel::cli
