// TlsStream: a ByteStream through OpenSSL, on the non-blocking socket itself.
//
// First handshake() until Done, then the calls of ByteStream. An end of the TCP connection without close_notify is an error
// (ECONNRESET), so that a cut is never taken for a FIN. Owner's shard only.
//
// Records are sealed and sent several at a time, and received so. Those that the socket does not take are kept here, so that OpenSSL never
// has to be asked again with the same bytes; there are no more of them than one call sends (socket_bio.h), and none before it took those.
// At rest a stream holds no record, nor memory for one. write() then comes short by at least one byte: the owner waits for room and comes back. What it comes back
// with has to begin with the bytes that were not taken, for the first of them is sealed already. A stream of raw bytes and a frame
// that has begun do so by themselves; whoever reorders whole frames after a WouldBlock must not do it with frames of one byte.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "transport/byte_stream.h"
#include "transport/tls/client_authority.h"
#include "transport/tls/socket_bio.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_fault.h"
#include "transport/tls/tls_sessions.h"

struct ssl_st;

namespace ferrotunnel::transport {

struct TlsShown;

enum class TlsProgress : std::uint8_t { Done, WantRead, WantWrite };

class TlsStream final : public ByteStream {
 public:
  // Both take over fd (connected, non-blocking), also when they fail. Errors: Tls. `guard`: of a CertificateBook's, as long as the handshake.
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> accept(int fd, const TlsServerContext& context,
                                                                 NameGuard* guard = nullptr);
  // `host` is the name or address that was dialled, without a port: it is asked for (SNI) and, without a pin, verified.
  // `sessions`: of this place, to resume one and to keep what comes; the context has to allow it.
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> connect(int fd, const TlsClientContext& context,
                                                                  const std::string& host,
                                                                  std::shared_ptr<TlsSessions> sessions = {});
  ~TlsStream() override;

  // One step, without blocking. WantRead and WantWrite say which readiness to wait for. Errors, side Tunnel: PinMismatch (not to be
  // retried), Tls, Closed, Io. After one the stream is of no more use; an alert may have been sent.
  [[nodiscard]] Result<TlsProgress> handshake();

  [[nodiscard]] int fd() const override { return io_.fd.get(); }
  [[nodiscard]] IoResult read(MutBytes into) override;
  [[nodiscard]] IoResult write(std::span<const iovec> pieces) override;
  [[nodiscard]] bool read_pending() const override;
  // A full socket may not take the end yet: then the next read() or write() goes on with it, be it one of nothing.
  void shutdown_write() override;
  void abort() override;
  [[nodiscard]] Error explain(const IoResult&) const override { return failure_; }

  // 32 bytes that only the two ends of this connection know (RFC 8446 section 7.5, empty context). Errors: Tls (before the
  // handshake is done; TLS 1.2 without extended master secret, where they would not be bound to this connection).
  [[nodiscard]] Result<std::array<std::byte, 32>> exporter(std::string_view label) const;

  // Why handshake() failed, for whoever has better words for it than a link's.
  [[nodiscard]] const TlsFault& fault() const { return fault_; }

  // Why read() or write() said Error, in a sentence. Meaningful after they did.
  [[nodiscard]] const Error& failure() const { return failure_; }

  [[nodiscard]] std::string_view version() const;  // "TLSv1.3"
  [[nodiscard]] std::string_view cipher() const;
  [[nodiscard]] std::string_view alpn() const;          // the protocol that was agreed on; "": none
  [[nodiscard]] const std::string& asked_name() const;  // by a visitor of a CertificateBook: SNI, in the one spelling
  [[nodiscard]] bool resumed() const;                   // by a session ticket
  // Of a visitor, once the handshake is done; null: he has shown none.
  [[nodiscard]] VisitorCertificatePtr shown_certificate() const;
  [[nodiscard]] std::uint64_t socket_receives() const { return io_.receives; }  // calls
  [[nodiscard]] std::uint64_t socket_sends() const { return io_.sends; }
  // Memory of records that wait here to be sent or read.
  [[nodiscard]] std::size_t socket_memory() const { return io_.unsent.capacity() + io_.kept.capacity(); }
  [[nodiscard]] std::uint64_t socket_bytes_in() const { return io_.bytes_in; }
  [[nodiscard]] std::uint64_t socket_bytes_out() const { return io_.bytes_out; }

 private:
  TlsStream(int fd, std::shared_ptr<const Fingerprint> pin);
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> make(int fd, ssl_ctx_st* context,
                                                               std::shared_ptr<const Fingerprint> pin);
  [[nodiscard]] Error handshake_error();
  IoResult fail(int error, Error why);
  IoResult fail_from_openssl();
  IoResult fail_write();
  [[nodiscard]] IoResult read_records(MutBytes into);
  void finish_shutdown();

  const std::shared_ptr<const Fingerprint> pin_;  // what the context's verifier points to
  const std::unique_ptr<TlsShown> shown_;
  SocketBio io_;
  ssl_st* ssl_ = nullptr;
  bool ready_ = false;     // the handshake is done
  bool drained_ = false;   // the last read() found the socket empty
  bool end_held_ = false;  // eof_ or failed_ was met behind bytes: the next read() tells
  bool eof_ = false;
  bool owed_ = false;      // the first byte of the next write() has been sealed already
  bool shut_ = false;      // close_notify was made
  bool fin_sent_ = false;  // and so was the FIN below it
  bool aborted_ = false;
  int failed_ = 0;  // errno of what ended it
  Error failure_;
  TlsFault fault_;
  std::shared_ptr<TlsSessions> sessions_;
};

}  // namespace ferrotunnel::transport
