#include "app/config/variables.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace ferrotunnel::app::config {
namespace {

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  return !text.empty() && letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_of_request(std::string_view name) {
  const auto dot = name.find('.');
  return dot != std::string_view::npos && is_name(name.substr(0, dot)) && is_name(name.substr(dot + 1));
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

std::string no_variable(const std::string& name) {
  return "the environment has no variable " + name + "; set it, or write ${" + name + ":-default}";
}

}  // namespace

void Variables::fill_in(Value& value) {
  if (value.kind == Value::Kind::String) {
    if (std::string wrong = fill_in_text(value.text, value.literal); !wrong.empty()) {
      errors_.add(value.place, std::move(wrong));
      value.unusable = true;
    }
  }
  for (Value& item : value.items) fill_in(item);
  for (auto& [name, member] : value.members) fill_in(member);
}

std::string Variables::fill_in_text(std::string& text, bool& literal) {
  if (text.find('\0') != std::string::npos) return "a NUL character has no place in a string";
  std::string out;
  std::string_view rest = text;
  for (auto at = rest.find('$'); at != std::string_view::npos; at = rest.find('$')) {
    const std::string_view before = rest.substr(0, at);
    literal = literal || !is_blank(before);
    out += before;
    rest.remove_prefix(at);
    if (rest.starts_with("$${")) {
      out += "${";
      literal = true;
      rest.remove_prefix(3);
      continue;
    }
    if (!rest.starts_with("${")) {
      out += '$';
      literal = true;
      rest.remove_prefix(1);
      continue;
    }
    const auto end = rest.find('}');
    if (end == std::string_view::npos)
      return "\"${\" without its \"}\"; a \"${\" that is meant as it stands is written \"$${\"";
    const std::string_view inside = rest.substr(2, end - 2);
    rest.remove_prefix(end + 1);
    const auto dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    // "${visitor.address}": of a request, not of the environment.
    if (dash == std::string_view::npos && is_of_request(name)) {
      out.append("${").append(name).append("}");
      literal = true;
      continue;
    }
    if (!is_name(name))
      return "\"${" + name + "}\" names no variable: letters, digits and _ (\"$${\" is a \"${\" as it stands)";
    std::optional<std::string> value = outside_.environment(name);
    if (dash != std::string_view::npos && value.value_or("").empty()) {
      value = inside.substr(dash + 2);
      literal = literal || !is_blank(*value);
    }
    if (!value) return no_variable(name);
    expanded_ += value->size();
    out += *value;
    if (out.size() > kMaxText || expanded_ > kMaxExpanded) return "too long once its variables are filled in";
  }
  literal = literal || !is_blank(rest);
  out += rest;
  if (out.size() > kMaxText) return "a string of more than " + std::to_string(kMaxText >> 10) + " KiB";
  text = std::move(out);
  return {};
}

}  // namespace ferrotunnel::app::config
