#include "wire/tunnel_fields.h"

#include <string>
#include <string_view>

namespace ferrotunnel::wire {
namespace {

// "with": {"prefix": "/api", "user": ["a:…", "b:…"]}
void read_settings(Fields& f, const json::object& with, Rule& rule) {
  const auto add = [&](std::string_view name, const json::value& value) {
    const json::string* text = value.if_string();
    if (text == nullptr || name.size() > kMaxName || rule.settings.size() >= kMaxRuleSettings)
      return f.wrong("with",
                     "is not a table of strings, or lists of them, at most " + std::to_string(kMaxRuleSettings));
    rule.settings.emplace_back(name, from_json(*text));
  };
  for (const auto& member : with) {
    const std::string_view name = from_json(member.key());
    const json::array* list = member.value().if_array();
    if (list == nullptr) {
      add(name, member.value());
      continue;
    }
    for (const json::value& one : *list) add(name, one);
  }
}

void write_settings(Writer& w, const Rule& rule) {
  w.open("with");
  std::vector<std::string> values;
  for (auto at = rule.settings.begin(); at != rule.settings.end();) {
    values.clear();
    const std::string& name = at->first;
    for (; at != rule.settings.end() && at->first == name; ++at) values.push_back(at->second);
    if (values.size() == 1) {
      w.text(name, values.front());
    } else {
      w.texts(name, values);
    }
  }
  w.close();
}

}  // namespace

Limits read_limits(Fields& outer) {
  Limits m;
  const json::object* object = outer.object("limits");
  if (object == nullptr) return m;
  Fields f = outer.inside(*object);
  const auto number = [&f](std::string_view field, auto& into, std::uint64_t most) {
    if (f.has(field)) f.number(field, into, 0, most);
  };
  number("max_visitors", m.max_visitors, kMaxU32);
  number("max_visitors_per_address", m.max_visitors_per_address, kMaxU32);
  number("max_new_visitors_per_second", m.max_new_visitors_per_second, kMaxU32);
  number("bandwidth", m.bandwidth, kMaxBandwidth);
  number("visitor_bandwidth", m.visitor_bandwidth, kMaxBandwidth);
  number("idle_timeout_ms", m.idle_timeout_ms, kMaxU32);
  if (f.has("allow")) m.allow = f.texts("allow", kMaxNetworks, kMaxNetwork);
  if (f.has("deny")) m.deny = f.texts("deny", kMaxNetworks, kMaxNetwork);
  outer.take_error(f);
  return m;
}

std::vector<Rule> read_rules(Fields& outer) {
  std::vector<Rule> rules;
  const json::array* list = outer.array("rules", kMaxRules);
  if (list == nullptr) return rules;
  std::size_t bytes = 0;
  for (const json::value& one : *list) {
    const json::object* object = one.if_object();
    if (object == nullptr) outer.wrong("rules", "has an item that is not an object");
    if (outer.error()) return {};
    Fields f = outer.inside(*object);
    Rule rule;
    rule.name = f.name("do");
    if (const json::object* with = f.has("with") ? f.object("with") : nullptr) read_settings(f, *with, rule);
    if (f.has("paths")) rule.paths = f.texts("paths", kMaxPaths, kMaxPath);
    if (f.has("methods")) rule.methods = f.texts("methods", kMaxPaths, kMaxName);
    if (f.has("headers")) rule.headers = f.texts("headers", kMaxPaths, kMaxPath);
    bytes += size_of(rule);
    if (bytes > kMaxRulesBytes) f.wrong("rules", "has more than " + std::to_string(kMaxRulesBytes) + " bytes of text");
    outer.take_error(f);
    if (outer.error()) return {};
    rules.push_back(std::move(rule));
  }
  return rules;
}

Carry read_carry(Fields& f) {
  const std::string carry = f.text("carry", kMaxCode);
  for (const Carry one : {Carry::Mux, Carry::Direct})
    if (carry == to_string(one)) return one;
  return Carry::Auto;
}

OriginProto read_origin(Fields& f) {
  const std::string origin = f.text("origin", kMaxCode);
  for (const OriginProto one : {OriginProto::H1, OriginProto::H2, OriginProto::H2Tls})
    if (origin == to_string(one)) return one;
  return OriginProto::Other;
}

void write_limits(Writer& w, const Limits& m) {
  const auto number = [&w](std::string_view field, std::uint64_t value) {
    if (value != 0) w.number(field, value);
  };
  w.open("limits");
  number("max_visitors", m.max_visitors);
  number("max_visitors_per_address", m.max_visitors_per_address);
  number("max_new_visitors_per_second", m.max_new_visitors_per_second);
  number("bandwidth", m.bandwidth);
  number("visitor_bandwidth", m.visitor_bandwidth);
  number("idle_timeout_ms", m.idle_timeout_ms);
  if (!m.allow.empty()) w.texts("allow", m.allow);
  if (!m.deny.empty()) w.texts("deny", m.deny);
  w.close();
}

void write_rules(Writer& w, const std::vector<Rule>& rules) {
  w.open_list("rules");
  for (const Rule& rule : rules) {
    w.open_item();
    w.text("do", rule.name);
    if (!rule.settings.empty()) write_settings(w, rule);
    if (!rule.paths.empty()) w.texts("paths", rule.paths);
    if (!rule.methods.empty()) w.texts("methods", rule.methods);
    if (!rule.headers.empty()) w.texts("headers", rule.headers);
    w.close();
  }
  w.close_list();
}

}  // namespace ferrotunnel::wire
