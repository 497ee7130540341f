// TcpStream: a ByteStream that is a plain stream socket, TCP or unix. See byte_stream.h for the contract.
#pragma once

#include <sys/socket.h>

#include "transport/byte_stream.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

class TcpStream final : public ByteStream {
 public:
  explicit TcpStream(UniqueFd fd) : fd_(std::move(fd)) {}  // connected, non-blocking

  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] IoResult read(MutBytes into) override;
  [[nodiscard]] IoResult write(std::span<const iovec> pieces) override { return send_pieces(pieces, 0); }
  [[nodiscard]] IoResult write_more(std::span<const iovec> pieces) override { return send_pieces(pieces, MSG_MORE); }
  void shutdown_write() override;
  void abort() override { close_with_reset(fd_.get()); }
  [[nodiscard]] bool plain() const override { return true; }

 private:
  [[nodiscard]] IoResult send_pieces(std::span<const iovec> pieces, int flags);
  UniqueFd fd_;
};

}  // namespace ferrotunnel::transport
