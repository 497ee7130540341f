#include "transport/tcp/delivery.h"

#ifdef __linux__
#include <linux/tcp.h>  // not netinet/tcp.h, whose tcp_info ends before what is asked for here
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace ferrotunnel::transport {

std::optional<Delivery> delivery_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return {};
  if (length < offsetof(tcp_info, tcpi_notsent_bytes) + sizeof info.tcpi_notsent_bytes) return {};
  return Delivery{info.tcpi_bytes_acked, info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0};
}

}  // namespace ferrotunnel::transport
#else
namespace ferrotunnel::transport {
std::optional<Delivery> delivery_of(int) { return {}; }
}  // namespace ferrotunnel::transport
#endif
