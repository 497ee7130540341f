// Each I/O failed in turn, on any of the four sockets of a path: no crash, no leak, every handler hears of exactly one end, every buffer
// comes back. And I/O that is merely awkward (one byte at a time, nothing ready although there is) still gives the exact bytes.
#include "relay_world.h"

namespace ferrotunnel::integration {
namespace {

constexpr std::size_t kUpload = 150'000;

// An upload that ends with FIN, and its answer; then a drain. Whether every I/O was reached before the fault was due.
struct Outcome {
  bool visitor_complete = false, origin_complete = false, clean = false;
};
Outcome run(bool portable, FaultPlan& plan, std::size_t upload = kUpload) {
  const std::size_t answer = upload * 4 / 5;
  Outcome outcome;
  World world(portable, &plan);
  world.at_origin = [answer](Peer& origin, int) {
    origin.send(answer / 2);
    origin.at_eof = [answer](Peer& self) { self.send(answer - answer / 2, true); };
  };
  Peer& visitor = world.visit();
  visitor.send(upload, true);
  const auto relays_over = [&] {
    for (auto* relays : {&world.near_relays, &world.far_relays})
      for (const Joined& one : *relays)
        if (one.ends == 0) return false;
    return true;
  };
  EXPECT_TRUE(world.until([&] {
    return relays_over() && (!world.far_relays.empty() || world.near_relays.front().ends > 0);
  })) << "stuck";
  if (world.near.link) world.near.link->goaway(0, "done");
  EXPECT_TRUE(world.until_links_closed()) << "does not drain";
  EXPECT_TRUE(world.until([&] {
    for (auto* peers : {&world.visitors, &world.origins})
      for (Peer& one : *peers)
        if (!one.over()) return false;
    return true;
  })) << "an outer socket never heard";
  EXPECT_EQ(world.near_relays.front().ends, 1);
  EXPECT_LE(world.far_relays.size(), 1u);
  outcome.visitor_complete = visitor.received == answer && visitor.eof;
  outcome.origin_complete =
      !world.origins.empty() && world.origins.front().received == upload && world.origins.front().eof;
  outcome.clean =
      world.near_relays.front().end.clean && !world.far_relays.empty() && world.far_relays.front().end.clean;
  return outcome;
}

class RelayFaults : public testing::TestWithParam<std::tuple<bool, FaultPlan::Kind>> {};
INSTANTIATE_TEST_SUITE_P(All, RelayFaults,
                         testing::Combine(testing::Bool(),
                                          testing::Values(FaultPlan::Error, FaultPlan::Eof, FaultPlan::WouldBlock)));

TEST_P(RelayFaults, EachCallInTurn) {
  const auto [portable, kind] = GetParam();
  long met = 0;
  for (long at = 1;; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    FaultPlan plan;
    plan.kind = kind;
    plan.at = at;
    const Outcome outcome = run(portable, plan);
    if (kind == FaultPlan::WouldBlock || plan.calls < at) {
      EXPECT_TRUE(outcome.clean && outcome.visitor_complete && outcome.origin_complete);
    }
    if (kind == FaultPlan::Error && plan.calls >= at && outcome.clean) {
      // Only where the path was over already: the failed call was the drain's.
      EXPECT_TRUE(outcome.visitor_complete && outcome.origin_complete);
    }
    if (plan.calls < at) break;
    ++met;
    if (HasFailure()) break;
  }
  EXPECT_GT(met, 20);
}

class RelayAwkward : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Pollers, RelayAwkward, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

TEST_P(RelayAwkward, StormsOfWouldBlock) {
  for (const long every : {2, 3, 5, 7}) {
    FaultPlan plan;
    plan.block_every = every;
    const Outcome outcome = run(GetParam(), plan);
    EXPECT_TRUE(outcome.clean && outcome.visitor_complete && outcome.origin_complete) << every;
  }
}

TEST_P(RelayAwkward, AFewBytesAtATime) {
  for (const std::size_t most : {1u, 7u, 100u, 5000u}) {
    FaultPlan plan;
    plan.most = most;
    const Outcome outcome = run(GetParam(), plan, std::min<std::size_t>(kUpload, 5000 * most));
    EXPECT_TRUE(outcome.clean && outcome.visitor_complete && outcome.origin_complete) << most;
  }
}

TEST_P(RelayAwkward, AFewBytesAndStorms) {
  for (const std::size_t most : {13u, 700u}) {
    FaultPlan plan;
    plan.most = most;
    plan.block_every = 3;
    const Outcome outcome = run(GetParam(), plan, std::min<std::size_t>(kUpload, 1000 * most));
    EXPECT_TRUE(outcome.clean && outcome.visitor_complete && outcome.origin_complete) << most;
  }
}

}  // namespace
}  // namespace ferrotunnel::integration
