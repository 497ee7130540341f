#include "transport/byte_stream.h"

#include <sys/ioctl.h>

namespace ferrotunnel::transport {

bool ByteStream::has_unread() const {
  int n = 0;
  return read_pending() || (::ioctl(fd(), FIONREAD, &n) == 0 && n > 0);
}

}  // namespace ferrotunnel::transport
