#include "app/rules.h"

#include <string>
#include <utility>

#include "plugin/builtin/password.h"

namespace ferrotunnel::app {
namespace {

// "NAME:PASSWORD" becomes "NAME:HASH".
Result<> hash_user(std::string& user) {
  const std::size_t colon = user.find(':');
  if (colon == std::string::npos || user.compare(colon + 1, 1, "$") == 0) return {};
  auto hash = plugin::hash_password(std::string_view(user).substr(colon + 1));
  if (!hash) return std::unexpected(std::move(hash.error()));
  user.replace(colon + 1, std::string::npos, *hash);
  return {};
}

Result<wire::Rule> to_wire(const TunnelRule& rule, std::string_view origin) {
  wire::Rule wire{rule.name, rule.settings, rule.paths, rule.methods, rule.headers};
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

Result<> check_hashed_user(const std::string& user) {
  const std::size_t colon = user.find(':');
  if (colon == std::string::npos || colon == 0)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "a user is \"NAME:HASH\""));
  if (user.compare(colon + 1, 1, "$") != 0)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                                 "a file has the hash of a password, not the password: `htpasswd -nB NAME` (package "
                                 "apache2-utils) makes one"));
  return plugin::check_hash(std::string_view(user).substr(colon + 1));
}

}  // namespace ferrotunnel::app
