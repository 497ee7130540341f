// Control: what a server that runs says to the programs of its user, by its state directory. Free functions; any thread; they block until
// it has answered. Errors of all: Unreachable (no server runs there), Refused (with its words), Timeout, Io.
#pragma once

#include <cstddef>
#include <string>

#include "ferrotunnel/error.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel {

struct RunningServer {
  ServerStatus status;
  std::string json;  // the same as one line of JSON, with whatever a later server knows beside
};
[[nodiscard]] Result<RunningServer> running_server(const std::string& state_dir);

// Ends the sessions of that id, or of that grant; their clients may sign in again. How many there were, at least one.
[[nodiscard]] Result<std::size_t> kick_clients(const std::string& state_dir, const std::string& name);

}  // namespace ferrotunnel
