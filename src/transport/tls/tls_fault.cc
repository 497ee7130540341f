#include "transport/tls/tls_fault.h"

#include <openssl/x509v3.h>

#include <array>
#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

using Kind = TlsFault::Kind;

constexpr std::size_t kMaxNames = 200;  // bytes of them that are shown

// Of the certificate that this thread's last verification refused for its name. A handshake is one call: nobody comes in between.
std::string& noted_names() {
  thread_local std::string names;
  return names;
}

void add_name(std::string& names, std::string_view name) {
  constexpr std::string_view kMore = ", …";
  if (names.ends_with(kMore)) return;
  if (names.size() + name.size() > kMaxNames) {
    names += kMore;
    return;
  }
  if (!names.empty()) names += ", ";
  names += name;
}

std::string_view text_of(const ASN1_STRING* value) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

std::string address_text(const ASN1_STRING* value) {
  const std::string_view bytes = text_of(value);
  std::string text;
  if (bytes.size() == 4) {
    for (const char byte : bytes) {
      if (!text.empty()) text += '.';
      text += std::to_string(static_cast<unsigned char>(byte));
    }
  }
  return text.empty() ? "an IP address" : text;
}

std::string names_of(X509* certificate) {
  std::string names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS) add_name(names, text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) add_name(names, address_text(name->d.iPAddress));
  }
  GENERAL_NAMES_free(all);
  if (!names.empty()) return names;
  std::array<char, kMaxNames> common{};
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common.data(), common.size());
  return size > 0 ? std::string(common.data(), static_cast<std::size_t>(size)) : std::string();
}

bool is_wrong_name(long verdict) {
  return verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

int note(int good, X509_STORE_CTX* store) {
  if (good == 1 || !is_wrong_name(X509_STORE_CTX_get_error(store))) return good;
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf != nullptr) noted_names() = names_of(leaf);
  return good;
}

Kind kind_of_verdict(long verdict) {
  if (is_wrong_name(verdict)) return Kind::WrongName;
  if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID) return Kind::Expired;
  return Kind::Untrusted;
}

Kind kind_of_reason(int reason) {
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return Kind::Lost;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_RECORD_TOO_SMALL:
    case SSL_R_UNEXPECTED_MESSAGE: return Kind::NotTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY: return Kind::Version;
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return Kind::Protocol;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: return Kind::WantsCertificate;
    default: return Kind::Other;
  }
}

}  // namespace

TlsFault diagnose(const ssl_st* ssl, int reason, const std::string& text, bool lost) {
  TlsFault fault;
  fault.detail = text;
  const long verdict = SSL_get_verify_result(ssl);
  if (lost) {
    fault.kind = Kind::Lost;
  } else if (verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) {
    fault.kind = kind_of_verdict(verdict);
    fault.detail = X509_verify_cert_error_string(verdict);
    if (fault.kind == Kind::WrongName) fault.names.swap(noted_names());
  } else {
    fault.kind = kind_of_reason(reason);
    // Before TLS 1.3 a server that asked for a certificate and got none says no more than that it failed.
    if (reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE && SSL_get0_peer_CA_list(ssl) != nullptr)
      fault.kind = Kind::WantsCertificate;
  }
  noted_names().clear();
  return fault;
}

void verify_and_note(ssl_ctx_st* context) { SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &note); }

}  // namespace ferrotunnel::transport
