#include "app/config/prescan.h"

#include <algorithm>

namespace ferrotunnel::app::config {
namespace {

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}
  std::optional<Refusal> run();

 private:
  void refuse(std::string_view why) { refusal_ = Refusal{at_, why}; }
  [[nodiscard]] bool string_may_begin() const;
  void skip_string();
  void structure(char c);

  std::string_view text_;
  std::size_t at_ = 0, begin_ = 0, depth_ = 0, dots_ = 0;
  std::optional<Refusal> refusal_;
};

// Behind a word the library takes a quote for a part of it, and what the string has in it for text outside of strings.
bool Scan::string_may_begin() const {
  const std::size_t before = at_ == 0 ? std::string_view::npos : text_.find_last_not_of(" \t", at_ - 1);
  return before == std::string_view::npos || before < begin_ || std::string_view("=,[{.\n\r").contains(text_[before]);
}

// To behind the string that begins here, or to the line's end where it is not ended there.
void Scan::skip_string() {
  const char quote = text_[at_];
  const std::string_view mark = text_.substr(at_, 3);
  const bool many_lines = mark.size() == 3 && mark[1] == quote && mark[2] == quote;
  at_ += many_lines ? 3 : 1;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (quote == '"' && c == '\\') {
      // A backslash at a line's end is TOML; the library looks for white space behind it.
      constexpr std::string_view kEscapes = "btnfr\"\\uU";
      if (at_ + 1 < text_.size() && kEscapes.find(text_[at_ + 1]) == std::string_view::npos)
        return refuse("a \\ in a string has one of b t n f r \" \\ u U behind it (for a \\ as it stands use '...')");
      ++at_;
    } else if (!many_lines && c == '\n') {
      return;
    } else if (!many_lines && c == quote) {
      ++at_;
      return;
    } else if (many_lines && text_.substr(at_, 3) == mark) {
      at_ += 3;
      // Up to two quotes may stand before the three that end it.
      for (int more = 0; more < 2 && at_ < text_.size() && text_[at_] == quote; ++more) ++at_;
      return;
    }
  }
  at_ = std::min(at_, text_.size());
}

void Scan::structure(char c) {
  if (c == '.') {
    ++dots_;
  } else if (c == '[' || c == '{') {
    ++depth_;
    dots_ = 0;
  } else if (c == ']' || c == '}') {
    depth_ -= depth_ > 0 ? 1 : 0;
    dots_ = 0;
  } else if (c == '\n' || c == '=' || c == ',') {
    dots_ = 0;
  } else if (static_cast<unsigned char>(c) >= 0x80) {
    refuse("a character that is no ASCII, outside of a string: put quotes around it");
  }
  if (depth_ > kMaxNesting || dots_ > kMaxNesting) refuse("brackets or a dotted key nested more than 16 deep");
}

std::optional<Refusal> Scan::run() {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text_.starts_with(kByteOrderMark)) at_ = begin_ = kByteOrderMark.size();
  while (at_ < text_.size() && !refusal_) {
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      string_may_begin() ? skip_string() : refuse("a quote in the middle of a value or name: put all of it in quotes");
    } else if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else {
      structure(c);
      ++at_;
    }
  }
  return refusal_;
}

}  // namespace

std::optional<Refusal> prescan(std::string_view text) { return Scan(text).run(); }

TextPosition position_of(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = before.rfind('\n');
  return {static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
          static_cast<std::uint32_t>(line == std::string_view::npos ? before.size() + 1 : before.size() - line)};
}

}  // namespace ferrotunnel::app::config
