// What the contexts of TLS have in common, and how one is filled. Private to this folder; any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "transport/tls/client_authority.h"
#include "transport/tls/openssl.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_identity.h"

namespace ferrotunnel::transport {

using ContextPtr = std::shared_ptr<SSL_CTX>;

// Without session tickets; the ciphers in the order that this machine is quick at.
[[nodiscard]] Result<ContextPtr> new_context(const SSL_METHOD* method, TlsVersion minimum);
// One of each kind of key may be given.
[[nodiscard]] Result<> use_identity(SSL_CTX* context, const TlsIdentity& identity);
[[nodiscard]] Result<> trust_file(SSL_CTX* context, const std::filesystem::path& ca);
// Whoever connects is told that a certificate which one of these CAs (PEM) signed is wanted. That it must come is set_verify's.
[[nodiscard]] Result<> name_client_cas(SSL_CTX* context, const std::filesystem::path& ca);

// What SSL_get_app_data() of a TlsStream points to: what the other end showed, or asked for.
struct TlsShown {
  Fingerprint key{};             // where there is a pin
  std::string name;              // SNI, in the one spelling; of servers with a CertificateBook
  NameGuard* guard = nullptr;    // of these: knows which names ask for a certificate
  ClientAuthorityPtr authority;  // what the guard has asked for
};

}  // namespace ferrotunnel::transport
