// Payloads that go by pipes: in and out of a core, in pieces of any size, beside those that are copied.
#include <random>

#include "mux_fixture.h"
#include "transport/pipe.h"

namespace ferrotunnel::mux::test {
namespace {

constexpr std::size_t kLarge = 64 * 1024;

// A core with pipes, and what a shell does with them.
struct PipedSide : Side {
  using Side::Side;
  transport::PipePool pipes;
  transport::PipeLease in = pipes.borrow();

  std::string produce_piped() {
    const transport::PipeLease out = pipes.borrow();
    std::string bytes(128 * 1024, '\xee');
    host.producing = true;
    const std::size_t n = core.produce({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, now, out.get());
    host.producing = false;
    bytes.resize(n + out->size());
    EXPECT_EQ(out->read({reinterpret_cast<std::byte*>(bytes.data()) + n, bytes.size() - n}), bytes.size() - n);
    return bytes;
  }
  // At most so much of the bytes' front by the way that the core wants; how much.
  std::size_t feed_some(std::string_view bytes, std::size_t most, bool may_pipe) {
    if (!may_pipe || !core.splices()) {
      const std::size_t n = std::min(bytes.size(), most);
      feed(bytes.substr(0, n));
      return n;
    }
    transport::Pipe* pipe = core.pipe_at_hand();
    if (pipe == nullptr) {
      if (!in) in = pipes.borrow();
      pipe = in.get();
    }
    const std::size_t n = Recorder::pour(*pipe, bytes.substr(0, std::min(most, core.payload_left())));
    if (n > 0) core.receive_piped(in, n, now);
    return n > 0 ? n : feed_some(bytes, most, false);  // no room in it
  }
  void feed_piped(std::string_view bytes) {
    while (!bytes.empty())
      bytes.remove_prefix(feed_some(bytes, core.payload_left() > 0 ? SIZE_MAX : wire::kHeaderSize, true));
  }
  // With a stream whose handler takes pipes; the bytes that the peer would send on it.
  Recorder& accept_piped(std::size_t appetite = SIZE_MAX) {
    feed(open_frame(2));
    Recorder& far = link.accepted.back();
    far.piped = true;
    far.appetite = appetite;
    return far;
  }
};

TEST(MuxPipe, TakesALargePayloadFromAPipe) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped();
  const std::string bytes = pattern(kLarge);
  client.feed_piped(data(2, bytes, true));
  EXPECT_EQ(far.pipe_takes, 1u);
  EXPECT_EQ(far.received, bytes);
  EXPECT_TRUE(far.fin);
  EXPECT_EQ(client.core.held(), 0u);
}

TEST(MuxPipe, ASmallOneIsCopied) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped();
  client.feed_piped(data(2, pattern(MuxCore::kSpliceLeast - 1)));
  EXPECT_EQ(far.pipe_takes, 0u);
  EXPECT_EQ(far.received, pattern(MuxCore::kSpliceLeast - 1));
}

TEST(MuxPipe, SoIsOneWhoseHandlerTakesNone) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped();
  far.piped = false;
  client.feed_piped(data(2, pattern(kLarge)));
  EXPECT_EQ(far.received, pattern(kLarge));
}

TEST(MuxPipe, WhatIsNotTakenStaysInThePipeWithinItsCredit) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped(1000);
  const std::string bytes = pattern(kLarge);
  client.feed_piped(data(2, bytes.substr(0, 40'000)));
  EXPECT_EQ(client.core.held(), 39'000u);
  EXPECT_EQ(client.budget.used(), 39'000u) << "what is in a pipe counts";
  EXPECT_EQ(client.budget.holders(), 1u);
  EXPECT_EQ(client.pool.lent(), 0u);
  EXPECT_EQ(client.in, nullptr) << "the stream has it";
  // More, behind it in the same pipe.
  client.feed_piped(data(2, bytes.substr(40'000)));
  EXPECT_EQ(client.core.held(), kLarge - 1000);
  EXPECT_EQ(client.pool.lent(), 0u);
  client.feed(data(2, "x"));
  ASSERT_EQ(far.ends, 1) << "the credit is used up";
  EXPECT_EQ(far.end.reason, ResetReason::FlowControl);
  EXPECT_EQ(client.core.held(), 0u);
  client.in.reset();
  EXPECT_EQ(client.pipes.lent(), 0u);
}

TEST(MuxPipe, BlocksBehindAPipeAndAllInOrder) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped(0);
  const std::string bytes = pattern(kLarge);
  client.feed_piped(data(2, bytes.substr(0, 20'000)));
  client.feed_piped(data(2, bytes.substr(20'000, 300)));           // too small for a pipe
  client.feed_piped(data(2, bytes.substr(20'300, 40'000), true));  // nothing may pass those
  EXPECT_EQ(client.core.held(), 60'300u);
  EXPECT_GT(client.pool.lent(), 0u);
  for (int i = 0; i < 7; ++i) far.take(9000);
  EXPECT_EQ(far.received, bytes.substr(0, 60'300));
  EXPECT_TRUE(far.fin);
  EXPECT_EQ(client.core.held(), 0u);
  EXPECT_EQ(client.budget.used(), 0u);
  EXPECT_EQ(client.budget.holders(), 0u);
}

TEST(MuxPipe, ANewHandlerThatTakesNoneGetsACopy) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped(0);
  const std::string bytes = pattern(50'000);
  client.feed_piped(data(2, bytes.substr(0, 30'000)));
  client.feed_piped(data(2, bytes.substr(30'000, 100)));
  client.feed_piped(data(2, bytes.substr(30'100)));
  far.piped = false;
  far.take();
  EXPECT_EQ(far.received, bytes);
  EXPECT_EQ(client.core.held(), 0u);
  EXPECT_EQ(client.budget.used(), 0u);
}

TEST(MuxPipe, AStreamThatIsResetWhileItTakesLeavesNothing) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped(5000);
  far.at_data = [](Stream& stream) { stream.reset(ResetReason::Cancel); };
  client.feed_piped(data(2, pattern(kLarge)));
  EXPECT_EQ(far.ends, 0);
  EXPECT_EQ(client.core.streams(), 0u);
  EXPECT_EQ(client.core.held(), 0u);
  EXPECT_TRUE(client.in != nullptr && client.in->empty()) << "whatever was left in it is gone";
  // And the next frame is understood.
  EXPECT_TRUE(client.feed(data(2, "late")));
  EXPECT_EQ(client.core.counters().late_frames, 1u);
}

TEST(MuxPipe, AStreamThatIsResetWhileHeldBytesAreTaken) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped(0);
  client.feed_piped(data(2, pattern(kLarge)));
  far.at_data = [](Stream& stream) { stream.reset(ResetReason::Cancel); };
  far.take(100);
  client.expect_nothing_left();
}

TEST(MuxPipe, WhereThereIsNoRoomTheStalledOneIsReset) {
  MuxLimits limits;
  limits.max_held = 30'000;
  PipedSide client(Role::Client, limits);
  Recorder& far = client.accept_piped(0);
  client.feed_piped(data(2, pattern(40'000)));
  ASSERT_EQ(far.ends, 1);
  EXPECT_EQ(far.end.reason, ResetReason::Memory);
  client.expect_nothing_left();
}

TEST(MuxPipe, CreditIsNotGivenForWhatIsStillComing) {
  PipedSide client(Role::Client);
  Recorder& far = client.accept_piped();
  const std::string all = data(2, pattern(wire::kInitialCredit));
  std::string_view rest = all;
  for (int i = 0; i < 3; ++i) rest.remove_prefix(client.feed_some(rest, 20'000, i > 0));
  const auto sent = client.sent();
  std::size_t given = 0;
  for (const Sent& one : sent)
    if (one.type == FrameType::Credit) given += one.number();
  EXPECT_LE(given, far.received.size());
}

TEST(MuxPipe, SendsFromAPipeWhatWasLargeTheLastTime) {
  PipedSide server(Role::Server);
  Recorder& near = server.open();
  near.piped = true;
  server.feed(credit(2, 1u << 20));
  const std::string bytes = pattern(500'000);
  near.send(bytes, true);
  EXPECT_FALSE(server.core.wants_pipe()) << "nobody knows yet";
  std::string got, all;
  while (server.core.has_output()) {
    const std::string out = server.produce_piped();
    all += out;
    for (const Sent& one : parse(out))
      if (one.type == FrameType::Data) got += one.payload;
  }
  EXPECT_EQ(got, bytes);
  EXPECT_EQ(near.fills, 1u + (near.fills > 1 ? 1 : 0));
  EXPECT_GE(near.pipe_fills, 2u);
  EXPECT_TRUE(near.fin_sent);
  // It stays within the credit.
  EXPECT_EQ(server.core.counters().bytes_out, 500'000u);
}

TEST(MuxPipe, OneWithoutCreditForALargeOneIsCopied) {
  PipedSide server(Role::Server);
  Recorder& near = server.open();
  near.piped = true;
  near.send(pattern(200'000));
  std::string all;
  for (int i = 0; i < 10 && server.core.has_output(); ++i) all += server.produce_piped();
  std::size_t sent = 0;
  for (const Sent& one : parse(all)) sent += one.type == FrameType::Data ? one.payload.size() : 0;
  EXPECT_EQ(sent, wire::kInitialCredit);
  server.feed(credit(2, 5000));
  const auto pipe_fills = near.pipe_fills;
  EXPECT_EQ(parse(server.produce_piped()).at(0).payload.size(), 5000u);
  EXPECT_EQ(near.pipe_fills, pipe_fills);
}

TEST(MuxPipe, OneThatDiesWhileItFillsLeavesThePipeEmpty) {
  PipedSide server(Role::Server);
  Recorder& near = server.open();
  near.piped = true;
  server.feed(credit(2, 1u << 20));
  near.send(pattern(900'000));
  (void)server.produce_piped();
  ASSERT_TRUE(server.core.wants_pipe());
  near.at_fill = [](Stream& stream) { stream.reset(ResetReason::PeerReset); };
  const auto frames = parse(server.produce_piped());
  for (const Sent& one : frames) EXPECT_NE(one.type, FrameType::Data);
  const auto rest = server.sent();
  EXPECT_EQ(frames.size() + rest.size(), 1u) << "the RESET";
}

// Two cores, streams that take and give by chance, in pieces of any size, by either way.
class MuxPipeChance : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Seeds, MuxPipeChance, testing::Range(1u, 13u));

TEST_P(MuxPipeChance, EveryByteInItsPlace) {
  std::mt19937 random(GetParam());
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  PipedSide server(Role::Server), client(Role::Client);
  constexpr std::size_t kStreams = 4;
  std::vector<std::string> down(kStreams), up(kStreams);
  for (std::size_t i = 0; i < kStreams; ++i) {
    Recorder& near = server.open();
    near.piped = below(3) > 0;
    near.appetite = 0;
    down[i] = pattern(200'000 + below(400'000), static_cast<std::uint32_t>(i));
    up[i] = pattern(200'000 + below(400'000), static_cast<std::uint32_t>(i + 100));
    near.send(down[i], true);
  }
  client.link.at_open = [&](Stream&, Recorder& far) {
    far.piped = below(3) > 0;
    far.appetite = 0;
  };
  std::size_t begun = 0;
  std::string to_client, to_server;
  const auto move = [&](PipedSide& from, std::string& wire, PipedSide& to) {
    if (from.core.has_output() && wire.size() < 400'000) wire += below(4) > 0 ? from.produce_piped() : from.produce();
    std::string_view rest = wire;
    for (int i = 0; i < 4 && !rest.empty(); ++i) {
      const std::size_t most = below(3) == 0 ? 1 + below(64) : 1 + below(300'000);
      rest.remove_prefix(to.feed_some(rest, most, below(4) > 0));
    }
    wire.erase(0, wire.size() - rest.size());
  };
  const auto over = [&] {
    if (client.link.accepted.size() < kStreams) return false;
    for (std::size_t i = 0; i < kStreams; ++i)
      if (server.opened[i].ends == 0 || client.accepted(i).ends == 0) return false;
    return true;
  };
  for (int step = 0; step < 200'000 && !over(); ++step) {
    move(server, to_client, client);
    move(client, to_server, server);
    for (; begun < client.link.accepted.size(); ++begun) client.accepted(begun).send(up[begun], true);
    Recorder& near = server.opened[below(kStreams)];
    if (near.stream != nullptr) near.take(below(100'000));
    if (client.link.accepted.empty()) continue;
    Recorder& far = client.accepted(below(client.link.accepted.size()));
    if (far.stream != nullptr) far.take(below(100'000));
    if (below(50) == 0) far.piped = !far.piped;
  }
  ASSERT_TRUE(over());
  for (std::size_t i = 0; i < kStreams; ++i) {
    EXPECT_EQ(client.accepted(i).received, down[i]);
    EXPECT_EQ(server.opened[i].received, up[i]);
    EXPECT_TRUE(server.opened[i].end.clean && client.accepted(i).end.clean);
  }
  server.expect_nothing_left();
  client.expect_nothing_left();
}

}  // namespace
}  // namespace ferrotunnel::mux::test
