#include "app/server/grants.h"

#include <chrono>
#include <set>
#include <string>

#include "http/host.h"
#include "wire/control.h"

namespace ferrotunnel::app {
namespace {

std::unexpected<Error> bad(const std::string& text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, text));
}

// "*", "*.name" or a name, in the one spelling; empty where it is none of these.
std::string pattern_of(const std::string& text) {
  if (text == "*") return text;
  const bool wild = text.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? std::string_view(text).substr(2) : std::string_view(text), name)) return {};
  if (!wild) return name;
  std::string pattern = "*." + name;
  return http::is_wildcard(pattern) ? pattern : std::string();
}

Result<session::Grant> to_grant(const GrantOptions& options) {
  session::Grant grant;
  grant.name = options.name;
  if (!wire::valid_name(options.name))
    return bad("a grant's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -), not '" +
               wire::clean_text(options.name) + "'");
  const std::string who = "grant " + options.name + ": ";
  if (options.secrets.empty() || options.secrets.size() > session::Grant::kMaxSecrets)
    return bad(who + "it has to have one secret, or two while clients move from one to the other");
  for (const std::string& text : options.secrets) {
    grant.secrets.emplace_back(as_bytes(text));
    if (!grant.secrets.back().valid()) return bad(who + "a secret has to have 16 to 64 bytes");
  }
  grant.hosts.clear();
  for (const std::string& text : options.hosts) {
    grant.hosts.push_back(pattern_of(text));
    if (grant.hosts.back().empty())
      return bad(who + "'" + wire::clean_text(text) +
                 "' is no host: write a name, *.example.com for all names under it, or *");
  }
  grant.ports.clear();
  for (const std::string& text : options.ports) {
    const auto range = session::parse_port_range(text);
    if (!range) return bad(who + "'" + wire::clean_text(text) + "' is no port: write 2222, or 3000-3010 for a range");
    grant.ports.push_back(*range);
  }
  grant.limits.sessions = options.max_sessions;
  grant.limits.tunnels = options.max_tunnels;
  grant.limits.tunnel_bytes = options.max_tunnel_bytes;
  grant.limits.streams = options.max_streams;
  grant.limits.bandwidth = options.bandwidth;
  if (options.expires) grant.expires = std::chrono::floor<std::chrono::seconds>(*options.expires);
  return grant;
}

}  // namespace

Result<std::vector<session::Grant>> to_grants(const std::vector<GrantOptions>& options) {
  std::vector<session::Grant> grants;
  std::set<std::string> names;
  for (const GrantOptions& one : options) {
    auto grant = to_grant(one);
    if (!grant) return std::unexpected(grant.error());
    if (!names.insert(one.name).second) return bad("two grants are named " + one.name);
    grants.push_back(std::move(*grant));
  }
  return grants;
}

}  // namespace ferrotunnel::app
