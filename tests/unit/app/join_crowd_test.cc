// JoinCrowd: who goes when too many connections have not signed in yet. ShortageLog, and what it says. What a server may ask of a client.
#include "app/server/join_crowd.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "app/client/asked.h"
#include "app/server/shortage.h"

namespace ferrotunnel::app {
namespace {

transport::PeerAddress v4(std::uint8_t last, std::uint16_t port = 1) {
  transport::PeerAddress address;
  address.family = 4;
  address.port = port;
  address.bytes[3] = static_cast<std::byte>(last);
  return address;
}
transport::PeerAddress v6(std::uint8_t network, std::uint8_t host) {
  transport::PeerAddress address;
  address.family = 6;
  address.bytes[7] = static_cast<std::byte>(network);
  address.bytes[15] = static_cast<std::byte>(host);
  return address;
}

TEST(JoinLimits, AShareOfTheDescriptorsOverAllShards) {
  EXPECT_EQ(join_limits(2048, 0, UINT64_MAX, 2), (JoinLimits{2048, 512}));
  EXPECT_EQ(join_limits(2048, 0, 1u << 20, 2), (JoinLimits{2048, 512}));
  EXPECT_EQ(join_limits(2048, 0, 1024, 2), (JoinLimits{128, 32}));
  EXPECT_EQ(join_limits(2048, 0, 1024, 64), (JoinLimits{8, 2}));
  EXPECT_EQ(join_limits(2048, 0, 64, 2), (JoinLimits{8, 2}));
  EXPECT_EQ(join_limits(100, 40, 1u << 20, 1), (JoinLimits{100, 40}));
  EXPECT_EQ(join_limits(2048, 1000, 1024, 2), (JoinLimits{128, 128}));
  EXPECT_EQ(join_limits(1, 0, 1u << 20, 1), (JoinLimits{1, 1}));
}

struct Crowd : testing::Test {
  DescriptorBudget budget;
  JoinCrowd crowd{{8, 3}, budget};
};

TEST_F(Crowd, AnAddressPushesOutItsOwn) {
  ASSERT_TRUE(crowd.add(v4(9)));
  for (std::uint16_t i = 0; i < 100; ++i) ASSERT_TRUE(crowd.add(v4(1, i)));
  EXPECT_EQ(crowd.of(v4(1)), 3u);
  EXPECT_EQ(crowd.of(v4(9)), 1u) << "the oldest of all stays";
  EXPECT_EQ(crowd.counters().crowded_out_address, 97u);
  EXPECT_EQ(crowd.counters().crowded_out, 0u);
  EXPECT_EQ(crowd.failed(), 97u);
  EXPECT_EQ(budget.now(DescriptorUse::Handshake), 4u);
}

TEST_F(Crowd, ASubscribersNetworkIsOneAddress) {
  for (std::uint8_t i = 0; i < 10; ++i) ASSERT_TRUE(crowd.add(v6(1, i)));
  ASSERT_TRUE(crowd.add(v6(2, 0)));
  EXPECT_EQ(crowd.of(v6(1, 77)), 3u);
  EXPECT_EQ(crowd.of(v6(2, 77)), 1u);
}

TEST_F(Crowd, TheOldestOfAllGoesWhereThereAreTooMany) {
  for (std::uint8_t i = 0; i < 10; ++i) ASSERT_TRUE(crowd.add(v4(i)));
  EXPECT_EQ(crowd.size(), 8u);
  EXPECT_EQ(crowd.of(v4(0)) + crowd.of(v4(1)), 0u);
  EXPECT_EQ(crowd.of(v4(2)), 1u);
  EXPECT_EQ(crowd.counters().crowded_out, 2u);
}

TEST_F(Crowd, TheOldestGoesWhereNoDescriptorIsLeft) {
  budget.set({5, 5, 5});
  for (std::uint8_t i = 0; i < 4; ++i) ASSERT_TRUE(crowd.add(v4(i)));
  budget.take_anyway(DescriptorUse::Client);
  const auto late = crowd.add(v4(200));
  ASSERT_TRUE(late);
  EXPECT_EQ(crowd.size(), 4u);
  EXPECT_EQ(crowd.of(v4(0)), 0u);
  EXPECT_EQ(budget.now(), 5u);
  crowd.remove(*late);
  EXPECT_EQ(crowd.of(v4(200)), 0u);
  EXPECT_EQ(budget.now(), 4u);
}

TEST_F(Crowd, AnAddressBelowItsSharePushesOutItsOwnWhereNoDescriptorIsLeft) {
  budget.set({4, 4, 4});
  ASSERT_TRUE(crowd.add(v4(9)) && crowd.add(v4(1)) && crowd.add(v4(1)));
  budget.take_anyway(DescriptorUse::Client);
  for (std::uint16_t i = 0; i < 10; ++i) ASSERT_TRUE(crowd.add(v4(1, i)));
  EXPECT_EQ(crowd.of(v4(9)), 1u) << "the oldest of all stays";
  EXPECT_EQ(crowd.of(v4(1)), 2u);
  EXPECT_EQ(crowd.counters().crowded_out_address, 10u);
  EXPECT_EQ(crowd.counters().crowded_out, 0u);
  ASSERT_TRUE(crowd.add(v4(2)));
  EXPECT_EQ(crowd.of(v4(9)), 0u) << "another address: the oldest of all goes";
}

TEST_F(Crowd, NobodyComesWhereOthersHaveAllDescriptors) {
  budget.set({1, 1, 1});
  budget.take_anyway(DescriptorUse::Client);
  EXPECT_FALSE(crowd.add(v4(1)));
  EXPECT_EQ(crowd.failed(), 1u);
  EXPECT_EQ(crowd.of(v4(1)), 0u);
}

TEST_F(Crowd, ClearedItHasGivenAllBack) {
  for (std::uint8_t i = 0; i < 8; ++i) ASSERT_TRUE(crowd.add(v4(i)));
  crowd.clear();
  EXPECT_EQ(crowd.size(), 0u);
  EXPECT_EQ(crowd.of(v4(3)), 0u);
  EXPECT_EQ(budget.now(), 0u);
}

TEST(Shortage, ALineAMinute) {
  ShortageLog log;
  const TimePoint begin{};
  EXPECT_TRUE(log.due(begin));
  EXPECT_FALSE(log.due(begin + std::chrono::seconds(59)));
  EXPECT_TRUE(log.due(begin + std::chrono::seconds(60)));
  EXPECT_FALSE(log.due(begin + std::chrono::seconds(61)));
}

TEST(Shortage, SaysWhatIsInUseAndWhatToDo) {
  DescriptorBudget budget;
  budget.take_anyway(DescriptorUse::Visitor);
  budget.take_anyway(DescriptorUse::Visitor);
  budget.take_anyway(DescriptorUse::Data);
  for (const std::string& text : {starved_text(EMFILE, 256, budget), short_text(256, budget)}) {
    EXPECT_TRUE(text.contains("this process may have 256")) << text;
    EXPECT_TRUE(text.contains("visitors 2, direct links 1, clients' links 0")) << text;
    EXPECT_TRUE(text.contains("ulimit -n") && text.contains("LimitNOFILE=")) << text;
  }
  EXPECT_TRUE(starved_text(ENFILE, 256, budget).contains("fs.file-max"));
  EXPECT_FALSE(starved_text(ENOMEM, 256, budget).contains("ulimit")) << "it would not help";
}

TEST(AskedLimits, AShareOfTheDescriptors) {
  EXPECT_EQ(asked_limits(1024, 64, UINT64_MAX), (AskedLimits{1024, 64}));
  EXPECT_EQ(asked_limits(1024, 64, 1u << 20), (AskedLimits{1024, 64}));
  EXPECT_EQ(asked_limits(1024, 64, 256), (AskedLimits{64, 16}));
  EXPECT_EQ(asked_limits(1024, 64, 8), (AskedLimits{2, 1}));
  EXPECT_EQ(asked_limits(0, 0, 256), (AskedLimits{0, 0})) << "none are wanted";
}

TEST(DirectShare, NoMoreThanAskedForAndThanThereMayBe) {
  AskedCounters counters;
  DirectShare share(3, counters);
  EXPECT_FALSE(share.take()) << "nothing was asked for";
  share.want(2);
  EXPECT_TRUE(share.take() && share.take());
  EXPECT_FALSE(share.take());
  EXPECT_EQ(counters.direct_limited.load(), 0u);
  share.give_to_visitor();
  share.give_to_visitor();
  EXPECT_TRUE(share.lacks());
  EXPECT_TRUE(share.take());
  EXPECT_TRUE(share.full());
  EXPECT_FALSE(share.take()) << "with those that have visitors there are three";
  EXPECT_EQ(counters.direct_limited.load(), 1u);
  share.visitor_gone();
  EXPECT_FALSE(share.full());
  EXPECT_TRUE(share.take());
  share.give(2);
  share.visitor_gone();
  share.want(3);
  EXPECT_TRUE(share.take() && share.take() && share.take());
}

TEST(DirectShare, AServerThatWantsTooManyGetsTheLimit) {
  AskedCounters counters;
  DirectShare share(1024, counters);
  share.want(UINT32_MAX);
  EXPECT_EQ(counters.direct_limited.load(), 1u);
  std::uint32_t taken = 0;
  while (taken < 5000 && share.take()) ++taken;
  EXPECT_EQ(taken, DirectShare::kMostWarm);
}

}  // namespace
}  // namespace ferrotunnel::app
