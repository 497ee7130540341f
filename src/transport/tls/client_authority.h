// ClientAuthority: whose certificates the visitors of a tunnel have to show; and what a visitor has shown.
//
// A tunnel's own, beside those of the server's certificates (certificate_book.h): which one a visitor is asked for, the name in his ClientHello
// decides. A session is resumed under the same authority only. Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct ssl_st;
struct x509_st;
struct x509_store_st;

namespace ferrotunnel::transport {

class ClientAuthority;
using ClientAuthorityPtr = std::shared_ptr<const ClientAuthority>;

class ClientAuthority {
 public:
  static constexpr std::size_t kMostPem = 16 * 1024;
  static constexpr std::size_t kMostCertificates = 16;
  using Id = std::array<unsigned char, 32>;

  // Certificates (PEM), one behind another. Errors: BadInput: none, too many, one that cannot be read.
  [[nodiscard]] static Result<ClientAuthorityPtr> parse(std::string_view pem);

  // The certificates of a file, written anew: a key beside them stays in it. Errors: BadInput, Io; they name it.
  [[nodiscard]] static Result<std::string> read(const std::filesystem::path& file);

  // Inside of a ClientHello: this handshake asks for a certificate, `required` or taken where one is shown. False: no memory.
  [[nodiscard]] bool ask(ssl_st* ssl, bool required) const;

  [[nodiscard]] const Id& id() const { return id_; }  // of equal certificates the same

 private:
  ClientAuthority() = default;
  std::vector<std::shared_ptr<x509_st>> certificates_;
  std::shared_ptr<x509_store_st> store_;
  Id id_{};
};

// Who knows which names ask for a certificate. Asked on the thread of the handshake.
class NameGuard {
 public:
  struct Demand {
    ClientAuthorityPtr authority;  // null: none
    bool required = true;          // without one there is no connection
  };
  [[nodiscard]] virtual Demand demand_of(std::string_view name) = 0;  // in the one spelling; "": none was said

 protected:
  ~NameGuard() = default;
};

// What was shown, and verified.
struct VisitorCertificate {
  ClientAuthorityPtr authority;  // the tunnel's whose it is; null: the server's own client_ca
  // As a service hears it: `Hash=0123…;Subject="CN=ann"`. SHA-256 of the certificate, and its subject by RFC 2253.
  std::string told;
};
using VisitorCertificatePtr = std::shared_ptr<const VisitorCertificate>;
// Of a handshake that is done; null: none was shown.
[[nodiscard]] VisitorCertificatePtr visitor_certificate(ssl_st* ssl, ClientAuthorityPtr authority);

}  // namespace ferrotunnel::transport
