// VisitorHandshakes: has the sockets of HTTPS visitors from the accept to the end of the TLS handshake; one per shard.
//
// The first byte is looked at before it is read: who speaks plain HTTP here gets a page that says so, in plain text, and the end. A handshake has a
// deadline, and so many are under way at once; past that the oldest, which has had the most time, goes. It is spare (http1/spare_visitors.h),
// and counts against the memory limit, by an estimate. Owned by the server's shard;
// that shard's thread only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>

#include "ingress/http1/http_ingress_host.h"
#include "ingress/http1/spare_visitors.h"
#include "ingress/limits/visitor_count.h"
#include "transport/link.h"
#include "transport/shard.h"
#include "transport/tcp/socket.h"
#include "transport/tls/certificate_book.h"

namespace ferrotunnel::ingress {

struct VisitorHandshakeOptions {
  Duration handshake_timeout = std::chrono::seconds(10);  // from the accept to the last byte of the handshake
  std::size_t max_handshakes = 2048;                      // at once on a shard
  unsigned shards = 1;                                    // that share the memory
  Duration linger_timeout = std::chrono::seconds(2);      // reading on after the page, so that no RST overtakes it
};

struct VisitorHandshakeCounters {
  std::uint64_t done = 0;
  std::uint64_t resumed = 0;  // of those, by a session ticket
  std::uint64_t failed =
      0;  // no version, cipher or name in common, a certificate that was not shown, rubbish; or the visitor left
  std::uint64_t timed_out = 0;    // handshake_timeout
  std::uint64_t crowded_out = 0;  // max_handshakes, their part of the memory; or gone for a newcomer
  std::uint64_t plain_http = 0;   // spoke HTTP without TLS
};

// Who gets them.
class SecuredVisitors {
 public:
  virtual void on_secured(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer, const VisitorTls& tls,
                          VisitorSlot slot) = 0;

 protected:
  ~SecuredVisitors() = default;
};

class VisitorHandshakes final {
 public:
  // What one holds while it is under way, as it was measured: the TLS library's buffers and state.
  static constexpr std::size_t kMemory = std::size_t{52} * 1024;
  // Where more than a quarter of the memory limit is used, those of a shard may have its part of that quarter; but a few may always be.
  static constexpr std::size_t kMemoryPart = 4, kLeast = 8;

  // `spares` outlives it.
  VisitorHandshakes(transport::Shard& shard, const VisitorHandshakeOptions& options, SecuredVisitors& to,
                    SpareVisitors& spares, transport::NameGuard* guard = nullptr);
  VisitorHandshakes(const VisitorHandshakes&) = delete;
  VisitorHandshakes& operator=(const VisitorHandshakes&) = delete;
  ~VisitorHandshakes();

  // Takes a connected, non-blocking socket. on_secured() follows, perhaps from inside, unless it ends before. `slot`: its place among the visitors,
  // which he keeps.
  void take(transport::UniqueFd fd, const transport::PeerAddress& peer, transport::CertificateBookPtr book,
            VisitorSlot slot);
  // Ends all that is under way.
  void stop();

  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] const VisitorHandshakeCounters& counters() const { return counters_; }

 private:
  class Handshake;
  struct Tag;
  using Hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>>;
  using Handshakes = boost::intrusive::list<Handshake, boost::intrusive::base_hook<Hook>>;
  void end(Handshake& handshake, std::uint64_t VisitorHandshakeCounters::* why);
  void remove(Handshake& handshake);
  [[nodiscard]] bool crowded() const;

  transport::Shard& shard_;
  const VisitorHandshakeOptions options_;
  SecuredVisitors& to_;
  SpareVisitors& spares_;
  transport::NameGuard* const guard_;
  VisitorHandshakeCounters counters_;
  const std::unique_ptr<Handshakes> all_;  // the oldest first
};

}  // namespace ferrotunnel::ingress
