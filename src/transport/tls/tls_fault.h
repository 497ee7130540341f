// TlsFault: why a client's TLS handshake failed, told apart far enough to say what to do about it. Values; any thread.
#pragma once

#include <cstdint>
#include <string>

struct ssl_ctx_st;
struct ssl_st;

namespace ferrotunnel::transport {

struct TlsFault {
  enum class Kind : std::uint8_t {
    None,
    Lost,              // the connection broke or was closed in the middle
    NotTls,            // what came is no TLS
    Untrusted,         // the certificate leads to no authority that is known
    Expired,           // or is not valid yet
    WrongName,         // it is trusted, but is another name's
    Version,           // no TLS version or cipher in common
    Protocol,          // ALPN: not the application protocol that was asked for
    WantsCertificate,  // the other end wants to see a certificate, or does not accept ours
    Other,
  };
  Kind kind = Kind::None;
  std::string detail;  // OpenSSL's words: "self-signed certificate"
  std::string
      names;  // WrongName: those of the certificate, as far as they were seen; it said them, so escape where it is shown
};

// After a failed handshake of this connection. `reason`, `text`: of OpenSSL's oldest error; `lost`: the socket failed or ended.
[[nodiscard]] TlsFault diagnose(const ssl_st* ssl, int reason, const std::string& text, bool lost);

// Verification as OpenSSL does it, which also keeps what diagnose() tells of a certificate that is refused.
void verify_and_note(ssl_ctx_st* context);

}  // namespace ferrotunnel::transport
