// Who has a port of this machine, for the message of a server that cannot start. Reads /proc; blocks while it does: not for a shard.
#pragma once

#include <optional>
#include <string>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

// "nginx (pid 812)": a program that listens where `address` would. Nothing where the system does not tell: another user's program, or no /proc.
// Not for anybody but who started this program: it names what runs here.
[[nodiscard]] std::optional<std::string> port_owner(const SocketAddress& address);

}  // namespace ferrotunnel::transport
