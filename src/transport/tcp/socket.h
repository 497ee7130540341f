// Sockets without waiting: addresses, listening, connecting, options. Any thread; errors name the address.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "transport/link.h"

namespace ferrotunnel::transport {

// Owns a descriptor. -1: none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// An address of a TCP or unix socket, resolved.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] std::uint16_t port() const;  // 0 for unix
  void set_port(std::uint16_t port);
  [[nodiscard]] bool loopback() const;
  [[nodiscard]] std::string text() const;     // "192.0.2.1:80", "[::1]:80", "unix:/run/x"
  [[nodiscard]] std::string ip_text() const;  // without the port
};
// A numeric address: "127.0.0.1", "::1", "[::1]"; "" or "*" is every address (dual-stack where there is IPv6).
[[nodiscard]] Result<SocketAddress> parse_ip(std::string_view ip, std::uint16_t port);
[[nodiscard]] Result<SocketAddress> unix_address(std::string_view path);
[[nodiscard]] PeerAddress to_peer_address(const SocketAddress& address);
[[nodiscard]] std::string to_string(const PeerAddress& address);  // the IP's text, "" when unknown
[[nodiscard]] Result<SocketAddress> local_address(int fd);

// A listening, non-blocking socket. Connections inherit TCP_NODELAY. `share`: SO_REUSEPORT, for one a shard.
[[nodiscard]] Result<UniqueFd> listen_on(const SocketAddress& address, bool share);
// Begins to connect. The descriptor becomes writable when it is decided; connect_error() then tells. `done`: it already stands.
struct Connecting {
  UniqueFd fd;
  bool done = false;
};
[[nodiscard]] Result<Connecting> connect_to(const SocketAddress& address);
[[nodiscard]] int take_error(int fd);   // SO_ERROR; 0 none
[[nodiscard]] bool peer_ended(int fd);  // its FIN is here, or an end that is worse, whatever is still to be read before

// For a link: small segments go at once, and the kernel's unsent queue stays short, so that control frames do not wait behind it
// (TCP_NOTSENT_LOWAT, where the system has it).
inline constexpr std::size_t kFirstUnsent = 256 * 1024;  // mux/link_pace.h goes on from it
void tune_link(int fd);
void set_unsent(int fd, std::size_t most);  // that queue alone
void set_nodelay(int fd);
// After so much silence the kernel asks the other machine whether it is there, and ends the connection when it gets no answer for as long
// again. 0: never. Of a listener, its connections inherit it.
void set_keepalive(int fd, Duration silence);
// For a direct link, which carries one visitor and nothing that has to overtake him: as tune_link() found it, and watched by the kernel.
void tune_direct(int fd, Duration silence);
void close_with_reset(int fd);  // SO_LINGER 0: the close that follows, or the end of the process, sends an RST
void close_with_fin(int fd);    // takes that back

}  // namespace ferrotunnel::transport
