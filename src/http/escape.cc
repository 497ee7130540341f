#include "http/escape.h"

#include <array>
#include <cstddef>

namespace ferrotunnel::http {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Length of the well-formed UTF-8 sequence that text begins with (Unicode table 3-7); 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies past U+10FFFF.
  if ((first == 0xE0 && at(1) < 0xA0) || (first == 0xED && at(1) > 0x9F) || (first == 0xF0 && at(1) < 0x90) ||
      (first == 0xF4 && at(1) > 0x8F))
    return 0;
  return length;
}

// Calls ascii(char) for each ASCII byte and appends the rest as it is, or U+FFFD for what is not UTF-8.
template <class Ascii>
void append_each(std::string& out, std::string_view text, Ascii&& ascii) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 1) {
      ascii(text[0]);
    } else {
      out += length == 0 ? kReplacement : text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

bool is_control(char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }

}  // namespace

void append_html(std::string& out, std::string_view text) {
  append_each(out, text, [&out](char c) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += is_control(c) ? '?' : c;
    }
  });
}

void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  append_each(out, text, [&out, kHex](char c) {
    // '<' and '&' as well, so that JSON shown by something that takes it for HTML is still text.
    if (is_control(c) || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&') {
      const auto code = static_cast<unsigned char>(c);
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 15];
    } else {
      out += c;
    }
  });
  out += '"';
}

void append_text(std::string& out, std::string_view text) {
  append_each(out, text, [&out](char c) { out += is_control(c) ? '?' : c; });
}

}  // namespace ferrotunnel::http
