// Addresses, listening, connecting, options; and TcpStream on top.
#include "transport/tcp/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "shard_fixture.h"
#include "transport/tcp/delivery.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::transport::test {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
  return value;
}
bool becomes(int fd, short what) {
  pollfd look{fd, what, 0};
  return ::poll(&look, 1, 10'000) == 1;
}

TEST(UniqueFdTest, OwnsOne) {
  UniqueFd a(::dup(0));
  const int number = a.get();
  ASSERT_TRUE(a);
  UniqueFd b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b.get(), number);
  UniqueFd& self = b;
  b = std::move(self);
  EXPECT_EQ(b.get(), number);
  EXPECT_NE(::fcntl(number, F_GETFD), -1);
  b = UniqueFd(::dup(0));
  EXPECT_NE(b.get(), -1);
  const int kept = b.release();
  EXPECT_FALSE(b);
  EXPECT_NE(::fcntl(kept, F_GETFD), -1);
  ::close(kept);
  b.reset();
}

TEST(SocketAddressTest, ParsesAndPrints) {
  const struct {
    const char *in, *text, *ip;
    int family;
    bool loopback;
  } cases[] = {
      {"127.0.0.1", "127.0.0.1:80", "127.0.0.1", AF_INET, true},
      {"127.9.9.9", "127.9.9.9:80", "127.9.9.9", AF_INET, true},
      {"192.0.2.1", "192.0.2.1:80", "192.0.2.1", AF_INET, false},
      {"0.0.0.0", "0.0.0.0:80", "0.0.0.0", AF_INET, false},
      {"::1", "[::1]:80", "::1", AF_INET6, true},
      {"[::1]", "[::1]:80", "::1", AF_INET6, true},
      {"2001:db8::7", "[2001:db8::7]:80", "2001:db8::7", AF_INET6, false},
      {"::ffff:127.0.0.1", "127.0.0.1:80", "127.0.0.1", AF_INET6, true},
      {"::ffff:192.0.2.7", "192.0.2.7:80", "192.0.2.7", AF_INET6, false},
  };
  for (const auto& one : cases) {
    const auto address = parse_ip(one.in, 80);
    ASSERT_TRUE(address) << one.in;
    EXPECT_EQ(address->text(), one.text);
    EXPECT_EQ(address->ip_text(), one.ip);
    EXPECT_EQ(address->family(), one.family);
    EXPECT_EQ(address->port(), 80);
    EXPECT_EQ(address->loopback(), one.loopback) << one.in;
  }
  for (const char* bad : {"localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::g", "[::1", "::1]", "1.2.3.4:80",
                          " 1.2.3.4", "[]", "[", "127.0.0.1 "}) {
    const auto address = parse_ip(bad, 80);
    ASSERT_FALSE(address) << bad;
    EXPECT_EQ(address.error().code, ErrorCode::BadInput);
  }
  for (const char* any : {"", "*"}) {
    const auto address = parse_ip(any, 65535);
    ASSERT_TRUE(address);
    EXPECT_EQ(address->port(), 65535);
    EXPECT_FALSE(address->loopback());
  }
}

TEST(SocketAddressTest, OfUnixSockets) {
  const auto address = unix_address("/run/some.sock");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->text(), "unix:/run/some.sock");
  EXPECT_EQ(address->port(), 0);
  EXPECT_EQ(address->ip_text(), "");
  EXPECT_TRUE(address->loopback());
  EXPECT_TRUE(unix_address(std::string(107, 'a')));
  EXPECT_FALSE(unix_address(std::string(108, 'a')));
  EXPECT_FALSE(unix_address(""));
  EXPECT_FALSE(unix_address(std::string_view("a\0b", 3)));
}

TEST(SocketAddressTest, BecomesAPeerAddress) {
  EXPECT_EQ(to_string(to_peer_address(*parse_ip("192.0.2.7", 5))), "192.0.2.7");
  EXPECT_EQ(to_peer_address(*parse_ip("192.0.2.7", 5)).port, 5);
  EXPECT_EQ(to_peer_address(*parse_ip("::ffff:192.0.2.7", 5)).family, 4) << "a v4 visitor of a dual-stack listener";
  EXPECT_EQ(to_string(to_peer_address(*parse_ip("::ffff:192.0.2.7", 5))), "192.0.2.7");
  EXPECT_EQ(to_string(to_peer_address(*parse_ip("2001:db8::7", 5))), "2001:db8::7");
  EXPECT_EQ(to_peer_address(*unix_address("/x")).family, 0);
  EXPECT_EQ(to_string(PeerAddress{}), "");
}

TEST(Sockets, ListenAndConnect) {
  for (const char* ip : {"127.0.0.1", "::1", "*"}) {
    const auto listener = listen_on(*parse_ip(ip, 0), false);
    if (!listener && std::string_view(ip) == "::1") continue;  // no IPv6 here
    ASSERT_TRUE(listener) << listener.error().context;
    auto address = *local_address(listener->get());
    EXPECT_NE(address.port(), 0);
    if (std::string_view(ip) == "*") address = *parse_ip("127.0.0.1", address.port());
    auto attempt = connect_to(address);
    ASSERT_TRUE(attempt);
    EXPECT_TRUE(attempt->done) << "on this machine the answer is there at once";
    EXPECT_TRUE(becomes(attempt->fd.get(), POLLOUT));
    EXPECT_EQ(take_error(attempt->fd.get()), 0);
    EXPECT_NE(option(attempt->fd.get(), IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_NE(::fcntl(attempt->fd.get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(attempt->fd.get(), F_GETFD) & FD_CLOEXEC, 0);
    const UniqueFd accepted(::accept(listener->get(), nullptr, nullptr));
    EXPECT_TRUE(accepted);
  }
}

TEST(Sockets, APortInUseIsSaid) {
  const auto first = listen_on(*parse_ip("127.0.0.1", 0), false);
  ASSERT_TRUE(first);
  const auto address = *local_address(first->get());
  for (const bool share : {false, true}) {
    const auto second = listen_on(address, share);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::AddressInUse);
    EXPECT_EQ(second.error().side, Side::Local);
    EXPECT_NE(second.error().context.find(address.text()), std::string::npos) << second.error().context;
    EXPECT_NE(second.error().context.find("another program"), std::string::npos) << second.error().context;
  }
}

TEST(Sockets, NobodyListens) {
  SocketAddress address;
  {
    const auto listener = listen_on(*parse_ip("127.0.0.1", 0), false);
    address = *local_address(listener->get());
  }
  auto attempt = connect_to(address);
  if (attempt) {
    EXPECT_FALSE(attempt->done);
    EXPECT_TRUE(becomes(attempt->fd.get(), POLLOUT));
    EXPECT_EQ(take_error(attempt->fd.get()), ECONNREFUSED);
    EXPECT_EQ(take_error(attempt->fd.get()), 0) << "taken";
  } else {
    EXPECT_EQ(attempt.error().code, ErrorCode::Unreachable);
  }
}

TEST(Sockets, UnixListenAndConnect) {
  char dir[] = "/tmp/ft-socket-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const auto address = unix_address(std::string(dir) + "/s");
  const auto none = connect_to(*address);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::Unreachable);
  EXPECT_EQ(none.error().side, Side::Origin);
  EXPECT_NE(none.error().context.find(dir), std::string::npos);
  {
    const auto listener = listen_on(*address, false);
    ASSERT_TRUE(listener) << listener.error().context;
    const auto attempt = connect_to(*address);
    ASSERT_TRUE(attempt);
    EXPECT_TRUE(attempt->done);
    const auto in_use = listen_on(*address, false);
    ASSERT_FALSE(in_use);
    EXPECT_EQ(in_use.error().code, ErrorCode::AddressInUse);
  }
  const auto refused = connect_to(*address);  // the file is there, nobody behind it
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unreachable);
  std::filesystem::remove_all(dir);
}

TEST(Sockets, TuneLink) {
  auto [a, b] = tcp_pair();
  tune_link(a.get());
  EXPECT_NE(option(a.get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(option(a.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT), static_cast<int>(kFirstUnsent));
  auto [c, d] = unix_pair();
  tune_link(c.get());  // means nothing there, harms nothing
}

TEST(Sockets, DeliveryIsWhatThePeersSystemHas) {
  auto [a, b] = tcp_pair();
  auto all_there = [&, &from = a](std::uint64_t n) {
    for (const auto end = Clock::now() + 20s; Clock::now() < end;) {
      const auto delivery = delivery_of(from.get());
      if (!delivery) return false;
      if (!delivery->waiting && delivery->acknowledged >= n) return true;
    }
    return false;
  };
  const std::uint64_t before = delivery_of(a.get())->acknowledged;  // the SYN may count
  ASSERT_EQ(::send(a.get(), "hello", 5, 0), 5);
  EXPECT_TRUE(all_there(before + 5));
  // Unread, until not even the two systems' buffers take more.
  const std::string chunk(1 << 20, 'x');
  std::uint64_t sent = 5;
  for (ssize_t n = 0; (n = ::send(a.get(), chunk.data(), chunk.size(), MSG_DONTWAIT)) > 0;)
    sent += static_cast<std::uint64_t>(n);
  const auto stuck = delivery_of(a.get());
  EXPECT_TRUE(stuck->waiting);
  EXPECT_LT(stuck->acknowledged, sent);
  auto [c, d] = unix_pair();
  EXPECT_FALSE(delivery_of(c.get()));
  EXPECT_FALSE(delivery_of(-1));
}

TEST(Sockets, LocalAddressOfNothing) { EXPECT_FALSE(local_address(-1)); }

// ---- TcpStream --------------------------------------------------------------------------------------------------------

TEST(TcpStreamTest, ReadsWritesAndEnds) {
  for (const bool tcp : {true, false}) {
    auto [one, two] = tcp ? tcp_pair() : unix_pair();
    TcpStream a(std::move(one)), b(std::move(two));
    EXPECT_TRUE(a.plain());
    EXPECT_FALSE(a.read_pending());
    std::array<std::byte, 64> buffer{};
    EXPECT_EQ(a.read(buffer).status, IoStatus::WouldBlock);
    char first[] = "hello, ", second[] = "world", third[] = "!";
    const iovec pieces[] = {{first, 7}, {second, 5}, {third, 1}};
    const IoResult wrote = a.write(pieces);
    EXPECT_EQ(wrote.status, IoStatus::Ok);
    EXPECT_EQ(wrote.n, 13u);
    EXPECT_EQ(a.write(std::span(pieces, 1)).n, 7u);
    ASSERT_TRUE(becomes(b.fd(), POLLIN));
    std::string got;
    while (got.size() < 20) {
      const IoResult read = b.read(MutBytes(buffer).first(6));
      if (read.status != IoStatus::Ok) break;
      got += as_text(ConstBytes(buffer).first(read.n));
    }
    EXPECT_EQ(got, "hello, world!hello, ");
    a.shutdown_write();
    ASSERT_TRUE(becomes(b.fd(), POLLIN));
    EXPECT_EQ(b.read(buffer).status, IoStatus::Eof);
    EXPECT_EQ(b.read(buffer).status, IoStatus::Eof);
    EXPECT_EQ(b.write(std::span(pieces, 1)).status, IoStatus::Ok) << "the other direction goes on";
    ASSERT_TRUE(becomes(a.fd(), POLLIN));
    EXPECT_EQ(a.read(buffer).n, 7u);
    EXPECT_EQ(a.write(std::span(pieces, 1)).status, IoStatus::Error) << "EPIPE, no signal";
  }
}

TEST(TcpStreamTest, FillsUpAndSaysSo) {
  auto [one, two] = tcp_pair();
  TcpStream a(std::move(one)), b(std::move(two));
  std::vector<char> much(1 << 20);
  const iovec piece{much.data(), much.size()};
  std::size_t all = 0;
  IoResult last;
  do {
    last = a.write({&piece, 1});
    all += last.n;
  } while (last.status == IoStatus::Ok);
  EXPECT_EQ(last.status, IoStatus::WouldBlock);
  EXPECT_GT(all, 0u);
  const iovec two_pieces[] = {piece, piece};
  EXPECT_EQ(a.write(two_pieces).status, IoStatus::WouldBlock);
}

TEST(TcpStreamTest, AbortIsAnRst) {
  auto [one, two] = tcp_pair();
  auto a = std::make_unique<TcpStream>(std::move(one));
  TcpStream b(std::move(two));
  a->abort();
  a.reset();
  ASSERT_TRUE(becomes(b.fd(), POLLIN));
  std::array<std::byte, 8> buffer{};
  const IoResult got = b.read(buffer);
  EXPECT_EQ(got.status, IoStatus::Error);
  EXPECT_EQ(got.error, ECONNRESET);
}

// What the kernel does with the descriptors of a process that dies is a close.
TEST(TcpStreamTest, AnArmedOneEndsInAnRstUntilItIsDisarmed) {
  enum class How { Armed, Disarmed, Listener, ListenerDisarmed };
  for (const How how : {How::Armed, How::Disarmed, How::Listener, How::ListenerDisarmed}) {
    const auto listener = listen_on(*parse_ip("127.0.0.1", 0), false);
    ASSERT_TRUE(listener);
    const bool inherits = how == How::Listener || how == How::ListenerDisarmed;
    if (inherits) close_with_reset(listener->get());
    auto there = connect_to(*local_address(listener->get()));
    ASSERT_TRUE(there);
    ASSERT_TRUE(becomes(listener->get(), POLLIN));
    UniqueFd here(::accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    ASSERT_TRUE(here);
    auto stream = std::make_unique<TcpStream>(std::move(here), inherits);
    stream->arm_reset();
    if (how == How::Disarmed || how == How::ListenerDisarmed) stream->disarm_reset();
    stream.reset();
    ASSERT_TRUE(becomes(there->fd.get(), POLLIN));
    char byte = 0;
    const auto got = ::recv(there->fd.get(), &byte, 1, 0);
    if (how == How::Disarmed || how == How::ListenerDisarmed) {
      EXPECT_EQ(got, 0);
    } else {
      EXPECT_EQ(got, -1);
      EXPECT_EQ(errno, ECONNRESET);
    }
  }
}

}  // namespace
}  // namespace ferrotunnel::transport::test
