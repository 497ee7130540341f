// Memory that peers can fill: whose stream goes when no more may be held, what a full process takes from whom, and control frames
// that wait.
#include "mux_fixture.h"

namespace ferrotunnel::mux::test {
namespace {

constexpr std::size_t kCredit = wire::kInitialCredit;

// Streams of a client that the test feeds; each takes nothing at first.
struct Crowd {
  explicit Crowd(std::size_t max_held, std::size_t memory = MemoryBudget::kDefaultLimit)
      : client(Role::Client, limits(max_held), memory) {
    client.link.appetite = 0;
  }
  static MuxLimits limits(std::size_t max_held) {
    MuxLimits limits;
    limits.max_held = max_held;
    return limits;
  }
  Recorder& open() {
    EXPECT_TRUE(client.feed(open_frame(next)));
    next += 2;
    return client.link.accepted.back();
  }
  Recorder& stall(std::size_t bytes) {
    Recorder& one = open();
    send(one, bytes);
    return one;
  }
  void send(const Recorder& to, std::size_t bytes) {
    EXPECT_TRUE(client.feed(data(to.stream->id(), std::string(bytes, 'x'))));
  }
  [[nodiscard]] std::uint64_t evicted() const { return client.core.counters().memory_resets; }
  Side client;
  std::uint32_t next = 2;
};

bool evicted(const Recorder& one) { return one.ends == 1 && one.end.reason == ResetReason::Memory; }

TEST(MuxMemory, TheLongestStalledGoesAndTheReadersStay) {
  constexpr std::size_t kStreams = 200, kRoom = 20;
  MuxLimits limits;
  limits.max_held = kRoom * kCredit;
  Pair pair({}, limits);
  auto [near, far] = pair.join();
  auto [slow_near, slow_far] = pair.join();
  const std::string sent = pattern(3'000'000, 1), slow_sent = pattern(300'000, 2);
  near->send(sent, true);
  slow_near->send(slow_sent);
  slow_far->appetite = 0;
  std::vector<std::pair<Recorder*, Recorder*>> stalled;
  for (std::size_t i = 0; i < kStreams; ++i) {
    stalled.push_back(pair.join());
    stalled.back().second->appetite = 0;
    stalled.back().first->send(pattern(2 * kCredit));
    pair.settle();
    EXPECT_LE(pair.client.core.held(), limits.max_held);
    slow_far->take(1000);  // slow, but alive
    pair.settle();
    pair.advance(10ms);
  }
  EXPECT_TRUE(far->fin);
  EXPECT_EQ(far->received, sent);
  EXPECT_EQ(slow_far->ends, 0);
  // Held: the slow reader's, and the youngest of the dead.
  std::size_t alive = 0;
  for (std::size_t i = 0; i < kStreams; ++i) {
    const auto& [a, b] = stalled[i];
    if (b->ends == 0) {
      ++alive;
      continue;
    }
    EXPECT_EQ(alive, 0u) << "a younger one went before an older";
    EXPECT_TRUE(evicted(*b));
    EXPECT_TRUE(evicted(*a)) << "the peer hears of it";
  }
  EXPECT_EQ(alive, kRoom - 1);
  EXPECT_EQ(pair.client.core.counters().memory_resets, kStreams - alive);
  slow_far->take();
  pair.settle();
  EXPECT_EQ(slow_far->received, slow_sent);
  for (auto& [a, b] : stalled)
    if (b->ends == 0) b->take();
  pair.settle();
  EXPECT_EQ(stalled.back().second->received, pattern(2 * kCredit));
  EXPECT_EQ(pair.client.core.held(), 0u);
  EXPECT_EQ(pair.client.budget.holders(), 0u);
}

TEST(MuxMemory, TakingSomeMovesToTheBack) {
  Crowd crowd(30'000);
  Recorder& first = crowd.stall(10'000);
  Recorder& second = crowd.stall(10'000);
  Recorder& third = crowd.stall(10'000);
  first.take(1);
  crowd.send(second, 0);  // nothing to hold: changes nothing
  second.take(0);         // nor does it to be asked and take nothing
  Recorder& fourth = crowd.stall(5'000);
  EXPECT_TRUE(evicted(second));
  EXPECT_EQ(first.ends + third.ends + fourth.ends, 0);
  // More of the one that now stalls longest: its own turn, and the others stay.
  crowd.send(third, 20'000);
  EXPECT_TRUE(evicted(third));
  EXPECT_EQ(first.ends + fourth.ends, 0);
  EXPECT_EQ(crowd.evicted(), 2u);
  EXPECT_EQ(crowd.client.core.held(), 9'999u + 5'000u);
}

TEST(MuxMemory, MoreThanFitsAloneTakesNobodyWithIt) {
  Crowd crowd(30'000);
  Recorder& small = crowd.stall(1'000);
  Recorder& large = crowd.stall(30'001);
  EXPECT_TRUE(evicted(large));
  EXPECT_EQ(small.ends, 0);
  Recorder& just = crowd.stall(30'000);
  EXPECT_TRUE(evicted(small));
  EXPECT_EQ(just.ends, 0);
}

TEST(MuxMemory, AHandlerThatHearsOfItResetsAnother) {
  Crowd crowd(30'000);
  Recorder& first = crowd.stall(10'000);
  Recorder& second = crowd.stall(10'000);
  Recorder& third = crowd.stall(10'000);
  first.at_end = [&](Stream&) { std::exchange(second.stream, nullptr)->reset(ResetReason::Cancel); };
  Recorder& fourth = crowd.stall(15'000);
  EXPECT_TRUE(evicted(first));
  EXPECT_EQ(second.ends, 0) << "who resets is not told";
  EXPECT_EQ(third.ends + fourth.ends, 0);
  EXPECT_EQ(crowd.evicted(), 1u) << "the other made room enough";
  EXPECT_EQ(crowd.client.core.held(), 25'000u);
  // The one that wants to hold is reset by a handler: its bytes go nowhere.
  third.at_end = [&](Stream&) { std::exchange(fourth.stream, nullptr)->reset(ResetReason::Cancel); };
  crowd.send(fourth, 10'000);
  EXPECT_TRUE(evicted(third));
  EXPECT_EQ(crowd.client.core.held(), 0u);
  EXPECT_EQ(crowd.client.pool.lent(), 0u);
}

TEST(MuxMemory, AHandlerThatHearsOfItReadsTheOneThatHolds) {
  for (const std::size_t held_before : {std::size_t{0}, std::size_t{5'000}}) {
    Crowd crowd(30'000);
    Recorder& first = crowd.stall(20'000);
    Recorder& second = crowd.open();
    if (held_before > 0) crowd.send(second, held_before);
    // It reads on from here, and nobody will tell it to once more.
    first.at_end = [&](Stream&) { second.take(); };
    crowd.send(second, 15'000);
    EXPECT_TRUE(evicted(first));
    EXPECT_EQ(second.ends, 0);
    EXPECT_EQ(second.received.size(), held_before + 15'000);
    EXPECT_EQ(crowd.client.core.held(), 0u);
  }
}

TEST(MuxMemory, AHandlerThatHearsOfItLosesTheLink) {
  Crowd crowd(30'000);
  Recorder& first = crowd.stall(20'000);
  Recorder& second = crowd.open();
  first.at_end = [&](Stream&) { crowd.client.core.lost(); };
  crowd.send(second, 15'000);
  EXPECT_EQ(second.ends, 1);
  EXPECT_EQ(second.end.reason, ResetReason::LinkLost);
  crowd.client.expect_nothing_left();
}

// Two links of one process.
struct Shared {
  static constexpr std::size_t kMemory = 1u << 20;
  struct One {
    One(Shared& shared, BufferPool& pool) : core(Role::Client, {}, pool, host, link), now(shared.now) {
      link.appetite = 0;
    }
    ~One() { core.lost(); }
    Recorder& stall(std::size_t bytes) {
      feed(open_frame(next));
      Recorder& one = link.accepted.back();
      if (bytes > 0) feed(data(next, std::string(bytes, 'x')));
      next += 2;
      return one;
    }
    void feed(std::string_view bytes) { EXPECT_TRUE(core.receive(as_bytes(bytes), now)); }
    OutputCounter host;
    LinkRecorder link;
    MuxCore core;
    TimePoint now;
    std::uint32_t next = 2;
  };
  TimePoint now{1h};
  MemoryBudget budget{kMemory + kMemory / (MemoryBudget::kHeadShare - 1)};  // of which kMemory is theirs
  BufferPool pool{budget}, other_pool{budget};
  One a{*this, pool}, b{*this, other_pool};
};

TEST(MuxMemory, AFullProcessTakesNothingFromAnotherLinksShare) {
  Shared shared;
  constexpr std::size_t kPiece = 16'384;
  // One link fills the process, and pays for more with its own.
  for (int i = 0; i < 200; ++i) shared.a.stall(kPiece);
  EXPECT_TRUE(shared.budget.bodies_full());
  EXPECT_FALSE(shared.budget.full()) << "there is room for heads";
  EXPECT_LE(shared.budget.used(), Shared::kMemory + kPiece);
  EXPECT_EQ(shared.budget.holders(), 1u);
  EXPECT_EQ(shared.a.core.counters().memory_resets, 200 - shared.a.core.streams());
  EXPECT_EQ(shared.budget.resets(), shared.a.core.counters().memory_resets);
  const std::size_t of_a = shared.a.core.streams();
  // The other link's streams open, hold up to half the limit, and nobody of theirs is cut.
  std::deque<Recorder*> others;
  for (std::size_t i = 0; i < Shared::kMemory / 2 / kPiece; ++i) others.push_back(&shared.b.stall(kPiece));
  for (const Recorder* one : others) EXPECT_EQ(one->ends, 0);
  EXPECT_EQ(shared.b.core.counters().memory_resets, 0u);
  EXPECT_EQ(shared.b.core.counters().streams_refused, 0u);
  EXPECT_EQ(shared.a.core.streams(), of_a);
  EXPECT_EQ(shared.budget.holders(), 2u);
  // Past its share it pays itself.
  shared.b.stall(kPiece);
  EXPECT_TRUE(evicted(*others.front()));
  EXPECT_EQ(others.back()->ends, 0);
  EXPECT_EQ(shared.a.core.streams(), of_a);
  EXPECT_LE(shared.budget.used(), 2 * Shared::kMemory);
  // The first one's next hold brings it down to its share.
  shared.a.stall(kPiece);
  EXPECT_LE(shared.a.core.held(), Shared::kMemory / 2);
  EXPECT_LE(shared.budget.used(), Shared::kMemory + kPiece);
}

TEST(MuxMemory, AtTwiceTheLimitThereIsNoShare) {
  Pair pair({}, {}, 1u << 20);
  auto [a, fa] = pair.join();
  auto [b, fb] = pair.join();
  fa->appetite = 0;
  pair.client.budget.add(1u << 20);
  ASSERT_TRUE(pair.client.budget.full());
  a->send("slow");
  b->send("fast");
  pair.settle();
  EXPECT_EQ(fa->ends, 0) << "a share is left to a link that holds nothing";
  EXPECT_EQ(fb->received, "fast");
  pair.client.budget.add(1u << 20);
  Recorder& refused = pair.server.open();
  b->send(" again");
  pair.settle();
  EXPECT_TRUE(evicted(refused));
  EXPECT_EQ(pair.client.core.counters().streams_refused, 1u);
  EXPECT_EQ(fb->received, "fast again");
  a->send("slower");
  pair.settle();
  EXPECT_TRUE(evicted(*fa));
  pair.client.budget.sub(2u << 20);
  auto [c, fc] = pair.join();
  c->send("room again");
  pair.settle();
  EXPECT_EQ(fc->received, "room again");
}

TEST(MuxMemory, AFullLinkMakesRoomForAStreamThatOpens) {
  Crowd crowd(64u << 20, 100'000);
  Recorder& dead = crowd.stall(50'000);
  Recorder& alive = crowd.stall(1'000);
  crowd.client.budget.add(90'000);  // others'
  crowd.client.budget.add_holder();
  crowd.client.budget.add_holder();
  Recorder& late = crowd.open();
  EXPECT_TRUE(evicted(dead));
  EXPECT_EQ(alive.ends + late.ends, 0);
  EXPECT_EQ(crowd.client.core.counters().streams_refused, 0u);
  crowd.client.budget.sub_holder();
  crowd.client.budget.sub_holder();
  crowd.client.budget.sub(90'000);
}

TEST(MuxMemory, ALinkThatGoesIsNoHolder) {
  MemoryBudget budget;
  BufferPool pool(budget);
  OutputCounter host;
  LinkRecorder link;
  link.appetite = 0;
  {
    MuxCore core(Role::Client, {}, pool, host, link);
    ASSERT_TRUE(core.receive(as_bytes(open_frame(2) + data(2, "held")), TimePoint{1h}));
    EXPECT_EQ(budget.holders(), 1u);
  }
  EXPECT_EQ(budget.holders(), 0u);
  EXPECT_EQ(budget.used(), 0u);
}

// ---- control frames that wait -----------------------------------------------------------------------------------------

TEST(MuxMemory, ControlFramesThatAlwaysWaitStayBounded) {
  MuxLimits limits;
  limits.max_controls_per_second = 1'000'000;
  Side client(Role::Client, limits);
  Side server(Role::Server, limits);
  const auto text = [](int i) {
    std::string json = "{\"i\":" + std::to_string(i) + "}";
    json.resize(4096 - wire::kHeaderSize, ' ');
    return json;
  };
  int next = 0;
  for (; next < 512; ++next) client.core.send_control(text(next));  // 2 MiB wait, always
  for (; next < 20'000; ++next) {
    client.core.send_control(text(next));
    server.feed(client.produce(4096));
    ASSERT_LE(client.core.control_capacity(), 8u << 20);
  }
  EXPECT_TRUE(client.core.has_output());
  server.feed(client.drain());
  ASSERT_FALSE(server.failure);
  ASSERT_EQ(server.link.controls.size(), 20'000u);
  for (int i = 0; i < next; ++i) ASSERT_EQ(server.link.controls[static_cast<std::size_t>(i)], text(i));
  EXPECT_LE(client.core.control_capacity(), 256u * 1024) << "given back when it is over";
}

TEST(MuxMemory, ALongTailOfALargeQueueGivesItsMemoryBack) {
  Side client(Role::Client);
  for (int i = 0; i < 1000; ++i) client.core.send_control("{" + std::string(3000, ' ') + "}");
  EXPECT_GT(client.core.control_capacity(), 3'000'000u);
  for (int i = 0; i < 2900; ++i) (void)client.produce(1024);
  ASSERT_TRUE(client.core.has_output());
  EXPECT_LE(client.core.control_capacity(), 1'000'000u);
  (void)client.drain();
}

TEST(MuxMemory, APeerThatOnlySendsDataMeetsTheBoundOfControlFrames) {
  MuxLimits limits;
  limits.max_control_queue = 1000;
  Side client(Role::Client, limits);
  ASSERT_TRUE(client.feed(open_frame(2)));
  int n = 0;
  while (n < 1000 && client.feed(data(2, std::string(kCredit / 2, 'x')))) ++n;  // one CREDIT each
  EXPECT_NEAR(n, 1000 / 12, 2);
  ASSERT_TRUE(client.failure);
  EXPECT_EQ(client.failure->code, ErrorCode::Limit);
  EXPECT_TRUE(client.core.failure());
  EXPECT_TRUE(client.feed(data(2, "x"))) << "said once";
  const auto frames = client.sent();
  EXPECT_EQ(frames.back().type, FrameType::Goaway);
  EXPECT_EQ(frames.back().number(4), static_cast<std::uint32_t>(GoawayCode::Limit));
}

TEST(MuxMemory, TheBoundOfControlFramesOutsideReceive) {
  MuxLimits limits;
  limits.max_control_queue = 1000;
  Side client(Role::Client, limits);
  const int before = client.host.outputs;
  client.core.send_control("{" + std::string(1000, ' ') + "}");
  ASSERT_TRUE(client.core.failure());
  EXPECT_EQ(client.core.failure()->code, ErrorCode::Limit);
  EXPECT_GT(client.host.outputs, before) << "the shell looks";
  const std::size_t capacity = client.core.control_capacity();
  for (int i = 0; i < 1000; ++i) client.core.send_control("{}");
  EXPECT_EQ(client.core.control_capacity(), capacity) << "nothing comes behind the GOAWAY";
  EXPECT_FALSE(client.feed("x")) << "receive() says it too";
  EXPECT_EQ(client.sent().size(), 2u);
}

TEST(MuxMemory, TheBoundOfControlFramesInsideProduce) {
  MuxLimits limits;
  limits.max_control_queue = 1000;
  Side client(Role::Client, limits);
  ASSERT_TRUE(client.feed(open_frame(2) + open_frame(4)));
  Recorder &one = client.accepted(0), &two = client.accepted(1);
  one.at_fill = [&](Stream&) { client.core.send_control("{" + std::string(1000, ' ') + "}"); };
  one.send("bytes");
  two.send("bytes that stay");
  const auto frames = client.sent();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].type, FrameType::Data);
  EXPECT_EQ(frames[1].type, FrameType::Control);
  EXPECT_EQ(frames[2].type, FrameType::Goaway);
  EXPECT_TRUE(client.core.failure());
  EXPECT_EQ(two.fills, 0u);
}

}  // namespace
}  // namespace ferrotunnel::mux::test
