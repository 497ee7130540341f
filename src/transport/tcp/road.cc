#include "transport/tcp/road.h"

#ifdef __linux__
#include <linux/tcp.h>  // not netinet/tcp.h, whose tcp_info ends before what is asked for here
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace ferrotunnel::transport {

std::optional<RoadCount> read_road(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return std::nullopt;
  // A kernel that knows less gives less; what it does not give stays 0.
  if (length < offsetof(tcp_info, tcpi_data_segs_out) + sizeof info.tcpi_data_segs_out) return std::nullopt;
  return RoadCount{.sent = info.tcpi_data_segs_out,
                   .resent = info.tcpi_total_retrans,
                   .received = info.tcpi_data_segs_in,
                   .waited = info.tcpi_rcv_ooopack,
                   .bytes_per_second = info.tcpi_delivery_rate,
                   .idle = info.tcpi_delivery_rate_app_limited != 0,
                   .min_rtt = std::chrono::microseconds(info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt)};
}

}  // namespace ferrotunnel::transport
#else
namespace ferrotunnel::transport {
std::optional<RoadCount> read_road(int) { return std::nullopt; }
}  // namespace ferrotunnel::transport
#endif
