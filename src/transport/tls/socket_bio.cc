#include "transport/tls/socket_bio.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

// Of unsent bytes. What one write() gathers, or a handshake flight with a long certificate chain; more means that OpenSSL wrote without being asked.
constexpr std::size_t kMaxUnsent = 256 * 1024;

#ifndef MSG_MORE
constexpr int MSG_MORE = 0;
#endif

// What one call receives at most: the largest read of a link, sealed. A block of a thread, where nothing stays between two reads.
constexpr std::size_t kReceive = 136 * 1024;
std::byte* receive_block() {
  thread_local const auto block = std::make_unique_for_overwrite<std::byte[]>(kReceive);
  return block.get();
}

// The memory of the last `unsent` that was sent whole, for the next: a stream at rest has none, a busy thread does not ask for it each time.
std::vector<std::byte>& spare_block() {
  thread_local std::vector<std::byte> spare;
  return spare;
}
constexpr std::size_t kMaxSpare = 128 * 1024;

SocketBio& io_of(BIO* bio) { return *static_cast<SocketBio*>(BIO_get_data(bio)); }

// Never says "again": what the socket does not take is kept in `unsent`.
int bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  SocketBio& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  if (io.error != 0) return 0;
  const bool blocked = io.blocked();
  if (io.unsent.size() - io.unsent_from + size > kMaxUnsent) {
    io.error = ENOBUFS;
    return 0;
  }
  if (!blocked) io.unsent.swap(spare_block());
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  io.unsent.insert(io.unsent.end(), bytes, bytes + size);
  if (!io.gathers && !blocked) io.flush();
  if (io.error != 0) return 0;
  *written = size;
  return 1;
}

// What recv() says, noted in `io`. 0: not a byte.
std::size_t receive(SocketBio& io, BIO* bio, std::byte* into, std::size_t size) {
  ssize_t n;
  do n = ::recv(io.fd.get(), into, size, 0);
  while (n < 0 && errno == EINTR);
  ++io.receives;
  if (n > 0) {
    io.bytes_in += static_cast<std::uint64_t>(n);
    io.short_read = static_cast<std::size_t>(n) < size;
    return static_cast<std::size_t>(n);
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

int bio_read(BIO* bio, char* data, std::size_t size, std::size_t* got) {
  SocketBio& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  if (!io.holds()) {
    if (io.enough && io.short_read) {  // the Poller tells when there is more
      BIO_set_retry_read(bio);
      return 0;
    }
    if (io.wanted <= size) {
      *got = receive(io, bio, reinterpret_cast<std::byte*>(data), size);
      return *got > 0 ? 1 : 0;
    }
    const std::size_t n = receive(io, bio, receive_block(), io.wanted);
    if (n == 0) return 0;
    io.ahead = {receive_block(), n};
    io.ahead_lent = true;
  }
  *got = std::min(size, io.ahead.size());
  std::memcpy(data, io.ahead.data(), *got);
  io.ahead = io.ahead.subspan(*got);
  return 1;
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

bool SocketBio::flush(bool more_follows) {
  if (!blocked()) return true;
  while (unsent_from < unsent.size()) {
    const ssize_t n = ::send(fd.get(), unsent.data() + unsent_from, unsent.size() - unsent_from,
                             MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0));
    if (n < 0 && errno == EINTR) continue;
    ++sends;
    if (n < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) error = errno;
      return false;
    }
    unsent_from += static_cast<std::size_t>(n);
    bytes_out += static_cast<std::uint64_t>(n);
    if (unsent_from < unsent.size()) return false;  // it took a part: it is full
  }
  unsent.clear();
  unsent_from = 0;
  std::vector<std::byte>& spare = spare_block();
  if (spare.capacity() == 0 && unsent.capacity() <= kMaxSpare) spare.swap(unsent);
  unsent = {};  // gives the memory back: a connection at rest holds none
  return true;
}

void SocketBio::begin_read(std::size_t room) {
  // Each record is a little larger sealed than plain; a record that does not fit is left to the socket, but for its beginning.
  constexpr std::size_t kSealed = 64;
  wanted = std::min(room + kSealed * (room / SSL3_RT_MAX_PLAIN_LENGTH + 1), kReceive);
  short_read = false;
}

void SocketBio::end_read() {
  wanted = 0;
  enough = short_read = false;
  if (ahead.empty()) {
    kept = {};
  } else if (ahead_lent) {
    kept.assign(ahead.begin(), ahead.end());
    ahead = kept;
  }
  ahead_lent = false;
}

}  // namespace ferrotunnel::transport
