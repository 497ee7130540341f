#include "origin/origin_tls.h"

#include <utility>

#include "origin/target.h"

namespace ferrotunnel::origin {

Result<transport::TlsClientContext> make_context(const OriginTlsOptions& options, bool h2) {
  transport::TlsClientOptions tls;
  tls.minimum = transport::TlsVersion::V12;
  if (!options.ca.empty()) tls.ca = options.ca;
  tls.skip_verify = options.skip_verify;
  if (!options.certificate.empty()) {
    auto identity = transport::TlsIdentity::load(options.certificate, options.key);
    if (!identity) return std::unexpected(std::move(identity.error()));
    tls.identity = std::move(*identity);
  }
  if (options.http) tls.alpn = {h2 ? "h2" : "http/1.1"};
  tls.resume = true;
  return transport::TlsClientContext::make(tls);
}

Error explain(const transport::TlsFault& fault, const OriginTarget& target) {
  using Kind = transport::TlsFault::Kind;
  const std::string name = target.tls ? target.tls->name : target.tls_name;
  const std::string reason = fault.detail.empty() ? std::string() : " (" + fault.detail + ")";
  std::string what = "no TLS connection to " + target.text + " is to be had" + reason;
  switch (fault.kind) {
    case Kind::Untrusted:
      what = target.text + " shows a certificate that is not trusted" + reason +
             ": give the file of its authority with origin_tls_ca, or for a trial believe anything with "
             "origin_tls_skip_verify";
      break;
    case Kind::Expired:
      what = target.text + " shows a certificate that is not valid now" + reason +
             ": renew it, or set this machine's clock right";
      break;
    case Kind::WrongName:
      what = target.text + " shows a certificate that is not for " + name +
             (fault.names.empty() ? std::string() : " but for " + fault.names) +
             ": say which name it has with origin_tls_server_name";
      break;
    case Kind::NotTls:
      what = target.text + " does not speak TLS" + reason + ": is it " +
             (target.text.starts_with("tls://") ? "tcp://"
              : target.h2                       ? "h2c://"
                                                : "http://") +
             "?";
      break;
    case Kind::Lost:
      what = target.text + " closed the connection during the TLS handshake: does it speak TLS, and serve the name " +
             name + " (origin_tls_server_name)?";
      break;
    case Kind::Version:
      what = target.text + " has no TLS version or cipher in common with this client, which takes 1.2 and 1.3" + reason;
      break;
    case Kind::Protocol:
      what =
          target.text + " does not offer " + (target.h2 ? "HTTP/2 (h2)" : "HTTP/1.1 (http/1.1)") + " over TLS" + reason;
      break;
    case Kind::WantsCertificate:
      what = target.text + " wants a certificate, and does not accept what was shown" + reason +
             ": give one that it knows with origin_tls_cert and origin_tls_key";
      break;
    case Kind::None:
    case Kind::Other: break;
  }
  return {ErrorCode::Tls, Side::Origin, false, std::move(what)};
}

}  // namespace ferrotunnel::origin
