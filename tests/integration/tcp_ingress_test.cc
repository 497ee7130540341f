// TcpIngress on a real port with a real pair of links behind it: who is let in, counted, and ended.
#include "ingress/tcp/tcp_ingress.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <list>
#include <map>

#include "mux/mux_link.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::ingress {
namespace {

using namespace std::chrono_literals;
using transport::UniqueFd;

// The client's end: gives every byte back, and the FIN.
struct Echo final : transport::StreamHandler {
  std::size_t on_data(transport::Stream& s, ConstBytes bytes) override {
    text += as_text(bytes);
    s.want_write();
    return bytes.size();
  }
  void on_fin(transport::Stream& s) override {
    fin = true;
    s.want_write();
  }
  void on_end(transport::Stream&, transport::StreamEnd how) override { end = how; }
  transport::Fill fill(transport::Stream&, MutBytes into) override {
    const std::size_t n = std::min(text.size(), into.size());
    std::ranges::copy(as_bytes(text).first(n), into.begin());
    text.erase(0, n);
    return {n, fin && text.empty(), !text.empty()};
  }
  transport::Stream* stream = nullptr;
  transport::OpenInfo info;
  std::string text;
  bool fin = false;
  std::optional<transport::StreamEnd> end;
};

class TcpIngressTest : public testing::TestWithParam<bool>, protected TcpIngressHost {
 protected:
  TcpIngressTest() { connect({}); }
  ~TcpIngressTest() override {
    ingress.reset();
    client.link.reset();
    server.link.reset();
  }
  void connect(const mux::MuxLimits& limits) {
    ingress.reset();
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    server.link = std::make_unique<mux::MuxLink>(shard, std::make_unique<transport::TcpStream>(UniqueFd(fds[0])),
                                                 mux::Role::Server, limits, server);
    client.link = std::make_unique<mux::MuxLink>(shard, std::make_unique<transport::TcpStream>(UniqueFd(fds[1])),
                                                 mux::Role::Client, mux::MuxLimits{}, client);
    client.streams = &streams;
    EXPECT_TRUE(server.link->start());
    EXPECT_TRUE(client.link->start());
    ingress = std::make_unique<TcpIngress>(shard, *server.link, 5, static_cast<TcpIngressHost&>(*this));
    server.on_lost = [this] { ingress.reset(); };
  }
  [[nodiscard]] static transport::SocketAddress at(std::uint16_t port) {
    return *transport::parse_ip("127.0.0.1", port);
  }
  void listen() { ASSERT_TRUE(ingress->listen(at(0))); }
  [[nodiscard]] UniqueFd visit() const {
    auto connecting = transport::connect_to(at(ingress->port()));
    EXPECT_TRUE(connecting);
    return std::move(connecting->fd);
  }
  template <class Done>
  bool until(Done done) {
    const TimePoint end = Clock::now() + 20s;
    while (!done()) {
      if (Clock::now() >= end) return false;
      shard.io().run_one_for(20ms);
    }
    return true;
  }
  void say(const UniqueFd& fd, std::string_view text) {
    ASSERT_TRUE(until(
        [&] { return ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()); }));
  }
  std::string read(const UniqueFd& fd, std::size_t n) {
    std::string all(n, '\0');
    std::size_t have = 0;
    EXPECT_TRUE(until([&] {
      const ssize_t got = ::recv(fd.get(), all.data() + have, n - have, 0);
      if (got > 0) have += static_cast<std::size_t>(got);
      return have == n || got == 0;
    }));
    all.resize(have);
    return all;
  }
  // How the connection ends: "FIN", "RST".
  std::string end_of(const UniqueFd& fd) {
    std::string how;
    EXPECT_TRUE(until([&] {
      char buffer[4096];
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n == 0) how = "FIN";
      if (n < 0 && errno == ECONNRESET) how = "RST";
      return !how.empty();
    }));
    return how;
  }

  struct LinkEnd final : transport::LinkHandler {
    void on_open(transport::Stream& stream, const transport::OpenInfo& info) override {
      Echo& echo = streams->emplace_back();
      echo.stream = &stream;
      echo.info = info;
      stream.set_handler(echo);
    }
    void on_control(std::string_view) override {}
    void on_goaway(std::uint32_t, std::string_view) override {}
    void on_link_closed(const Error&) override {
      if (on_lost) on_lost();
      link.reset();
    }
    std::list<Echo>* streams = nullptr;
    std::function<void()> on_lost;
    std::unique_ptr<mux::MuxLink> link;
  };

  void on_visitor(std::uint32_t tunnel, int change) override {
    EXPECT_EQ(tunnel, 5u);
    now += change;
    total += change > 0 ? 1 : 0;
    EXPECT_GE(now, 0);
  }

  void on_refused(std::uint32_t tunnel, Refusal why) override {
    EXPECT_EQ(tunnel, 5u);
    refused.push_back(why);
  }

  std::vector<Refusal> refused;
  MemoryBudget budget;
  transport::Shard shard{0, budget, GetParam()};
  std::list<Echo> streams;
  LinkEnd server, client;
  std::unique_ptr<TcpIngress> ingress;
  int now = 0, total = 0;
};

INSTANTIATE_TEST_SUITE_P(Pollers, TcpIngressTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(TcpIngressTest, PortZeroIsPickedAndVisitorsAreCounted) {
  listen();
  ASSERT_NE(ingress->port(), 0);
  UniqueFd one = visit(), two = visit();
  say(one, "from one");
  say(two, "and two");
  EXPECT_EQ(read(one, 8), "from one");
  EXPECT_EQ(read(two, 7), "and two");
  EXPECT_EQ(ingress->active(), 2u);
  EXPECT_EQ(now, 2);
  EXPECT_EQ(ingress->counters().accepted, 2u);
  // The client is told who visits which tunnel.
  const auto local = transport::local_address(one.get());
  EXPECT_EQ(streams.front().info.tunnel, 5u);
  EXPECT_EQ(streams.front().info.kind, transport::OpenKind::Raw);
  EXPECT_EQ(streams.front().info.visitor.port, local->port());
  EXPECT_EQ(transport::to_string(streams.front().info.visitor), "127.0.0.1");

  ::shutdown(one.get(), SHUT_WR);
  EXPECT_EQ(end_of(one), "FIN");
  ASSERT_TRUE(until([&] { return now == 1; }));
  two.reset();
  ASSERT_TRUE(until([&] { return now == 0; }));
  EXPECT_EQ(ingress->active(), 0u);
  EXPECT_EQ(total, 2);
  EXPECT_EQ(ingress->counters().bytes_in, 15u);
  EXPECT_EQ(ingress->counters().bytes_out, 15u);
  ASSERT_TRUE(until([&] { return streams.front().end && streams.back().end; }));
}

TEST_P(TcpIngressTest, APortInUseIsSaid) {
  listen();
  TcpIngress second(shard, *server.link, 6, static_cast<TcpIngressHost&>(*this));
  const auto listening = second.listen(at(ingress->port()));
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().code, ErrorCode::AddressInUse);
  // The first is not harmed, and when it goes the port is free at once, with visitors of its in TIME_WAIT.
  const UniqueFd visitor = visit();
  say(visitor, "x");
  EXPECT_EQ(read(visitor, 1), "x");
  const std::uint16_t port = ingress->port();
  ingress.reset();
  TcpIngress third(shard, *server.link, 7, static_cast<TcpIngressHost&>(*this));
  EXPECT_TRUE(third.listen(at(port)));
  EXPECT_EQ(third.port(), port);
}

TEST_P(TcpIngressTest, WithoutMemoryOrPlaceNewcomersAreReset) {
  VisitorCount count;
  count.set_max(1);
  listen();
  ingress->limit(nullptr, &count);
  // Full is not enough: what others hold takes nothing from a newcomer's share.
  budget.add(budget.limit());
  {
    UniqueFd early = visit();
    say(early, "x");
    EXPECT_EQ(read(early, 1), "x");
  }
  EXPECT_TRUE(until([&] { return count.now() == 0; }));
  budget.add(budget.limit());
  EXPECT_EQ(end_of(visit()), "RST");
  EXPECT_EQ(count.now(), 0u);
  budget.sub(2 * budget.limit());
  UniqueFd one = visit();
  say(one, "x");
  EXPECT_EQ(read(one, 1), "x");
  EXPECT_EQ(count.now(), 1u);
  EXPECT_EQ(end_of(visit()), "RST");
  EXPECT_EQ(refused, (std::vector<Refusal>{Refusal::Memory, Refusal::ServerLimit}));
  one.reset();
  EXPECT_TRUE(until([&] { return count.now() == 0; }));
  EXPECT_EQ(total, 2);
}

// Limits come and go while visitors with and without a throttle are there; all of it ends with the tunnel.
TEST_P(TcpIngressTest, EndsWithVisitorsWhoWaitForBandwidth) {
  const auto gate = std::make_shared<VisitorGate>(shard, nullptr);
  wire::Limits limits;
  limits.bandwidth = 1;
  gate->set(limits, nullptr, nullptr);
  listen();
  ingress->limit(gate, nullptr);
  std::list<UniqueFd> visitors;
  for (int i = 0; i < 5; ++i) {
    visitors.push_back(visit());
    say(visitors.back(), std::string(8'000, 'x'));
  }
  ASSERT_TRUE(until([&] { return now == 5 && gate->throttled() >= 3; }));
  visitors.pop_front();
  ASSERT_TRUE(until([&] { return now <= 5 && gate->visitors() == static_cast<std::uint32_t>(now); }));
  ingress.reset();
  EXPECT_EQ(gate->visitors(), 0u);
}

TEST_P(TcpIngressTest, AVisitorForWhomThereIsNoStreamIsReset) {
  mux::MuxLimits limits;
  limits.max_streams = 1;
  connect(limits);
  listen();
  const UniqueFd one = visit();
  say(one, "x");
  EXPECT_EQ(read(one, 1), "x");
  const UniqueFd two = visit();
  EXPECT_EQ(end_of(two), "RST");
  EXPECT_EQ(ingress->counters().accepted, 2u);
  EXPECT_EQ(ingress->counters().refused, 1u);
  EXPECT_EQ(now, 1);
  EXPECT_EQ(total, 1);
  say(one, "still here");
  EXPECT_EQ(read(one, 10), "still here");
}

TEST_P(TcpIngressTest, ADrainingLinkTakesNobodyNew) {
  listen();
  const UniqueFd one = visit();
  say(one, "x");
  EXPECT_EQ(read(one, 1), "x");
  server.link->goaway(0, "drain");
  const UniqueFd two = visit();
  end_of(two);
  ingress->stop_accepting();
  auto three = transport::connect_to(at(ingress->port()));
  ASSERT_TRUE(three);
  ASSERT_TRUE(until([&] { return transport::take_error(three->fd.get()) == ECONNREFUSED; }));
  say(one, "still here");
  EXPECT_EQ(read(one, 10), "still here");
  ::shutdown(one.get(), SHUT_WR);
  EXPECT_EQ(end_of(one), "FIN");
  ASSERT_TRUE(until([&] { return !server.link; })) << "drained";
  EXPECT_EQ(now, 0);
}

TEST_P(TcpIngressTest, DestroyedWithVisitors) {
  listen();
  const UniqueFd one = visit(), two = visit();
  say(one, "x");
  EXPECT_EQ(read(one, 1), "x");
  ASSERT_TRUE(until([&] { return ingress->active() == 2; }));
  ingress.reset();
  end_of(one);
  end_of(two);
  ASSERT_TRUE(until([&] { return std::ranges::all_of(streams, [](const Echo& e) { return e.end.has_value(); }); }));
  EXPECT_EQ(streams.size(), 2u);
  for (const Echo& echo : streams) EXPECT_EQ(echo.end->reason, transport::ResetReason::Cancel);
  EXPECT_EQ(server.link->status().streams, 0u);
}

TEST_P(TcpIngressTest, TheLinkBreaks) {
  listen();
  const UniqueFd one = visit();
  say(one, "x");
  EXPECT_EQ(read(one, 1), "x");
  client.link->close(Error(ErrorCode::Io, Side::Tunnel, true, "cut"));
  EXPECT_EQ(end_of(one), "RST");
  ASSERT_TRUE(until([&] { return !server.link; }));
  EXPECT_EQ(now, 0) << "each visitor is told of before the link's end";
}

TEST_P(TcpIngressTest, ABurstIsServedToTheLast) {
  listen();
  std::vector<UniqueFd> visitors;
  for (int i = 0; i < 200; ++i) visitors.push_back(visit());
  for (const UniqueFd& visitor : visitors) say(visitor, "hello");
  for (const UniqueFd& visitor : visitors) EXPECT_EQ(read(visitor, 5), "hello");
  EXPECT_EQ(ingress->active(), 200u);
  visitors.clear();
  ASSERT_TRUE(until([&] { return now == 0; }));
  EXPECT_EQ(shard.buffers().lent(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::ingress
