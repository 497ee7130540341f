#include "app/config/document.h"

// Its assertions are about the text ("[!" fails one), and are promises to the optimiser where NDEBUG is defined. Without them it finds the same
// mistakes a few lines on, and reports them.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "app/config/prescan.h"

namespace ferrotunnel::app::config {
namespace {

constexpr std::size_t kMaxBroken = 20;  // lines that are left out

Place place_of(const toml::source_region& region, std::uint32_t file) {
  return {file, region.begin.line, region.begin.column};
}

std::chrono::sys_seconds moment(const toml::date& date) {
  return std::chrono::sys_days(std::chrono::year(date.year) / date.month / date.day);
}

Value from_date_time(const toml::date_time& written) {
  Value value;
  value.kind = written.offset ? Value::Kind::Date : Value::Kind::LocalDateTime;
  value.date = moment(written.date) + std::chrono::hours(written.time.hour) +
               std::chrono::minutes(written.time.minute) + std::chrono::seconds(written.time.second);
  if (written.offset) value.date -= std::chrono::minutes(written.offset->minutes);
  return value;
}

// As deep as kMaxNesting lets it.
Value from_node(const toml::node& node, std::uint32_t file) {
  Value value;
  if (const auto* table = node.as_table()) {
    for (const auto& [key, member] : *table) {
      Value& made = value.members[std::string(key.str())] = from_node(member, file);
      made.place = place_of(key.source(), file);
    }
  } else if (const auto* array = node.as_array()) {
    value.kind = Value::Kind::Array;
    for (const auto& item : *array) {
      value.items.push_back(from_node(item, file));
      value.items.back().place = place_of(item.source(), file);
    }
  } else if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::String;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = Value::Kind::Integer;
    value.integer = integer->get();
  } else if (const auto* real = node.as_floating_point()) {
    value.kind = Value::Kind::Float;
    value.real = real->get();
  } else if (const auto* flag = node.as_boolean()) {
    value.kind = Value::Kind::Bool;
    value.flag = flag->get();
  } else if (const auto* date = node.as_date()) {
    value.kind = Value::Kind::Date;
    value.date = moment(date->get());
  } else if (const auto* time = node.as_date_time()) {
    value = from_date_time(time->get());
  } else {
    value.kind = Value::Kind::Time;
  }
  return value;
}

struct Span {
  std::size_t begin = 0, end = 0;  // without the line's end
};

// Of line `number` (from 1).
std::optional<Span> line_of(std::string_view text, std::uint32_t number) {
  std::size_t begin = 0;
  for (std::uint32_t line = 1; line < number; ++line) {
    begin = text.find('\n', begin);
    if (begin == std::string_view::npos) return std::nullopt;
    ++begin;
  }
  return Span{begin, std::min(text.find('\n', begin), text.size())};
}

// "Error while parsing key-value pair: cannot redefine existing string 'listen' as string": what matters of it.
std::string in_short(std::string_view says) {
  constexpr std::string_view kBegins = "Error while parsing ";
  if (says.starts_with(kBegins)) {
    if (const auto colon = says.find(": "); colon != std::string_view::npos) says.remove_prefix(colon + 2);
  }
  if (says.starts_with("cannot redefine existing")) {
    const auto first = says.find('\'');
    const auto last = says.find('\'', first == std::string_view::npos ? first : first + 1);
    if (last != std::string_view::npos)
      return "\"" + std::string(says.substr(first + 1, last - first - 1)) +
             "\" stands here a second time; leave out one of the two";
  }
  std::string text(says);
  // Its escapes would be escaped once more.
  for (const std::string_view end : {"'\\n'", "'\\r'", "'\n'", "'\r'"})
    if (const auto at = text.find(end); at != std::string::npos) text.replace(at, end.size(), "the end of the line");
  return "not TOML: " + text;
}

struct Mistake {
  Place place;
  std::string says;
};

// Makes the line that has the mistake an empty one. False: that would make things worse.
bool leave_out_line(std::string& text, Mistake& mistake) {
  const auto line = line_of(text, mistake.place.line);
  const auto first = line ? text.find_first_not_of(" \t", line->begin) : std::string::npos;
  if (!line || first >= line->end) return false;
  // Of a key that is there twice the library has no column.
  if (mistake.says.starts_with('"')) mistake.place.column = static_cast<std::uint32_t>(first - line->begin + 1);
  // Without its head the lines of a table would be taken for another's.
  if (text[first] == '[') return false;
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(line->begin),
            text.begin() + static_cast<std::ptrdiff_t>(line->end), ' ');
  return true;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  const auto at = members.find(key);
  return at == members.end() ? nullptr : &at->second;
}

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::Bool: return "true or false";
    case Value::Kind::Integer: return "a whole number";
    case Value::Kind::Float: return "a number with a fraction";
    case Value::Kind::String: return "a string";
    case Value::Kind::Date: return "a date";
    case Value::Kind::LocalDateTime: return "a date and time without a zone";
    case Value::Kind::Time: return "a time";
    case Value::Kind::Array: return "an array";
    case Value::Kind::Table: return "a table";
  }
  return "something else";
}

std::vector<const Value::Members::value_type*> in_order(const Value& table) {
  std::vector<const Value::Members::value_type*> members;
  members.reserve(table.members.size());
  for (const auto& member : table.members) members.push_back(&member);
  std::ranges::sort(members, {}, [](const auto* member) { return member->second.place; });
  return members;
}

Value parse_document(std::string_view text, std::uint32_t file, ConfigErrors& errors) {
  std::string rest(text);
  std::vector<Mistake> broken;
  while (broken.size() <= kMaxBroken) {
    if (const auto refused = prescan(rest)) {
      const TextPosition at = position_of(rest, refused->at);
      broken.push_back({{file, at.line, at.column}, std::string(refused->why)});
    } else {
      const toml::parse_result result = toml::parse(std::string_view(rest));
      if (result) {
        for (Mistake& one : broken) errors.add(one.place, std::move(one.says));
        if (!broken.empty()) errors.leave_out();
        return from_node(result.table(), file);
      }
      broken.push_back({place_of(result.error().source(), file), in_short(result.error().description())});
    }
    if (!leave_out_line(rest, broken.back())) break;
  }
  errors.add(broken.front().place, std::move(broken.front().says));
  errors.leave_out();
  return {};
}

}  // namespace ferrotunnel::app::config
