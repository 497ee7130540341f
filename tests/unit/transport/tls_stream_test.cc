// TLS: what arrives, and how each kind of end looks.
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "tls_fixture.h"

// Only AddressSanitizer's allocator says how much is in use.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#define FT_SEES_MEMORY 1
#endif
#endif

namespace ferrotunnel::transport::test {
namespace {

// Sends `data` in pieces of changing sizes; `offset` is how far it has come. Returns false once everything is out.
bool send_some(TlsStream& stream, ConstBytes data, std::size_t& offset, JitterRng& rng) {
  if (offset == data.size()) return false;
  std::array<iovec, 8> pieces{};
  std::size_t count = 0, at = offset;
  while (count < pieces.size() && at < data.size()) {
    const std::uint64_t kind = rng.below(4);
    const std::size_t want = kind == 0   ? 1 + rng.below(9)
                             : kind == 1 ? rng.below(3000)
                             : kind == 2 ? 8 + rng.below(20'000)
                                         : rng.below(200'000);
    const std::size_t n = std::min(want, data.size() - at);
    pieces[count++] = {const_cast<std::byte*>(data.data() + at), n};
    at += n;
  }
  if (at == offset) return true;
  const IoResult wrote = stream.write(std::span(pieces).first(count));
  EXPECT_NE(wrote.status, IoStatus::Error) << std::strerror(wrote.error);
  if (wrote.status == IoStatus::Ok) {
    EXPECT_GT(wrote.n, 0u);
    EXPECT_LE(wrote.n, at - offset);
    offset += wrote.n;
  }
  return wrote.status != IoStatus::Error;
}

void receive_some(TlsStream& stream, std::vector<std::byte>& sink, JitterRng& rng, bool& eof) {
  static std::array<std::byte, 100'000> buffer;
  const MutBytes into = MutBytes(buffer).first(1 + rng.below(buffer.size()));
  const IoResult got = stream.read(into);
  ASSERT_NE(got.status, IoStatus::Error) << std::strerror(got.error) << " " << stream.failure().context;
  if (got.status == IoStatus::Ok)
    sink.insert(sink.end(), into.begin(), into.begin() + static_cast<std::ptrdiff_t>(got.n));
  if (got.status == IoStatus::Eof) eof = true;
}

TEST(TlsBytes, EightMegabytesEachWayAtOnce) {
  std::vector<std::byte> up(8 << 20), down(8 << 20);
  fill_random(up);
  fill_random(down);
  for (const int kind : {0, 1, 2}) {  // unix, TCP, TCP with buffers that are always full
    TlsPair pair(kind == 0 ? unix_pair() : tcp_pair(kind == 2 ? 4096 : 0), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    JitterRng rng(static_cast<std::uint64_t>(kind) + 1);
    std::size_t up_at = 0, down_at = 0;
    std::vector<std::byte> got_up, got_down;
    bool up_eof = false, down_eof = false, up_shut = false, down_shut = false;
    const TimePoint give_up = Clock::now() + std::chrono::seconds(100);
    while (!(up_eof && down_eof) && !HasFatalFailure()) {
      ASSERT_LT(Clock::now(), give_up);
      if (!up_shut && !send_some(*pair.client, up, up_at, rng)) {
        pair.client->shutdown_write();
        up_shut = true;
      }
      if (!down_shut && !send_some(*pair.server, down, down_at, rng)) {
        pair.server->shutdown_write();
        down_shut = true;
      }
      // Who is done reading still has an end to send that a full socket did not take.
      if (up_shut) (void)pair.client->write({});
      if (down_shut) (void)pair.server->write({});
      if (!up_eof) receive_some(*pair.server, got_up, rng, up_eof);
      if (!down_eof) receive_some(*pair.client, got_down, rng, down_eof);
    }
    EXPECT_EQ(got_up.size(), up.size());
    EXPECT_EQ(got_down.size(), down.size());
    EXPECT_TRUE(got_up == up && got_down == down);
  }
}

TEST(TlsBytes, SmallPiecesShareARecord) {
  TlsPair pair(unix_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  std::vector<iovec> pieces(100, piece("0123456789"));
  pieces[50] = {nullptr, 0};
  const auto before = pair.client->socket_bytes_out();
  const IoResult wrote = pair.client->write(pieces);
  EXPECT_EQ(wrote.status, IoStatus::Ok);
  EXPECT_EQ(wrote.n, 990u);
  EXPECT_LT(pair.client->socket_bytes_out() - before, 990u + 40);
  std::string got;
  read_text(*pair.server, got, 990);
  EXPECT_EQ(got.substr(980), "0123456789");
  EXPECT_EQ(pair.client->write({}).status, IoStatus::WouldBlock);  // nothing asked, nothing moved
}

TEST(TlsBytes, ManyRecordsShareACallBothWays) {
  TlsPair pair(unix_pair(), pinned_client(), server_context());
  constexpr int kRoom = 1 << 20;
  ::setsockopt(pair.client->fd(), SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom);
  pair.handshake();
  ASSERT_TRUE(pair.up());
  std::string frames(128 * 1024, '\0');  // what a link writes at once
  for (std::size_t i = 0; i < frames.size(); ++i) frames[i] = static_cast<char>(i * 7 + (i >> 10));
  const auto sends = pair.client->socket_sends(), receives = pair.server->socket_receives();
  ASSERT_EQ(write_text(*pair.client, frames).n, frames.size());
  EXPECT_LE(pair.client->socket_sends() - sends, 2u) << "8 records";
  std::vector<std::byte> buffer(128 * 1024);  // what a link reads at once
  std::string got;
  while (got.size() < frames.size()) {
    const IoResult n = pair.server->read(buffer);
    ASSERT_EQ(n.status, IoStatus::Ok);
    got.append(as_text(ConstBytes(buffer).first(n.n)));
  }
  EXPECT_TRUE(got == frames);
  EXPECT_LE(pair.server->socket_receives() - receives, 2u);
  EXPECT_EQ(pair.server->read(buffer).status, IoStatus::WouldBlock);
}

TEST(TlsBytes, AShortMessageIsOneCallAtEachEnd) {
  TlsPair pair(unix_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  const auto sends = pair.client->socket_sends(), receives = pair.server->socket_receives();
  ASSERT_EQ(write_text(*pair.client, "keystroke").n, 9u);
  std::vector<std::byte> buffer(128 * 1024);
  EXPECT_EQ(pair.server->read(buffer).n, 9u);
  EXPECT_FALSE(pair.server->read_pending());
  EXPECT_EQ(pair.client->socket_sends() - sends, 1u);
  EXPECT_EQ(pair.server->socket_receives() - receives, 1u) << "none only to hear that there is no more";
}

TEST(TlsBytes, RecordsCutAnywhereAndReadInAnySize) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(4096); });
  ASSERT_TRUE(pair.up());
  JitterRng rng(7);
  std::vector<std::byte> data(600'000), got;
  fill_random(data);
  std::size_t sent = 0;
  std::vector<std::byte> buffer(128 * 1024);
  const TimePoint give_up = Clock::now() + std::chrono::seconds(60);
  while (got.size() < data.size()) {
    ASSERT_LT(Clock::now(), give_up) << got.size();
    if (sent < data.size()) {
      const iovec rest{data.data() + sent, std::min<std::size_t>(data.size() - sent, 1 + rng.below(100'000))};
      const IoResult wrote = pair.client->write({&rest, 1});
      ASSERT_NE(wrote.status, IoStatus::Error);
      sent += wrote.n;
    }
    for (std::uint64_t n = rng.below(20); n > 0; --n) middle.carry(1 + rng.below(4096));
    while (true) {  // as an owner does: until nothing, or a short read that has nothing pending
      const std::size_t room = 1 + rng.below(rng.below(3) == 0 ? buffer.size() : 3000);
      const IoResult n = pair.server->read(MutBytes(buffer).first(room));
      ASSERT_NE(n.status, IoStatus::Error);
      if (n.status == IoStatus::WouldBlock) break;
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n.n));
      if (n.n < room && !pair.server->read_pending()) break;
    }
  }
  EXPECT_TRUE(got == data);
}

TEST(TlsBytes, AtRestThereIsNoMemoryOfRecords) {
  std::vector<std::byte> buffer(128 * 1024);
  const std::string text(100'000, 'x');
  const auto used = [&] {
    auto pair = std::make_unique<TlsPair>(unix_pair(), pinned_client(), server_context());
    pair->handshake();
    EXPECT_TRUE(pair->up());
    for (std::size_t sent = 0, got = 0; got < text.size() && !HasFailure();) {
      if (sent < text.size()) sent += write_text(*pair->client, std::string_view(text).substr(sent)).n;
      const IoResult n = pair->server->read(buffer);
      EXPECT_NE(n.status, IoStatus::Error);
      got += n.n;
    }
    EXPECT_EQ(write_text(*pair->server, "thanks").n, 6u);
    EXPECT_EQ(pair->client->read(buffer).n, 6u);
    EXPECT_EQ(pair->client->socket_memory(), 0u);
    EXPECT_EQ(pair->server->socket_memory(), 0u);
    return pair;
  };
  const auto first = used();  // what a thread keeps is there from now on
#if defined(FT_SEES_MEMORY)
  const std::size_t before = __sanitizer_get_current_allocated_bytes();
  const auto second = used();
  // Two ends and their contexts, without a buffer for a record: that would be 16 KiB more, for each end and way.
  EXPECT_LT(__sanitizer_get_current_allocated_bytes() - before, 60'000u);
#endif
}

TEST(TlsBytes, AFullSocketLeavesAtLeastAByteToComeBackWith) {
  TlsPair pair(tcp_pair(4096), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  std::string data(1 << 20, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 + (i >> 8));
  std::size_t sent = 0;
  while (true) {
    const IoResult wrote = write_text(*pair.client, std::string_view(data).substr(sent));
    if (wrote.status == IoStatus::WouldBlock) break;
    ASSERT_EQ(wrote.status, IoStatus::Ok);
    sent += wrote.n;
    ASSERT_LT(sent, data.size());
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(write_text(*pair.client, std::string_view(data).substr(sent, 1)).status, IoStatus::WouldBlock);
  // Once the peer reads, a retry with other memory and another length goes on where it was.
  std::string got;
  const TimePoint give_up = Clock::now() + std::chrono::seconds(20);
  while (got.size() < data.size()) {
    ASSERT_LT(Clock::now(), give_up);
    std::array<std::byte, 3000> buffer;
    const IoResult n = pair.server->read(buffer);
    ASSERT_NE(n.status, IoStatus::Error);
    if (n.status == IoStatus::Ok) got.append(as_text(ConstBytes(buffer).first(n.n)));
    if (sent == data.size()) continue;
    const std::string copy = data.substr(sent, 1 + got.size() % 7000);
    const IoResult wrote = write_text(*pair.client, copy);
    ASSERT_NE(wrote.status, IoStatus::Error);
    sent += wrote.n;
  }
  EXPECT_TRUE(got == data);
}

TEST(TlsBytes, ReadPendingTellsOfBytesInsideAndOnlyOfThose) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(4096); });
  ASSERT_TRUE(pair.up());
  EXPECT_EQ(write_text(*pair.client, std::string(1000, 'a')).n, 1000u);
  std::array<std::byte, 300> buffer;
  // A record that is there in part is nothing yet, and nothing to spin on.
  middle.carry(100);
  EXPECT_EQ(pair.server->read(buffer).status, IoStatus::WouldBlock);
  EXPECT_FALSE(pair.server->read_pending());
  middle.carry(4096);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pair.server->read(buffer).n, 300u);
    EXPECT_TRUE(pair.server->read_pending());
  }
  EXPECT_EQ(pair.server->read(buffer).n, 100u);
  EXPECT_FALSE(pair.server->read_pending());
  EXPECT_EQ(pair.server->read(buffer).status, IoStatus::WouldBlock);
}

TEST(TlsBytes, AnEndBehindBytesIsPending) {
  for (const bool clean : {true, false}) {
    TlsPair pair(unix_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    EXPECT_EQ(write_text(*pair.client, "last").n, 4u);
    if (clean) {
      pair.client->shutdown_write();
    } else {
      ::shutdown(pair.client->fd(), SHUT_RDWR);
    }
    std::array<std::byte, 300> buffer;
    const IoResult got = pair.server->read(buffer);
    EXPECT_EQ(got.status, IoStatus::Ok);
    EXPECT_EQ(got.n, 4u);
    // An end that is a record came with the bytes: the edge that told of it is used up. Of TCP's own, the Poller tells (kPeerClosed).
    EXPECT_EQ(pair.server->read_pending(), clean);
    const IoResult end = pair.server->read(buffer);
    EXPECT_EQ(end.status, clean ? IoStatus::Eof : IoStatus::Error);
    EXPECT_FALSE(pair.server->read_pending());
    EXPECT_EQ(pair.server->read(buffer).status, end.status);  // and again
  }
}

TEST(TlsBytes, ACorruptRecordIsAnError) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(4096); });
  ASSERT_TRUE(pair.up());
  middle.corrupt_at = middle.carried + 20;
  EXPECT_EQ(write_text(*pair.client, "text").n, 4u);
  middle.carry(4096);
  std::array<std::byte, 300> buffer;
  const IoResult got = pair.server->read(buffer);
  EXPECT_EQ(got.status, IoStatus::Error);
  EXPECT_EQ(got.error, EPROTO);
  EXPECT_EQ(pair.server->failure().code, ErrorCode::Tls);
  EXPECT_EQ(write_text(*pair.server, "x").status, IoStatus::Error);
  EXPECT_FALSE(pair.server->read_pending());
}

TEST(TlsEnd, HalfCloseLeavesTheOtherDirectionOpen) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  EXPECT_EQ(write_text(*pair.client, "request").n, 7u);
  pair.client->shutdown_write();
  pair.client->shutdown_write();  // twice is once
  std::string request;
  EXPECT_EQ(read_text(*pair.server, request, 100).status, IoStatus::Eof);
  EXPECT_EQ(request, "request");

  const std::string answer(1 << 20, 'y');
  std::string got;
  std::size_t sent = 0;
  while (got.size() < answer.size()) {
    if (sent < answer.size()) {
      const IoResult wrote = write_text(*pair.server, std::string_view(answer).substr(sent));
      ASSERT_NE(wrote.status, IoStatus::Error);
      sent += wrote.n;
    }
    const IoResult read = read_text(*pair.client, got, std::min(got.size() + 4000, sent));
    ASSERT_EQ(read.status, IoStatus::Ok);
  }
  EXPECT_TRUE(got == answer);
  pair.server->shutdown_write();
  EXPECT_EQ(read_end(*pair.client).status, IoStatus::Eof);
}

TEST(TlsEnd, ACutIsNotTakenForAFin) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  ::shutdown(pair.client->fd(), SHUT_WR);  // TCP's FIN without a close_notify
  const IoResult end = read_end(*pair.server);
  EXPECT_EQ(end.status, IoStatus::Error);
  EXPECT_EQ(end.error, ECONNRESET);
  EXPECT_NE(pair.server->failure().context.find("without a close"), std::string::npos);
}

TEST(TlsEnd, DestroyedIsClosedAndAbortedIsReset) {
  for (const bool abort : {false, true}) {
    TlsPair pair(tcp_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    if (abort) pair.client->abort();
    pair.client.reset();
    const IoResult end = read_end(*pair.server);
    EXPECT_EQ(end.status, abort ? IoStatus::Error : IoStatus::Eof);
    if (abort) {
      EXPECT_EQ(end.error, ECONNRESET);
    }
  }
}

TEST(TlsEnd, WritingToAConnectionThatIsGoneIsAnErrorAndNoSignal) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  pair.client->abort();
  pair.client.reset();
  IoResult wrote;
  for (int i = 0; i < 100 && wrote.status != IoStatus::Error; ++i) {
    wrote = write_text(*pair.server, "x");
    ::usleep(1000);
  }
  EXPECT_EQ(wrote.status, IoStatus::Error);
  EXPECT_TRUE(wrote.error == ECONNRESET || wrote.error == EPIPE) << wrote.error;
}

TEST(TlsEnd, ContextsMayGoBeforeTheirStreams) {
  std::optional<TlsClientContext> client = pinned_client();
  std::optional<TlsServerContext> server = server_context();
  TlsPair pair(unix_pair(), *client, *server);
  client.reset();
  server.reset();
  pair.handshake();
  EXPECT_TRUE(pair.up());
}

}  // namespace
}  // namespace ferrotunnel::transport::test
