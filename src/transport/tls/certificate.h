// Certificate: one certificate of the HTTPS port with what goes along: its key, its chain, its names, its OCSP response.
//
// Private to this folder. Immutable once loaded; any thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "transport/tls/certificate_book.h"
#include "transport/tls/tls_identity.h"

namespace ferrotunnel::transport {

struct OcspResponse {
  std::string der;
  std::optional<std::time_t> until;  // nextUpdate: past it nobody would believe it, and it is not shown
};

struct Certificate {
  TlsIdentity identity;
  CertificateFiles files;
  std::vector<std::string> names{};  // DNS names of subjectAltName, as written
  int key_type = 0;                  // EVP_PKEY_RSA, EVP_PKEY_EC, ...
  std::optional<OcspResponse> ocsp{};
  std::string client_ca{};  // what that file holds

  // Reads them all; what is odd and no error goes to `warnings`. Errors: Io, BadInput, Tls; with the file.
  [[nodiscard]] static Result<Certificate> load(const CertificateFiles& files, std::vector<std::string>& warnings);
};

}  // namespace ferrotunnel::transport
