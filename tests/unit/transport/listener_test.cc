// Accepting: bounded batches, nothing lost when descriptors run out, and destruction from inside.
#include "transport/tcp/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <memory>
#include <optional>
#include <vector>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

class Listening : public testing::TestWithParam<bool>, public ShardFixture {
 public:
  Listening() : ShardFixture(GetParam()) {
    auto fd = listen_on(*parse_ip("127.0.0.1", 0), true);
    EXPECT_TRUE(fd);
    address = *local_address(fd->get());
    listening = std::move(*fd);
  }
  UniqueFd dial() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(fd);
    EXPECT_EQ(::connect(fd.get(), address.get(), address.length), 0);
    return fd;
  }
  UniqueFd listening;
  SocketAddress address;
};
INSTANTIATE_TEST_SUITE_P(Pollers, Listening, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

TEST_P(Listening, HandsOnWhoCalls) {
  std::vector<UniqueFd> accepted;
  SocketAddress peer;
  Listener listener(shard, std::move(listening), [&](UniqueFd fd, const SocketAddress& from) {
    accepted.push_back(std::move(fd));
    peer = from;
  });
  ASSERT_TRUE(listener.start());
  const UniqueFd caller = dial();
  ASSERT_TRUE(until([&] { return accepted.size() == 1; }));
  EXPECT_EQ(peer.port(), local_address(caller.get())->port());
  EXPECT_EQ(peer.ip_text(), "127.0.0.1");
  EXPECT_EQ(peer.text(), "127.0.0.1:" + std::to_string(peer.port()));
  EXPECT_NE(::fcntl(accepted[0].get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(accepted[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  int nodelay = 0;
  socklen_t length = sizeof nodelay;
  ASSERT_EQ(::getsockopt(accepted[0].get(), IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
  EXPECT_NE(nodelay, 0) << "inherited";
}

TEST_P(Listening, ThoseWhoCalledBeforeItStarted) {
  std::vector<UniqueFd> callers, accepted;
  for (int i = 0; i < 5; ++i) callers.push_back(dial());
  Listener listener(shard, std::move(listening),
                    [&](UniqueFd fd, const SocketAddress&) { accepted.push_back(std::move(fd)); });
  ASSERT_TRUE(listener.start());
  EXPECT_TRUE(until([&] { return accepted.size() == 5; }));
}

TEST_P(Listening, ThoseWhoWaitAreTakenBeforeItGoes) {
  std::vector<UniqueFd> callers, accepted;
  for (int i = 0; i < 100; ++i) callers.push_back(dial());
  {
    Listener listener(shard, std::move(listening),
                      [&](UniqueFd fd, const SocketAddress&) { accepted.push_back(std::move(fd)); });
    listener.take_waiting();
    listener.take_waiting();  // none
  }
  EXPECT_EQ(accepted.size(), 100u) << "of more than a batch";
}

TEST_P(Listening, MoreThanABatch) {
  std::vector<UniqueFd> callers, accepted;
  bool between = false;
  std::size_t at_between = 0;
  Listener listener(shard, std::move(listening), [&](UniqueFd fd, const SocketAddress&) {
    if (accepted.empty()) shard.post([&] { between = true, at_between = accepted.size(); });
    accepted.push_back(std::move(fd));
  });
  for (int i = 0; i < 200; ++i) callers.push_back(dial());
  ASSERT_TRUE(listener.start());
  EXPECT_TRUE(until([&] { return accepted.size() == 200; }));
  EXPECT_TRUE(between);
  EXPECT_LE(at_between, static_cast<std::size_t>(Listener::kBatch)) << "others have their turn between batches";
  callers.push_back(dial());
  EXPECT_TRUE(until([&] { return accepted.size() == 201; }));
  EXPECT_EQ(listener.failures(), 0u);
}

TEST_P(Listening, ItsConnectionsInheritKeepAlive) {
  const auto option = [](const UniqueFd& fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(fd.get(), level, name, &value, &size), 0);
    return value;
  };
  std::vector<UniqueFd> callers, accepted;
  Listener listener(shard, std::move(listening),
                    [&](UniqueFd fd, const SocketAddress&) { accepted.push_back(std::move(fd)); });
  ASSERT_TRUE(listener.start());
  for (const auto silence : {std::chrono::milliseconds(60'000), std::chrono::milliseconds(1),
                             std::chrono::milliseconds(0), std::chrono::milliseconds(1'000'000'000)}) {
    listener.keep_alive(silence);
    accepted.clear();
    callers.push_back(dial());
    ASSERT_TRUE(until([&] { return accepted.size() == 1; }));
    EXPECT_EQ(option(accepted[0], SOL_SOCKET, SO_KEEPALIVE), silence.count() > 0 ? 1 : 0);
    if (silence.count() == 0) continue;
    const int idle = silence.count() == 1 ? 1 : silence.count() == 60'000 ? 60 : 32'767;
    EXPECT_EQ(option(accepted[0], IPPROTO_TCP, TCP_KEEPIDLE), idle);
    EXPECT_EQ(option(accepted[0], IPPROTO_TCP, TCP_KEEPINTVL), std::max(1, idle / 4));
    EXPECT_EQ(option(accepted[0], IPPROTO_TCP, TCP_KEEPCNT), 4);
  }
}

TEST_P(Listening, WaitsWhenDescriptorsRunOutAndLosesNobody) {
  std::vector<UniqueFd> accepted, callers;
  Listener listener(shard, std::move(listening),
                    [&](UniqueFd fd, const SocketAddress&) { accepted.push_back(std::move(fd)); });
  std::vector<int> told;
  listener.on_starved([&told](int error) { told.push_back(error); });
  ASSERT_TRUE(listener.start());
  callers.push_back(dial());
  ASSERT_TRUE(until([&] { return accepted.size() == 1; }));
  for (int i = 0; i < 10; ++i) callers.push_back(dial());
  // No number is free any more.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd highest(::dup(0));
  const rlimit none{static_cast<rlim_t>(highest.get()) + 1, before.rlim_max};
  // Below the limit there may be holes: fill them.
  std::vector<UniqueFd> fill;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (;;) {
    UniqueFd hole(::dup(0));
    if (!hole) break;
    fill.push_back(std::move(hole));
  }
  ASSERT_EQ(errno, EMFILE);
  const TimePoint begin = Clock::now();
  EXPECT_TRUE(until([&] { return listener.failures() >= 2; }));
  EXPECT_GE(Clock::now() - begin, Listener::kPause) << "it does not spin";
  EXPECT_EQ(accepted.size(), 1u);
  EXPECT_EQ(told, std::vector<int>(listener.failures(), EMFILE));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const std::uint64_t failures = listener.failures();
  EXPECT_TRUE(until([&] { return accepted.size() == 11; })) << "without another caller";
  EXPECT_LE(listener.failures(), failures + 1);
  callers.push_back(dial());
  EXPECT_TRUE(until([&] { return accepted.size() == 12; }));
}

TEST_P(Listening, MayBeDestroyedFromInside) {
  std::optional<Listener> listener;
  std::vector<UniqueFd> callers;
  int accepted = 0;
  for (int i = 0; i < 3; ++i) callers.push_back(dial());
  listener.emplace(shard, std::move(listening), [&](UniqueFd, const SocketAddress&) {
    ++accepted;
    listener.reset();
  });
  ASSERT_TRUE(listener->start());
  ASSERT_TRUE(until([&] { return accepted == 1; }));
  run_ready();
  EXPECT_EQ(accepted, 1);
  const UniqueFd late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_LT(::connect(late.get(), address.get(), address.length), 0) << "it listens no more";
}

TEST_P(Listening, DestroyedWhileItWaits) {
  auto listener =
      std::make_unique<Listener>(shard, std::move(listening), [](UniqueFd, const SocketAddress&) { FAIL(); });
  ASSERT_TRUE(listener->start());
  const UniqueFd caller = dial();
  listener.reset();
  run_ready();
}

TEST_P(Listening, TwoShareAPort) {
  auto second = listen_on(address, true);
  ASSERT_TRUE(second);
  int one = 0, two = 0;
  std::vector<UniqueFd> callers;
  Listener first(shard, std::move(listening), [&](UniqueFd, const SocketAddress&) { ++one; });
  Listener other(shard, std::move(*second), [&](UniqueFd, const SocketAddress&) { ++two; });
  ASSERT_TRUE(first.start() && other.start());
  for (int i = 0; i < 100; ++i) callers.push_back(dial());
  EXPECT_TRUE(until([&] { return one + two == 100; }));
  EXPECT_GT(one, 0);
  EXPECT_GT(two, 0);
}

}  // namespace
}  // namespace ferrotunnel::transport::test
