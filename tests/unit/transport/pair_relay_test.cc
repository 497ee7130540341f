// PairRelay: over sockets that do as they are told, each step failing in its turn; and over real ones (TCP, unix, TLS), with both pollers.
#include "transport/pair_relay.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "tls_fixture.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::transport::test {
namespace {

// A shard run in steps by the test's own thread.
struct ShardFixture {
  explicit ShardFixture(bool portable = false) : shard(0, budget, portable) {}
  MemoryBudget budget;
  Shard shard;

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
};

// ---- scripted -----------------------------------------------------------------------------------------------------

struct Script {
  std::deque<IoResult> reads, writes;  // when nothing is left, nothing is ready
  std::string written;
  bool aborted = false, half_closed = false, closed = false;
  bool armed = false;  // arm_reset()
};

class ScriptedSocket final : public ByteStream {
 public:
  ScriptedSocket(int fd, Script& script) : fd_(fd), script_(script) {}
  ~ScriptedSocket() override { script_.closed = true; }
  int fd() const override { return fd_; }
  IoResult read(MutBytes into) override {
    const IoResult next = take(script_.reads);
    std::fill_n(into.begin(), next.n, std::byte{'r'});
    return next;
  }
  IoResult write(std::span<const iovec> pieces) override {
    IoResult next = take(script_.writes);
    next.n = std::min(next.n, pieces[0].iov_len);
    script_.written.append(static_cast<const char*>(pieces[0].iov_base), next.n);
    return next;
  }
  // What the script has left is there, whatever the descriptor shows.
  bool read_pending() const override { return !script_.reads.empty(); }
  void shutdown_write() override { script_.half_closed = true; }
  void abort() override { script_.aborted = true; }
  void arm_reset() override { script_.armed = true; }
  void disarm_reset() override { script_.armed = false; }

 private:
  static IoResult take(std::deque<IoResult>& from) {
    if (from.empty()) return {};
    const IoResult next = from.front();
    from.pop_front();
    return next;
  }
  int fd_;
  Script& script_;
};

constexpr IoResult kReset{IoStatus::Error, 0, ECONNRESET};
constexpr IoResult kEof{IoStatus::Eof, 0, 0};
constexpr IoResult kLater{IoStatus::WouldBlock, 0, 0};
constexpr IoResult ok(std::size_t n) { return {IoStatus::Ok, n, 0}; }

class PairRelayUnit : public testing::Test, public ShardFixture, public PairRelayOwner {
 public:
  // The descriptors are there to be watched only: always writable, and readable when the test says so.
  PairRelayUnit() {
    for (int i = 0; i < 2; ++i) {
      FdPair pair = unix_pair();
      inside[i] = std::move(pair.a);
      outside[i] = std::move(pair.b);
    }
  }
  void start(std::string_view to_first = {}, std::string_view to_second = {}) {
    relay = std::make_unique<PairRelay>(shard, std::make_unique<ScriptedSocket>(inside[0].get(), first),
                                        std::make_unique<ScriptedSocket>(inside[1].get(), second), *this);
    relay->start(as_bytes(to_first), as_bytes(to_second));
  }
  void poke(int side) { ASSERT_EQ(::send(outside[side].get(), "x", 1, MSG_NOSIGNAL), 1); }
  void on_pair_end(PairRelay& over, StreamEnd how) override {
    EXPECT_EQ(&over, relay.get());
    ++ends;
    end = how;
    bytes = over.bytes();
    relay.reset();
  }
  void expect_failed(ResetReason reason = ResetReason::PeerReset) {
    ASSERT_TRUE(until([&] { return ends > 0; }));
    EXPECT_TRUE(first.aborted && first.closed && second.aborted && second.closed);
    EXPECT_FALSE(end.clean);
    EXPECT_EQ(end.reason, reason);
    EXPECT_EQ(shard.buffers().lent(), 0u);
    EXPECT_EQ(shard.pipes().lent(), 0u);
  }

  UniqueFd inside[2], outside[2];
  Script first, second;
  std::unique_ptr<PairRelay> relay;
  int ends = 0;
  StreamEnd end;
  PairBytes bytes;
};

TEST_F(PairRelayUnit, UntilBothHaveAllADeathIsAnRst) {
  first.reads = {kEof};
  start();
  run_ready();
  EXPECT_TRUE(second.half_closed && first.armed && second.armed);
  second.reads = {kEof};
  poke(1);
  ASSERT_TRUE(until([&] { return ends == 1; }));
  EXPECT_TRUE(end.clean);
  EXPECT_FALSE(first.armed || second.armed);
}

TEST_F(PairRelayUnit, BothWaysAndBothEnds) {
  first.reads = {ok(5), kEof};
  second.reads = {ok(3), kEof};
  first.writes = {ok(9), ok(9)};
  second.writes = {ok(9), ok(9)};
  start("ab", "cd");
  ASSERT_TRUE(until([&] { return ends == 1; }));
  EXPECT_TRUE(end.clean);
  EXPECT_EQ(second.written, "cdrrrrr") << "what was there before goes first";
  EXPECT_EQ(first.written, "abrrr");
  EXPECT_EQ(bytes.from_first, 5u);
  EXPECT_EQ(bytes.to_first, 3u);
  EXPECT_TRUE(first.half_closed && second.half_closed && first.closed && second.closed);
  EXPECT_FALSE(first.aborted || second.aborted);
}

TEST_F(PairRelayUnit, AHalfCloseLeavesTheOtherWay) {
  first.reads = {kEof};
  start();
  run_ready();
  EXPECT_TRUE(second.half_closed);
  EXPECT_FALSE(first.half_closed);
  EXPECT_EQ(ends, 0);
  second.reads = {ok(4), kEof};
  first.writes = {ok(4)};
  poke(1);
  ASSERT_TRUE(until([&] { return ends == 1; }));
  EXPECT_TRUE(end.clean);
  EXPECT_EQ(first.written, "rrrr");
}

TEST_F(PairRelayUnit, WhatIsNotTakenWaitsAndNothingIsReadMeanwhile) {
  first.reads = {ok(100), ok(50), kEof};
  second.writes = {ok(40), kLater};
  start();
  run_ready();
  EXPECT_EQ(second.written.size(), 40u);
  EXPECT_EQ(first.reads.size(), 2u) << "not read while the rest waits";
  EXPECT_EQ(shard.buffers().lent(), 1u);
  second.writes = {ok(10), kLater};
  poke(1);  // readiness is told with all that holds
  ASSERT_TRUE(until([&] { return second.written.size() == 50; }));
  second.writes = {ok(1000), ok(1000)};
  poke(1);
  ASSERT_TRUE(until([&] { return second.half_closed; }));
  EXPECT_EQ(second.written.size(), 150u);
  EXPECT_EQ(shard.buffers().lent(), 0u) << "lent only while bytes are in hand";
  EXPECT_EQ(ends, 0);
}

TEST_F(PairRelayUnit, AReadThatFailsPassesOnWhatCameBefore) {
  first.reads = {ok(7), kReset};
  second.writes = {ok(7)};
  start();
  expect_failed();
  EXPECT_EQ(second.written.size(), 7u);
}

TEST_F(PairRelayUnit, AFailedSideIsNotWaitedForByWhoIsFull) {
  first.reads = {ok(7)};
  second.writes = {ok(3), kLater};
  start();
  run_ready();
  EXPECT_EQ(ends, 0);
  second.reads = {kReset};
  poke(1);
  expect_failed();
}

TEST_F(PairRelayUnit, AWriteThatFailsStillReadsWhatCameBefore) {
  first.reads = {ok(9)};
  second.writes = {kReset};
  second.reads = {ok(30), ok(12)};
  first.writes = {ok(100), ok(100)};
  start();
  expect_failed();
  EXPECT_EQ(first.written.size(), 42u) << "why an upload is refused";
  EXPECT_FALSE(first.half_closed);
}

TEST_F(PairRelayUnit, AWriteThatFailsWithNobodyLeftToRead) {
  second.reads = {kEof};
  first.reads = {ok(9)};
  second.writes = {kReset};
  start();
  expect_failed();
}

TEST_F(PairRelayUnit, AHeadThatCannotBeWritten) {
  second.writes = {kReset};
  start({}, "head");
  expect_failed();
}

// Every place in a script where something may fail, in turn.
TEST_F(PairRelayUnit, EachStepFailing) {
  for (int step = 0; step < 12; ++step) {
    std::deque<IoResult>* all[] = {&first.reads, &first.writes, &second.reads, &second.writes};
    first = {};
    second = {};
    ends = 0;
    first.reads = second.reads = {ok(5), ok(5), kEof};
    first.writes = second.writes = {ok(5), ok(5), ok(5)};
    std::deque<IoResult>& script = *all[step / 3];
    script[static_cast<std::size_t>(step % 3)] = kReset;
    script.resize(static_cast<std::size_t>(step % 3) + 1);
    start({}, "head!");
    const bool never_reached = step == 5;  // the first socket is written twice only
    ASSERT_TRUE(until([&] { return ends == 1; })) << step;
    EXPECT_EQ(end.clean, never_reached) << step;
    EXPECT_EQ(first.aborted, !never_reached) << step;
    EXPECT_EQ(second.aborted, !never_reached) << step;
    EXPECT_EQ(shard.buffers().lent(), 0u) << step;
  }
}

TEST_F(PairRelayUnit, StoppedItEndsOnce) {
  start();
  relay->stop(ResetReason::Idle);
  relay->stop(ResetReason::Cancel);
  EXPECT_EQ(ends, 0) << "told from the top of a turn";
  expect_failed(ResetReason::Idle);
  EXPECT_EQ(ends, 1);
}

TEST_F(PairRelayUnit, DestroyedBeforeItsEndItResetsBoth) {
  first.reads = {ok(100)};
  second.writes = {ok(1), kLater};
  start();
  relay.reset();
  EXPECT_TRUE(first.aborted && first.closed && second.aborted && second.closed);
  EXPECT_EQ(shard.buffers().lent(), 0u);
  run_ready();
  EXPECT_EQ(ends, 0);
}

TEST_F(PairRelayUnit, ATurnIsBounded) {
  for (int i = 0; i < 100; ++i) {
    first.reads.push_back(ok(1000));
    second.writes.push_back(ok(1000));
  }
  start();
  EXPECT_LE(second.written.size(), PairRelay::kCallsPerTurn / 2 * 1000u);
  ASSERT_TRUE(until([&] { return second.written.size() == 100'000; }));
}

// ---- real sockets -------------------------------------------------------------------------------------------------

char pattern_at(std::uint64_t offset, char seed) {
  return static_cast<char>((offset * 131) ^ (offset >> 9) ^ (offset >> 17) ^ static_cast<unsigned char>(seed));
}

// What the test holds of a connection: sends a pattern, checks what comes.
struct Outside {
  std::unique_ptr<ByteStream> socket;
  char seed = 0, peer_seed = 0;
  std::uint64_t to_send = 0, sent = 0, received = 0;
  bool fin = false, fin_sent = false, eof = false, reading = true, wrong = false;
  int error = 0;

  void pump() {
    std::string chunk;
    for (int i = 0; i < 8 && socket && error == 0 && sent < to_send; ++i) {
      const std::size_t n = std::min<std::uint64_t>(to_send - sent, 50'000);
      chunk.resize(n);
      for (std::size_t at = 0; at < n; ++at) chunk[at] = pattern_at(sent + at, seed);
      const iovec one{chunk.data(), n};
      const IoResult wrote = socket->write({&one, 1});
      if (wrote.status == IoStatus::Error) error = wrote.error;
      if (wrote.status != IoStatus::Ok) break;
      sent += wrote.n;
    }
    if (socket && fin && !fin_sent && sent == to_send) {
      socket->shutdown_write();
      fin_sent = true;
    }
    std::array<std::byte, 40'000> into;
    for (int i = 0; i < 8 && socket && reading && !eof && error == 0; ++i) {
      const IoResult got = socket->read(into);
      if (got.status == IoStatus::Eof) eof = true;
      if (got.status == IoStatus::Error) error = got.error;
      if (got.status != IoStatus::Ok) break;
      for (std::size_t at = 0; at < got.n; ++at)
        wrong |= static_cast<char>(into[at]) != pattern_at(received + at, peer_seed);
      received += got.n;
    }
  }
};

enum class Kind : std::uint8_t { Tcp, Unix, FirstTls, SecondTls };
struct Way {
  Kind kind;
  bool portable;
};

class PairRelayReal : public testing::TestWithParam<Way>, public ShardFixture, public PairRelayOwner {
 public:
  PairRelayReal() : ShardFixture(GetParam().portable) {}
  void connect(int buffer = 0) {
    auto first = make(GetParam().kind == Kind::FirstTls, buffer, one);
    auto second = make(GetParam().kind == Kind::SecondTls, buffer, two);
    one.seed = two.peer_seed = 17;
    two.seed = one.peer_seed = 99;
    relay = std::make_unique<PairRelay>(shard, std::move(first), std::move(second), *this);
  }
  std::unique_ptr<ByteStream> make(bool tls, int buffer, Outside& outside) const {
    FdPair fds = GetParam().kind == Kind::Unix ? unix_pair() : tcp_pair(buffer);
    if (!tls) {
      outside.socket = std::make_unique<TcpStream>(std::move(fds.a));
      return std::make_unique<TcpStream>(std::move(fds.b));
    }
    TlsPair pair(std::move(fds), pinned_client(), server_context());
    pair.handshake();
    outside.socket = std::move(pair.client);
    return std::move(pair.server);
  }
  bool until_both(const std::function<bool()>& condition) {
    return until([&] {
      one.pump();
      two.pump();
      return condition();
    });
  }
  void on_pair_end(PairRelay& over, StreamEnd how) override {
    ++ends;
    end = how;
    bytes = over.bytes();
    relay.reset();
  }

  Outside one, two;
  std::unique_ptr<PairRelay> relay;
  int ends = 0;
  StreamEnd end;
  PairBytes bytes;
};

TEST_P(PairRelayReal, EveryByteBothWays) {
  connect();
  relay->start();
  one.to_send = 9'000'000;
  two.to_send = 4'000'001;
  one.fin = two.fin = true;
  ASSERT_TRUE(until_both([&] { return one.eof && two.eof && ends == 1; }));
  EXPECT_TRUE(end.clean);
  EXPECT_EQ(two.received, 9'000'000u);
  EXPECT_EQ(one.received, 4'000'001u);
  EXPECT_FALSE(one.wrong || two.wrong);
  EXPECT_EQ(bytes.from_first, 9'000'000u);
  EXPECT_EQ(bytes.to_first, 4'000'001u);
  EXPECT_EQ(shard.pipes().lent() + shard.buffers().lent(), 0u);
}

TEST_P(PairRelayReal, SmallBuffersAndAHalfClose) {
  connect(GetParam().kind == Kind::Unix ? 0 : 4096);
  relay->start();
  one.to_send = 300'000;
  one.fin = true;
  ASSERT_TRUE(until_both([&] { return two.eof; }));
  EXPECT_EQ(two.received, 300'000u);
  EXPECT_EQ(ends, 0);
  two.to_send = 300'001;
  two.fin = true;
  ASSERT_TRUE(until_both([&] { return one.eof && ends == 1; }));
  EXPECT_EQ(one.received, 300'001u);
  EXPECT_TRUE(end.clean);
  EXPECT_FALSE(one.wrong || two.wrong);
}

TEST_P(PairRelayReal, ASlowReaderHoldsTheSenderAndLittleElse) {
  connect();
  relay->start();
  two.reading = false;
  one.to_send = 200'000'000;
  std::uint64_t before = 1;
  // Until nothing moves any more: the sender's socket is full, and so is all on the way.
  int still = 0;
  ASSERT_TRUE(until_both([&] {
    still = one.sent == before ? still + 1 : 0;
    before = one.sent;
    return still > 40;
  }));
  EXPECT_LT(one.sent, 100'000'000u);
  EXPECT_LE(shard.buffers().lent(), 1u);
  EXPECT_LE(shard.pipes().lent(), 1u);
  // The other way is not held up.
  two.to_send = 1'000'000;
  ASSERT_TRUE(until_both([&] { return one.received == 1'000'000; }));
  two.reading = true;
  one.to_send = one.sent + 1000;
  one.fin = two.fin = true;
  ASSERT_TRUE(until_both([&] { return one.eof && two.eof && ends == 1; }));
  EXPECT_EQ(two.received, one.sent);
  EXPECT_FALSE(one.wrong || two.wrong);
}

TEST_P(PairRelayReal, AnRstGoesThroughEitherWay) {
  if (GetParam().kind == Kind::Unix) return;  // has no RST
  for (const bool of_one : {true, false}) {
    ends = 0;
    one = {};
    two = {};
    connect();
    relay->start();
    Outside& who = of_one ? one : two;
    Outside& other = of_one ? two : one;
    who.to_send = 1000;
    ASSERT_TRUE(until_both([&] { return other.received == 1000; }));
    who.socket->abort();
    who.socket.reset();
    ASSERT_TRUE(until_both([&] { return ends == 1 && (other.error != 0 || other.eof); }));
    EXPECT_FALSE(end.clean);
    EXPECT_EQ(end.reason, ResetReason::PeerReset);
    EXPECT_EQ(other.error, ECONNRESET);
  }
}

TEST_P(PairRelayReal, AnRstIsSeenWhileTheOtherSideReadsNothing) {
  if (GetParam().kind == Kind::Unix) return;  // has no RST
  connect();
  relay->start();
  two.reading = false;
  one.to_send = 200'000'000;
  std::uint64_t before = 1;
  int still = 0;
  ASSERT_TRUE(until_both([&] {
    still = one.sent == before ? still + 1 : 0;
    before = one.sent;
    return still > 40;
  }));
  one.socket->abort();
  one.socket.reset();
  ASSERT_TRUE(until([&] { return ends == 1; }));
  EXPECT_FALSE(end.clean);
  EXPECT_EQ(shard.pipes().lent() + shard.buffers().lent(), 0u);
}

TEST_P(PairRelayReal, HeadsGoFirst) {
  connect();
  std::string to_one, to_two;
  for (std::uint64_t i = 0; i < 20'000; ++i) to_one += pattern_at(i, 99);
  for (std::uint64_t i = 0; i < 3; ++i) to_two += pattern_at(i, 17);
  two.sent = two.to_send = to_one.size();
  one.sent = one.to_send = to_two.size();
  two.to_send += 5000;
  one.to_send += 100'000;
  relay->start(as_bytes(to_one), as_bytes(to_two));
  one.fin = two.fin = true;
  ASSERT_TRUE(until_both([&] { return one.eof && two.eof && ends == 1; }));
  EXPECT_EQ(one.received, 25'000u);
  EXPECT_EQ(two.received, 100'003u);
  EXPECT_FALSE(one.wrong || two.wrong);
}

TEST_P(PairRelayReal, WithoutPipesItCopies) {
  std::vector<PipeLease> taken;
  for (PipeLease pipe = shard.pipes().borrow(); pipe; pipe = shard.pipes().borrow()) taken.push_back(std::move(pipe));
  connect();
  relay->start();
  one.to_send = 3'000'000;
  one.fin = two.fin = true;
  ASSERT_TRUE(until_both([&] { return one.eof && two.eof && ends == 1; }));
  EXPECT_EQ(two.received, 3'000'000u);
  EXPECT_FALSE(two.wrong);
}

std::string name_of(const testing::TestParamInfo<Way>& one) {
  const char* kinds[] = {"Tcp", "Unix", "FirstTls", "SecondTls"};
  return std::string(kinds[static_cast<int>(one.param.kind)]) + (one.param.portable ? "Portable" : "Epoll");
}
INSTANTIATE_TEST_SUITE_P(All, PairRelayReal,
                         testing::Values(Way{Kind::Tcp, false}, Way{Kind::Unix, false}, Way{Kind::FirstTls, false},
                                         Way{Kind::SecondTls, false}, Way{Kind::Tcp, true}, Way{Kind::Unix, true},
                                         Way{Kind::FirstTls, true}, Way{Kind::SecondTls, true}),
                         name_of);

}  // namespace
}  // namespace ferrotunnel::transport::test
