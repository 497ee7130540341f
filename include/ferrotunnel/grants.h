// Grants: who may sign in at a server, and what for; and those that are kept in its state directory.
//
// A server has the grants that it was built with (ServerBuilder::grant) and those of its state directory, which the functions below make,
// list and revoke while it runs or not: a server that runs in that directory is told, and obeys before they return. They are for the user
// whom the state directory belongs to. Values and free functions; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ferrotunnel/error.h"

namespace ferrotunnel {

// What the clients that know one of its secrets may do. The limits count all of its sessions together.
struct GrantOptions {
  std::string name;                  // 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)
  std::vector<std::string> secrets;  // one, or two while clients move from one to the other; 16 to 64 bytes each
  // Names, "*.example.com" (all names under it), or "*" (any). None: no HTTP tunnels.
  std::vector<std::string> hosts = {"*"};
  // "2222" or "3000-3010". None: no TCP tunnels.
  std::vector<std::string> ports = {"1024-65535"};
  std::uint32_t max_sessions = 1'000;
  std::uint32_t max_tunnels = 2'000;
  std::uint32_t max_streams = 50'000;  // visitors and warm connections to origins at once
  std::uint64_t bandwidth = 0;         // bytes a second, each way; 0: no limit
  // Of all that its tunnels say as they are registered: names, hosts, paths, rules, networks, certificates.
  std::uint64_t max_tunnel_bytes = std::uint64_t{4} << 20;
  std::optional<std::chrono::system_clock::time_point> expires;
  std::string from;  // where it is written, for messages: "server.toml:14"; may be empty
};

// Makes a grant with a new secret, and gives its join token. Addresses and key are those of the server that ran last in this directory.
// Errors: BadInput (a name that is taken, a host that is none), Io, and what the running server says.
[[nodiscard]] Result<std::string> make_grant(const std::string& state_dir, const GrantOptions& grant);
// The join token of a grant of the server that runs in this directory, be it stored or of its configuration; of two secrets, with the newer.
// Errors: Unreachable (no server runs there), BadInput (it has no such grant), Io, Timeout.
[[nodiscard]] Result<std::string> grant_token(const std::string& state_dir, const std::string& name);
// By name, without their secrets. Errors: Io, BadInput (a file that is not what make_grant() wrote).
[[nodiscard]] Result<std::vector<GrantOptions>> stored_grants(const std::string& state_dir);
// It is gone when this returns, and its sessions are ended. Errors: BadInput (there is none of that name), Io.
[[nodiscard]] Result<> revoke_grant(const std::string& state_dir, const std::string& name);
// Where servers of this user keep their state unless told otherwise.
[[nodiscard]] std::string default_state_dir();

}  // namespace ferrotunnel
