// Negotiation over socket pairs, on both pollers: the good way, and every way in which it can break.
#include "unit/session/negotiation_world.h"

#include "unit/session/handshake_pair.h"

namespace ferrotunnel::session::test {
namespace {

class NegotiationTest : public testing::TestWithParam<bool> {
 protected:
  // Both ends on this shard, joined by a socket pair.
  void start_plain() {
    FdPair pair = socket_pair();
    client.plain(shard, std::move(pair.a), credentials.make_client());
    server.plain(shard, std::move(pair.b), credentials.make_server());
    client.negotiation->start();
    server.negotiation->start();
  }
  void start_tls(Duration deadline = 30s) {
    FdPair pair = socket_pair();
    client.tls(shard, std::move(*transport::TlsStream::connect(pair.a.release(), tls().client, "localhost")),
               credentials.make_client(), deadline);
    server.tls(shard, std::move(*transport::TlsStream::accept(pair.b.release(), tls().server)),
               credentials.make_server(), deadline);
    client.negotiation->start();
    server.negotiation->start();
  }
  [[nodiscard]] bool both_done() const { return client.calls > 0 && server.calls > 0; }
  static TlsPair& tls() {
    static TlsPair pair;
    return pair;
  }

  MemoryBudget budget;
  Credentials credentials;
  transport::Shard shard{0, budget, GetParam()};
  End client, server;
};

INSTANTIATE_TEST_SUITE_P(Pollers, NegotiationTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(NegotiationTest, PlainEndsAgree) {
  start_plain();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  ASSERT_TRUE(client.ok()) << client.result->error().context;
  ASSERT_TRUE(server.ok()) << server.result->error().context;
  EXPECT_EQ((*client.result)->outcome.session, "s1");
  EXPECT_EQ((*client.result)->outcome.heartbeat_ms, 2500u);
  EXPECT_EQ((*client.result)->outcome.peer_version, "server 1");
  EXPECT_EQ((*server.result)->outcome.grant, "default");
  EXPECT_EQ((*server.result)->outcome.instance, credentials.client.instance);
  EXPECT_EQ((*server.result)->transport, "tcp, plain");
  EXPECT_TRUE((*client.result)->early.empty());
  settle(shard);
  EXPECT_EQ(client.calls, 1);
  EXPECT_EQ(server.calls, 1);
}

TEST_P(NegotiationTest, TlsEndsAgreeAndTheirStreamsCarryBytes) {
  start_tls();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  ASSERT_TRUE(client.ok()) << client.result->error().context;
  ASSERT_TRUE(server.ok()) << server.result->error().context;
  EXPECT_EQ((*client.result)->transport, "tls 1.3");
  EXPECT_EQ((*server.result)->transport, "tls 1.3");

  std::string text = "behind the handshake";
  const iovec piece{text.data(), text.size()};
  EXPECT_EQ((*client.result)->stream->write({&piece, 1}).n, text.size());
  std::array<std::byte, 64> buffer;
  const transport::IoResult got = (*server.result)->stream->read(buffer);
  ASSERT_EQ(got.status, transport::IoStatus::Ok);
  EXPECT_EQ(as_text(ConstBytes(buffer).first(got.n)), text);
}

TEST_P(NegotiationTest, AStreamThatIsHandedOverIsWatchedByNobody) {
  FdPair pair = socket_pair();
  client.plain(shard, std::move(pair.a), credentials.make_client());
  server.plain(shard, std::move(pair.b), credentials.make_server());
  client.negotiation->start();
  server.negotiation->start();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  ASSERT_TRUE(client.ok() && server.ok());
  server.negotiation.reset();
  const int fd = (*server.result)->stream->fd();
  send_all((*client.result)->stream->fd(), as_bytes("x"));
  settle(shard);

  struct Watcher final : transport::PollHandler {
    void on_ready(std::uint32_t what) override { seen |= what; }
    std::uint32_t seen = 0;
  } watcher;
  ASSERT_TRUE(shard.poller().add(fd, watcher));  // refused, were it still registered
  shard.poller().await(fd, watcher, transport::kReadable);
  EXPECT_TRUE(run_until(shard, [&] { return (watcher.seen & transport::kReadable) != 0; }));
  shard.poller().remove(fd, watcher);
}

TEST_P(NegotiationTest, AWrongSecretIsToldToBoth) {
  credentials.client.key = AuthKey::random();
  start_plain();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  EXPECT_EQ(client.code(), ErrorCode::Unauthorized);
  EXPECT_FALSE(client.result->error().retry);
  EXPECT_EQ(server.code(), ErrorCode::Unauthorized);
}

TEST_P(NegotiationTest, AWrongSecretIsToldOverTls) {
  credentials.client.key = AuthKey::random();
  start_tls();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  EXPECT_EQ(client.code(), ErrorCode::Unauthorized);
  EXPECT_EQ(server.code(), ErrorCode::Unauthorized);
}

TEST_P(NegotiationTest, AnotherKeyThanThePinnedOneEndsBoth) {
  TlsPair other;
  FdPair pair = socket_pair();
  client.tls(shard, std::move(*transport::TlsStream::connect(pair.a.release(), other.client, "localhost")),
             credentials.make_client());
  server.tls(shard, std::move(*transport::TlsStream::accept(pair.b.release(), tls().server)),
             credentials.make_server());
  client.negotiation->start();
  server.negotiation->start();
  ASSERT_TRUE(run_until(shard, [&] { return client.calls > 0; }));
  EXPECT_EQ(client.code(), ErrorCode::PinMismatch);
  EXPECT_FALSE(client.result->error().retry);
  client.negotiation.reset();
  ASSERT_TRUE(run_until(shard, [&] { return server.calls > 0; }));
  EXPECT_FALSE(server.ok());
}

// ---- every call in turn ---------------------------------------------------------------------------------------------

// One run with a fault in the call `at` of one end. Returns whether the fault was reached.
bool run_with_fault(bool portable, bool at_client, Fault fault, int at) {
  MemoryBudget budget;
  Credentials credentials;
  transport::Shard shard(0, budget, portable);
  const std::size_t before = open_descriptors();
  int calls = 0;
  bool reached = false;
  {
    End client, server;
    FdPair pair = socket_pair();
    auto faulty = std::make_unique<FaultyStream>(std::move(at_client ? pair.a : pair.b), fault, at, calls);
    auto sound = std::make_unique<transport::TcpStream>(std::move(at_client ? pair.b : pair.a));
    client.stream(shard, at_client ? transport::ByteStreamPtr(std::move(faulty)) : std::move(sound),
                  credentials.make_client());
    server.stream(shard, at_client ? transport::ByteStreamPtr(std::move(sound)) : std::move(faulty),
                  credentials.make_server());
    End& hurt = at_client ? client : server;
    End& other = at_client ? server : client;
    // As its owner does: the end that failed goes, and with it the connection.
    hurt.also = [&] {
      if (!*hurt.result) hurt.negotiation.reset();
    };
    client.negotiation->start();
    server.negotiation->start();
    EXPECT_TRUE(run_until(shard, [&] { return client.calls > 0 && server.calls > 0; })) << "fault at call " << at;
    settle(shard);
    EXPECT_EQ(client.calls, 1) << at;
    EXPECT_EQ(server.calls, 1) << at;
    reached = calls > at;
    const bool harmless = fault == Fault::Short || fault == Fault::WouldBlock || !reached;
    EXPECT_EQ(hurt.ok(), harmless) << at;
    if (harmless) EXPECT_TRUE(other.ok()) << at;
    if (!hurt.ok()) {
      EXPECT_TRUE(hurt.result->error().retry) << at;
      EXPECT_EQ(hurt.result->error().side, Side::Tunnel) << at;
      EXPECT_FALSE(hurt.result->error().context.empty());
    }
  }
  settle(shard);
  EXPECT_EQ(open_descriptors(), before) << at;
  EXPECT_EQ(shard.buffers().lent(), 0u);
  return reached;
}

TEST_P(NegotiationTest, EveryCallFailsInTurn) {
  for (const bool at_client : {true, false}) {
    for (const Fault fault : {Fault::Error, Fault::Eof, Fault::Short, Fault::WouldBlock}) {
      // A WouldBlock that is not true needs a poller that reports a standing readiness again.
      if (fault == Fault::WouldBlock && !GetParam()) continue;
      int at = 0;
      while (at < 100 && run_with_fault(GetParam(), at_client, fault, at)) ++at;
      EXPECT_GT(at, 3);
      EXPECT_LT(at, 100);
      if (HasFailure()) return;
    }
  }
}

TEST_P(NegotiationTest, AFullSocketIsWaitedFor) {
  FdPair pair = socket_pair();
  const std::string filler(4096, 'x');
  std::size_t filled = 0;
  for (ssize_t n = 0; (n = ::send(pair.b.get(), filler.data(), filler.size(), 0)) > 0;)
    filled += static_cast<std::size_t>(n);
  server.plain(shard, transport::UniqueFd(::dup(pair.b.get())), credentials.make_server());
  server.negotiation->start();

  ClientHandshake peer(credentials.client);
  send_all(pair.a.get(), peer.output());
  peer.sent(peer.output().size());
  settle(shard);
  EXPECT_EQ(server.calls, 0);
  std::string got;
  ASSERT_TRUE(run_until(shard, [&] {
    got += read_all_there_is(pair.a.get());
    if (got.size() <= filled) return false;
    const std::string fresh = got.substr(filled);
    got.resize(filled);
    EXPECT_TRUE(peer.feed(as_bytes(fresh)));
    if (!peer.output().empty()) send_all(pair.a.get(), peer.output());
    peer.sent(peer.output().size());
    return peer.done();
  }));
  ASSERT_TRUE(run_until(shard, [&] { return server.calls > 0; }));
  EXPECT_TRUE(server.ok());
}

// ---- the peer goes ------------------------------------------------------------------------------------------------

// Carries bytes between two negotiations; the direction to the client, or to the server, ends after `limit` bytes and takes the
// connection with it. Returns the bytes carried that way.
std::size_t run_with_cut(bool portable, TlsPair* tls, bool to_client, std::size_t limit, bool reset) {
  MemoryBudget budget;
  Credentials credentials;
  transport::Shard shard(0, budget, portable);
  const std::size_t before = open_descriptors();
  std::size_t carried = 0;
  {
    End client, server;
    FdPair left = socket_pair(), right = socket_pair();
    if (tls != nullptr) {
      client.tls(shard, std::move(*transport::TlsStream::connect(left.a.release(), tls->client, "localhost")),
                 credentials.make_client());
      server.tls(shard, std::move(*transport::TlsStream::accept(right.a.release(), tls->server)),
                 credentials.make_server());
    } else {
      client.plain(shard, std::move(left.a), credentials.make_client());
      server.plain(shard, std::move(right.a), credentials.make_server());
    }
    client.also = [&] {
      if (!client.ok()) client.negotiation.reset();
    };
    server.also = [&] {
      if (!server.ok()) server.negotiation.reset();
    };
    client.negotiation->start();
    server.negotiation->start();
    const auto carry = [](int from, int to, std::size_t most) {
      std::string bytes(std::min<std::size_t>(most, 65536), '\0');
      const ssize_t n = bytes.empty() ? 0 : ::recv(from, bytes.data(), bytes.size(), 0);
      if (n <= 0) return std::size_t{0};
      EXPECT_EQ(::send(to, bytes.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL), n);
      return static_cast<std::size_t>(n);
    };
    EXPECT_TRUE(run_until(shard,
                          [&] {
                            if (left.b && right.b) {
                              const int from = to_client ? right.b.get() : left.b.get(),
                                        to = to_client ? left.b.get() : right.b.get();
                              carried += carry(from, to, limit - carried);
                              carry(to, from, 65536);
                              const bool over = carried == limit || client.calls + server.calls == 2 ||
                                                (client.calls > 0 && !client.ok()) ||
                                                (server.calls > 0 && !server.ok());
                              if (over) {
                                if (!reset) {
                                  ::shutdown(to, SHUT_WR);
                                  settle(shard);
                                }
                                left.b.reset();
                                right.b.reset();
                              }
                            }
                            return client.calls > 0 && server.calls > 0;
                          }))
        << "cut at " << limit;
    settle(shard);
    EXPECT_EQ(client.calls, 1) << limit;
    EXPECT_EQ(server.calls, 1) << limit;
    EXPECT_EQ(to_client ? client.ok() : server.ok(), carried < limit) << limit;
  }
  settle(shard);
  EXPECT_EQ(open_descriptors(), before) << limit;
  return carried;
}

TEST_P(NegotiationTest, ThePeerClosesAtEachByte) {
  for (const bool to_client : {true, false}) {
    const std::size_t all = run_with_cut(GetParam(), nullptr, to_client, 1 << 20, false);
    ASSERT_GT(all, 100u);
    ASSERT_LT(all, 2000u);
    // Text with a nonce has one length, so a byte less than all is always too few.
    for (std::size_t n = 0; n + 1 < all && !HasFailure(); ++n)
      run_with_cut(GetParam(), nullptr, to_client, n, n % 2 == 0);
  }
}

TEST_P(NegotiationTest, ThePeerClosesDuringTls) {
  for (const bool to_client : {true, false}) {
    const std::size_t all = run_with_cut(GetParam(), &tls(), to_client, 1 << 20, false);
    ASSERT_GT(all, 500u);
    for (std::size_t n = 0; n + 40 < all && !HasFailure(); n += 7)
      run_with_cut(GetParam(), &tls(), to_client, n, n % 2 == 0);
  }
}

TEST_P(NegotiationTest, ASilentPeerMeetsTheDeadline) {
  FdPair plain = socket_pair(), tls_pair = socket_pair();
  const TimePoint began = Clock::now();
  End silent_tls;
  server.plain(shard, std::move(plain.a), credentials.make_server(), 150ms);
  silent_tls.tls(shard, std::move(*transport::TlsStream::accept(tls_pair.a.release(), tls().server)),
                 credentials.make_server(), 150ms);
  server.negotiation->start();
  silent_tls.negotiation->start();
  ASSERT_TRUE(run_until(shard, [&] { return server.calls > 0 && silent_tls.calls > 0; }));
  EXPECT_GE(Clock::now() - began, 150ms);
  EXPECT_EQ(server.code(), ErrorCode::Timeout);
  EXPECT_TRUE(server.result->error().retry);
  EXPECT_EQ(silent_tls.code(), ErrorCode::Timeout);
}

TEST_P(NegotiationTest, APeerThatDribblesMeetsTheDeadlineToo) {
  FdPair pair = socket_pair();
  server.plain(shard, std::move(pair.a), credentials.make_server(), 200ms);
  server.negotiation->start();
  const Bytes bytes = preface();
  std::size_t sent = 0;
  ASSERT_TRUE(run_until(shard, [&] {
    if (sent < bytes.size() - 1) send_all(pair.b.get(), ConstBytes(bytes).subspan(sent++, 1));
    return server.calls > 0;
  }));
  EXPECT_EQ(server.code(), ErrorCode::Timeout);
  EXPECT_EQ(read_all_there_is(pair.b.get()), "") << "a scanner learns nothing";
}

TEST_P(NegotiationTest, SomebodyElsesProtocolIsClosedWithoutAWord) {
  for (const std::string_view text : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    End end;
    FdPair pair = socket_pair();
    end.plain(shard, std::move(pair.a), credentials.make_server());
    end.negotiation->start();
    send_all(pair.b.get(), as_bytes(text));
    ASSERT_TRUE(run_until(shard, [&] { return end.calls > 0; }));
    EXPECT_EQ(end.code(), ErrorCode::Protocol);
    EXPECT_EQ(read_all_there_is(pair.b.get()), "");
  }
}

// ---- what comes behind ----------------------------------------------------------------------------------------------

// So that whoever counts failures has counted this one before the caller's next try.
TEST_P(NegotiationTest, AFailureIsToldBeforeTheOtherEndCanSeeIt) {
  FdPair pair = socket_pair();
  server.plain(shard, std::move(pair.b), credentials.make_server());
  char byte = 0;
  ssize_t seen = 0;
  server.also = [&] { seen = ::recv(pair.a.get(), &byte, 1, MSG_DONTWAIT); };
  server.negotiation->start();
  send_all(pair.a.get(), as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  ASSERT_TRUE(run_until(shard, [&] { return server.calls > 0; }));
  EXPECT_EQ(server.code(), ErrorCode::Protocol);
  EXPECT_EQ(seen, -1) << "neither a byte nor the end";
  settle(shard);
  EXPECT_EQ(::recv(pair.a.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_P(NegotiationTest, BytesBehindAuthReachTheLink) {
  FdPair pair = socket_pair();
  server.plain(shard, std::move(pair.a), credentials.make_server());
  server.negotiation->start();
  ClientHandshake peer(credentials.client);
  send_all(pair.b.get(), peer.output());
  peer.sent(peer.output().size());
  std::string got;
  ASSERT_TRUE(run_until(shard, [&] {
    got = read_all_there_is(pair.b.get());
    if (!got.empty()) EXPECT_TRUE(peer.feed(as_bytes(got)));
    return !peer.output().empty();
  }));
  Bytes both(peer.output().begin(), peer.output().end());
  both = both + frame(wire::FrameType::Control, "{\"type\":\"later\"}");
  send_all(pair.b.get(), both);
  ASSERT_TRUE(run_until(shard, [&] { return server.calls > 0; }));
  ASSERT_TRUE(server.ok());
  EXPECT_EQ((*server.result)->early, frame(wire::FrameType::Control, "{\"type\":\"later\"}"));
}

TEST_P(NegotiationTest, BytesBehindWelcomeReachTheLink) {
  const Bytes later = frame(wire::FrameType::Ping, "12345678");
  for (const std::size_t split : {std::size_t{0}, std::size_t{1}, later.size() / 2, later.size()}) {
    End end;
    FdPair pair = socket_pair();
    end.plain(shard, std::move(pair.a), credentials.make_client());
    end.negotiation->start();
    ServerHandshake peer(credentials.server, credentials.secrets);
    ASSERT_TRUE(run_until(shard, [&] {
      const std::string got = read_all_there_is(pair.b.get());
      if (!got.empty()) EXPECT_TRUE(peer.feed(as_bytes(got)));
      if (peer.done()) return true;
      if (!peer.output().empty()) send_all(pair.b.get(), peer.output());
      peer.sent(peer.output().size());
      return false;
    }));
    Bytes both(peer.output().begin(), peer.output().end());
    both.insert(both.end(), later.begin(), later.begin() + static_cast<std::ptrdiff_t>(split));
    send_all(pair.b.get(), both);
    ASSERT_TRUE(run_until(shard, [&] { return end.calls > 0; }));
    ASSERT_TRUE(end.ok());
    EXPECT_EQ((*end.result)->early, Bytes(later.begin(), later.begin() + static_cast<std::ptrdiff_t>(split)));
    // The rest was not touched.
    send_all(pair.b.get(), ConstBytes(later).subspan(split));
    EXPECT_EQ(read_all_there_is((*end.result)->stream->fd()), as_text(ConstBytes(later).subspan(split)));
  }
}

// ---- destruction ----------------------------------------------------------------------------------------------------

TEST_P(NegotiationTest, MayBeDestroyedAtAnyStep) {
  for (const bool with_tls : {false, true}) {
    bool clean = false;
    for (int steps = 0; steps < 400 && !clean; ++steps) {
      const std::size_t before = open_descriptors();
      client.calls = server.calls = 0;
      with_tls ? start_tls() : start_plain();
      for (int i = 0; i < steps; ++i) shard.io().poll_one();
      clean = both_done();
      const int told = client.calls + server.calls;
      client.negotiation.reset();
      server.negotiation.reset();
      settle(shard);
      EXPECT_EQ(client.calls + server.calls, told) << "told after it was gone";
      client.result.reset();
      server.result.reset();
      EXPECT_EQ(open_descriptors(), before);
    }
    EXPECT_TRUE(clean);
  }
}

TEST_P(NegotiationTest, MayBeDestroyedFromItsCallback) {
  client.also = [&] { client.negotiation.reset(); };
  server.also = [&] {
    server.negotiation.reset();
    server.result.reset();  // and the connection with it
  };
  start_plain();
  ASSERT_TRUE(run_until(shard, [&] { return both_done(); }));
  settle(shard);
  EXPECT_TRUE(client.ok());
  std::array<std::byte, 8> buffer;
  EXPECT_EQ((*client.result)->stream->read(buffer).status, transport::IoStatus::Eof);
}

TEST_P(NegotiationTest, NotStartedItOnlyCloses) {
  FdPair pair = socket_pair();
  client.plain(shard, std::move(pair.a), credentials.make_client());
  client.negotiation.reset();
  settle(shard);
  EXPECT_EQ(client.calls, 0);
  char byte;
  EXPECT_EQ(::recv(pair.b.get(), &byte, 1, 0), 0);
}

TEST_P(NegotiationTest, ADescriptorThatCannotBeWatchedIsAnError) {
  client.plain(shard, transport::UniqueFd(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)), credentials.make_client());
  client.negotiation->start();
  EXPECT_EQ(client.calls, 0) << "never from inside start()";
  ASSERT_TRUE(run_until(shard, [&] { return client.calls > 0; }));
  EXPECT_FALSE(client.ok());
}

}  // namespace
}  // namespace ferrotunnel::session::test
