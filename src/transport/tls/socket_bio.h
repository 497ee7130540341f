// SocketBio: what OpenSSL reads from and writes to. A non-blocking socket whose writes never say "again", and that makes one call for
// several records.
//
// What is written is gathered in `unsent`, and goes by flush(): at once, or when the owner has sealed all it wants to (`gathers`). What the
// socket does not take stays there, so that OpenSSL never has to be called again with the same bytes. While the owner reads into a large
// buffer (`wanted`), as many bytes as fit are received together and given to OpenSSL from there. A connection at rest holds neither block:
// they are lent by the thread. SIGPIPE is not raised. Belongs to one TlsStream, which it does not move away from. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "transport/tcp/socket.h"

struct bio_st;

namespace ferrotunnel::transport {

struct SocketBio {
  explicit SocketBio(UniqueFd socket) : fd(std::move(socket)) {}
  SocketBio(const SocketBio&) = delete;
  SocketBio& operator=(const SocketBio&) = delete;

  // The object to give to OpenSSL, which owns it from then on; it works on this one. Nothing without memory.
  [[nodiscard]] bio_st* make();

  // Sends what was gathered or left over. True when nothing is left unsent. `more_follows`: the next flush() comes right behind.
  bool flush(bool more_follows = false);
  [[nodiscard]] bool blocked() const { return !unsent.empty(); }

  // Until end_read(): the owner has room for `room` bytes of plain text.
  void begin_read(std::size_t room);
  // What was received and not asked for by OpenSSL yet is kept for the next read.
  void end_read();
  // Received, and not given to OpenSSL yet.
  [[nodiscard]] bool holds() const { return !ahead.empty(); }
  // The last recv() since begin_read() came short: the socket is empty, and OpenSSL has all there was.
  [[nodiscard]] bool drained() const { return short_read && ahead.empty(); }

  UniqueFd fd;
  int error = 0;         // errno of the call that failed for good
  bool eof = false;      // recv said 0
  bool gathers = false;  // the owner flush()es
  bool enough = false;   // the owner has some bytes: no call only to hear that there are no more
  bool short_read = false;
  bool ahead_lent = false;  // `ahead` lies in the thread's block
  std::size_t wanted = 0;   // bytes to receive by one call; 0: what OpenSSL asks for
  std::vector<std::byte> unsent;
  std::size_t unsent_from = 0;
  ConstBytes ahead;  // in the thread's block between begin_read() and end_read(), in `kept` otherwise
  std::vector<std::byte> kept;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t receives = 0, sends = 0;  // calls of the system, for tests
};

}  // namespace ferrotunnel::transport
