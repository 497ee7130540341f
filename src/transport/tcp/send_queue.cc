#include "transport/tcp/send_queue.h"

#include <sys/ioctl.h>

#ifdef __linux__
#include <linux/sockios.h>
#endif

namespace ferrotunnel::transport {

std::size_t unacknowledged(int fd) {
#ifdef SIOCOUTQ
  int bytes = 0;
  if (::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0) return static_cast<std::size_t>(bytes);
#else
  (void)fd;
#endif
  return 0;
}

}  // namespace ferrotunnel::transport
