#include "app/config/rule_tables.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "app/config/checks.h"
#include "app/rules.h"

namespace ferrotunnel::app::config {
namespace {

// Where a table says something of a rule: the rule's own key, or the first of those beside it; else the table's place.
Place place_of_rule(const Value& table, const std::string& rule) {
  const std::string main = rule == "host" ? "host_rewrite" : rule;
  if (const Value* value = table.find(main)) return value->place;
  for (const auto* member : in_order(table)) {
    const std::string& key = member->first;
    if (key.starts_with(main + "_") || key.ends_with("_" + main)) return member->second.place;
  }
  return table.place;
}

// Keys that say more of another one's rule, and of two the one that is too much.
void check_together(ConfigErrors& errors, const std::string& where, const Value& table) {
  if (errors.left_out()) return;
  for (const auto* member : in_order(table))
    for (const std::string_view main : {"redirect", "basic_auth", "cors"}) {
      if (!member->first.starts_with(std::string(main) + "_") || table.find(main) != nullptr) continue;
      errors.add(member->second.place,
                 where + "." + member->first + " says how, and " + std::string(main) + " is missing beside it");
    }
  const Value* compress = table.find("compress");
  const Value* least = table.find("compress_min");
  if (compress != nullptr && compress->kind == Value::Kind::Bool && !compress->flag && least != nullptr)
    errors.add(least->place, where + ".compress_min says how, and compress beside it says not at all");
  const Value* redirect = table.find("redirect");
  for (const auto* member : in_order(table)) {
    if (redirect == nullptr || (member->first != "answer" && !member->first.starts_with("answer_"))) continue;
    errors.add(std::max(redirect->place, member->second.place),
               where + ": redirect and " + member->first +
                   " stand in one table, and a visitor gets one of the two; leave one out");
    break;
  }
}

// Once, and not with each rule.
void check_match(ConfigErrors& errors, const RuleDraft& draft, const std::string& where, const Value& table) {
  for (const auto& [key, texts] : {std::pair<std::string, const std::vector<std::string>*>{"paths", &draft.paths},
                                   {"methods", &draft.methods},
                                   {"headers", &draft.headers}}) {
    const auto checked = check_matched(key, *texts);
    if (checked) continue;
    const Value* value = table.find(key);
    std::string text = where;
    text.append(".").append(key).append(": ").append(checked.error().context);
    errors.add(value != nullptr ? value->place : table.place, text);
  }
}

}  // namespace

void take_rules(ConfigErrors& errors, RuleDraft& draft, const std::string& where, const Value& table,
                std::vector<TunnelRule>& into) {
  const std::size_t before = errors.count();
  check_together(errors, where, table);
  check_match(errors, draft, where, table);
  const bool right = errors.count() == before;
  for (TunnelRule& rule : draft.take()) {
    rule.paths = draft.paths;
    rule.methods = draft.methods;
    rule.headers = draft.headers;
    if (const auto checked = check_rule(rule); right && !checked)
      errors.add(place_of_rule(table, rule.name), where + ": " + checked.error().context);
    into.push_back(std::move(rule));
  }
}

}  // namespace ferrotunnel::app::config
