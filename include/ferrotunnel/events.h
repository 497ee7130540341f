// Events: what a Server or Client tells its callbacks. Values. Text that came from the other end or from visitors is as they sent it: escape
// it where it is shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ferrotunnel/error.h"

namespace ferrotunnel {

// At a server: a client signed in, or its session ended.
struct SessionEvent {
  enum class Kind : std::uint8_t { Up, Down } kind = Kind::Up;
  std::string id, grant, address, version, transport;
  std::optional<Error> why;  // Down
};

// At a server: a tunnel was registered, given up, or refused.
struct TunnelEvent {
  enum class Kind : std::uint8_t { Up, Down, Rejected } kind = Kind::Up;
  std::string session, name, url;
  std::optional<Error> why;  // Rejected
};

// At either end, TCP tunnels at the server, all at the client: a visitor's connection came or went.
struct VisitorEvent {
  bool opened = true;
  std::string tunnel;       // its name
  std::uint64_t now = 0;    // open at this tunnel, this one counted
  std::uint64_t total = 0;  // since it came up
};

// At a server: an HTTP request was answered, by the origin or by us.
struct RequestEvent {
  std::string request_id, tunnel, method, host, path;
  int status = 0;  // 0: there was none: the visitor left before, or what came over HTTP/2 was no request
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::chrono::microseconds took{};
  std::optional<Side> failed_side;  // where we answered with an error
  std::string failure;              // "origin-refused"
};

// At a client.
struct Connecting {
  unsigned attempt = 1;  // since the last connection stood
  std::string address;
};
struct Connected {
  std::string address, session, transport, server_version;
  std::chrono::microseconds rtt{};  // 0: not measured yet
};
struct Disconnected {
  Error why;
  std::chrono::milliseconds retry_in{};  // 0 with why.retry false: it does not try again
};
struct TunnelUp {
  std::string name, public_url, to;
  std::uint16_t port = 0;  // TCP tunnels
};
struct TunnelFailed {
  std::string name;
  Error why;
};

}  // namespace ferrotunnel
