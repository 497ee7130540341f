// OriginTls: what all TLS connections to one local service have in common: the context, the name it has to show, and the sessions that it gave
// to come back with. Made once for a target; immutable but for the sessions, which any thread may add to.
#pragma once

#include <compare>
#include <memory>
#include <string>

#include "base/error.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_fault.h"
#include "transport/tls/tls_sessions.h"

namespace ferrotunnel::origin {

struct OriginTarget;

// As a tunnel is configured, but for the name. Files are PEM.
struct OriginTlsOptions {
  std::string ca;  // of authorities that are believed; "": the system's
  bool skip_verify = false;
  std::string certificate, key;  // shown to a service that asks; both or none
  bool http = true;              // ALPN: http/1.1, or h2 where the target says so; false: none
  friend auto operator<=>(const OriginTlsOptions&, const OriginTlsOptions&) = default;
};

struct OriginTls {
  transport::TlsClientContext context;
  std::string name;
  std::shared_ptr<transport::TlsSessions> sessions;
};
using OriginTlsPtr = std::shared_ptr<const OriginTls>;

// Reads the files: TLS 1.2 or 1.3. Errors: BadInput, Io, Tls. Two targets may share a context, never an OriginTls.
[[nodiscard]] Result<transport::TlsClientContext> make_context(const OriginTlsOptions& options, bool h2);

// What the person at the client is told of a handshake that failed: what it was, and what to do. Side Origin.
[[nodiscard]] Error explain(const transport::TlsFault& fault, const OriginTarget& target);

}  // namespace ferrotunnel::origin
