// TcpStream: a ByteStream that is a plain stream socket, TCP or unix. See byte_stream.h for the contract.
#pragma once

#include <sys/socket.h>

#include "transport/byte_stream.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

class TcpStream final : public ByteStream {
 public:
  // Connected, non-blocking; `armed`: as after arm_reset(), by the listener that it comes from.
  explicit TcpStream(UniqueFd fd, bool armed = false) : fd_(std::move(fd)), armed_(armed) {}

  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] IoResult read(MutBytes into) override;
  [[nodiscard]] IoResult write(std::span<const iovec> pieces) override { return send_pieces(pieces, 0); }
  [[nodiscard]] IoResult write_more(std::span<const iovec> pieces) override { return send_pieces(pieces, MSG_MORE); }
  void shutdown_write() override;
  void abort() override { arm_reset(); }
  void arm_reset() override;
  void disarm_reset() override;
  [[nodiscard]] bool plain() const override { return true; }

 private:
  [[nodiscard]] IoResult send_pieces(std::span<const iovec> pieces, int flags);
  UniqueFd fd_;
  bool armed_;  // the close sends an RST
};

}  // namespace ferrotunnel::transport
