// TlsServerContext and TlsClientContext: what all TLS connections of one listener, or to one server, have in common.
//
// TLS 1.3 unless 1.2 is asked for; no session tickets (a link lives long, and a ticket key is one more secret to lose; visitors of HTTPS get
// some, see certificate_book.h) unless a client asks to resume, no renegotiation, no compression. Immutable once made; copies share; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "transport/tls/fingerprint.h"
#include "transport/tls/tls_identity.h"

struct ssl_ctx_st;

namespace ferrotunnel::transport {

enum class TlsVersion : std::uint8_t { V12, V13 };

struct TlsServerOptions {
  TlsVersion minimum = TlsVersion::V13;
  // Mutual TLS: a client must show a certificate that one of these CAs (PEM) signed.
  std::optional<std::filesystem::path> client_ca;
};

// Whether the file has certificate authorities (PEM). Errors: Io, BadInput; they name it.
[[nodiscard]] Result<> check_authorities(const std::filesystem::path& ca);

class TlsServerContext {
 public:
  // Errors: BadInput, Io, Tls.
  [[nodiscard]] static Result<TlsServerContext> make(const TlsIdentity& identity, const TlsServerOptions& options = {});
  // One that was made elsewhere (certificate_book.h).
  [[nodiscard]] static TlsServerContext of(std::shared_ptr<ssl_ctx_st> context);
  [[nodiscard]] ssl_ctx_st* native() const { return context_.get(); }

 private:
  std::shared_ptr<ssl_ctx_st> context_;
};

struct TlsClientOptions {
  TlsVersion minimum = TlsVersion::V13;
  // With a pin, the server's key is what is verified, and nothing else. Without one, its certificate has to lead to a CA (of this
  // file, else of the system's store) and name the host.
  std::optional<Fingerprint> pin;
  std::optional<std::filesystem::path> ca;
  bool skip_verify = false;             // whoever answers is believed; a pin is still held to
  std::optional<TlsIdentity> identity;  // shown to a server that asks (mutual TLS)
  std::vector<std::string>
      alpn;             // application protocols that are offered, the liked one first; empty: the server hears of none
  bool resume = false;  // connections may have a TlsSessions
};

class TlsClientContext {
 public:
  [[nodiscard]] static Result<TlsClientContext> make(const TlsClientOptions& options);
  [[nodiscard]] ssl_ctx_st* native() const { return context_.get(); }
  // Every stream keeps it alive: the verifier inside native() points to it.
  [[nodiscard]] const std::shared_ptr<const Fingerprint>& pin() const { return pin_; }

 private:
  std::shared_ptr<ssl_ctx_st> context_;
  std::shared_ptr<const Fingerprint> pin_;
};

}  // namespace ferrotunnel::transport
