#include "transport/tcp/road.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace ferrotunnel::transport {

#ifdef __linux__

namespace {

// Of struct tcp_info in linux/tcp.h, which only grows at its end. The C library's stops before most of these, and the two headers cannot be
// included together.
constexpr std::size_t kTotalRetrans = 100;
constexpr std::size_t kDataSegsIn = 152;
constexpr std::size_t kDataSegsOut = 156;
constexpr std::size_t kOutOfOrder = 224;  // since Linux 5.4
constexpr std::size_t kSize = 228;

}  // namespace

std::optional<RoadCount> read_road(int fd) {
  std::array<std::byte, kSize> info{};
  socklen_t length = info.size();
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, info.data(), &length) < 0) return std::nullopt;
  // A kernel that knows less gives less; what it does not give stays 0.
  if (length < kDataSegsOut + sizeof(std::uint32_t)) return std::nullopt;
  const auto at = [&info](std::size_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, info.data() + offset, sizeof value);
    return value;
  };
  return RoadCount{at(kDataSegsOut), at(kTotalRetrans), at(kDataSegsIn), at(kOutOfOrder)};
}

#else

std::optional<RoadCount> read_road(int) { return std::nullopt; }

#endif

}  // namespace ferrotunnel::transport
