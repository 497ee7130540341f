// Limits on their way from the configuration to where they hold, and their counters on the way back.
#include "app/limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "app/server/plan.h"
#include "app/status_json.h"

namespace ferrotunnel::app {
namespace {

using namespace std::chrono_literals;

TEST(Limits, TheLowerOneHoldsAndZeroIsNone) {
  const wire::Limits none;
  const wire::Limits a{1, 20, 0, 4, UINT32_MAX, 0, {"all"}, {}}, b{2, 10, 5, 0, 7, 9, {}, {"all"}};
  const wire::Limits both{1, 10, 5, 4, 7, 9, {}, {}};
  EXPECT_EQ(lower_of(a, b), both);
  EXPECT_EQ(lower_of(b, a), both);
  EXPECT_EQ(lower_of(both, none), both);
  EXPECT_EQ(lower_of(none, none), none);
}

TEST(Limits, WhatTheWireCannotCarryIsCutToWhatItCan) {
  TunnelLimits limits;
  limits.bandwidth = UINT64_MAX;
  limits.idle_timeout = std::chrono::hours(24 * 365);
  limits.allow = {"192.0.2.0/24"};
  const auto wire = to_wire(limits);
  ASSERT_TRUE(wire);
  EXPECT_EQ(wire->bandwidth, wire::kMaxBandwidth);
  EXPECT_EQ(wire->idle_timeout_ms, UINT32_MAX);
  EXPECT_EQ(wire->allow, limits.allow);
  const auto rules = to_rules(*wire);
  ASSERT_TRUE(rules);
  EXPECT_FALSE((*rules)->allow.empty());
  EXPECT_EQ(*to_rules({}), nullptr);
}

TEST(Limits, MistakesNameTheirList) {
  const auto says = [](const TunnelLimits& limits) {
    const auto wire = to_wire(limits);
    return wire ? std::string("fine") : wire.error().context;
  };
  TunnelLimits limits;
  limits.deny = {std::string(65, '1')};
  EXPECT_TRUE(says(limits).starts_with("deny: ")) << says(limits);
  limits.deny = {"10.0.0.0/8", "nonsense"};
  EXPECT_TRUE(says(limits).starts_with("deny: ")) << says(limits);
  limits.deny.assign(wire::kMaxNetworks, "10.0.0.1");
  EXPECT_EQ(says(limits), "fine");
  wire::Limits wire;
  wire.allow = {"nonsense"};
  EXPECT_FALSE(to_rules(wire));
}

TEST(Limits, DescriptorsLessAReserve) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const auto with = [&](rlim_t count) {
    rlimit less = before;
    less.rlim_cur = std::min(count, before.rlim_max);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
    const std::uint32_t limit = visitor_limit({});
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    return limit;
  };
  EXPECT_EQ(with(64), 32u);
  EXPECT_EQ(with(256), 192u);
  EXPECT_EQ(with(1024), 1024u - 128u);
  ServerConfig config;
  config.max_visitors = 7;
  EXPECT_EQ(visitor_limit(config), 7u);
}

TEST(Limits, CountersThereAndBack) {
  ServerStatus status;
  status.visitors = 1;
  status.max_visitors = 2;
  status.refused = {3, 4, 5, 6, 7, 8};
  status.idle_ended = 9;
  status.throttled = 10;
  status.accepts_failed = 19;
  status.descriptors = {20, 21, 22, 23, {24, 25, 26, 27, 28}, {29, 30, 31, 32, 33}};
  status.handshakes_crowded_out = 34;
  status.handshakes_crowded_out_address = 35;
  TunnelStatus& tunnel = status.tunnels.emplace_back();
  tunnel.name = "t";
  tunnel.refused = {11, 12, 13, 14, 15, 16};
  tunnel.idle_ended = 17;
  tunnel.throttled = 18;
  const ServerStatus back = status_from_json(status_json(status));
  EXPECT_EQ(back.visitors, 1u);
  EXPECT_EQ(back.max_visitors, 2u);
  EXPECT_EQ(back.refused, status.refused);
  EXPECT_EQ(back.refused.total(), 33u);
  EXPECT_EQ(back.idle_ended, 9u);
  EXPECT_EQ(back.throttled, 10u);
  EXPECT_EQ(back.accepts_failed, 19u);
  EXPECT_EQ(back.descriptors, status.descriptors);
  EXPECT_EQ(back.handshakes_crowded_out, 34u);
  EXPECT_EQ(back.handshakes_crowded_out_address, 35u);
  ASSERT_EQ(back.tunnels.size(), 1u);
  EXPECT_EQ(back.tunnels[0].refused, tunnel.refused);
  EXPECT_EQ(back.tunnels[0].idle_ended, 17u);
  EXPECT_EQ(back.tunnels[0].throttled, 18u);
}

}  // namespace
}  // namespace ferrotunnel::app
