// VisitorGate: who is let in; and its lanes: how bytes are shared. On a real shard, whose deadlines are the clock.
#include "ingress/limits/visitor_gate.h"

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {
namespace {

using namespace std::chrono_literals;

transport::PeerAddress peer(std::string_view ip) { return transport::to_peer_address(*transport::parse_ip(ip, 1)); }

AddressRulesPtr rules(const std::vector<std::string>& allow, const std::vector<std::string>& deny) {
  return std::make_shared<const AddressRules>(*transport::IpSet::parse(allow), *transport::IpSet::parse(deny));
}

class VisitorGateTest : public testing::Test {
 protected:
  template <class Done>
  bool until(Done done, Duration limit = 20s) {
    const TimePoint end = Clock::now() + limit;
    while (!done()) {
      if (Clock::now() >= end) return false;
      shard.io().run_one_for(20ms);
    }
    return true;
  }
  [[nodiscard]] std::string why(std::string_view ip) {
    auto admitted = gate->admit(peer(ip));
    if (admitted) {
      inside.push_back(std::move(*admitted));
      return "in";
    }
    switch (admitted.error()) {
      case Refusal::Denied: return "denied";
      case Refusal::TunnelLimit: return "tunnel";
      case Refusal::AddressLimit: return "address";
      case Refusal::Rate: return "rate";
      case Refusal::ServerLimit: return "server";
      case Refusal::Memory: return "memory";
    }
    return "?";
  }

  MemoryBudget budget;
  transport::Shard shard{0, budget};
  std::shared_ptr<session::GrantUse> use = std::make_shared<session::GrantUse>();
  VisitorGatePtr gate = std::make_shared<VisitorGate>(shard, use);
  std::list<Admission> inside;
};

TEST_F(VisitorGateTest, WithoutLimitsNobodyHasToAsk) {
  EXPECT_TRUE(gate->open());
  EXPECT_EQ(why("192.0.2.1"), "in");
  wire::Limits limits;
  limits.max_visitors = 1;
  gate->set(limits, nullptr, nullptr);
  EXPECT_FALSE(gate->open());
  gate->set({}, rules({}, {}), nullptr);
  EXPECT_TRUE(gate->open());
  gate->set({}, rules({}, {"192.0.2.1"}), nullptr);
  EXPECT_FALSE(gate->open());
  gate->set({}, nullptr, nullptr);
  use->to_visitors.bucket.set(1'000, 1'000);
  EXPECT_FALSE(gate->open());
  EXPECT_TRUE(gate->throttles());
}

TEST_F(VisitorGateTest, BothListsHaveToAdmit) {
  gate->set({}, rules({"192.0.2.0/24", "2001:db8::/32"}, {"192.0.2.9"}), rules({}, {"192.0.2.128/25"}));
  EXPECT_EQ(why("192.0.2.1"), "in");
  EXPECT_EQ(why("192.0.2.9"), "denied");
  EXPECT_EQ(why("192.0.2.200"), "denied");
  EXPECT_EQ(why("198.51.100.1"), "denied");
  EXPECT_EQ(why("2001:db8::1"), "in");
  EXPECT_EQ(why("2001:db9::1"), "denied");
  EXPECT_EQ(why("::ffff:192.0.2.9"), "denied") << "an IPv4 address by another name";
  EXPECT_FALSE(gate->admit({})) << "unknown is not among those who may";
  gate->set({}, nullptr, rules({"all"}, {}));
  EXPECT_EQ(why("198.51.100.1"), "in");
}

TEST_F(VisitorGateTest, CountsAllAndThoseOfAnAddress) {
  wire::Limits limits;
  limits.max_visitors = 5;
  limits.max_visitors_per_address = 2;
  gate->set(limits, nullptr, nullptr);
  EXPECT_EQ(why("192.0.2.1"), "in");
  EXPECT_EQ(why("192.0.2.1"), "in");
  EXPECT_EQ(why("192.0.2.1"), "address");
  EXPECT_EQ(why("2001:db8:1:1::1"), "in");
  EXPECT_EQ(why("2001:db8:1:1:ffff::2"), "in");
  EXPECT_EQ(why("2001:db8:1:1::3"), "address") << "one /64 is one";
  EXPECT_EQ(why("2001:db8:1:2::3"), "in");
  EXPECT_EQ(why("198.51.100.1"), "tunnel");
  EXPECT_EQ(gate->visitors(), 5u);
  EXPECT_EQ(gate->addresses(), 3u);
  inside.pop_front();
  EXPECT_EQ(why("192.0.2.1"), "in");
  inside.clear();
  EXPECT_EQ(gate->visitors(), 0u);
  EXPECT_EQ(gate->addresses(), 0u);
}

TEST_F(VisitorGateTest, AHigherLimitHoldsAtOnceALowerOneForNewcomers) {
  wire::Limits limits;
  limits.max_visitors = 1;
  gate->set(limits, nullptr, nullptr);
  EXPECT_EQ(why("192.0.2.1"), "in");
  EXPECT_EQ(why("192.0.2.1"), "tunnel");
  limits.max_visitors = 3;
  gate->set(limits, nullptr, nullptr);
  EXPECT_EQ(why("192.0.2.1"), "in");
  limits.max_visitors = 1;
  limits.max_visitors_per_address = 1;
  gate->set(limits, nullptr, nullptr);
  EXPECT_EQ(gate->visitors(), 2u);
  inside.clear();  // they were not counted by address
  EXPECT_EQ(why("192.0.2.1"), "in");
}

TEST_F(VisitorGateTest, NewcomersASecondWithABurstOfAsMany) {
  wire::Limits limits;
  limits.max_new_visitors_per_second = 5;
  gate->set(limits, nullptr, nullptr);
  int in = 0;
  const TimePoint start = Clock::now();
  for (int i = 0; i < 100; ++i) in += why("192.0.2.1") == "in" ? 1 : 0;
  const double passed = std::chrono::duration<double>(Clock::now() - start).count();
  EXPECT_GE(in, 5);
  EXPECT_LE(in, 5 + static_cast<int>(passed * 5) + 1);
  EXPECT_TRUE(until([&] { return why("192.0.2.1") == "in"; }));
}

// One who always has more to send.
struct Sender final : BandwidthShare {
  Sender(BandwidthLane& on, std::uint64_t piece) : lane(on), size(piece) {}
  ~Sender() { lane.leave(*this); }
  void on_allowance() override { send(); }
  void send() {
    while (const std::uint64_t n = lane.take(*this, size)) sent += n;
  }
  BandwidthLane& lane;
  const std::uint64_t size;
  std::uint64_t sent = 0;
};

TEST_F(VisitorGateTest, SendersOfALaneShareItsBandwidth) {
  wire::Limits limits;
  limits.bandwidth = 2'000'000;
  gate->set(limits, nullptr, nullptr);
  BandwidthLane& lane = gate->lane(Way::Out);
  std::list<Sender> senders;
  for (int i = 0; i < 4; ++i) senders.emplace_back(lane, i % 2 == 0 ? 1'000 : 250'000);
  const TimePoint start = Clock::now();
  for (Sender& sender : senders) sender.send();
  EXPECT_FALSE(until([] { return false; }, 2s));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::uint64_t all = 0;
  for (const Sender& sender : senders) all += sender.sent;
  EXPECT_NEAR(static_cast<double>(all), 2'000'000 * seconds, 2'000'000 * seconds * 0.12);
  for (const Sender& sender : senders) {
    EXPECT_NEAR(static_cast<double>(sender.sent), static_cast<double>(all) / 4, static_cast<double>(all) * 0.08)
        << "whatever the size of its pieces";
  }
}

// More senders than a tick has quanta for: all have their turn all the same.
TEST_F(VisitorGateTest, ManySendersOfASlowLaneAllHaveTheirTurn) {
  wire::Limits limits;
  limits.bandwidth = 400'000;  // 10 quanta a tick
  gate->set(limits, nullptr, nullptr);
  std::list<Sender> senders;
  for (int i = 0; i < 30; ++i) senders.emplace_back(gate->lane(Way::In), 100'000).send();
  EXPECT_TRUE(until([&] { return std::ranges::all_of(senders, [](const Sender& s) { return s.sent > 0; }); }, 5s));
}

TEST_F(VisitorGateTest, AVisitorsOwnBandwidthLeavesTheRestToOthers) {
  wire::Limits limits;
  limits.visitor_bandwidth = 500'000;
  gate->set(limits, nullptr, nullptr);
  Sender one(gate->lane(Way::Out), 64'000), other(gate->lane(Way::Out), 64'000);
  const TimePoint start = Clock::now();
  one.send();
  other.send();
  EXPECT_FALSE(until([] { return false; }, 2s));
  const double expected = 500'000 * std::chrono::duration<double>(Clock::now() - start).count();
  EXPECT_NEAR(static_cast<double>(one.sent), expected, expected * 0.12);
  EXPECT_NEAR(static_cast<double>(other.sent), expected, expected * 0.12);
}

TEST_F(VisitorGateTest, TunnelsOfAGrantShareItsBandwidth) {
  use->from_visitors.bucket.set(1'000'000, bandwidth_burst(1'000'000));
  const auto second = std::make_shared<VisitorGate>(shard, use);
  std::list<Sender> senders;
  senders.emplace_back(gate->lane(Way::In), 64'000);
  senders.emplace_back(second->lane(Way::In), 64'000);
  const TimePoint start = Clock::now();
  for (Sender& sender : senders) sender.send();
  EXPECT_FALSE(until([] { return false; }, 2s));
  const double expected = 1'000'000 * std::chrono::duration<double>(Clock::now() - start).count();
  const auto all = static_cast<double>(senders.front().sent + senders.back().sent);
  EXPECT_NEAR(all, expected, expected * 0.12);
  EXPECT_GT(static_cast<double>(senders.front().sent), all * 0.3);
  EXPECT_GT(static_cast<double>(senders.back().sent), all * 0.3);
  senders.clear();
  EXPECT_EQ(use->from_visitors.waiting.load(), 0u);
}

TEST_F(VisitorGateTest, WhoLeavesTheLineTakesNothingAlong) {
  wire::Limits limits;
  limits.bandwidth = 1'000'000;
  gate->set(limits, nullptr, nullptr);
  Sender stays(gate->lane(Way::In), 64'000);
  {
    Sender goes(gate->lane(Way::In), 64'000);
    goes.send();
    stays.send();
    EXPECT_TRUE(goes.waits());
    EXPECT_TRUE(stays.waits());
  }
  const std::uint64_t before = stays.sent;
  EXPECT_TRUE(until([&] { return stays.sent > before; }));
}

TEST_F(VisitorGateTest, LiftingALimitLetsThoseGoWhoWait) {
  wire::Limits limits;
  limits.bandwidth = 1;
  gate->set(limits, nullptr, nullptr);
  struct Once final : BandwidthShare {
    void on_allowance() override { ++told; }
    int told = 0;
  } one;
  BandwidthLane& lane = gate->lane(Way::Out);
  EXPECT_EQ(lane.take(one, 1'000'000), 16'384u);
  EXPECT_EQ(lane.take(one, 1'000'000), 0u);
  gate->set({}, nullptr, nullptr);
  EXPECT_TRUE(until([&] { return one.told == 1; }));
  EXPECT_GE(lane.take(one, 1'000'000), 1'000u);
  lane.leave(one);
}

}  // namespace
}  // namespace ferrotunnel::ingress
