// OriginTarget: where a tunnel's local service is. Values; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "origin/files/open_file.h"
#include "origin/origin_tls.h"
#include "transport/tcp/proxy_protocol.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::origin {

struct OriginTarget {
  transport::SocketAddress address;  // where `host` is empty
  std::string text;                  // as people write it: "http://127.0.0.1:8080", "unix:/run/app.sock"
  // Tried where `address` fails. This machine's own services listen on 127.0.0.1 or, some of them, on ::1 only.
  std::optional<transport::SocketAddress> fallback{};
  std::string host{};      // a name: looked up when a connection is dialled
  std::uint16_t port = 0;  // of `host`
  files::RootPtr files{};  // a directory that is shared: nothing is dialled
  // The header that it is told first on each connection, and that names the visitor.
  transport::ProxyVersion proxy = transport::ProxyVersion::Off;
  // Spoken to over TLS: then never without `tls`, which whoever parsed it adds.
  bool secure = false;
  std::string tls_name{};  // of `secure`: the name that it is asked for where nothing else is said
  OriginTlsPtr tls{};
  bool h2 = false;  // it speaks HTTP/2
};

using TargetPtr = std::shared_ptr<const OriginTarget>;

// "8080", "HOST:PORT" with a name or a numeric host, "[::1]:80", "unix:PATH", each with "tcp://" or "http://" before it where that
// fits, or over TLS "tls://" or "https://"; HTTP/2 is "h2c://" and, over TLS, "h2s://". `scheme` is the tunnel's: "http" or "tcp". A port alone and localhost are 127.0.0.1, and ::1 behind it. For http a path that begins with "/", "./" or "../", and "dir:PATH",
// is a directory, which is opened here. Errors: BadInput, with what would be right.
[[nodiscard]] Result<OriginTarget> parse_target(std::string_view text, std::string_view scheme);

}  // namespace ferrotunnel::origin
