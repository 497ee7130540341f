// DirectPool: how many warm links are asked for, who gets them, and what ends them.
#include "ingress/tcp/direct_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::ingress {
namespace {

class DirectPoolTest : public testing::Test, public DirectPoolHost {
 public:
  void on_direct_wanted(std::uint32_t want) override { wanted.push_back(want); }
  void on_direct_unused() override { ++unused; }
  std::int64_t direct_room() const override { return room; }

  bool until(const std::function<bool()>& condition) {
    const TimePoint last = Clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      shard.io().restart();
      shard.io().run_one_for(std::chrono::milliseconds(5));
      if (Clock::now() > last) return false;
    }
    return true;
  }
  void run_ready() {
    shard.io().restart();
    while (shard.io().poll() > 0) shard.io().restart();
  }
  // One that the client has dialled; its end is the client's.
  transport::UniqueFd attach(bool spoke = false) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    pool.add(std::make_unique<transport::TcpStream>(transport::UniqueFd(ends[0])), std::make_shared<int>(++places),
             spoke);
    return transport::UniqueFd(ends[1]);
  }
  // The client sees an end.
  static bool ended(const transport::UniqueFd& fd) {
    char byte = 0;
    return ::recv(fd.get(), &byte, 1, 0) == 0;
  }

  MemoryBudget budget;
  transport::Shard shard{0, budget};
  std::vector<std::uint32_t> wanted;
  int unused = 0, places = 0;
  std::int64_t room = INT64_MAX;  // descriptors of the server
  std::shared_ptr<mux::StreamQuota> quota = std::make_shared<mux::StreamQuota>();
  DirectPool pool{shard, *this, 10, quota};
};

struct Waiter final : DirectWaiter {
  explicit Waiter(DirectPool& p) : pool(p) {}
  void on_direct_turn() override {
    ++turns;
    link = pool.take(false);
  }
  DirectPool& pool;
  DirectLink link;
  int turns = 0;
};

TEST_F(DirectPoolTest, NoneIsWantedUntilATunnelNeedsThem) {
  run_ready();
  EXPECT_TRUE(wanted.empty());
  const auto early = attach();
  EXPECT_TRUE(ended(early));
  pool.set_needed(true);
  run_ready();
  EXPECT_EQ(wanted, std::vector<std::uint32_t>{DirectPool::kLeastWarm});
  const auto warm = attach();
  EXPECT_EQ(pool.warm(), 1u);
  pool.set_needed(false);
  EXPECT_TRUE(ended(warm));
  EXPECT_TRUE(until([&] { return wanted.back() == 0; }));
}

TEST_F(DirectPoolTest, WantedFollowsDemandWithinTheLimitAndIsForgotten) {
  pool.set_needed(true);
  std::vector<transport::UniqueFd> ends;
  for (int i = 0; i < 6; ++i) ends.push_back(attach());
  std::vector<DirectLink> links;
  for (int i = 0; i < 6; ++i) links.push_back(pool.take());
  run_ready();
  EXPECT_EQ(pool.in_use(), 6u);
  EXPECT_EQ(wanted.back(), 4u) << "six are wanted, and ten less six may be";
  EXPECT_EQ(pool.counters().limited, 1u);
  links.clear();
  EXPECT_TRUE(until([&] { return wanted.back() == 6; }));
  EXPECT_EQ(unused, 1);
  for (int i = 0; i < 6; ++i) ends.push_back(attach());
  ASSERT_TRUE(until([&] { return wanted.back() == DirectPool::kLeastWarm; }));
  EXPECT_EQ(pool.warm(), DirectPool::kLeastWarm) << "what is too many is closed here";
  EXPECT_TRUE(ended(ends[6]) && ended(ends[7]) && !ended(ends[8])) << "the oldest";
}

TEST_F(DirectPoolTest, HoweverManyAskTheClientIsToldNowAndThen) {
  pool.set_needed(true);
  run_ready();
  ASSERT_EQ(wanted.size(), 1u);
  const TimePoint began = Clock::now();
  std::vector<transport::UniqueFd> ends;
  for (int i = 0; i < 500; ++i) {
    ends.push_back(attach());
    (void)pool.take();
    run_ready();
  }
  const auto intervals = static_cast<std::size_t>((Clock::now() - began) / DirectPool::kTell);
  EXPECT_LE(wanted.size(), 2 + intervals) << "its control messages are limited";
}

TEST_F(DirectPoolTest, NobodyWaitsForWhatCannotCome) {
  struct Waiter final : DirectWaiter {
    void on_direct_turn() override {}
  } waiter;
  pool.set_most(1);
  pool.set_needed(true);
  EXPECT_TRUE(pool.wait(waiter));
  const auto end = attach();
  const DirectLink link = pool.take();
  ASSERT_TRUE(link.stream);
  Waiter another;
  EXPECT_FALSE(pool.wait(another)) << "all that there may be are in use";
}

TEST_F(DirectPoolTest, NoMoreAreWantedThanThereAreDescriptorsFor) {
  room = 2;
  pool.set_needed(true);
  run_ready();
  EXPECT_EQ(wanted.back(), 2u);
  EXPECT_EQ(pool.counters().limited, 1u);
  const auto one = attach(), two = attach();
  room = 0;
  run_ready();
  EXPECT_EQ(pool.warm(), 2u) << "what is there is there";
  const DirectLink first = pool.take(), second = pool.take();
  ASSERT_TRUE(first.stream && second.stream);
  Waiter vain(pool);
  EXPECT_FALSE(pool.wait(vain)) << "none can come";
  EXPECT_TRUE(until([&] { return wanted.back() == 0; }));
  room = 3;
  EXPECT_TRUE(until([&] { return wanted.back() == 3; })) << "it looks again by itself";
  std::list<Waiter> waiters;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pool.wait(waiters.emplace_back(pool)));
  EXPECT_FALSE(pool.wait(vain)) << "three come, and three wait";
}

TEST_F(DirectPoolTest, ThoseThatWaitGoWhereOthersNeedTheirDescriptors) {
  pool.set_needed(true);
  const auto one = attach(), two = attach(), three = attach(), four = attach();
  const DirectLink used = pool.take();  // while visitors ask for them it looks every second
  EXPECT_EQ(pool.warm(), 3u);
  room = -2;
  EXPECT_TRUE(until([&] { return pool.warm() == 0; })) << "here those that end give nothing back";
  EXPECT_TRUE(ended(one) && ended(two) && ended(three));
  EXPECT_FALSE(ended(four));
}

TEST_F(DirectPoolTest, AfterOneHasWaitedInVainNobodyDoesUntilOneComes) {
  pool.set_needed(true);
  Waiter first(pool), second(pool);
  ASSERT_TRUE(pool.wait(first));
  ASSERT_TRUE(until([&] { return first.turns == 1; })) << "his patience ends";
  EXPECT_FALSE(pool.wait(second));
  const auto one = attach();
  const DirectLink link = pool.take();
  ASSERT_TRUE(link.stream);
  EXPECT_TRUE(pool.wait(second));
}

TEST_F(DirectPoolTest, ALimitThatIsLowered) {
  pool.set_needed(true);
  run_ready();
  pool.set_most(2);
  EXPECT_TRUE(until([&] { return wanted.back() == 2; }));
  const auto one = attach(), two = attach(), three = attach();
  EXPECT_EQ(pool.warm(), 2u);
  EXPECT_TRUE(ended(three));
}

TEST_F(DirectPoolTest, TheOneThatCameLastIsTakenFirstAndCountsAsAStreamOfTheGrant) {
  pool.set_needed(true);
  const auto one = attach(), two = attach();
  quota->limit = 1;
  {
    DirectLink link = pool.take();
    ASSERT_TRUE(link.stream);
    EXPECT_EQ(::send(two.get(), "x", 1, 0), 1);
    std::array<std::byte, 1> byte;
    EXPECT_EQ(link.stream->read(byte).status, transport::IoStatus::Ok);
    EXPECT_EQ(quota->used, 1u);
    EXPECT_FALSE(pool.take().stream) << "the grant has no more streams";
    EXPECT_EQ(pool.warm(), 1u);
    pool.put_back(std::move(link));
    EXPECT_EQ(quota->used, 0u);
    EXPECT_EQ(pool.warm(), 2u);
  }
  EXPECT_EQ(quota->used, 0u);
}

TEST_F(DirectPoolTest, OneThatTheClientClosesOrThatSpeaksIsDropped) {
  pool.set_needed(true);
  auto closed = attach();
  const auto speaks = attach(), came_with_bytes = attach(true), stays = attach();
  EXPECT_EQ(pool.warm(), 3u);
  closed.reset();
  EXPECT_EQ(::send(speaks.get(), "x", 1, 0), 1);
  ASSERT_TRUE(until([&] { return pool.warm() == 1; }));
  EXPECT_EQ(pool.counters().lost, 1u);
  EXPECT_EQ(pool.counters().spoke, 2u);
  EXPECT_TRUE(pool.take().stream);
}

TEST_F(DirectPoolTest, WhoWaitsGetsTheNextInTurn) {
  pool.set_needed(true);
  Waiter first(pool), second(pool);
  ASSERT_TRUE(pool.wait(first) && pool.wait(second));
  const auto one = attach();
  EXPECT_TRUE(first.link.stream);
  EXPECT_EQ(second.turns, 0);
  ASSERT_TRUE(until([&] { return second.turns == 1; })) << "his patience ends";
  EXPECT_FALSE(second.link.stream);
  EXPECT_EQ(pool.counters().waited, 2u);
}

TEST_F(DirectPoolTest, TooManyDoNotWait) {
  Waiter early(pool);
  EXPECT_FALSE(pool.wait(early)) << "none will come";
  pool.set_needed(true);
  std::list<Waiter> waiters;
  for (std::size_t i = 0; i < DirectPool::kMostWaiting; ++i) EXPECT_TRUE(pool.wait(waiters.emplace_back(pool)));
  EXPECT_FALSE(pool.wait(early));
  EXPECT_EQ(pool.counters().queue_full, 1u);
  waiters.clear();  // who goes waits no more
  EXPECT_TRUE(pool.wait(early));
}

TEST_F(DirectPoolTest, ClosedItGivesNothingAndTellsNobodyAnything) {
  pool.set_needed(true);
  run_ready();
  const auto warm = attach();
  DirectLink used = pool.take();
  const auto other = attach();
  Waiter waits(pool);
  ASSERT_TRUE(pool.wait(waits));
  const std::size_t said = wanted.size();
  pool.close();
  EXPECT_EQ(waits.turns, 1);
  EXPECT_FALSE(waits.link.stream);
  EXPECT_TRUE(ended(other));
  const auto late = attach();
  EXPECT_TRUE(ended(late));
  EXPECT_EQ(pool.in_use(), 1u);
  used = {};
  EXPECT_EQ(unused, 1);
  run_ready();
  EXPECT_EQ(wanted.size(), said);
}

}  // namespace
}  // namespace ferrotunnel::ingress
