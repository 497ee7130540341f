#include "transport/tls/socket_bio.h"

#include <sys/socket.h>

#include <cerrno>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

// Of unsent bytes. A record, or a handshake flight with a long certificate chain; more means that OpenSSL wrote without being asked.
constexpr std::size_t kMaxUnsent = 256 * 1024;

#ifndef MSG_MORE
constexpr int MSG_MORE = 0;
#endif

SocketBio& io_of(BIO* bio) { return *static_cast<SocketBio*>(BIO_get_data(bio)); }

// Never says "again": what the socket does not take is kept in `unsent`.
int bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  SocketBio& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  const ConstBytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::size_t sent = io.blocked() ? 0 : io.send(bytes, io.more);
  if (io.error != 0) return 0;
  if (io.unsent.size() + size - sent > kMaxUnsent) {
    io.error = ENOBUFS;
    return 0;
  }
  io.unsent.insert(io.unsent.end(), bytes.begin() + static_cast<std::ptrdiff_t>(sent), bytes.end());
  *written = size;
  return 1;
}

int bio_read(BIO* bio, char* data, std::size_t size, std::size_t* got) {
  SocketBio& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  ssize_t n;
  do n = ::recv(io.fd.get(), data, size, 0);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    io.bytes_in += static_cast<std::uint64_t>(n);
    *got = static_cast<std::size_t>(n);
    return 1;
  }
  if (n == 0) {
    io.eof = true;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    BIO_set_retry_read(bio);
  } else {
    io.error = errno;
  }
  return 0;
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return io_of(bio).eof ? 1 : 0;
  return 0;
}

// Made once; lives as long as the process.
const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ferrotunnel socket");
    if (made != nullptr) {
      BIO_meth_set_write_ex(made, &bio_write);
      BIO_meth_set_read_ex(made, &bio_read);
      BIO_meth_set_ctrl(made, &bio_control);
      BIO_meth_set_create(made, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
    }
    return made;
  }();
  return method;
}

}  // namespace

bio_st* SocketBio::make() {
  const BIO_METHOD* method = socket_method();
  BIO* bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio != nullptr) BIO_set_data(bio, this);
  return bio;
}

std::size_t SocketBio::send(ConstBytes bytes, bool more_follows) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n =
        ::send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) error = errno;
      break;
    }
    sent += static_cast<std::size_t>(n);
    bytes_out += static_cast<std::uint64_t>(n);
  }
  return sent;
}

bool SocketBio::flush() {
  if (!blocked()) return true;
  unsent_from += send(ConstBytes(unsent).subspan(unsent_from), false);
  if (unsent_from < unsent.size()) return false;
  unsent = {};  // gives the memory back: a connection at rest holds none
  unsent_from = 0;
  return true;
}

}  // namespace ferrotunnel::transport
