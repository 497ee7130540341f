// CertificateBook: the certificates of the HTTPS port, and which of them a visitor gets, by the name that he asks for.
//
// Names are those in the certificates (subjectAltName): an exact one first, then a wildcard of one label, then what is marked as default. Who asks
// for a name that none has is refused with the alert unrecognized_name, where there is no default. Several certificates may have a name
// if their keys are of different kinds (RSA and ECDSA): which of them it is, what the visitor can verify decides.
//
// TLS 1.3 and, unless it is turned off, 1.2 with forward secrecy and AEAD ciphers; ALPN http/1.1, and h2 where it is on; session tickets; OCSP
// responses where they are there. Immutable: a reload makes a new one, and connections that were made with this one go on with it. Any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "transport/tls/ticket_keys.h"
#include "transport/tls/tls_context.h"

namespace ferrotunnel::transport {

struct CertificateFiles {
  std::filesystem::path certificate, key;  // PEM; the chain behind the certificate. The key's mode is checked
  std::filesystem::path ocsp;              // DER; "": NAME.ocsp beside the certificate, where there is one
  std::filesystem::path client_ca;         // "": visitors show no certificate; else one that one of these (PEM) signed
  bool is_default = false;
};

struct CertificateBookOptions {
  TlsVersion minimum = TlsVersion::V12;
  bool http2 = false;
  std::shared_ptr<TicketKeys> tickets;  // none: no sessions are resumed
};

class CertificateBook;
using CertificateBookPtr = std::shared_ptr<const CertificateBook>;

class CertificateBook {
 public:
  static constexpr std::size_t kMostCertificates = 1000;

  // Errors: BadInput, Io, Tls; they name the file: a key that others may read, or of another certificate; two certificates of one kind for one
  // name; one that no visitor could get; none at all.
  [[nodiscard]] static Result<CertificateBookPtr> load(std::span<const CertificateFiles> files,
                                                       const CertificateBookOptions& options);
  ~CertificateBook();

  // For TlsStream::accept().
  [[nodiscard]] const TlsServerContext& context() const { return context_; }

  // Whether who asked for `name` in his ClientHello ("": for none) may ask for `host` on that connection: both lead to the same certificates.
  // Without a name any host will do, but one whose visitors have to show a certificate. Both are in the one spelling.
  [[nodiscard]] bool serves(std::string_view name, std::string_view host) const;

  // Whether a visitor who asks for this host gets a certificate: its own, or the default. In the one spelling; of "*.NAME", for all names there.
  [[nodiscard]] bool has(std::string_view host) const;

  // Whether visitors of this host have to show a certificate, so that none may come without TLS. In the one spelling.
  [[nodiscard]] bool guards(std::string_view host) const;

  // What is odd and works, in sentences: certificates that have expired, and the like.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  [[nodiscard]] std::size_t size() const { return size_; }  // certificates

 private:
  struct Choice;
  CertificateBook() = default;

  std::shared_ptr<const Choice> choice_;
  TlsServerContext context_;
  std::vector<std::string> warnings_;
  std::size_t size_ = 0;
};

}  // namespace ferrotunnel::transport
