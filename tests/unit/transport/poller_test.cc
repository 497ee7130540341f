// Both pollers keep one contract (poller.h).
#include "transport/poller.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <memory>
#include <vector>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

struct Watcher final : PollHandler {
  explicit Watcher(int n = 0) : number(n) {}
  int number;
  std::uint32_t seen = 0;
  int calls = 0;
  std::function<void(std::uint32_t)> then;
  void on_ready(std::uint32_t what) override {
    seen |= what;
    ++calls;
    if (then) then(what);
  }
  [[nodiscard]] bool saw(std::uint32_t what) const { return (seen & what) == what; }
  void clear() { seen = 0, calls = 0; }
};

void say(int fd, std::string_view text) {
  ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}
std::size_t drain(int fd) {
  char buffer[4096];
  std::size_t all = 0;
  for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) all += static_cast<std::size_t>(n);
  return all;
}
std::size_t stuff(int fd) {
  const std::vector<char> bytes(65'536);
  std::size_t all = 0;
  for (ssize_t n; (n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL)) > 0;) all += static_cast<std::size_t>(n);
  return all;
}

class Pollers : public testing::TestWithParam<bool>, public ShardFixture {
 public:
  Pollers() : ShardFixture(GetParam()) {}
  Poller& poller() { return shard.poller(); }
};
INSTANTIATE_TEST_SUITE_P(Both, Pollers, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

TEST_P(Pollers, ReportWhatStandsWhenAdded) {
  auto [a, b] = unix_pair();
  say(b.get(), "x");
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  EXPECT_EQ(watcher.calls, 0) << "not from inside";
  EXPECT_TRUE(until([&] { return watcher.saw(kReadable | kWritable); }));
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, ReportEachChangeAfterAwait) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  EXPECT_TRUE(until([&] { return watcher.saw(kWritable); }));
  for (int i = 0; i < 20; ++i) {
    drain(a.get());
    watcher.clear();
    poller().await(a.get(), watcher, kReadable);
    run_ready();
    EXPECT_FALSE(watcher.saw(kReadable)) << "nothing came";
    say(b.get(), "hello");
    EXPECT_TRUE(until([&] { return watcher.saw(kReadable); })) << i;
  }
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, BytesThatCameBeforeAwaitAreReported) {
  // Between the read that met WouldBlock and await().
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  run_ready();
  watcher.clear();
  drain(a.get());
  say(b.get(), "in between");
  poller().await(a.get(), watcher, kReadable);
  EXPECT_TRUE(until([&] { return watcher.saw(kReadable); }));
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, AFullSocketIsReportedWhenItTakesAgain) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  EXPECT_TRUE(until([&] { return watcher.saw(kWritable); }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_GT(stuff(a.get()), 0u);
    watcher.clear();
    poller().await(a.get(), watcher, kWritable);
    run_ready();
    EXPECT_FALSE(watcher.saw(kWritable));
    EXPECT_TRUE(until([&] {
      drain(b.get());
      return watcher.saw(kWritable);
    }));
  }
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, AFinIsReported) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  run_ready();
  drain(a.get());
  watcher.clear();
  poller().await(a.get(), watcher, kReadable);
  ::shutdown(b.get(), SHUT_WR);
  EXPECT_TRUE(until([&] { return watcher.saw(kReadable | kPeerClosed); }));
  EXPECT_FALSE(watcher.saw(kFailed));
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, AnRstIsReportedToOneWhoDoesNotRead) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  say(b.get(), "unread");
  EXPECT_TRUE(until([&] { return watcher.saw(kReadable); }));
  watcher.clear();  // and no await(): the handler is paused
  close_with_reset(b.get());
  b.reset();
  EXPECT_TRUE(until([&] { return watcher.saw(kFailed | kReadable); }));
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, AnRstAfterAFinIsReported) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  ::shutdown(b.get(), SHUT_WR);
  EXPECT_TRUE(until([&] { return watcher.saw(kPeerClosed); }));
  watcher.clear();
  close_with_reset(b.get());
  b.reset();
  EXPECT_TRUE(until([&] { return watcher.saw(kFailed); }));
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, BothEndsClosedInOrderIsNoFailure) {
  auto [a, b] = tcp_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  ::shutdown(a.get(), SHUT_WR);
  ::shutdown(b.get(), SHUT_WR);
  EXPECT_TRUE(until([&] { return watcher.saw(kPeerClosed); }));
  run_ready();
  EXPECT_FALSE(watcher.saw(kFailed));
  EXPECT_LT(watcher.calls, 10) << "told without end";
  poller().remove(a.get(), watcher);
}

TEST_P(Pollers, NothingAfterRemove) {
  auto [a, b] = unix_pair();
  Watcher watcher;
  ASSERT_TRUE(poller().add(a.get(), watcher));
  say(b.get(), "x");
  poller().remove(a.get(), watcher);
  poller().remove(a.get(), watcher);  // twice is nothing
  run_ready();
  EXPECT_EQ(watcher.calls, 0);
  say(b.get(), "y");
  run_ready();
  EXPECT_EQ(watcher.calls, 0);
  EXPECT_EQ(drain(a.get()), 2u) << "the descriptor is still its owner's";
}

TEST_P(Pollers, OneThatIsRemovedAndStaysOpenIsQuietAndMayComeBack) {
  auto [a, b] = tcp_pair();
  Watcher first, second, other;
  auto [c, d] = unix_pair();
  ASSERT_TRUE(poller().add(c.get(), other));
  ASSERT_TRUE(poller().add(a.get(), first));
  EXPECT_TRUE(until([&] { return first.saw(kWritable); }));
  poller().remove(a.get(), first);
  first.clear();
  for (int i = 0; i < 5; ++i) {
    say(b.get(), "to nobody");
    run_ready();
  }
  EXPECT_EQ(first.calls, 0);
  // What came meanwhile stands when it is added again, by whomever.
  ASSERT_TRUE(poller().add(a.get(), second));
  EXPECT_TRUE(until([&] { return second.saw(kReadable | kWritable); }));
  EXPECT_EQ(first.calls, 0);
  poller().remove(a.get(), first);  // whose it no longer is
  drain(a.get());
  second.clear();
  poller().await(a.get(), second, kReadable);
  say(b.get(), "x");
  EXPECT_TRUE(until([&] { return second.saw(kReadable); }));
  poller().remove(a.get(), second);
  poller().remove(c.get(), other);
}

TEST_P(Pollers, OneThatLeftIsAnothersAlone) {
  ShardFixture elsewhere(GetParam());
  auto [a, b] = tcp_pair();
  Watcher here, there;
  ASSERT_TRUE(poller().add(a.get(), here));
  EXPECT_TRUE(until([&] { return here.saw(kWritable); }));
  poller().remove(a.get(), here);
  poller().leave(a.get());
  here.clear();
  ASSERT_TRUE(elsewhere.shard.poller().add(a.get(), there));
  say(b.get(), "x");
  run_ready();
  EXPECT_TRUE(elsewhere.until([&] { return there.saw(kReadable); }));
  // It may be gone, and its number another's, before the first looks again.
  elsewhere.shard.poller().remove(a.get(), there);
  a.reset();
  auto [c, d] = tcp_pair();
  Watcher next;
  ASSERT_TRUE(poller().add(c.get(), next));
  EXPECT_TRUE(until([&] { return next.saw(kWritable); }));
  EXPECT_EQ(here.calls, 0);
  poller().remove(c.get(), next);
  poller().leave(d.get());  // one that was never added
}

TEST(EpollBusyPoll, LooksForSoLongAndLetsOthersWorkMeanwhile) {
  ShardFixture world(false);
  Shard& shard = world.shard;
  constexpr Duration kWindow = 300ms;
  auto [a, b] = unix_pair();
  Watcher watcher;
  ASSERT_TRUE(shard.poller().add(a.get(), watcher));
  EXPECT_TRUE(world.until([&] { return watcher.saw(kWritable); }));
  const auto asleep = [&] {
    shard.io().restart();
    return shard.io().poll_one() == 0;
  };
  EXPECT_TRUE(world.until(asleep)) << "without it, it sleeps at once";

  shard.poller().set_busy_poll(kWindow);
  say(b.get(), "x");
  watcher.clear();
  EXPECT_TRUE(world.until([&] { return watcher.saw(kReadable); }));
  const TimePoint heard = Clock::now();
  bool posted = false;
  boost::asio::post(shard.io(), [&] { posted = true; });
  int looks = 0;
  while (!asleep()) {
    ++looks;
    ASSERT_LT(Clock::now(), heard + 20s);
  }
  EXPECT_GE(Clock::now(), heard + kWindow - 50ms);
  EXPECT_GT(looks, 10);
  EXPECT_TRUE(posted);
  // And it still wakes.
  watcher.clear();
  drain(a.get());
  say(b.get(), "y");
  EXPECT_TRUE(world.until([&] { return watcher.saw(kReadable); }));
  shard.poller().remove(a.get(), watcher);
}

TEST_P(Pollers, RemoveInsideABatchSilencesTheRest) {
  // All are ready together; the first one that is told removes (and destroys) all the others.
  constexpr int kCount = 50;
  std::vector<std::pair<UniqueFd, UniqueFd>> pairs;
  std::vector<std::unique_ptr<Watcher>> watchers;
  int told = 0;
  for (int i = 0; i < kCount; ++i) {
    pairs.push_back(unix_pair());
    watchers.push_back(std::make_unique<Watcher>(i));
  }
  for (int i = 0; i < kCount; ++i) {
    Watcher& self = *watchers[static_cast<std::size_t>(i)];
    self.then = [&, me = &self](std::uint32_t) {
      ++told;
      for (std::size_t n = 0; n < watchers.size(); ++n) {
        if (watchers[n] == nullptr || watchers[n].get() == me) continue;
        poller().remove(pairs[n].first.get(), *watchers[n]);
        watchers[n].reset();
        pairs[n].first.reset();
      }
    };
    say(pairs[static_cast<std::size_t>(i)].second.get(), "x");
  }
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_TRUE(poller().add(pairs[i].first.get(), *watchers[i]));
  EXPECT_TRUE(until([&] { return told > 0; }));
  run_ready();
  int left = 0;
  for (std::size_t i = 0; i < kCount; ++i)
    if (watchers[i] != nullptr) {
      ++left;
      poller().remove(pairs[i].first.get(), *watchers[i]);
    }
  EXPECT_EQ(left, 1);
}

TEST_P(Pollers, AHandlerMayRemoveItselfAndAddAnotherForTheSameDescriptor) {
  auto [a, b] = unix_pair();
  Watcher first(1), second(2);
  first.then = [&](std::uint32_t) {
    poller().remove(a.get(), first);
    ASSERT_TRUE(poller().add(a.get(), second));
  };
  say(b.get(), "x");
  ASSERT_TRUE(poller().add(a.get(), first));
  EXPECT_TRUE(until([&] { return second.saw(kReadable | kWritable); }));
  EXPECT_EQ(first.calls, 1);
  poller().remove(a.get(), second);
}

TEST_P(Pollers, ADescriptorNumberThatIsUsedAgain) {
  // Closed and reopened inside one batch: events of the old one do not reach the new one's handler as its own.
  for (int round = 0; round < 50; ++round) {
    auto [a, b] = unix_pair();
    auto old = std::make_unique<Watcher>();
    say(b.get(), "for the old one");
    ASSERT_TRUE(poller().add(a.get(), *old));
    const int number = a.get();
    poller().remove(number, *old);
    old.reset();
    a.reset();
    auto [c, d] = unix_pair();
    Watcher fresh;
    ASSERT_TRUE(poller().add(c.get(), fresh));
    run_ready();
    EXPECT_TRUE(fresh.saw(kWritable));
    if (!GetParam()) EXPECT_FALSE(fresh.saw(kReadable));
    poller().remove(c.get(), fresh);
  }
}

TEST_P(Pollers, MoreThanABatchAllHaveTheirTurn) {
  constexpr std::size_t kCount = 400;  // EpollPoller takes 256 at a time
  std::vector<std::pair<UniqueFd, UniqueFd>> pairs;
  std::vector<Watcher> watchers(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    pairs.push_back(unix_pair());
    ASSERT_TRUE(poller().add(pairs[i].first.get(), watchers[i]));
    say(pairs[i].second.get(), "x");
  }
  EXPECT_TRUE(
      until([&] { return std::ranges::all_of(watchers, [](const Watcher& one) { return one.saw(kReadable); }); }));
  for (std::size_t i = 0; i < kCount; ++i) poller().remove(pairs[i].first.get(), watchers[i]);
}

TEST_P(Pollers, ADescriptorThatCannotBeWatchedIsAnError) {
  Watcher watcher;
  EXPECT_FALSE(poller().add(-1, watcher));
  auto [a, b] = unix_pair();
  const int closed = a.get();
  a.reset();
  EXPECT_FALSE(poller().add(closed, watcher));
}

TEST_P(Pollers, AreTurns) {
  // What a handler schedules for the end of the turn runs behind it, without another look at readiness.
  auto [a, b] = unix_pair();
  struct Task final : TurnTask {
    int runs = 0;
    void run_turn() override { ++runs; }
  } task;
  Watcher watcher;
  watcher.then = [&](std::uint32_t) {
    EXPECT_EQ(task.runs, watcher.calls - 1);
    shard.at_turn_end(task);
    EXPECT_TRUE(task.scheduled());
  };
  ASSERT_TRUE(poller().add(a.get(), watcher));
  say(b.get(), "x");
  EXPECT_TRUE(until([&] { return watcher.saw(kReadable); }));
  EXPECT_EQ(task.runs, watcher.calls);
  poller().remove(a.get(), watcher);
}

}  // namespace
}  // namespace ferrotunnel::transport::test
