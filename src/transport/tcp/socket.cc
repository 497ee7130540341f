#include "transport/tcp/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace ferrotunnel::transport {
namespace {

constexpr int kBacklog = 4096;

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

int open_socket(int family) {
#ifdef SOCK_NONBLOCK
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
  const int fd = ::socket(family, SOCK_STREAM, 0);
  if (fd >= 0) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return fd;
#endif
}

const sockaddr_in& v4(const SocketAddress& a) { return reinterpret_cast<const sockaddr_in&>(a.storage); }
const sockaddr_in6& v6(const SocketAddress& a) { return reinterpret_cast<const sockaddr_in6&>(a.storage); }

// With what people meet most often, in words.
Error listen_error(int error, const SocketAddress& address) {
  Error told = errno_error(error, Side::Local, "cannot listen on " + address.text());
  if (error == EADDRINUSE) told.context += ": another program listens there";
  if (error == EACCES && address.family() != AF_UNIX)
    told.context += ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
  return told;
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(v4(*this).sin_port);
  if (family() == AF_INET6) return ntohs(v6(*this).sin6_port);
  return 0;
}

void SocketAddress::set_port(std::uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
}

bool SocketAddress::loopback() const {
  if (family() == AF_INET) return (ntohl(v4(*this).sin_addr.s_addr) >> 24) == 127;
  if (family() == AF_INET6) {
    const in6_addr& a = v6(*this).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
  }
  return family() == AF_UNIX;
}

std::string SocketAddress::ip_text() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    ::inet_ntop(AF_INET, &v4(*this).sin_addr, text, sizeof text);
  } else if (family() == AF_INET6) {
    const in6_addr& a = v6(*this).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
      ::inet_ntop(AF_INET, &a.s6_addr[12], text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &a, text, sizeof text);
    }
  }
  return text;
}

std::string SocketAddress::text() const {
  if (family() == AF_UNIX) return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(storage).sun_path;
  const std::string ip = ip_text();
  const std::string number = std::to_string(port());
  return ip.find(':') == std::string::npos ? ip + ":" + number : "[" + ip + "]:" + number;
}

Result<SocketAddress> parse_ip(std::string_view ip, std::uint16_t port) {
  SocketAddress address;
  auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
  auto& in6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (ip.empty() || ip == "*") {
    in6.sin6_family = AF_INET6;
    in6.sin6_addr = in6addr_any;
    address.length = sizeof in6;
    if (const UniqueFd probe(open_socket(AF_INET6)); !probe) {
      address.storage = {};
      in.sin_family = AF_INET;
      address.length = sizeof in;
    }
    address.set_port(port);
    return address;
  }
  if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
  const std::string text(ip);
  if (::inet_pton(AF_INET, text.c_str(), &in.sin_addr) == 1) {
    in.sin_family = AF_INET;
    address.length = sizeof in;
  } else if (::inet_pton(AF_INET6, text.c_str(), &in6.sin6_addr) == 1) {
    in6.sin6_family = AF_INET6;
    address.length = sizeof in6;
  } else {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "'" + text + "' is not an IP address"));
  }
  address.set_port(port);
  return address;
}

Result<SocketAddress> unix_address(std::string_view path) {
  SocketAddress address;
  auto& un = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.empty() || path.size() >= sizeof un.sun_path || path.find('\0') != std::string_view::npos)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                                 "a unix socket's path has 1 to " + std::to_string(sizeof un.sun_path - 1) + " bytes"));
  un.sun_family = AF_UNIX;
  std::ranges::copy(path, un.sun_path);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

PeerAddress to_peer_address(const SocketAddress& address) {
  PeerAddress peer;
  peer.port = address.port();
  if (address.family() == AF_INET) {
    peer.family = 4;
    std::memcpy(peer.bytes.data(), &v4(address).sin_addr, 4);
  } else if (address.family() == AF_INET6) {
    const in6_addr& a = v6(address).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
      peer.family = 4;
      std::memcpy(peer.bytes.data(), &a.s6_addr[12], 4);
    } else {
      peer.family = 6;
      std::memcpy(peer.bytes.data(), &a, 16);
    }
  }
  return peer;
}

std::string to_string(const PeerAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.family == 4) ::inet_ntop(AF_INET, address.bytes.data(), text, sizeof text);
  if (address.family == 6) ::inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

Result<SocketAddress> local_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) < 0)
    return std::unexpected(errno_error(errno, Side::Local, "getsockname"));
  return address;
}

Result<UniqueFd> listen_on(const SocketAddress& address, bool share) {
  UniqueFd fd(open_socket(address.family()));
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot make a socket"));
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
#ifdef SO_REUSEPORT
  if (share) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
#endif
  if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // Accepted connections inherit it: no call for each.
  if (address.family() != AF_UNIX) set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (::bind(fd.get(), address.get(), address.length) < 0 || ::listen(fd.get(), kBacklog) < 0)
    return std::unexpected(listen_error(errno, address));
  return fd;
}

Result<Connecting> connect_to(const SocketAddress& address) {
  Connecting attempt{UniqueFd(open_socket(address.family())), false};
  if (!attempt.fd) return std::unexpected(errno_error(errno, Side::Local, "cannot make a socket"));
  if (address.family() != AF_UNIX) set_nodelay(attempt.fd.get());
  if (::connect(attempt.fd.get(), address.get(), address.length) == 0) {
    attempt.done = true;
  } else if (errno != EINPROGRESS) {
    return std::unexpected(errno_error(errno, Side::Origin, "cannot connect to " + address.text()));
  } else if (address.loopback()) {
    // On this machine the other end has usually answered by now: one look saves a wait. A refusal is left to the wait.
    pollfd look{attempt.fd.get(), POLLOUT, 0};
    attempt.done = ::poll(&look, 1, 0) == 1 && look.revents == POLLOUT;
  }
  return attempt;
}

int take_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
  return error;
}

bool peer_ended(int fd) {
#ifdef POLLRDHUP
  constexpr short kFin = POLLRDHUP;
#else
  constexpr short kFin = 0;  // an RST alone is told apart from bytes
#endif
  pollfd look{fd, kFin, 0};
  return ::poll(&look, 1, 0) == 1 && (look.revents & (kFin | POLLHUP | POLLERR)) != 0;
}

void set_nodelay(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void set_keepalive(int fd, Duration silence) {
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, silence > Duration::zero() ? 1 : 0);
  if (silence <= Duration::zero()) return;
#if defined(TCP_KEEPIDLE) && defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
  constexpr int kProbes = 4;
  constexpr std::int64_t kLongest = 32'767;  // the kernel's, in seconds
  const auto idle =
      static_cast<int>(std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(silence).count(), 1, kLongest));
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, idle / kProbes));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
#endif
}

void tune_link(int fd) {
  set_nodelay(fd);
  set_unsent(fd, kFirstUnsent);
}

void set_unsent(int fd, std::size_t most) {
#ifdef TCP_NOTSENT_LOWAT
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(most));
#endif
}

void tune_direct(int fd, Duration silence) {
  set_keepalive(fd, silence);
#ifdef TCP_NOTSENT_LOWAT
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0);  // the system's
#endif
}

void close_with_reset(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void close_with_fin(int fd) {
  const linger off{0, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
}

}  // namespace ferrotunnel::transport
