// ByteStream: one connected, non-blocking, reliable byte connection (TCP, unix, TLS), as the byte path sees it.
//
// The owner waits for readiness of fd() through the shard's Poller (edge-triggered) and then calls read/write until
// they say WouldBlock or come up short. No call blocks, allocates or throws. Owner's shard only. Destroying it closes the
// descriptor; after abort() the close sends an RST, so that a failure arrives at the peer as one.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/error.h"

namespace ferrotunnel::transport {

enum class IoStatus : std::uint8_t {
  Ok,          // n > 0 bytes moved
  WouldBlock,  // nothing now; the Poller will say when
  Eof,         // read only: the peer's FIN (or close_notify), after all its bytes
  Error,       // error holds errno; the connection is of no more use
};

struct IoResult {
  IoStatus status = IoStatus::WouldBlock;
  std::size_t n = 0;
  int error = 0;
};

class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;

  [[nodiscard]] virtual int fd() const = 0;

  // Reads at most into.size() bytes (> 0). A result shorter than asked means that the descriptor was drained, unless
  // read_pending() says that bytes wait inside (TLS).
  [[nodiscard]] virtual IoResult read(MutBytes into) = 0;

  // Writes a prefix of the pieces, in order. n may be less than their sum.
  [[nodiscard]] virtual IoResult write(std::span<const iovec> pieces) = 0;
  // The same, when more follows at once: a segment need not go yet (MSG_MORE, where there is such a thing).
  [[nodiscard]] virtual IoResult write_more(std::span<const iovec> pieces) { return write(pieces); }

  // Whether read() may give bytes although the descriptor shows none.
  [[nodiscard]] virtual bool read_pending() const { return false; }

  // Whether read() would give bytes now; false after the peer's end or failure, when all that came before it was read.
  [[nodiscard]] virtual bool has_unread() const;

  // Half-close: the peer reads our end, we may still read. To be called with nothing left to write.
  virtual void shutdown_write() = 0;

  // Makes the close that follows send an RST.
  virtual void abort() = 0;

  // For a plain socket on which a FIN is what tells the peer that it has all: from arm_reset() on the close sends an RST, also that of the kernel
  // when this process dies, until disarm_reset() says that all was sent in order. Nothing where the end is a record of its own (TLS).
  virtual void arm_reset() {}
  virtual void disarm_reset() {}

  // The whole of why a read or write just said Error; a TLS connection knows more than errno.
  [[nodiscard]] virtual Error explain(const IoResult& failed) const {
    return errno_error(failed.error, Side::Tunnel, "the connection to the other end failed");
  }

  // Where it is a plain socket whose bytes may be spliced, true.
  [[nodiscard]] virtual bool plain() const { return false; }
};

using ByteStreamPtr = std::unique_ptr<ByteStream>;

}  // namespace ferrotunnel::transport
