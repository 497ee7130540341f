#include "transport/tls/fingerprint.h"

#include <openssl/sha.h>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {

std::string to_string(const Fingerprint& fingerprint) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "sha256:";
  for (const std::byte byte : fingerprint) {
    text += kHex[std::to_integer<unsigned>(byte) >> 4];
    text += kHex[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

bool fingerprint_of(const X509* certificate, Fingerprint& into) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return false;
  ::SHA256(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(into.data()));
  OPENSSL_free(der);
  return true;
}

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return {};
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

}  // namespace ferrotunnel::transport
