#include "app/cli/json_line.h"

#include <utility>

#include "app/cli/escape.h"

namespace ferrotunnel::cli {

void JsonObject::name(std::string_view name) {
  constexpr std::size_t kLine = 512;  // most are shorter
  if (out_.empty()) out_.reserve(kLine);
  out_ += out_.empty() ? '{' : ',';
  out_ += '"';
  append_json(out_, name);
  out_ += "\":";
}

JsonObject& JsonObject::text(std::string_view member, std::string_view value) {
  name(member);
  out_ += '"';
  append_json(out_, value);
  out_ += '"';
  return *this;
}

JsonObject& JsonObject::number(std::string_view member, std::uint64_t value) {
  name(member);
  out_ += std::to_string(value);
  return *this;
}

JsonObject& JsonObject::milliseconds(std::string_view member, std::uint64_t microseconds) {
  name(member);
  const std::string rest = std::to_string(microseconds % 1000);
  out_ += std::to_string(microseconds / 1000);
  out_ += '.';
  out_.append(3 - rest.size(), '0');
  out_ += rest;
  return *this;
}

JsonObject& JsonObject::boolean(std::string_view member, bool value) {
  name(member);
  out_ += value ? "true" : "false";
  return *this;
}

std::string JsonObject::finish() {
  if (out_.empty()) return "{}";
  out_ += '}';
  return std::exchange(out_, {});
}

}  // namespace ferrotunnel::cli
