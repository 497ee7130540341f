// What the transport tests share: a shard run in steps by the test's own thread, and pairs of sockets.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "transport/shard.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::transport::test {

using namespace std::chrono_literals;

struct ShardFixture {
  explicit ShardFixture(bool portable = false) : shard(0, budget, portable) {}
  MemoryBudget budget;
  Shard shard;
  // The longest that until() was away: how late a loaded machine makes things.
  Duration longest_step{};

  // Runs the shard until the condition holds; false when it did not within the limit.
  bool until(const std::function<bool()>& condition, Duration limit = 20s) {
    const TimePoint last = Clock::now() + limit;
    TimePoint step = Clock::now();
    while (!condition()) {
      shard.io().restart();
      shard.io().run_one_for(5ms);
      const TimePoint now = Clock::now();
      longest_step = std::max(longest_step, now - step);
      step = now;
      if (now > last) return false;
    }
    return true;
  }
  // What is ready now, and what follows from it.
  void run_ready() {
    shard.io().restart();
    while (shard.io().poll() > 0) shard.io().restart();
  }
};

inline std::pair<UniqueFd, UniqueFd> unix_pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

inline std::pair<UniqueFd, UniqueFd> tcp_pair() {
  auto listener = listen_on(*parse_ip("127.0.0.1", 0), false);
  EXPECT_TRUE(listener);
  EXPECT_EQ(::fcntl(listener->get(), F_SETFL, 0), 0);
  const auto address = local_address(listener->get());
  UniqueFd one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(one.get(), address->get(), address->length), 0);
  UniqueFd two(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  EXPECT_EQ(::fcntl(one.get(), F_SETFL, O_NONBLOCK), 0);
  return {std::move(one), std::move(two)};
}

}  // namespace ferrotunnel::transport::test
