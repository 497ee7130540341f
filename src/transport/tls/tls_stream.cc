#include "transport/tls/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>

#include "transport/tls/context_parts.h"

namespace ferrotunnel::transport {
namespace {

constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;  // 16 KiB
// Sealed records that go out by one call. More would cost no less; a peer that does not read makes a stream keep as many.
constexpr std::size_t kGathered = 5 * kRecord;

bool is_ip(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// Says by which name the certificate has to know the server.
bool expect_name(SSL* ssl, const std::string& host) {
  if (host.empty()) return false;
  if (is_ip(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, host.c_str()) == 1;
}

Error tls_error(std::string text) { return {ErrorCode::Tls, Side::Tunnel, false, std::move(text)}; }

// Walks the pieces of one write(), giving at most a record of bytes at a time.
class Pieces {
 public:
  explicit Pieces(std::span<const iovec> pieces) : pieces_(pieces) { skip_empty(); }

  [[nodiscard]] bool empty() const { return at_ == pieces_.size(); }

  void skip(std::size_t n) {
    offset_ += n;
    skip_empty();
  }

  // Straight from a piece that fills a record or is the last; small ones are put together, for a record each would cost more.
  ConstBytes next() {
    const ConstBytes first = here();
    if (first.size() >= kRecord || at_ + 1 == pieces_.size()) {
      const ConstBytes chunk = first.first(std::min(first.size(), kRecord));
      skip(chunk.size());
      return chunk;
    }
    thread_local std::array<std::byte, kRecord> together;  // its bytes are sealed before the next call
    std::size_t have = 0;
    while (!empty() && have < kRecord) {
      const ConstBytes piece = here();
      const std::size_t n = std::min(piece.size(), kRecord - have);
      std::copy_n(piece.begin(), n, together.begin() + static_cast<std::ptrdiff_t>(have));
      have += n;
      skip(n);
    }
    return ConstBytes(together).first(have);
  }

 private:
  [[nodiscard]] ConstBytes here() const {
    return {static_cast<const std::byte*>(pieces_[at_].iov_base) + offset_, pieces_[at_].iov_len - offset_};
  }
  void skip_empty() {
    while (at_ < pieces_.size() && offset_ == pieces_[at_].iov_len) {
      ++at_;
      offset_ = 0;
    }
  }

  std::span<const iovec> pieces_;
  std::size_t at_ = 0, offset_ = 0;
};

}  // namespace

TlsStream::TlsStream(int fd, std::shared_ptr<const Fingerprint> pin)
    : pin_(std::move(pin)), shown_(std::make_unique<TlsShown>()), io_(UniqueFd(fd)) {}

Result<std::unique_ptr<TlsStream>> TlsStream::make(int fd, ssl_ctx_st* context,
                                                   std::shared_ptr<const Fingerprint> pin) {
  std::unique_ptr<TlsStream> stream(new TlsStream(fd, std::move(pin)));
  ERR_clear_error();
  stream->ssl_ = SSL_new(context);
  BIO* bio = stream->ssl_ != nullptr ? stream->io_.make() : nullptr;
  if (bio == nullptr)
    return std::unexpected(
        Error(ErrorCode::Tls, Side::Local, true, "no TLS connection can be made: " + take_openssl_error()));
  SSL_set_bio(stream->ssl_, bio, bio);  // takes it over
  SSL_set_app_data(stream->ssl_, stream->shown_.get());
  return stream;
}

Result<std::unique_ptr<TlsStream>> TlsStream::accept(int fd, const TlsServerContext& context, NameGuard* guard) {
  auto stream = make(fd, context.native(), nullptr);
  if (!stream) return stream;
  (*stream)->shown_->guard = guard;
  SSL_set_accept_state((*stream)->ssl_);
  return stream;
}

VisitorCertificatePtr TlsStream::shown_certificate() const { return visitor_certificate(ssl_, shown_->authority); }

Result<std::unique_ptr<TlsStream>> TlsStream::connect(int fd, const TlsClientContext& context, const std::string& host,
                                                      std::shared_ptr<TlsSessions> sessions) {
  auto stream = make(fd, context.native(), context.pin());
  if (!stream) return stream;
  SSL* ssl = (*stream)->ssl_;
  if (sessions) sessions->attach(ssl);
  (*stream)->sessions_ = std::move(sessions);
  SSL_set_connect_state(ssl);
  // A name that cannot be asked for (too long) is left out here; where it matters, verification says so.
  if (!host.empty() && !is_ip(host)) SSL_set_tlsext_host_name(ssl, host.c_str());
  if (!context.pin() && !expect_name(ssl, host))
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                                 "\"" + host + "\" is no name that a certificate could be checked for"));
  return stream;
}

TlsStream::~TlsStream() {
  if (ssl_ != nullptr) {
    if (ready_ && failed_ == 0 && !aborted_) shutdown_write();
    SSL_free(ssl_);
    ERR_clear_error();
  }
}

Result<TlsProgress> TlsStream::handshake() {
  if (failed_ != 0) return std::unexpected(failure_);
  int error = SSL_ERROR_NONE;
  if (io_.flush() && !ready_) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    ready_ = done == 1;
    if (!ready_) error = SSL_get_error(ssl_, done);
  }
  if (io_.error != 0 || (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)) {
    Error why = handshake_error();
    io_.flush();  // the alert that says why, where there is one
    fail(io_.error != 0 ? io_.error : EPROTO, std::move(why));
    return std::unexpected(failure_);
  }
  if (io_.blocked()) return TlsProgress::WantWrite;
  return ready_ ? TlsProgress::Done : TlsProgress::WantRead;
}

Error TlsStream::handshake_error() {
  const int reason = ERR_GET_REASON(ERR_peek_error());
  const std::string text = take_openssl_error();
  fault_ = diagnose(ssl_, reason, text, io_.error != 0);
  if (io_.error != 0) return errno_error(io_.error, Side::Tunnel, "the connection failed during the TLS handshake");
  const long verdict = SSL_get_verify_result(ssl_);
  if (pin_ && verdict == X509_V_ERR_APPLICATION_VERIFICATION) {
    return {ErrorCode::PinMismatch, Side::Tunnel, false,
            "the server's key is not the one in your token. Either the server was reinstalled (ask for a new token) or "
            "someone is in between. The token has " +
                to_string(*pin_) + ", the server showed " + to_string(shown_->key)};
  }
  if (verdict != X509_V_OK) {
    return tls_error(std::string("the other end's certificate was not accepted: ") +
                     X509_verify_cert_error_string(verdict) +
                     (SSL_is_server(ssl_) == 1 ? "" : ". A join token pins the server's key and needs no CA"));
  }
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return {ErrorCode::Closed, Side::Tunnel, true, "the other end closed the connection during the TLS handshake"};
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_RECORD_TOO_SMALL:
      return tls_error(
          "the other end does not speak TLS on this connection: either both ends use it, or both are told --tls off");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return tls_error("the two ends have no TLS version in common (1.3 is asked for unless 1.2 is allowed)");
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return tls_error("the client showed no certificate, and this server asks for one");
    default: return tls_error("the TLS handshake failed: " + (text.empty() ? std::string("no reason given") : text));
  }
}

IoResult TlsStream::fail(int error, Error why) {
  failed_ = error;
  failure_ = std::move(why);
  return {IoStatus::Error, 0, failed_};
}

// After a call of OpenSSL said that the connection is over.
IoResult TlsStream::fail_from_openssl() {
  const int reason = ERR_GET_REASON(ERR_peek_error());
  const std::string text = take_openssl_error();
  if (io_.error != 0) return fail(io_.error, errno_error(io_.error, Side::Tunnel, "the TLS connection failed"));
  if (io_.eof || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return fail(ECONNRESET,
                Error(ErrorCode::Io, Side::Tunnel, true, "the TLS connection was cut: it ended without a close"));
  }
  io_.flush();  // the alert
  if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED)
    return fail(EPROTO, tls_error("the server asks for a client certificate, and none was shown"));
  switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return fail(EPROTO, tls_error("the other end does not accept the certificate that was shown: " + text));
    default: break;
  }
  return fail(EPROTO,
              tls_error("the TLS connection failed: " + (text.empty() ? std::string("no reason given") : text)));
}

// A peer that refuses us says why and closes: our write finds the closed connection, and behind it stands the alert.
IoResult TlsStream::fail_write() {
  if (io_.error == EPIPE || io_.error == ECONNRESET) {
    const int error = std::exchange(io_.error, 0);
    std::byte next{};
    std::size_t n = 0;
    ERR_clear_error();
    const bool told = SSL_peek_ex(ssl_, &next, 1, &n) != 1 && SSL_get_error(ssl_, 0) == SSL_ERROR_SSL && !io_.eof;
    if (!told || io_.error != 0) {
      ERR_clear_error();
      io_.error = error;
    }
  }
  return fail_from_openssl();
}

IoResult TlsStream::read(MutBytes into) {
  assert(ready_ || failed_ != 0);
  end_held_ = false;
  if (failed_ != 0) return {IoStatus::Error, 0, failed_};
  if (eof_) return {IoStatus::Eof, 0, 0};
  if (io_.blocked()) finish_shutdown();
  io_.begin_read(into.size());
  const IoResult result = read_records(into);
  io_.end_read();
  SSL_free_buffers(ssl_);  // unless part of a record is in them
  return result;
}

IoResult TlsStream::read_records(MutBytes into) {
  std::size_t got = 0;
  drained_ = false;
  while (got < into.size()) {
    std::size_t n = 0;
    ERR_clear_error();
    if (SSL_read_ex(ssl_, into.data() + got, into.size() - got, &n) == 1) {
      got += n;
      io_.enough = true;
      if (!io_.drained() || SSL_has_pending(ssl_) == 1) continue;
      drained_ = true;
      break;
    }
    const int error = SSL_get_error(ssl_, 0);
    if (error == SSL_ERROR_WANT_READ) {
      drained_ = true;
      if (got == 0) return {IoStatus::WouldBlock, 0, 0};
      break;
    }
    IoResult end{IoStatus::Eof, 0, 0};
    if (error == SSL_ERROR_ZERO_RETURN) {
      eof_ = true;
    } else {
      end = fail_from_openssl();
    }
    if (got == 0) return end;
    end_held_ = true;
    break;
  }
  return {IoStatus::Ok, got, 0};
}

// Half a record that OpenSSL holds does not count: only the socket can complete it, and the Poller will tell of that.
bool TlsStream::read_pending() const {
  return end_held_ || (ready_ && failed_ == 0 && !eof_ && !drained_ && (io_.holds() || SSL_has_pending(ssl_) == 1));
}

IoResult TlsStream::write(std::span<const iovec> given) {
  assert(ready_ || failed_ != 0);
  if (failed_ != 0) return {IoStatus::Error, 0, failed_};
  finish_shutdown();
  if (io_.blocked()) return io_.error != 0 ? fail_write() : IoResult{IoStatus::WouldBlock, 0, 0};
  Pieces pieces(given);
  std::size_t taken = 0;
  if (owed_ && !pieces.empty()) {
    pieces.skip(1);
    taken = 1;
    owed_ = false;
  }
  io_.gathers = true;
  bool sealed = true, sent = true;
  while (sent && !pieces.empty()) {
    const ConstBytes record = pieces.next();
    std::size_t n = 0;
    ERR_clear_error();
    sealed = SSL_write_ex(ssl_, record.data(), record.size(), &n) == 1;
    if (!sealed) break;
    assert(n == record.size());  // one record, and a BIO that takes it all
    taken += n;
    if (pieces.empty() || io_.unsent.size() > kGathered - kRecord) sent = io_.flush(!pieces.empty());
  }
  io_.gathers = false;
  SSL_free_buffers(ssl_);
  if (!sealed || io_.error != 0) return fail_write();
  if (!sent) {
    owed_ = true;
    --taken;
  }
  if (taken == 0) return {IoStatus::WouldBlock, 0, 0};
  return {IoStatus::Ok, taken, 0};
}

void TlsStream::shutdown_write() {
  if (ready_ && failed_ == 0 && !shut_) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  shut_ = true;
  finish_shutdown();
}

void TlsStream::finish_shutdown() {
  if (!io_.flush() || !shut_ || fin_sent_) return;
  ::shutdown(io_.fd.get(), SHUT_WR);
  fin_sent_ = true;
}

void TlsStream::abort() {
  aborted_ = true;
  close_with_reset(io_.fd.get());
}

Result<std::array<std::byte, 32>> TlsStream::exporter(std::string_view label) const {
  if (!ready_) return std::unexpected(Error(ErrorCode::Tls, Side::Local, false, "the TLS handshake is not done"));
  // Before 1.3 only the extended master secret (RFC 7627) ties the exporter to this one connection.
  if (SSL_version(ssl_) < TLS1_3_VERSION && SSL_get_extms_support(ssl_) != 1)
    return std::unexpected(
        tls_error("the other end's TLS 1.2 has no extended master secret, which the sign-in needs: use TLS 1.3"));
  std::array<std::byte, 32> key{};
  constexpr unsigned char kEmptyContext[1] = {};
  if (SSL_export_keying_material(ssl_, reinterpret_cast<unsigned char*>(key.data()), key.size(), label.data(),
                                 label.size(), kEmptyContext, 0, 1) != 1) {
    return std::unexpected(tls_error("no key can be exported from the TLS connection: " + take_openssl_error()));
  }
  return key;
}

std::string_view TlsStream::version() const { return SSL_get_version(ssl_); }

std::string_view TlsStream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

const std::string& TlsStream::asked_name() const { return shown_->name; }

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string_view TlsStream::cipher() const {
  const char* name = SSL_get_cipher_name(ssl_);
  return name != nullptr ? name : "";
}

}  // namespace ferrotunnel::transport
