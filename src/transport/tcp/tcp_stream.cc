#include "transport/tcp/tcp_stream.h"

#include <cerrno>
#include <utility>

namespace ferrotunnel::transport {
namespace {

IoResult to_result(ssize_t n) {
  if (n > 0) return {IoStatus::Ok, static_cast<std::size_t>(n), 0};
  if (n == 0) return {IoStatus::Eof, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::WouldBlock, 0, 0};
  return {IoStatus::Error, 0, errno};
}

}  // namespace

IoResult TcpStream::read(MutBytes into) {
  ssize_t n;
  do n = ::recv(fd_.get(), into.data(), into.size(), 0);
  while (n < 0 && errno == EINTR);
  return to_result(n);
}

IoResult TcpStream::send_pieces(std::span<const iovec> pieces, int flags) {
  ssize_t n;
  if (pieces.size() == 1) {
    do n = ::send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    do n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
  }
  if (n == 0) return {IoStatus::WouldBlock, 0, 0};
  return to_result(n);
}

void TcpStream::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

void TcpStream::arm_reset() {
  if (!std::exchange(armed_, true)) close_with_reset(fd_.get());
}

void TcpStream::disarm_reset() {
  if (std::exchange(armed_, false)) close_with_fin(fd_.get());
}

}  // namespace ferrotunnel::transport
