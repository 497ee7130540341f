#include "app/config/nesting.h"

#include <algorithm>

namespace ferrotunnel::app::config {
namespace {

// The position behind the string that begins at `at`, or behind the line where it is not ended there.
std::size_t skip_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string_view mark = text.substr(at, 3);
  const bool many_lines = mark.size() == 3 && mark[1] == quote && mark[2] == quote;
  at += many_lines ? 3 : 1;
  for (; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (!many_lines && (text[at] == '\n' || text[at] == quote)) {
      return text[at] == '\n' ? at : at + 1;
    } else if (many_lines && text.substr(at, 3) == mark) {
      at += 3;
      // Up to two quotes may stand before the three that end it.
      for (int more = 0; more < 2 && at < text.size() && text[at] == quote; ++more) ++at;
      return at;
    }
  }
  return text.size();
}

TextPosition position_of(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = before.rfind('\n');
  return {static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
          static_cast<std::uint32_t>(line == std::string_view::npos ? at + 1 : at - line)};
}

}  // namespace

std::optional<TextPosition> too_deep(std::string_view text, std::size_t most) {
  std::size_t depth = 0, dots = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '.') {
      ++dots;
    } else if (c == '[' || c == '{') {
      ++depth;
      dots = 0;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
      dots = 0;
    } else if (c == '\n' || c == '=' || c == ',') {
      dots = 0;
    }
    if (depth > most || dots > most) return position_of(text, at);
    ++at;
  }
  return std::nullopt;
}

}  // namespace ferrotunnel::app::config
