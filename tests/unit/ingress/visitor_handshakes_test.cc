// VisitorHandshakes on real sockets: who is handed on, who hears what, and what is cut.
#include "ingress/tls/visitor_handshakes.h"

#include <sys/socket.h>

#include <filesystem>

#include "support/https_certificates.h"
#include "transport/tls/tls_stream.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using ferrotunnel::test::HttpsCa;
using ferrotunnel::test::TlsVisitor;

struct Secured final : SecuredVisitors {
  struct One {
    transport::ByteStreamPtr stream;
    VisitorTls tls;
    VisitorSlot slot;
  };
  void on_secured(transport::ByteStreamPtr visitor, const transport::PeerAddress&, const VisitorTls& tls,
                  VisitorSlot slot) override {
    came.push_back({std::move(visitor), tls, std::move(slot)});
  }
  std::vector<One> came;
};

class VisitorHandshakesTest : public testing::TestWithParam<bool> {
 protected:
  VisitorHandshakesTest() {
    std::string name = "/tmp/ft_https_XXXXXX";
    directory = ::mkdtemp(name.data());
    HttpsCa ca(directory);
    const auto made = ca.issue("app", "DNS:app.test");
    transport::CertificateFiles files;
    files.certificate = made.certificate;
    files.key = made.key;
    transport::CertificateBookOptions options;
    options.http2 = true;
    auto loaded = transport::CertificateBook::load({&files, 1}, options);
    EXPECT_TRUE(loaded) << loaded.error().context;
    book = *loaded;
    make({});
  }
  ~VisitorHandshakesTest() override { std::filesystem::remove_all(directory); }
  void make(const VisitorHandshakeOptions& options) {
    handshakes.reset();
    handshakes = std::make_unique<VisitorHandshakes>(shard, options, secured, spares);
  }
  // The visitor's end.
  transport::UniqueFd connect() {
    SocketPair pair = tcp_pair();
    handshakes->take(std::move(pair.server), {}, book, count.enter());
    return std::move(pair.visitor);
  }
  void turn() {
    shard.io().restart();
    if (shard.io().poll() == 0) shard.io().run_one_for(1ms);
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition condition, Duration limit = 10s) {
    const TimePoint end = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > end) return false;
      turn();
    }
    return true;
  }
  // What comes until the end.
  std::string read_all(const transport::UniqueFd& fd) {
    std::string all;
    bool over = false;
    EXPECT_TRUE(until([&] {
      std::array<char, 4096> bytes{};
      ssize_t n;
      while ((n = ::recv(fd.get(), bytes.data(), bytes.size(), 0)) > 0)
        all.append(bytes.data(), static_cast<std::size_t>(n));
      over = n == 0;
      return over || (errno != EAGAIN && errno != EWOULDBLOCK);
    }));
    EXPECT_TRUE(over) << "an RST";
    return all;
  }
  bool shake(SSL* ssl) {
    return until([&] { return SSL_do_handshake(ssl) == 1; });
  }
  static void say(const transport::UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  MemoryBudget budget{MemoryBudget::kDefaultLimit};
  transport::Shard shard{0, budget, GetParam()};
  VisitorCount count;
  Secured secured;
  SpareVisitors spares;
  std::string directory;
  transport::CertificateBookPtr book;
  std::unique_ptr<VisitorHandshakes> handshakes;
};
FT_ON_BOTH_POLLERS(VisitorHandshakesTest);

TEST_P(VisitorHandshakesTest, HandsOnWithWhatWasAgreed) {
  using namespace std::string_literals;
  for (const std::string& alpn : {"\x02h2\x08http/1.1"s, "\x08http/1.1"s, ""s}) {
    const TlsVisitor visitor{.name = "APP.test", .alpn = alpn};
    const auto context = visitor.context();
    const auto fd = connect();
    EXPECT_EQ(handshakes->waiting(), 1u);
    EXPECT_EQ(count.now(), 1u);
    const auto ssl = visitor.connect(context.get(), fd.get());
    ASSERT_TRUE(shake(ssl.get()));
    ASSERT_TRUE(until([&] { return !secured.came.empty(); }));
    EXPECT_TRUE(secured.came[0].tls.on);
    EXPECT_EQ(secured.came[0].tls.h2, alpn.starts_with("\x02h2"));
    EXPECT_EQ(secured.came[0].tls.name, "app.test");
    EXPECT_EQ(count.now(), 1u) << "his place goes with him";
    secured.came.clear();
    EXPECT_EQ(count.now(), 0u);
  }
  EXPECT_EQ(handshakes->counters().done, 3u);
  EXPECT_EQ(handshakes->counters().failed, 0u);
  EXPECT_EQ(handshakes->waiting(), 0u);
}

// What came in one segment with the end of the handshake is TLS's already; the ingress has to find it.
TEST_P(VisitorHandshakesTest, ARequestBehindTheHandshakeIsRead) {
  HttpWorld world(GetParam());
  world.link.origin = answer_heads([](std::string_view) { return ok("fine"); });
  struct ToIngress final : SecuredVisitors {
    explicit ToIngress(HttpIngress& to) : ingress(to) {}
    void on_secured(transport::ByteStreamPtr stream, const transport::PeerAddress& peer, const VisitorTls& tls,
                    VisitorSlot slot) override {
      ingress.adopt(std::move(stream), peer, {}, tls, std::move(slot));
    }
    HttpIngress& ingress;
  } to(*world.ingress);
  VisitorHandshakes here(world.shard, {}, to, world.ingress->spares());
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    SocketPair pair = tcp_pair();
    here.take(std::move(pair.server), {}, book, {});
    const TlsVisitor visitor{.name = "app.test", .version = version};
    const auto context = visitor.context();
    const auto ssl = visitor.connect(context.get(), pair.visitor.get());
    const std::string request = get();
    std::string answer;
    bool asked_it = false;
    ASSERT_TRUE(world.until([&] {
      // Nothing runs between the visitor's last flight and his request.
      if (!asked_it && SSL_do_handshake(ssl.get()) == 1) {
        EXPECT_EQ(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())),
                  static_cast<int>(request.size()));
        asked_it = true;
      }
      std::array<char, 4096> bytes{};
      const int n = asked_it ? SSL_read(ssl.get(), bytes.data(), bytes.size()) : 0;
      if (n > 0) answer.append(bytes.data(), static_cast<std::size_t>(n));
      return answer.ends_with("fine");
    })) << version;
  }
}

TEST_P(VisitorHandshakesTest, PlainHttpIsToldSo) {
  for (const std::string_view request : {"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", "P"}) {
    const auto fd = connect();
    say(fd, request);
    const std::string page = read_all(fd);
    EXPECT_TRUE(page.starts_with("HTTP/1.1 400 ")) << page;
    EXPECT_TRUE(page.contains("Content-Type: text/plain")) << page;
    EXPECT_TRUE(page.contains("This port speaks HTTPS")) << page;
    ::shutdown(fd.get(), SHUT_WR);
    EXPECT_TRUE(until([&] { return handshakes->waiting() == 0; }));
  }
  EXPECT_EQ(handshakes->counters().plain_http, 2u);
  EXPECT_EQ(handshakes->counters().failed, 0u);
  EXPECT_TRUE(secured.came.empty());
}

TEST_P(VisitorHandshakesTest, APlainOneWhoStaysIsCut) {
  make({.linger_timeout = 50ms});
  const auto fd = connect();
  say(fd, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(until([&] { return handshakes->counters().plain_http == 1 && handshakes->waiting() == 0; }));
  EXPECT_EQ(handshakes->counters().timed_out, 0u);
}

TEST_P(VisitorHandshakesTest, TheSlowAreCut) {
  make({.handshake_timeout = 100ms});
  const auto silent = connect(), half = connect(), left = connect();
  say(half, "\x16\x03\x01");  // a record's first bytes
  ::shutdown(left.get(), SHUT_WR);
  ASSERT_TRUE(until([&] { return handshakes->waiting() == 0; }));
  EXPECT_EQ(handshakes->counters().timed_out, 2u);
  EXPECT_EQ(handshakes->counters().failed, 1u);
  EXPECT_EQ(count.now(), 0u);
}

TEST_P(VisitorHandshakesTest, RubbishFails) {
  for (const std::string_view rubbish :
       {"\x16\x03\x01\x40\x00 and so on, up to nothing", "\x80\x2e\x01\x00\x02", "\xff"}) {
    const auto fd = connect();
    say(fd, rubbish);
    ::shutdown(fd.get(), SHUT_WR);
    ASSERT_TRUE(until([&] { return handshakes->waiting() == 0; })) << rubbish;
  }
  EXPECT_EQ(handshakes->counters().failed, 3u);
}

TEST_P(VisitorHandshakesTest, ANameThatNobodyHasFails) {
  const TlsVisitor visitor{.name = "other.test"};
  const auto context = visitor.context();
  const auto fd = connect();
  const auto ssl = visitor.connect(context.get(), fd.get());
  EXPECT_TRUE(until([&] {
    (void)SSL_do_handshake(ssl.get());
    return handshakes->counters().failed == 1;
  }));
  EXPECT_TRUE(secured.came.empty());
}

TEST_P(VisitorHandshakesTest, TheOldestGoesWhenTheyAreMany) {
  make({.max_handshakes = 2});
  const auto first = connect(), second = connect(), third = connect();
  EXPECT_EQ(handshakes->waiting(), 2u);
  EXPECT_EQ(handshakes->counters().crowded_out, 1u);
  EXPECT_EQ(read_all(first), "");
  handshakes->stop();
  EXPECT_EQ(handshakes->waiting(), 0u);
  EXPECT_EQ(count.now(), 0u);
}

TEST_P(VisitorHandshakesTest, TheyCountAgainstTheMemory) {
  const auto silent = connect(), half = connect();
  say(half, "\x16\x03\x01");
  ASSERT_TRUE(until([&] { return budget.used() > 0; }));
  EXPECT_EQ(budget.used(), VisitorHandshakes::kMemory) << "who has said nothing has none yet";
  handshakes->stop();
  EXPECT_EQ(budget.used(), 0u);
  // A quarter of the limit is theirs, and a few may always be.
  budget.set_limit(VisitorHandshakes::kMemoryPart * VisitorHandshakes::kMemory * 20);
  make({.shards = 2});
  std::vector<transport::UniqueFd> crowd;
  std::size_t others = 0;
  const auto join = [&] {
    crowd.push_back(connect());
    say(crowd.back(), "\x16\x03\x01");
    EXPECT_TRUE(until([&] { return budget.used() == others + handshakes->waiting() * VisitorHandshakes::kMemory; }));
  };
  for (int i = 0; i < 22; ++i) join();
  EXPECT_EQ(handshakes->waiting(), 20u) << "there are none on the other shard";
  EXPECT_EQ(handshakes->counters().crowded_out, 2u);
  EXPECT_EQ(read_all(crowd[0]), "");
  EXPECT_EQ(budget.used(), 20 * VisitorHandshakes::kMemory);
  budget.set_limit(1);
  join();
  EXPECT_EQ(handshakes->waiting(), 20u);
  EXPECT_EQ(handshakes->counters().crowded_out, 3u);
  // What others use leaves this shard its part.
  make({.shards = 2});
  budget.set_limit(VisitorHandshakes::kMemoryPart * VisitorHandshakes::kMemory * 20);
  others = VisitorHandshakes::kMemory * 100;
  budget.add(others);
  for (int i = 0; i < 12; ++i) join();
  EXPECT_EQ(handshakes->waiting(), 10u);
  EXPECT_EQ(handshakes->counters().crowded_out, 2u);
  budget.sub(others);
}

TEST_P(VisitorHandshakesTest, TheyMakeRoomForNewcomers) {
  const auto silent = connect(), half = connect();
  say(half, "\x16\x03\x01");
  ASSERT_TRUE(until([&] { return budget.used() > 0; }));
  EXPECT_EQ(spares.count(), 2u);
  EXPECT_TRUE(spares.end_oldest());
  EXPECT_EQ(read_all(silent), "");
  EXPECT_TRUE(spares.end_oldest());
  EXPECT_FALSE(spares.end_oldest());
  EXPECT_EQ(count.now(), 0u);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(handshakes->counters().crowded_out, 2u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
