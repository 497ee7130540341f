// Dialer over loopback: which address is found, how fast, and what is said when none is.
#include "session/dialer.h"

#include <sys/socket.h>

#include <list>

#include "transport/tcp/listener.h"
#include "unit/session/negotiation_world.h"

namespace ferrotunnel::session::test {
namespace {

transport::SocketAddress loopback(std::uint16_t port = 0) { return *transport::parse_ip("127.0.0.1", port); }

// The server's half: accepts and signs in whoever comes.
class Accepting {
 public:
  Accepting(transport::Shard& shard, Credentials& credentials, const TlsPair* tls = nullptr)
      : shard_(shard), credentials_(credentials), tls_(tls) {
    auto fd = transport::listen_on(loopback(), false);
    port = transport::local_address(fd->get())->port();
    listener_ = std::make_unique<transport::Listener>(
        shard, std::move(*fd),
        [this](transport::UniqueFd peer, const transport::SocketAddress&) { take(std::move(peer)); });
    EXPECT_TRUE(listener_->start());
  }
  [[nodiscard]] std::string address(const std::string& host = "127.0.0.1") const {
    return host + ":" + std::to_string(port);
  }
  std::uint16_t port = 0;
  int accepted = 0;
  std::list<End> ends;

 private:
  void take(transport::UniqueFd peer) {
    ++accepted;
    End& end = ends.emplace_back();
    if (tls_ != nullptr) {
      end.tls(shard_, std::move(*transport::TlsStream::accept(peer.release(), tls_->server)),
              credentials_.make_server());
    } else {
      end.plain(shard_, std::move(peer), credentials_.make_server());
    }
    end.negotiation->start();
  }
  transport::Shard& shard_;
  Credentials& credentials_;
  const TlsPair* tls_;
  std::unique_ptr<transport::Listener> listener_;
};

// A listening socket whose queue is full: the kernel drops every SYN for it.
class BlackHole {
 public:
  BlackHole() {
    listener_ = transport::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto any = loopback();
    EXPECT_EQ(::bind(listener_.get(), any.get(), any.length), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    const auto address = *transport::local_address(listener_.get());
    port = address.port();
    for (int i = 0; i < 4; ++i) fillers_.push_back(std::move(transport::connect_to(address)->fd));
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port); }
  std::uint16_t port = 0;

 private:
  transport::UniqueFd listener_;
  std::vector<transport::UniqueFd> fillers_;
};

std::string refusing_address() {
  const auto fd = transport::listen_on(loopback(), false);
  return "127.0.0.1:" +
         std::to_string(transport::local_address(fd->get())->port());  // nobody listens there when this returns
}

class DialerTest : public testing::TestWithParam<bool> {
 protected:
  void dial(std::vector<std::string> addresses, const TlsPair* tls = nullptr) {
    DialOptions options;
    options.addresses = std::move(addresses);
    if (tls != nullptr) options.tls = tls->client;
    options.handshake = credentials.client;
    options.connect_deadline = connect_deadline;
    options.handshake_deadline = handshake_deadline;
    began = Clock::now();
    dialer = std::make_unique<Dialer>(shard, std::move(options), [this](Result<Dialed> r) {
      ++calls;
      took = Clock::now() - began;
      result.emplace(std::move(r));
      if (also) also();
    });
    const int so_far = calls;
    dialer->start();
    EXPECT_EQ(calls, so_far) << "never from inside start()";
  }
  [[nodiscard]] bool wait() {
    const bool done = run_until(shard, [&] { return calls > 0; });
    settle(shard);
    EXPECT_EQ(calls, done ? 1 : 0);
    return done;
  }
  [[nodiscard]] bool ok() const { return result && *result; }
  [[nodiscard]] Error error() const { return result && !*result ? result->error() : Error(); }

  MemoryBudget budget;
  Credentials credentials;
  transport::Shard shard{0, budget, GetParam()};
  Duration connect_deadline = 10s, handshake_deadline = 10s;
  std::unique_ptr<Dialer> dialer;
  std::function<void()> also;
  int calls = 0;
  TimePoint began{};
  Duration took{};
  std::optional<Result<Dialed>> result;
};

INSTANTIATE_TEST_SUITE_P(Pollers, DialerTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(DialerTest, NumericAddress) {
  const Accepting server(shard, credentials);
  dial({server.address()});
  ASSERT_TRUE(wait());
  ASSERT_TRUE(ok()) << error().context;
  EXPECT_EQ((*result)->address, server.address());
  EXPECT_EQ((*result)->peer.outcome.session, "s1");
  EXPECT_EQ((*result)->peer.transport, "tcp, plain");
}

TEST_P(DialerTest, Localhost) {
  const Accepting server(shard, credentials);
  dial({server.address("localhost")});
  ASSERT_TRUE(wait());
  EXPECT_TRUE(ok()) << error().context;  // by ::1, which refuses, or at once
}

TEST_P(DialerTest, Tls) {
  TlsPair tls;
  const Accepting server(shard, credentials, &tls);
  dial({server.address()}, &tls);
  ASSERT_TRUE(wait());
  ASSERT_TRUE(ok()) << error().context;
  EXPECT_EQ((*result)->peer.transport, "tls 1.3");
}

TEST_P(DialerTest, AnotherKeyThanThePinnedOneIsNotTriedAgain) {
  TlsPair tls, other;
  const Accepting server(shard, credentials, &tls);
  dial({server.address()}, &other);
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::PinMismatch);
  EXPECT_FALSE(error().retry);
}

TEST_P(DialerTest, TlsToAPlainServer) {
  TlsPair tls;
  const Accepting server(shard, credentials);
  dial({server.address()}, &tls);
  ASSERT_TRUE(wait());
  EXPECT_FALSE(ok());
  EXPECT_FALSE(error().context.empty());
}

TEST_P(DialerTest, PlainToATlsServer) {
  TlsPair tls;
  const Accepting server(shard, credentials, &tls);
  dial({server.address()});
  ASSERT_TRUE(wait());
  EXPECT_FALSE(ok());
}

TEST_P(DialerTest, AWrongSecret) {
  const Accepting server(shard, credentials);
  credentials.client.key = AuthKey::random();
  dial({server.address()});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Unauthorized);
  EXPECT_FALSE(error().retry);
}

TEST_P(DialerTest, ARefusedPortIsToldAtOnce) {
  const std::string address = refusing_address();
  dial({address});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Unreachable);
  EXPECT_EQ(error().side, Side::Tunnel);
  EXPECT_TRUE(error().retry);
  EXPECT_NE(error().context.find(address), std::string::npos) << error().context;
  EXPECT_LT(took, Dialer::kStagger);
}

TEST_P(DialerTest, AllRefusedIsToldAtOnce) {
  dial({refusing_address(), refusing_address(), refusing_address()});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Unreachable);
  EXPECT_LT(took, Dialer::kStagger);
}

TEST_P(DialerTest, ANameThatDoesNotResolve) {
  dial({"no-such-host.invalid:7835"});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Resolve);
  EXPECT_TRUE(error().retry);
  EXPECT_NE(error().context.find("no-such-host.invalid"), std::string::npos);
}

TEST_P(DialerTest, ANameThatDoesNotResolveBesideAnAddress) {
  const Accepting server(shard, credentials);
  dial({"no-such-host.invalid:7835", server.address()});
  ASSERT_TRUE(wait());
  EXPECT_TRUE(ok()) << error().context;
}

TEST_P(DialerTest, NoAddressAndBadAddresses) {
  for (const std::vector<std::string>& addresses : {std::vector<std::string>{}, {"host:port"}, {"::1:80", "[::1"}}) {
    calls = 0;
    dial(addresses);
    ASSERT_TRUE(wait());
    EXPECT_EQ(error().code, ErrorCode::BadInput);
    EXPECT_FALSE(error().retry);
  }
}

TEST_P(DialerTest, AnAddressWithoutAWayThere) {
  dial({"255.255.255.255:7835"});  // connect() says no by itself
  ASSERT_TRUE(wait());
  EXPECT_FALSE(ok());
  EXPECT_TRUE(error().retry) << "networks change";
  EXPECT_EQ(error().side, Side::Tunnel);
  EXPECT_LT(took, Dialer::kStagger);
}

TEST_P(DialerTest, TheOneThatWorksIsFoundBehindRefusals) {
  const Accepting server(shard, credentials);
  dial({refusing_address(), "255.255.255.255:1", refusing_address(), server.address()});
  ASSERT_TRUE(wait());
  ASSERT_TRUE(ok()) << error().context;
  EXPECT_EQ((*result)->address, server.address());
  EXPECT_LT(took, Dialer::kStagger);
}

TEST_P(DialerTest, TheOneThatWorksIsFoundBesideABlackHole) {
  const BlackHole hole;
  const Accepting server(shard, credentials);
  dial({hole.address(), server.address()});
  ASSERT_TRUE(wait());
  ASSERT_TRUE(ok()) << error().context;
  EXPECT_EQ((*result)->address, server.address());
  EXPECT_GE(took, Dialer::kStagger);
  EXPECT_EQ(server.accepted, 1);
}

TEST_P(DialerTest, ABlackHoleAloneIsATimeout) {
  connect_deadline = 900ms;
  const BlackHole hole;
  dial({hole.address()});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Timeout);
  EXPECT_TRUE(error().retry);
  EXPECT_NE(error().context.find(hole.address()), std::string::npos) << error().context;
  EXPECT_GE(took, connect_deadline);
}

TEST_P(DialerTest, AServerThatSaysNothingIsATimeout) {
  handshake_deadline = 200ms;
  const auto fd = transport::listen_on(loopback(), false);
  dial({"127.0.0.1:" + std::to_string(transport::local_address(fd->get())->port())});
  ASSERT_TRUE(wait());
  EXPECT_EQ(error().code, ErrorCode::Timeout);
  EXPECT_GE(took, handshake_deadline);
}

TEST_P(DialerTest, MayBeDestroyedAtAnyStep) {
  TlsPair tls;
  const BlackHole hole;
  std::optional<Accepting> server(std::in_place, shard, credentials, &tls);
  const std::string refusing = refusing_address();
  const std::vector<std::vector<std::string>> ways{{server->address()},
                                                   {"localhost:" + std::to_string(server->port)},
                                                   {refusing},
                                                   {refusing, server->address()},
                                                   {hole.address()}};
  for (const auto& addresses : ways) {
    bool done = false;
    for (int steps = 0; steps < 60 && !done; ++steps) {
      calls = 0;
      result.reset();
      dial(addresses, &tls);
      for (int i = 0; i < steps; ++i) shard.io().poll_one();
      done = calls > 0;
      dialer.reset();
      settle(shard);
      EXPECT_EQ(calls, done ? 1 : 0) << "told after it was gone";
    }
  }
  result.reset();
  server.reset();
}

TEST_P(DialerTest, MayBeDestroyedFromItsCallback) {
  const Accepting server(shard, credentials);
  also = [&] { dialer.reset(); };
  for (const std::string& address :
       {server.address(), refusing_address(), std::string("host:port"), std::string("no-such-host.invalid:1")}) {
    calls = 0;
    dial({address});
    ASSERT_TRUE(wait());
  }
}

TEST_P(DialerTest, LeavesNoDescriptorBehind) {
  const BlackHole hole;
  Accepting server(shard, credentials);
  dial({"localhost:1"});  // the resolver's own descriptors are made
  ASSERT_TRUE(wait());
  dialer.reset();
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 3; ++i) {
    calls = 0;
    dial({hole.address(), refusing_address(), server.address()});
    ASSERT_TRUE(wait());
    ASSERT_TRUE(ok());
    dialer.reset();
    result.reset();
    server.ends.clear();
    settle(shard);
    EXPECT_EQ(open_descriptors(), before);
  }
}

TEST(SplitHostPort, Table) {
  struct Good {
    std::string_view text, host;
    std::uint16_t port;
  };
  for (const Good& good : {Good{"a.example:80", "a.example", 80},
                           {"a.example", "a.example", 7},
                           {"127.0.0.1:0", "127.0.0.1", 0},
                           {":7835", "", 7835},
                           {"", "", 7},
                           {"[::1]:65535", "::1", 65535},
                           {"[::1]", "::1", 7},
                           {"[]:1", "", 1},
                           {"*:5", "*", 5},
                           {"h:007", "h", 7}}) {
    const auto parts = split_host_port(good.text, 7);
    ASSERT_TRUE(parts) << good.text << ": " << parts.error().context;
    EXPECT_EQ(parts->host, good.host) << good.text;
    EXPECT_EQ(parts->port, good.port) << good.text;
  }
  for (const std::string_view text :
       {"h:", "h:65536", "h:-1", "h:+1", "h: 1", "h:1 ", "h:http", "h:0x1", "h:99999999999999999999", "::1", "a:b:1",
        "[::1", "[::1]x", "[::1]:", "[::1]:x", "[::1]80"}) {
    const auto parts = split_host_port(text, 7);
    ASSERT_FALSE(parts) << text;
    EXPECT_EQ(parts.error().code, ErrorCode::BadInput);
    EXPECT_NE(parts.error().context.find(text), std::string::npos) << parts.error().context;
  }
}

}  // namespace
}  // namespace ferrotunnel::session::test
