// The functions of include/ferrotunnel/grants.h: the state directory's grants, and word of it to the server that runs there.
#include <boost/json.hpp>
#include <filesystem>

#include "app/control_socket.h"
#include "app/grant_store.h"
#include "app/server/grants.h"
#include "app/state_dir.h"
#include "ferrotunnel/grants.h"

namespace ferrotunnel {
namespace {

Result<boost::json::object> ask_server(const std::string& state_dir, const boost::json::object& question) {
  return app::ask_control(std::filesystem::path(state_dir) / "control.sock", question);
}

// Nobody there: then whoever starts reads them.
Result<> tell_server(const std::string& state_dir) {
  const auto told = ask_server(state_dir, {{"do", "reload-grants"}});
  if (told || told.error().code == ErrorCode::Unreachable) return {};
  return std::unexpected(told.error());
}

}  // namespace

Result<std::string> make_grant(const std::string& state_dir, const GrantOptions& options) {
  if (!options.secrets.empty()) {
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false, "a stored grant's secret is made with it: give none"));
  }
  const session::Secret secret = session::Secret::generate();
  GrantOptions with_secret = options;
  with_secret.secrets.emplace_back(as_text(secret.bytes));
  auto grants = app::to_grants({with_secret});
  if (!grants) return std::unexpected(grants.error());
  if (auto may = ask_server(state_dir, {{"do", "may-store"}, {"name", options.name}});
      !may && may.error().code != ErrorCode::Unreachable)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, may.error().context));
  const app::GrantStore store(state_dir);
  auto token = store.read_server();
  if (!token) return std::unexpected(token.error());
  token->grant = options.name;
  token->secret = secret;
  auto text = session::encode(*token);
  if (!text) return text;
  if (auto added = store.add(grants->front()); !added) return std::unexpected(added.error());
  if (auto told = tell_server(state_dir); !told) return std::unexpected(told.error());
  return text;
}

Result<std::vector<GrantOptions>> stored_grants(const std::string& state_dir) {
  auto grants = app::GrantStore(state_dir).load();
  if (!grants) return std::unexpected(grants.error());
  std::vector<GrantOptions> told;
  for (const session::Grant& grant : *grants) {
    GrantOptions one;
    one.name = grant.name;
    one.hosts = grant.hosts;
    one.ports.clear();
    for (const session::PortRange range : grant.ports) one.ports.push_back(session::to_string(range));
    one.max_sessions = grant.limits.sessions;
    one.max_tunnels = grant.limits.tunnels;
    one.max_tunnel_bytes = grant.limits.tunnel_bytes;
    one.max_streams = grant.limits.streams;
    one.bandwidth = grant.limits.bandwidth;
    if (grant.expires) one.expires = *grant.expires;
    told.push_back(std::move(one));
  }
  return told;
}

Result<> revoke_grant(const std::string& state_dir, const std::string& name) {
  const auto removed = app::GrantStore(state_dir).remove(name);
  if (!removed) return std::unexpected(removed.error());
  if (!*removed) {
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false,
              "there is no grant named " + name + " in " + state_dir + ": see ferrotunnel token list"));
  }
  return tell_server(state_dir);
}

std::string default_state_dir() { return app::default_state_dir().string(); }

}  // namespace ferrotunnel
