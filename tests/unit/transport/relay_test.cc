// Relay against a socket and a stream that do as they are told: what an error on one side means for the other. The whole path
// over real sockets is in tests/integration/relay_path_test.cc.
#include "transport/relay.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "shard_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

// What a socket says next; when nothing is left, that nothing is ready.
struct Script {
  std::deque<IoResult> reads, writes;
  std::string written;
  bool aborted = false, half_closed = false, closed = false;
  bool armed = false;  // arm_reset()
  int half_closes = 0;
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
  bool has_unread() const override { return !script_.reads.empty() && script_.reads.front().status == IoStatus::Ok; }
  void shutdown_write() override {
    script_.half_closed = true;
    ++script_.half_closes;
  }
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

struct FakeStream final : Stream {
  StreamHandler* handler = nullptr;
  bool wants_write = false, credit = true;
  int resumed = 0;
  std::optional<ResetReason> was_reset;

  void set_handler(StreamHandler& to) override { handler = &to; }
  void want_write() override { wants_write = true; }
  void resume_read() override { ++resumed; }
  void reset(ResetReason reason) override {
    EXPECT_FALSE(was_reset);
    was_reset = reason;
  }
  std::uint32_t id() const override { return 2; }
  std::size_t held() const override { return 0; }
  bool blocked() const override { return !credit; }

  std::size_t data(std::string_view text) { return handler->on_data(*this, as_bytes(text)); }
  Fill fill(std::size_t room = 1000) {
    std::string into(room, '\0');
    wants_write = false;
    return handler->fill(*this, {reinterpret_cast<std::byte*>(into.data()), room});
  }
};

class RelayUnit : public testing::Test, public ShardFixture, public RelayOwner {
 public:
  RelayUnit() {
    auto [a, b] = unix_pair();
    inside = std::move(a);
    outside = std::move(b);
  }
  void start(std::string prefix = {}) {
    relay = std::make_unique<Relay>(shard, std::make_unique<ScriptedSocket>(inside.get(), script), *this,
                                    std::move(prefix));
    relay->start(stream);
  }
  void on_relay_end(Relay& over, StreamEnd how) override {
    EXPECT_EQ(&over, relay.get());
    ++ends;
    end = how;
    relay.reset();
  }
  void expect_reset(ResetReason reason) {
    EXPECT_EQ(stream.was_reset, reason);
    EXPECT_EQ(ends, 0) << "told from the top of a turn";
    EXPECT_TRUE(script.closed && script.aborted);
    run_ready();
    EXPECT_EQ(ends, 1);
    EXPECT_FALSE(end.clean);
    EXPECT_EQ(end.reason, reason);
  }

  Script script;
  FakeStream stream;
  UniqueFd inside, outside;
  std::unique_ptr<Relay> relay;
  int ends = 0;
  StreamEnd end;
};

constexpr IoResult kReset{IoStatus::Error, 0, ECONNRESET};
constexpr IoResult kEof{IoStatus::Eof, 0, 0};
constexpr IoResult ok(std::size_t n) { return {IoStatus::Ok, n, 0}; }

// Over TLS it is a record, which a full socket does not take.
TEST_F(RelayUnit, AnEndThatFoundNoRoomIsAskedForAgain) {
  start();
  run_ready();
  stream.handler->on_fin(stream);
  EXPECT_EQ(script.half_closes, 1);
  // Full, and empty again.
  std::string much(1 << 20, 'x');
  while (::send(inside.get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
  }
  while (::recv(outside.get(), much.data(), much.size(), 0) > 0) {
  }
  run_ready();
  EXPECT_GE(script.half_closes, 2);
  EXPECT_FALSE(stream.was_reset);
}

TEST_F(RelayUnit, WhyItFailedIsKept) {
  start();
  script.reads = {kReset};
  (void)stream.fill();
  EXPECT_EQ(stream.was_reset, ResetReason::PeerReset);
  ASSERT_NE(relay->failure(), nullptr);
  EXPECT_EQ(relay->failure()->side, Side::Tunnel);
  run_ready();
}

TEST_F(RelayUnit, AWriteThatMeetsAnRstStillReadsWhatCameBefore) {
  start();
  script.writes = {ok(3), kReset};
  script.reads = {ok(200), ok(100), kEof};
  EXPECT_EQ(stream.data("upload"), 6u) << "nobody takes the rest, and nobody waits for it";
  EXPECT_EQ(script.written, "upl");
  EXPECT_FALSE(stream.was_reset);
  EXPECT_TRUE(stream.wants_write);
  EXPECT_EQ(stream.fill().n, 200u);
  EXPECT_EQ(stream.data("more"), 4u);
  EXPECT_EQ(script.written, "upl");
  EXPECT_EQ(stream.fill().n, 100u);
  // The write took the error: the read says only that it is over. That is no FIN.
  const Fill last = stream.fill();
  EXPECT_EQ(last.n, 0u);
  EXPECT_FALSE(last.fin);
  expect_reset(ResetReason::PeerReset);
}

TEST_F(RelayUnit, AWriteThatFailsWithNothingToRead) {
  start();
  script.writes = {{IoStatus::Error, 0, ENOBUFS}};
  EXPECT_EQ(stream.data("x"), 1u);
  expect_reset(ResetReason::PeerReset);  // without being asked for bytes: a link that is full would not ask
}

TEST_F(RelayUnit, AWriteThatFailsBeforeThePrefixIsSent) {
  start("prefix");
  script.writes = {kReset};
  EXPECT_EQ(stream.data("x"), 1u);
  EXPECT_FALSE(stream.was_reset);
  EXPECT_EQ(stream.fill().n, 6u);
  EXPECT_EQ(stream.fill().n, 0u);
  expect_reset(ResetReason::PeerReset);
}

TEST_F(RelayUnit, AnErrorDoesNotWaitForCredit) {
  start();
  stream.credit = false;
  script.writes = {kReset};
  stream.data("x");
  expect_reset(ResetReason::PeerReset);
}

TEST_F(RelayUnit, NorForCreditThatEndsWhileItIsReadOut) {
  start();
  script.writes = {kReset};
  script.reads = {ok(1000), ok(1000)};
  stream.data("x");
  EXPECT_EQ(stream.fill().n, 1000u);
  stream.credit = false;  // that was the last of it
  run_ready();
  EXPECT_EQ(stream.was_reset, ResetReason::PeerReset);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayUnit, AWriteThatFailsAfterTheOthersFin) {
  start();
  script.reads = {kEof};
  EXPECT_TRUE(stream.fill().fin);
  script.writes = {kReset};
  stream.data("x");
  expect_reset(ResetReason::PeerReset);
}

TEST_F(RelayUnit, AReadThatFails) {
  start();
  script.reads = {ok(10), kReset};
  EXPECT_EQ(stream.fill(10).n, 10u);  // there may be more
  EXPECT_EQ(stream.fill().n, 0u);
  expect_reset(ResetReason::PeerReset);
}

TEST_F(RelayUnit, HalfCloseBothWaysIsACleanEnd) {
  start();
  script.reads = {kEof};
  const Fill last = stream.fill();
  EXPECT_TRUE(last.fin && !last.more);
  stream.handler->on_fin(stream);
  EXPECT_TRUE(script.half_closed && script.armed) << "until the other end has said that it has all";
  stream.handler->on_end(stream, {true, ResetReason::Cancel});
  EXPECT_TRUE(script.closed && !script.aborted && !script.armed);
  run_ready();
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(end.clean);
  EXPECT_FALSE(stream.was_reset);
}

TEST_F(RelayUnit, ThePrefixGoesFirstInAnyPieces) {
  start("prefix!");
  script.reads = {ok(5)};
  Fill one = stream.fill(4);
  EXPECT_EQ(one.n, 4u);
  EXPECT_TRUE(one.more);
  one = stream.fill(4);
  EXPECT_EQ(one.n, 3u);
  EXPECT_TRUE(one.more);
  EXPECT_EQ(stream.fill().n, 5u);
  EXPECT_EQ(relay->bytes().from_socket, 12u);
}

TEST_F(RelayUnit, AFullSocketPausesUntilItTakes) {
  start();
  script.writes = {ok(2)};
  EXPECT_EQ(stream.data("abc"), 2u);
  EXPECT_EQ(stream.data("c"), 0u) << "not asked while it is full";
  const int before = stream.resumed;
  ASSERT_TRUE(until([&] { return stream.resumed > before; }));
  script.writes = {ok(1)};
  EXPECT_EQ(stream.data("c"), 1u);
  EXPECT_EQ(script.written, "abc");
  EXPECT_EQ(relay->bytes().to_socket, 3u);
}

TEST_F(RelayUnit, ASocketThatCannotBeWatched) {
  inside.reset();
  start();
  expect_reset(ResetReason::Refused);
}

TEST_F(RelayUnit, StopAndDestroy) {
  start();
  relay->stop(ResetReason::Idle);
  relay->stop(ResetReason::Cancel);
  expect_reset(ResetReason::Idle);

  stream.was_reset.reset();
  start();
  script = {};
  relay.reset();
  EXPECT_EQ(stream.was_reset, ResetReason::Cancel);
  EXPECT_TRUE(script.aborted && script.closed) << "cut off is not an end";
  run_ready();
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace ferrotunnel::transport::test
