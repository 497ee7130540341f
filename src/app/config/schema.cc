// config_schema(): the table of keys as JSON Schema (draft 2020-12), for editors.
#include <boost/json.hpp>
#include <string>

#include "app/config/keys.h"

namespace ferrotunnel::app::config {
namespace {

namespace json = boost::json;

// ${NAME} may stand for any of it.
constexpr std::string_view kVariable = "\\$\\{";

json::object text_like(const std::string& pattern) {
  return {{"type", "string"}, {"pattern", "^(" + pattern + "|.*" + std::string(kVariable) + ".*)$"}};
}

json::object one_or_more(const json::value& item) {
  return {{"anyOf", json::array{item, json::object{{"type", "array"}, {"items", item}}}}};
}

json::object secret() {
  json::array sources;
  for (const char* name : {"file", "env"})
    sources.push_back(json::object{{"type", "object"},
                                   {"properties", {{name, {{"type", "string"}}}}},
                                   {"required", json::array{name}},
                                   {"additionalProperties", false}});
  sources.push_back(
      json::object{{"type", "object"},
                   {"properties", {{"command", {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1}}}}},
                   {"required", json::array{"command"}},
                   {"additionalProperties", false}});
  sources.insert(sources.begin(), json::object{{"type", "string"}});
  return {{"anyOf", std::move(sources)}};
}

json::object value_of(const Key& key) {
  json::object text{{"type", "string"}};
  switch (key.type) {
    case Type::Bool: return {{"type", "boolean"}};
    case Type::Text:
    case Type::Path: return text;
    case Type::Texts: return one_or_more(text);
    case Type::TextsOrTrue: {
      json::object texts = one_or_more(text);
      texts.at("anyOf").as_array().insert(texts.at("anyOf").as_array().begin(), json::object{{"type", "boolean"}});
      return texts;
    }
    case Type::Ports:
      return one_or_more(
          json::object{{"anyOf", json::array{json::object{{"type", "integer"}, {"minimum", 1}, {"maximum", 65535}},
                                             text_like("[0-9]+(-[0-9]+)?")}}});
    case Type::Choice: {
      json::array choices;
      std::string pattern;
      for (const std::string_view word : words(key.choices)) {
        choices.emplace_back(word);
        pattern += (pattern.empty() ? "" : "|") + std::string(word);
      }
      return {{"anyOf", json::array{json::object{{"enum", std::move(choices)}}, text_like("(" + pattern + ")")}}};
    }
    case Type::Number: return {{"type", "integer"}, {"minimum", key.least}, {"maximum", key.most}};
    case Type::Size:
      return {{"anyOf", json::array{json::object{{"type", "integer"}, {"minimum", key.least}, {"maximum", key.most}},
                                    text_like("[0-9]+[KMGkmg]?")}}};
    case Type::Duration:
      return {
          {"anyOf", json::array{json::object{{"type", "number"}, {"minimum", 0}}, text_like("[0-9]+(ms|s|m|h|d)")}}};
    // Editors give a TOML date to the schema as a string.
    case Type::Date: return text;
    case Type::Secret: return secret();
    case Type::Tables: return {{"type", "array"}};  // table_of() has its items
    case Type::Secrets: return {{"type", "array"}, {"items", secret()}, {"minItems", 1}, {"maxItems", 2}};
  }
  return {};
}

json::object table_of(const Section& section) {
  json::object properties;
  for (const auto rows : section.keys) {
    for (const Key& key : rows) {
      json::object value = value_of(key);
      if (key.type == Type::Tables) value["items"] = table_of(*find_section(key.name));
      value["description"] = std::string(key.text) + " Default: " + std::string(key.fallback) + ".";
      properties[key.name] = std::move(value);
    }
  }
  json::object table{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (section.name == "tunnels") table["required"] = json::array{"to"};
  if (!section.named) {
    table["description"] = section.text;
    return table;
  }
  return {{"type", "object"}, {"description", section.text}, {"additionalProperties", std::move(table)}};
}

json::object file_of(FileKind kind) {
  json::object properties;
  properties["include"] = one_or_more(json::object{{"type", "string"}});
  properties["include"].as_object()["description"] =
      "Files that belong to this one; relative to it, with *, ? and [...] in their names.";
  for (const Section& section : sections())
    if (section.in(kind) && section.within.empty()) properties[section.name] = table_of(section);
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

// Two spaces a level. As deep as this file makes it.
void print(const json::value& value, std::string& out, std::size_t depth) {
  const auto line = [&](std::size_t at) { out += "\n" + std::string(2 * at, ' '); };
  const json::array* array = value.if_array();
  const json::object* object = value.if_object();
  if ((array == nullptr || array->empty()) && (object == nullptr || object->empty())) {
    out += json::serialize(value);
    return;
  }
  bool first = true;
  const auto next = [&] {
    if (!first) out += ",";
    first = false;
    line(depth + 1);
  };
  out += array != nullptr ? '[' : '{';
  if (array != nullptr) {
    for (const json::value& item : *array) {
      next();
      print(item, out, depth + 1);
    }
  } else {
    for (const auto& member : *object) {
      next();
      out += json::serialize(json::value(member.key())) + ": ";
      print(member.value(), out, depth + 1);
    }
  }
  line(depth);
  out += array != nullptr ? ']' : '}';
}

}  // namespace
}  // namespace ferrotunnel::app::config

namespace ferrotunnel {

std::string config_schema() {
  using namespace app::config;
  const json::object schema{
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"title", "ferrotunnel"},
      {"description", "A configuration file of a ferrotunnel server or client."},
      {"anyOf", json::array{json::object{{"$ref", "#/$defs/server"}}, json::object{{"$ref", "#/$defs/client"}}}},
      {"$defs", {{"server", file_of(FileKind::Server)}, {"client", file_of(FileKind::Client)}}}};
  std::string text;
  print(schema, text, 0);
  return text + "\n";
}

}  // namespace ferrotunnel
