#include "app/rules.h"

#include <algorithm>
#include <string>
#include <utility>

#include "plugin/builtin/password.h"
#include "wire/utf8.h"

namespace ferrotunnel::app {
namespace {

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

// "NAME:PASSWORD" becomes "NAME:HASH".
Result<> hash_user(std::string& user) {
  const std::size_t colon = user.find(':');
  if (colon == std::string::npos || user.compare(colon + 1, 1, "$") == 0) return {};
  auto hash = plugin::hash_password(std::string_view(user).substr(colon + 1));
  if (!hash) return std::unexpected(std::move(hash.error()));
  user.replace(colon + 1, std::string::npos, *hash);
  return {};
}

// Those of one name, where the first of them stands.
void bring_together(std::vector<std::pair<std::string, std::string>>& settings) {
  for (auto at = settings.begin(); at != settings.end();) {
    const auto first = at++;
    for (auto one = at; one != settings.end(); ++one)
      if (one->first == first->first) std::rotate(at++, one, one + 1);
  }
}

// As many, and as long, as `register` has room for (wire/tunnel_fields.cc): what is more ends the link, and with it every other tunnel.
Result<> check_room(const TunnelRule& rule) {
  for (const auto& [what, texts] : {std::pair<std::string_view, const std::vector<std::string>*>{"paths", &rule.paths},
                                    {"methods", &rule.methods},
                                    {"headers", &rule.headers}})
    if (auto checked = check_matched(what, *texts); !checked) return checked;
  if (rule.settings.size() > wire::kMaxRuleSettings)
    return bad("it has " + std::to_string(rule.settings.size()) + " values, and may have " +
               std::to_string(wire::kMaxRuleSettings));
  for (const auto& [name, value] : rule.settings)
    if (!wire::valid_utf8(value))
      return bad(wire::clean_text(name, wire::kMaxName) + ": '" + wire::clean_text(value, wire::kMaxName) +
                 "' is not UTF-8");
  return {};
}

Result<wire::Rule> to_wire(const TunnelRule& rule, std::string_view origin) {
  if (auto checked = check_room(rule); !checked) return std::unexpected(std::move(checked.error()));
  wire::Rule wire{rule.name, rule.settings, rule.paths, rule.methods, rule.headers};
  bring_together(wire.settings);
  for (auto& [name, value] : wire.settings) {
    if (rule.name == "host" && name == "host" && value == "origin") value = origin;
    if (rule.name != "basic_auth" || name != "user") continue;
    if (auto hashed = hash_user(value); !hashed) return std::unexpected(std::move(hashed.error()));
  }
  return wire;
}

}  // namespace

Result<std::vector<wire::Rule>> to_wire(const std::vector<TunnelRule>& rules, std::string_view origin) {
  std::vector<wire::Rule> all;
  for (const TunnelRule& rule : rules) {
    auto one = to_wire(rule, origin);
    if (!one)
      return std::unexpected(Error(one.error().code, Side::Local, false,
                                   "rule " + std::to_string(all.size() + 1) + " (" +
                                       wire::clean_text(rule.name, wire::kMaxName) + "): " + one.error().context));
    all.push_back(std::move(*one));
  }
  if (auto chain = to_chain(all, nullptr); !chain) return std::unexpected(std::move(chain.error()));
  return all;
}

Result<plugin::ChainPtr> to_chain(const std::vector<wire::Rule>& rules, const plugin::WorkerPtr& worker,
                                  std::string_view grant) {
  std::vector<plugin::RuleText> texts;
  texts.reserve(rules.size());
  for (const wire::Rule& rule : rules)
    texts.push_back({rule.name, rule.settings, rule.paths, rule.methods, rule.headers});
  return plugin::make_chain(texts, {worker, std::string(grant)});
}

Result<> check_matched(std::string_view what, const std::vector<std::string>& texts) {
  const std::string name(what);
  if (texts.size() > wire::kMaxPaths)
    return bad("it has " + std::to_string(texts.size()) + " " + name + ", and may have " +
               std::to_string(wire::kMaxPaths));
  const std::size_t most = what == "methods" ? wire::kMaxName : wire::kMaxPath;
  for (const std::string& text : texts) {
    if (text.size() > most) return bad("one of its " + name + " has more than " + std::to_string(most) + " bytes");
    if (!wire::valid_utf8(text)) return bad("one of its " + name + " is not UTF-8");
  }
  return {};
}

Result<> check_hashed_user(const std::string& user) {
  const std::size_t colon = user.find(':');
  if (colon == std::string::npos || colon == 0) return bad("a user is \"NAME:HASH\"");
  if (user.compare(colon + 1, 1, "$") != 0)
    return bad(
        "a file has the hash of a password, not the password: `htpasswd -nB NAME` (package apache2-utils) makes one");
  return plugin::check_hash(std::string_view(user).substr(colon + 1));
}

}  // namespace ferrotunnel::app
