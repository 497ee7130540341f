#include "transport/tls/tls_context.h"

#include <openssl/crypto.h>
#include <unistd.h>
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "transport/tls/context_parts.h"
#include "transport/tls/tls_fault.h"
#include "transport/tls/tls_sessions.h"

namespace ferrotunnel::transport {
namespace {

Error openssl(std::string_view what) {
  return {ErrorCode::Tls, Side::Local, false, std::string(what) + ": " + take_openssl_error()};
}
Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

// Whether this machine has instructions for AES-GCM. Without them ChaCha20 is the quicker one, and the one whose time tells nothing.
bool has_aes() {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(__linux__)
  const unsigned long has = getauxval(AT_HWCAP);
  return (has & HWCAP_AES) != 0 && (has & HWCAP_PMULL) != 0;
#else
  return false;
#endif
}

// The order that this end prefers. The server's counts, but a client that begins with ChaCha gets it (SSL_OP_PRIORITIZE_CHACHA): so it is
// AES where both ends are quick at it.
const char* cipher_suites() {
  return has_aes() ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
                   : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
}

// Stands in for OpenSSL's own verification when there is a pin. That the server holds the key's private half is checked by the handshake.
int verify_pin(X509_STORE_CTX* store, void* pin) {
  Fingerprint shown{};
  const X509* leaf = X509_STORE_CTX_get0_cert(store);
  const auto& wanted = *static_cast<const Fingerprint*>(pin);
  const bool same =
      leaf != nullptr && fingerprint_of(leaf, shown) && CRYPTO_memcmp(shown.data(), wanted.data(), wanted.size()) == 0;
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (void* of_stream = ssl != nullptr ? SSL_get_app_data(ssl) : nullptr)
    static_cast<TlsShown*>(of_stream)->key = shown;
  X509_STORE_CTX_set_error(store, same ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
  return same ? 1 : 0;
}

}  // namespace

Result<ContextPtr> new_context(const SSL_METHOD* method, TlsVersion minimum) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), &SSL_CTX_free);
  if (!context) return std::unexpected(openssl("cannot set up TLS"));
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, minimum == TlsVersion::V13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_PRIORITIZE_CHACHA |
                             SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_AUTO_RETRY);
  if (SSL_CTX_set_ciphersuites(c, cipher_suites()) != 1) return std::unexpected(openssl("cannot set up TLS"));
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  // A record's header and body by one call of the socket; several records by SocketBio.
  SSL_CTX_set_read_ahead(c, 1);
  return context;
}

Result<> use_identity(SSL_CTX* context, const TlsIdentity& identity) {
  bool ok = SSL_CTX_use_certificate(context, identity.certificate()) == 1 &&
            SSL_CTX_use_PrivateKey(context, identity.key()) == 1;
  for (const auto& link : identity.chain()) ok = ok && SSL_CTX_add1_chain_cert(context, link.get()) == 1;
  if (!ok) return std::unexpected(openssl("the certificate cannot be used"));
  return {};
}

Result<> trust_file(SSL_CTX* context, const std::filesystem::path& ca) {
  if (::access(ca.c_str(), R_OK) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot read the CA certificates in " + ca.string()));
  if (SSL_CTX_load_verify_file(context, ca.c_str()) == 1) return {};
  return std::unexpected(
      bad("no CA certificates can be read from " + ca.string() + " (" + take_openssl_error() + "); it has to be PEM"));
}

namespace {

// As ALPN wants them (RFC 7301): each behind its length.
bool offer(SSL_CTX* context, const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) return false;
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  if (wire.empty()) return true;
  return SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()),
                                 static_cast<unsigned>(wire.size())) == 0;
}

}  // namespace

Result<> name_client_cas(SSL_CTX* context, const std::filesystem::path& ca) {
  if (auto trusted = trust_file(context, ca); !trusted) return trusted;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca.c_str());
  if (names == nullptr) return std::unexpected(bad("no CA certificates can be read from " + ca.string()));
  SSL_CTX_set_client_CA_list(context, names);  // takes it over
  return {};
}

Result<> check_authorities(const std::filesystem::path& ca) {
  auto context = new_context(TLS_client_method(), TlsVersion::V13);
  if (!context) return std::unexpected(std::move(context.error()));
  return trust_file(context->get(), ca);
}

Result<TlsServerContext> TlsServerContext::make(const TlsIdentity& identity, const TlsServerOptions& options) {
  auto context = new_context(TLS_server_method(), options.minimum);
  if (!context) return std::unexpected(std::move(context.error()));
  SSL_CTX* c = context->get();
  if (auto used = use_identity(c, identity); !used) return std::unexpected(std::move(used.error()));
  if (options.client_ca) {
    if (auto named = name_client_cas(c, *options.client_ca); !named) return std::unexpected(std::move(named.error()));
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  TlsServerContext made;
  made.context_ = std::move(*context);
  return made;
}

TlsServerContext TlsServerContext::of(std::shared_ptr<ssl_ctx_st> context) {
  TlsServerContext made;
  made.context_ = std::move(context);
  return made;
}

Result<TlsClientContext> TlsClientContext::make(const TlsClientOptions& options) {
  auto context = new_context(TLS_client_method(), options.minimum);
  if (!context) return std::unexpected(std::move(context.error()));
  SSL_CTX* c = context->get();
  verify_and_note(c);
  if (options.resume) {
    SSL_CTX_clear_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, &keep_session);
  }
  if (!offer(c, options.alpn)) return std::unexpected(openssl("the application protocols cannot be offered"));
  TlsClientContext made;
  if (options.pin) {
    made.pin_ = std::make_shared<const Fingerprint>(*options.pin);
    SSL_CTX_set_cert_verify_callback(c, &verify_pin, const_cast<Fingerprint*>(made.pin_.get()));
  } else if (options.skip_verify) {
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
  } else if (options.ca) {
    if (auto trusted = trust_file(c, *options.ca); !trusted) return std::unexpected(std::move(trusted.error()));
  } else if (SSL_CTX_set_default_verify_paths(c) != 1) {
    return std::unexpected(openssl("the system's CA certificates cannot be read"));
  }
  if (options.identity) {
    if (auto used = use_identity(c, *options.identity); !used) return std::unexpected(std::move(used.error()));
  }
  made.context_ = std::move(*context);
  return made;
}

}  // namespace ferrotunnel::transport
