// ProxyReader on real sockets: what is handed on, with which address and which bytes behind it, and what is closed.
#include "ingress/proxy_reader.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <list>
#include <memory>
#include <string>

#include "ingress/tcp/tcp_ingress.h"
#include "transport/tcp/proxy_protocol.h"
#include "unit/ingress/fake_link.h"

namespace ferrotunnel::ingress {
namespace {

using namespace std::chrono_literals;
using transport::PeerAddress;
using transport::UniqueFd;

constexpr std::string_view kHeader = "PROXY TCP4 198.51.100.7 203.0.113.1 4660 443\r\n";

PeerAddress peer(const char* ip) { return transport::to_peer_address(*transport::parse_ip(ip, 99)); }
std::string show(const PeerAddress& address) { return to_string(address) + " " + std::to_string(address.port); }

struct Visitors final : ProxiedVisitors {
  struct Visitor {
    UniqueFd fd;
    std::string from;
  };
  void on_proxied(UniqueFd fd, const PeerAddress& visitor) override { came.push_back({std::move(fd), show(visitor)}); }
  std::list<Visitor> came;
};

class ProxyReaderTest : public testing::TestWithParam<bool>, protected TcpIngressHost {
 protected:
  void make(const ProxyReaderOptions& options) {
    reader = std::make_unique<ProxyReader>(
        shard, *transport::IpSet::parse(std::vector<std::string>{"127.0.0.0/8", "2001:db8::/32"}), options);
  }
  // A connection that is taken; its other end is the proxy's.
  UniqueFd connect(ProxiedVisitors& to) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    reader->take(UniqueFd(fds[0]), peer("127.0.0.1"), to);
    return UniqueFd(fds[1]);
  }
  void say(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  template <class Done>
  bool until(Done done, Duration limit = 20s) {
    const TimePoint end = Clock::now() + limit;
    while (!done()) {
      if (Clock::now() >= end) return false;
      shard.io().run_one_for(20ms);
    }
    return true;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) shard.io().poll();
  }
  static std::string read(const UniqueFd& fd) {
    std::string text(4096, '\0');
    const ssize_t n = ::recv(fd.get(), text.data(), text.size(), 0);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  bool closed(const UniqueFd& fd) {
    return until([&] {
      char byte;
      const ssize_t n = ::recv(fd.get(), &byte, 1, 0);
      return n == 0 || (n < 0 && errno == ECONNRESET);
    });
  }
  void on_visitor(std::uint32_t, int change) override { active += change; }
  void on_refused(std::uint32_t, Refusal) override { ADD_FAILURE() << "nothing is limited here"; }

  MemoryBudget budget;
  transport::Shard shard{0, budget, GetParam()};
  std::unique_ptr<ProxyReader> reader;
  Visitors visitors;
  int active = 0;
};

INSTANTIATE_TEST_SUITE_P(Pollers, ProxyReaderTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(ProxyReaderTest, TrustsWhatItIsTold) {
  make({});
  EXPECT_TRUE(reader->trusts(peer("127.0.0.1")));
  EXPECT_TRUE(reader->trusts(peer("2001:db8::1")));
  EXPECT_FALSE(reader->trusts(peer("192.0.2.1")));
  EXPECT_FALSE(reader->trusts({}));
}

TEST_P(ProxyReaderTest, HandsTheSocketOnWithTheVisitorsFirstByteNext) {
  make({});
  const UniqueFd proxy = connect(visitors);
  settle();
  EXPECT_EQ(reader->waiting(), 1u);
  say(proxy, std::string(kHeader) + "hello");
  ASSERT_TRUE(until([&] { return !visitors.came.empty(); }));
  EXPECT_EQ(visitors.came.front().from, "198.51.100.7 4660");
  EXPECT_EQ(read(visitors.came.front().fd), "hello");
  EXPECT_EQ(reader->waiting(), 0u);
  EXPECT_EQ(reader->counters().accepted, 1u);
  EXPECT_EQ(reader->counters().refused, 0u);
}

TEST_P(ProxyReaderTest, AHeaderThatIsThereAlreadyIsNotWaitedFor) {
  make({});
  int fds[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd proxy(fds[1]);
  say(proxy, kHeader);
  reader->take(UniqueFd(fds[0]), peer("127.0.0.1"), visitors);
  EXPECT_EQ(visitors.came.size(), 1u);
}

TEST_P(ProxyReaderTest, AHeaderInPiecesOfEverySize) {
  make({});
  const PeerAddress from = peer("2001:db8::7");
  std::array<std::byte, transport::kMaxProxyV1> buffer{};
  const std::size_t n = transport::write_proxy_v2(from, peer("::1"), buffer);
  for (const std::string& header : {std::string(kHeader), std::string(as_text(ConstBytes(buffer).first(n)))}) {
    for (std::size_t piece = 1; piece < header.size(); piece += piece < 8 ? 1 : 7) {
      visitors.came.clear();
      const UniqueFd proxy = connect(visitors);
      const std::string all = header + "hello";
      for (std::size_t at = 0; at < all.size(); at += piece) {
        say(proxy, std::string_view(all).substr(at, piece));
        settle();
      }
      ASSERT_TRUE(until([&] { return !visitors.came.empty(); })) << piece;
      EXPECT_EQ(read(visitors.came.front().fd), "hello") << piece;
    }
  }
  EXPECT_EQ(reader->counters().refused, 0u);
}

TEST_P(ProxyReaderTest, AHeaderThatNamesNobodyLeavesTheSocketsOwnAddress) {
  make({});
  const UniqueFd proxy = connect(visitors);
  say(proxy, "PROXY UNKNOWN\r\n");
  ASSERT_TRUE(until([&] { return !visitors.came.empty(); }));
  EXPECT_EQ(visitors.came.front().from, "127.0.0.1 99");
}

TEST_P(ProxyReaderTest, WhatIsNoHeaderIsClosedAndCounted) {
  make({});
  for (const char* said : {"GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 nonsense\r\n", "\r\n\r\nX"}) {
    const UniqueFd proxy = connect(visitors);
    say(proxy, said);
    EXPECT_TRUE(closed(proxy)) << said;
  }
  UniqueFd proxy = connect(visitors);
  say(proxy, kHeader.substr(0, 20));
  settle();
  ::shutdown(proxy.get(), SHUT_WR);
  EXPECT_TRUE(closed(proxy));
  connect(visitors).reset();
  EXPECT_TRUE(until([&] { return reader->counters().refused == 5; }));
  EXPECT_EQ(reader->waiting(), 0u);
  EXPECT_TRUE(visitors.came.empty());
}

TEST_P(ProxyReaderTest, ADeadline) {
  make({.proxy_header_timeout = 200ms});
  const TimePoint began = Clock::now();
  const UniqueFd silent = connect(visitors);
  const UniqueFd slow = connect(visitors);
  say(slow, "PROXY ");
  EXPECT_TRUE(closed(silent));
  EXPECT_TRUE(closed(slow));
  EXPECT_GE(Clock::now() - began, 200ms);
  EXPECT_EQ(reader->counters().refused, 2u);
}

TEST_P(ProxyReaderTest, PastTheLimitTheOldestGoes) {
  make({.max_waiting_headers = 3});
  std::vector<UniqueFd> proxies;
  for (int i = 0; i < 5; ++i) proxies.push_back(connect(visitors));
  EXPECT_EQ(reader->waiting(), 3u);
  EXPECT_TRUE(closed(proxies[0]));
  EXPECT_TRUE(closed(proxies[1]));
  EXPECT_EQ(reader->counters().refused, 2u);
  for (int i = 2; i < 5; ++i) say(proxies[static_cast<std::size_t>(i)], kHeader);
  EXPECT_TRUE(until([&] { return visitors.came.size() == 3; }));
}

TEST_P(ProxyReaderTest, ForgetsOnlyWhatItIsAskedTo) {
  make({});
  Visitors others;
  const UniqueFd gone = connect(visitors);
  const UniqueFd kept = connect(others);
  reader->forget(visitors);
  EXPECT_EQ(reader->waiting(), 1u);
  EXPECT_TRUE(closed(gone));
  say(kept, kHeader);
  EXPECT_TRUE(until([&] { return !others.came.empty(); }));
  EXPECT_EQ(reader->counters().refused, 0u);
  const UniqueFd last = connect(others);
  reader.reset();
  EXPECT_TRUE(closed(last));
}

// ---- at a TCP tunnel's port ---------------------------------------------------------------------------------------

TEST_P(ProxyReaderTest, ATcpTunnelOpensItsStreamWithTheVisitorTheHeaderNames) {
  make({});
  test::FakeLink link(shard);
  auto ingress = std::make_unique<TcpIngress>(shard, link, 5, static_cast<TcpIngressHost&>(*this));
  ingress->read_proxy_headers(reader.get());
  ASSERT_TRUE(ingress->listen(*transport::parse_ip("127.0.0.1", 0)));
  const auto visit = [&] {
    auto connecting = transport::connect_to(*transport::parse_ip("127.0.0.1", ingress->port()));
    EXPECT_TRUE(connecting);
    return std::move(connecting->fd);
  };
  const UniqueFd proxy = visit();
  ASSERT_TRUE(until([&] { return reader->waiting() == 1; }));
  EXPECT_TRUE(link.streams.empty());
  EXPECT_EQ(ingress->counters().accepted, 0u);
  say(proxy, std::string(kHeader) + "hello");
  ASSERT_TRUE(until([&] { return !link.streams.empty() && link.last().got == "hello"; }));
  EXPECT_EQ(show(link.last().info.visitor), "198.51.100.7 4660");
  EXPECT_EQ(active, 1);

  // The tunnel goes, and with it who still waits.
  const UniqueFd waits = visit();
  ASSERT_TRUE(until([&] { return reader->waiting() == 1; }));
  ingress.reset();
  EXPECT_EQ(reader->waiting(), 0u);
  EXPECT_TRUE(closed(waits));
}

TEST_P(ProxyReaderTest, FromOtherAddressesAHeaderIsJustBytes) {
  reader = std::make_unique<ProxyReader>(shard, *transport::IpSet::parse(std::vector<std::string>{"192.0.2.0/24"}),
                                         ProxyReaderOptions{});
  test::FakeLink link(shard);
  TcpIngress ingress(shard, link, 5, static_cast<TcpIngressHost&>(*this));
  ingress.read_proxy_headers(reader.get());
  ASSERT_TRUE(ingress.listen(*transport::parse_ip("127.0.0.1", 0)));
  auto connecting = transport::connect_to(*transport::parse_ip("127.0.0.1", ingress.port()));
  ASSERT_TRUE(connecting);
  ASSERT_TRUE(until([&] { return !link.streams.empty(); }));
  say(connecting->fd, kHeader);
  ASSERT_TRUE(until([&] { return link.last().got == kHeader; }));
  EXPECT_EQ(to_string(link.last().info.visitor), "127.0.0.1");
}

}  // namespace
}  // namespace ferrotunnel::ingress
