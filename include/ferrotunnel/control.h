// Control: what a server that runs says to the programs of its user, by its state directory. Free functions; any thread; they block until
// it has answered. Errors of all: Unreachable (no server runs there), Timeout; with its words BadInput (a name
// that it does not know, a mistake in its file), Io (it could not), Refused.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "ferrotunnel/client.h"
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

// Asks it to end as at SIGTERM, and waits until it has. Visitors that are there may take `patience` to finish; nothing: what the server was
// told at its start. Errors beside: Timeout (it is still there 30 s after that).
[[nodiscard]] Result<> drain_server(const std::string& state_dir,
                                    std::optional<std::chrono::milliseconds> patience = std::nullopt);

// Asks it to read its configuration anew, and waits until it has. On an error nothing has changed;
// of a file, every mistake is a line of the context.
[[nodiscard]] Result<Reloaded> reload_server(const std::string& state_dir);

// The same of a client, by the path of its control socket (ClientBuilder::control_socket).
struct RunningClient {
  ClientStatus status;
  std::int64_t pid = 0;  // its process; 0: it does not say
  std::string json;
};
// Where the command `client` answers unless told otherwise: $RUNTIME_DIRECTORY/client.sock, else $XDG_RUNTIME_DIR/ferrotunnel-client.sock,
// else for root /run/ferrotunnel-client.sock; "" where none of these is there.
[[nodiscard]] std::string default_client_socket();
[[nodiscard]] Result<RunningClient> running_client(const std::string& socket);
[[nodiscard]] Result<> drain_client(const std::string& socket,
                                    std::optional<std::chrono::milliseconds> patience = std::nullopt);
[[nodiscard]] Result<Reloaded> reload_client(const std::string& socket);

}  // namespace ferrotunnel
