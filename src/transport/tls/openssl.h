// What the files of transport/tls/ share of OpenSSL: owners for its objects, and its error queue as text. Private to this folder.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "transport/tls/fingerprint.h"

namespace ferrotunnel::transport {

template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree<&BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<&EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<&X509_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<&SSL_free>>;

// The oldest entry of this thread's error queue, which is emptied. "" when there was none.
[[nodiscard]] std::string take_openssl_error();

// Of the certificate's SubjectPublicKeyInfo. False only without memory.
[[nodiscard]] bool fingerprint_of(const X509* certificate, Fingerprint& into);

}  // namespace ferrotunnel::transport
