// SocketBio: what OpenSSL reads from and writes to. A non-blocking socket whose writes never say "again".
//
// What the socket does not take is kept, so that OpenSSL never has to be called again with the same bytes; the owner flush()es when
// the socket has room. SIGPIPE is not raised. Belongs to one TlsStream, which it does not move away from. Private to this folder.
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

  // True when nothing is left unsent.
  bool flush();
  [[nodiscard]] bool blocked() const { return !unsent.empty(); }
  // Takes a prefix; less than all means that the socket is full, or error.
  [[nodiscard]] std::size_t send(ConstBytes bytes, bool more_follows);

  UniqueFd fd;
  int error = 0;      // errno of the call that failed for good
  bool eof = false;   // recv said 0
  bool more = false;  // the owner writes another record right behind the next
  std::vector<std::byte> unsent;
  std::size_t unsent_from = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

}  // namespace ferrotunnel::transport
