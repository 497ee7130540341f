#include "http/page_template.h"

#include <utility>

#include "http/escape.h"

namespace ferrotunnel::http {
namespace {

bool is_word(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

// The word in the braces that text begins with; "": there is none.
std::string_view word_in_braces(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && is_word(text[end])) ++end;
  return end > 1 && end < text.size() && text[end] == '}' ? text.substr(1, end - 1) : std::string_view{};
}

}  // namespace

PageTemplate::Value PageTemplate::value_of(std::string_view word) {
  if (word == "status") return Value::Status;
  if (word == "reason") return Value::Reason;
  if (word == "code") return Value::Code;
  if (word == "side") return Value::Side;
  if (word == "sentence") return Value::Sentence;
  if (word == "host") return Value::Host;
  if (word == "request_id") return Value::RequestId;
  return Value::None;
}

std::expected<PageTemplate, std::string> PageTemplate::parse(std::string_view text, PageFormat format) {
  if (text.size() > kMostBytes)
    return std::unexpected("it has more than " + std::to_string(kMostBytes / 1024) + " KiB");
  PageTemplate made;
  made.format_ = format;
  std::string literal;
  while (!text.empty()) {
    const std::size_t brace = text.find('{');
    literal.append(text.substr(0, brace));
    if (brace == std::string_view::npos) break;
    text.remove_prefix(brace);
    const std::string_view word = word_in_braces(text);
    if (word.empty()) {
      literal += '{';
      text.remove_prefix(1);
      continue;
    }
    const Value value = value_of(word);
    if (value == Value::None) {
      return std::unexpected(
          "{" + std::string(word) +
          "} stands for nothing: there are {status}, {reason}, {code}, {side}, {sentence}, {host} and "
          "{request_id}; other braces need a space behind them");
    }
    if (made.pieces_.size() == kMostPlaceholders)
      return std::unexpected("it has more than " + std::to_string(kMostPlaceholders) + " placeholders");
    made.pieces_.push_back({std::exchange(literal, {}), value});
    text.remove_prefix(word.size() + 2);
  }
  made.pieces_.push_back({std::move(literal), Value::None});
  return made;
}

void PageTemplate::append(std::string& out, Value value, const ErrorPage& page) const {
  std::string_view text;
  switch (value) {
    case Value::None: return;
    case Value::Status: out += std::to_string(page.status); return;
    case Value::Reason: text = reason_phrase(page.status); break;
    case Value::Code: text = page.slug; break;
    case Value::Side: text = to_string(page.side); break;
    case Value::Sentence: text = page.sentence; break;
    case Value::Host: text = page.host; break;
    case Value::RequestId: text = page.request_id; break;
  }
  switch (format_) {
    case PageFormat::Text: return append_text(out, text);
    case PageFormat::Html: return append_html(out, text);
    case PageFormat::Json: break;
  }
  // Inside the quotes of the template.
  std::string quoted;
  append_json(quoted, text);
  out.append(quoted, 1, quoted.size() - 2);
}

std::string PageTemplate::render(const ErrorPage& page) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    out += piece.text;
    append(out, piece.value, page);
  }
  if (out.size() > kMostRendered) out.clear();
  return out;
}

std::expected<PageTemplates::Place, std::string> PageTemplates::place_of(std::string_view file_name) {
  const std::size_t dot = file_name.rfind('.');
  const std::string_view stem = file_name.substr(0, dot);
  const std::string_view extension = dot == std::string_view::npos ? std::string_view{} : file_name.substr(dot + 1);
  Place place;
  if (extension == "html") {
    place.format = PageFormat::Html;
  } else if (extension == "json") {
    place.format = PageFormat::Json;
  } else if (extension != "txt") {
    return std::unexpected("it is neither .html nor .json nor .txt");
  }
  if (stem == "error") return place;
  if (stem.size() == 3 && (stem[0] == '4' || stem[0] == '5')) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (stem.substr(1) == "xx") {
      place.status = static_cast<std::uint16_t>(stem[0] - '0');
      return place;
    }
    if (digit(stem[1]) && digit(stem[2])) {
      place.status = static_cast<std::uint16_t>((stem[0] - '0') * 100 + (stem[1] - '0') * 10 + (stem[2] - '0'));
      return place;
    }
  }
  return std::unexpected("its name is none of error, 4xx, 5xx, or a status such as 404");
}

const PageTemplate* PageTemplates::find(std::uint16_t status, PageFormat format) const {
  for (const std::uint16_t which : {status, static_cast<std::uint16_t>(status / 100), std::uint16_t{0}}) {
    if (const auto found = pages_.find({which, format}); found != pages_.end()) return &found->second;
  }
  return nullptr;
}

}  // namespace ferrotunnel::http
