// Back-pressure both ways, early responses, and what an ingress holds: limits, moving, draining, stopping, memory, failing sockets.
#include <fcntl.h>

#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using transport::ResetReason;

class HttpFlow : public HttpTest {};
FT_ON_BOTH_POLLERS(HttpFlow);

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 2654435761u >> 7) % 26);
  return text;
}

TEST_P(HttpFlow, SlowVisitorHoldsTheResponseBack) {
  HttpWorld world(portable());
  const std::string body = pattern(8u << 20);
  Visitor& visitor = world.connect(8192);
  visitor.reading = false;
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.say(ok(body));
  world.settle();
  EXPECT_GT(stream.held(), 0u);
  EXPECT_LE(stream.max_held, stream.window);
  EXPECT_FALSE(stream.all_said());
  EXPECT_EQ(world.shard.buffers().lent(), 0u);  // nothing of it is here
  visitor.reading = true;
  ASSERT_TRUE(world.until([&] { return visitor.got.size() >= ok(body).size(); }, 60s)) << visitor.got.size();
  EXPECT_EQ(visitor.got, ok(body));
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
}

TEST_P(HttpFlow, SlowVisitorOfAChunkedResponse) {
  HttpWorld world(portable());
  std::string response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string plain;
  for (std::size_t i = 0; i < 600; ++i) {
    const std::string payload = pattern(1 + i * 37 % 9000);
    char size[16];
    std::snprintf(size, sizeof size, "%zx", payload.size());
    response += std::string(size) + "\r\n" + payload + "\r\n";
    plain += payload;
  }
  response += "0\r\nX-T: 1\r\n\r\n";
  for (const bool old : {false, true}) {
    Visitor& visitor = world.connect(4096);
    visitor.reading = false;
    visitor.send(old ? "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n" : get());
    ASSERT_TRUE(
        world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
    world.link.last().got.clear();
    world.link.last().cut = 1777;
    world.link.last().say(response);
    world.settle();
    visitor.reading = true;
    const std::string wanted = old ? "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + plain : response;
    ASSERT_TRUE(world.until([&] { return visitor.got.size() >= wanted.size(); }, 60s));
    EXPECT_TRUE(visitor.got == wanted);
  }
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpFlow, SlowOriginHoldsTheUploadBack) {
  HttpWorld world(portable());
  world.link.first_credit = 65'536;
  const std::string body = pattern(32u << 20);
  Visitor& visitor = world.connect();
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body +
               get("/next"));
  world.settle();
  FakeStream& stream = world.link.last();
  EXPECT_EQ(stream.got.size(), 65'536u);
  EXPECT_GT(visitor.unsent(), 0u);
  EXPECT_LE(world.shard.buffers().lent(), 1u);  // what the first read brought along, at most
  while (stream.got.size() < body.size()) {
    const std::size_t before = stream.got.size();
    stream.give_credit(1u << 20);
    ASSERT_TRUE(world.until([&] { return stream.got.size() > before; }));
  }
  stream.give_credit(1u << 20);
  ASSERT_TRUE(world.until([&] { return stream.got.ends_with(std::string_view(body).substr(body.size() - 1000)); }));
  EXPECT_EQ(stream.got.substr(stream.got.find("\r\n\r\n") + 4), body);
  stream.got.clear();
  stream.say(ok("thanks"));
  ASSERT_TRUE(world.until([&] { return stream.got.starts_with("GET /next "); }));
}

TEST_P(HttpFlow, ChunkedUploadIsReadAheadInBounds) {
  HttpWorld world(portable());
  std::string body;
  for (int i = 0; i < 200; ++i) body += "1000\r\n" + pattern(0x1000) + "\r\n";
  body += "0\r\n\r\n";
  Visitor& visitor = world.connect();
  std::string behind;
  for (int i = 0; i < 3000; ++i) behind += get("/" + std::to_string(i));
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body + behind);
  ASSERT_TRUE(
      world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n0\r\n\r\n"); }));
  world.settle();
  EXPECT_LE(world.budget.used(), 16'384u);  // pipelined bytes, and no more of them
  world.link.last().got.clear();
  world.link.last().say(ok("first"));
  world.link.origin = answer_heads([](std::string_view) { return ok("y"); });
  world.settle();
  world.link.origin(world.link.last());
  ASSERT_TRUE(world.until([&] { return world.host.records.size() == 3001; })) << world.host.records.size();
}

TEST_P(HttpFlow, ResponseBeforeTheUploadIsOver) {
  HttpWorld world(portable());
  world.link.first_credit = 65'536;
  Visitor& visitor = world.connect();
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5000000\r\n\r\n" + std::string(200'000, 'x'));
  world.settle();
  FakeStream& stream = world.link.last();
  stream.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong");
  EXPECT_EQ(stream.got_reset, ResetReason::Cancel);
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_TRUE(visitor.got.ends_with("\r\nConnection: close\r\n\r\nlong")) << visitor.got;
  EXPECT_FALSE(visitor.reset);
  EXPECT_EQ(world.ingress->stats().visitors, 1u);  // still reading what comes
  visitor.close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
}

TEST_P(HttpFlow, LingeringEnds) {
  HttpIngressOptions options;
  options.linger_timeout = 50ms;
  HttpWorld world(portable(), options);
  Visitor& silent = world.connect();
  silent.send("nonsense\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  // One that goes on and on.
  options.linger_timeout = 60s;
  options.linger_bytes = 100'000;
  HttpWorld bounded(portable(), options);
  Visitor& talker = bounded.connect();
  talker.send("nonsense\r\n\r\n");
  ASSERT_TRUE(bounded.until([&] {
    if (!talker.reset) talker.send(std::string(10'000, 'x'));
    return bounded.ingress->stats().visitors == 0;
  }));
}

// A response may begin while the request is still coming; both finish.
TEST_P(HttpFlow, BothBodiesAtOnce) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  ASSERT_TRUE(
      world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("1\r\na\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n");
  ASSERT_TRUE(world.until_got(visitor, "1\r\nA\r\n"));
  visitor.send("1\r\nb\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return stream.got.ends_with("0\r\n\r\n"); }));
  stream.say("1\r\nB\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("1\r\nB\r\n0\r\n\r\n"); }));
  EXPECT_FALSE(stream.got_reset);
}

TEST_P(HttpFlow, IdleVisitorsHoldNoBuffer) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  for (int i = 0; i < 100; ++i) {
    world.connect().send(get());
  }
  ASSERT_TRUE(world.until([&] { return world.host.records.size() == 100; }));
  world.settle();
  EXPECT_EQ(world.ingress->stats().visitors, 100u);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
  EXPECT_EQ(world.budget.used(), 0u);
  EXPECT_LE(sizeof(VisitorConnection), 400u);
}

TEST_P(HttpFlow, TooManyVisitors) {
  HttpIngressOptions options;
  options.max_visitors = 2;
  HttpWorld world(portable(), options);
  (void)ask(world);
  (void)ask(world);  // who had not asked would make room
  Visitor& third = world.connect();
  ASSERT_TRUE(world.until([&] { return third.closed(); }));
  EXPECT_EQ(world.ingress->stats().visitors, 2u);
  EXPECT_EQ(world.ingress->stats().refused, 1u);
  EXPECT_EQ(world.ingress->stats().accepted, 3u);
}

TEST_P(HttpFlow, MovesToTheShardOfTheRoute) {
  HttpWorld here(portable());
  HttpWorld there(portable(), {}, 1);
  ASSERT_TRUE(here.router.claim("far.test", "owner", {99, 5, 1}).has_value());
  ASSERT_TRUE(there.router.claim("far.test", "owner", {99, 5, 1}).has_value());
  there.links.add(99, there.link);
  here.link.origin = answer_heads([](std::string_view) { return ok("near"); });
  there.link.origin = answer_heads([](std::string_view) { return ok("far"); });
  Visitor& visitor = here.connect();
  const std::string far = "POST / HTTP/1.1\r\nHost: far.test\r\nContent-Length: 3\r\n\r\nabc";
  visitor.send(get() + far + "GET /second HTTP/1.1\r\nHost: far.test\r\n\r\n");
  ASSERT_TRUE(here.until([&] { return !here.host.moved.empty(); }));
  WorldHost::Moved& moved = here.host.moved[0];
  EXPECT_EQ(moved.shard, 1u);
  EXPECT_TRUE(moved.early.starts_with(far));
  EXPECT_EQ(moved.peer.port, 50'000);
  EXPECT_EQ(here.ingress->stats().visitors, 0u);
  EXPECT_EQ(here.ingress->stats().moved, 1u);
  EXPECT_EQ(here.shard.buffers().lent(), 0u);
  there.ingress->adopt(std::move(moved.stream), moved.peer, std::move(moved.early));
  ASSERT_TRUE(there.until([&] { return there.host.records.size() == 2; }));
  visitor.move();
  EXPECT_EQ(visitor.got, ok("near") + ok("far") + ok("far"));
  EXPECT_EQ(there.link.last().info.tunnel, 5u);
}

// A session may have a link here too; whether a tunnel's visitors use it is the route's to say, and may change between two requests.
TEST_P(HttpFlow, StaysWhereItsSessionHasALinkUnlessItIsPinned) {
  HttpWorld world(portable());
  ASSERT_TRUE(world.router.claim("far.test", "owner", {99, 5, 1, false}).has_value());
  world.links.add(99, world.link);
  world.link.origin = answer_heads([](std::string_view) { return ok("here"); });
  Visitor& visitor = world.connect();
  const std::string request = "GET / HTTP/1.1\r\nHost: far.test\r\n\r\n";
  visitor.send(request);
  ASSERT_TRUE(world.until_got(visitor, "here"));
  EXPECT_EQ(world.link.last().info.tunnel, 5u);
  EXPECT_TRUE(world.host.wanted.empty());
  world.router.pin("far.test", 99, true);
  visitor.send(request);
  ASSERT_TRUE(world.until([&] { return !world.host.moved.empty(); }));
  EXPECT_EQ(world.host.moved[0].shard, 1u);
  EXPECT_EQ(world.host.moved[0].early, request);
  EXPECT_EQ(world.host.wanted, std::vector<route::SessionId>{99});
}

TEST_P(HttpFlow, Drain) {
  HttpWorld world(portable());
  world.link.origin =
      answer_heads([](std::string_view head) { return head.contains("/slow") ? std::string() : ok("x"); });
  Visitor& idle = world.connect();
  idle.send(get());
  Visitor& fresh = world.connect();
  Visitor& busy = world.connect();
  ASSERT_TRUE(world.until_got(idle, ok("x")));
  busy.send(get("/slow") + get("/behind"));
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().requests == 2; }));
  world.settle();
  world.ingress->drain();
  ASSERT_TRUE(world.until([&] { return idle.eof && fresh.eof; }));
  EXPECT_FALSE(busy.closed());
  world.link.last().say(ok("slow"));
  ASSERT_TRUE(world.until([&] { return busy.eof; }));
  EXPECT_EQ(busy.got, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow");
  for (const auto& visitor : world.visitors) visitor->close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.ingress->stats().idle_origins, 0u);
  Visitor& late = world.connect();
  ASSERT_TRUE(world.until([&] { return late.closed(); }));
}

TEST_P(HttpFlow, ADrainThatBeginsServesThoseWhoHaveJustCome) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& idle = world.connect();
  idle.send(get());
  Visitor& asking = world.connect();
  Visitor& silent = world.connect();
  Visitor& half = world.connect();
  ASSERT_TRUE(world.until_got(idle, ok("x")));
  half.send("GET / HTTP/1.1\r\nHost: ");
  world.settle();
  world.ingress->begin_drain();
  ASSERT_TRUE(world.until([&] { return idle.eof; }));
  EXPECT_EQ(world.ingress->reading(), 3u);
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
  asking.send(get());
  half.send("a.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return asking.eof && half.eof; }));
  EXPECT_EQ(asking.got, last);
  EXPECT_EQ(half.got, last);
  EXPECT_FALSE(silent.closed());
  EXPECT_EQ(world.ingress->reading(), 1u);
  world.ingress->drain();
  ASSERT_TRUE(world.until([&] { return silent.eof; }));
  EXPECT_EQ(world.ingress->reading(), 0u);
}

TEST_P(HttpFlow, StopInTheMiddleOfEverything) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view head) -> std::string {
    if (head.contains("/wait")) return "";
    if (head.contains("/part"))
      return "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + std::string(8'000'000, 'x');
    if (head.contains("/up")) return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    return ok("x");
  });
  world.connect().send(get());
  world.connect().send(get("/wait"));
  Visitor& deaf = world.connect(4096);
  deaf.reading = false;
  deaf.send(get("/part"));
  world.connect().send("GET /up HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  world.connect().send("GET / HT");
  world.connect().send("bad\r\n\r\n");
  world.connect().send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().upgraded == 1; }));
  world.settle();
  EXPECT_EQ(world.ingress->requests_now({HttpWorld::kSession, HttpWorld::kTunnel}), 3u)
      << "one waits, one is half answered, one upgraded";
  EXPECT_EQ(world.ingress->requests_now({HttpWorld::kSession, HttpWorld::kTunnel + 1}), 0u);
  EXPECT_EQ(world.ingress->stats().visitors, 7u);
  world.ingress->stop();
  EXPECT_EQ(world.ingress->stats().visitors, 0u);
  EXPECT_EQ(world.ingress->requests_now({HttpWorld::kSession, HttpWorld::kTunnel}), 0u);
  EXPECT_EQ(world.link.alive(), 0u);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
  world.settle();
}

// ---- sockets that fail --------------------------------------------------------------------------------------------

// Fails one of its calls, counted over reads and writes; or takes little at a time.
class FaultyStream final : public transport::ByteStream {
 public:
  FaultyStream(transport::UniqueFd fd, int fail_at, std::size_t most, int& calls)
      : stream_(std::move(fd)), fail_at_(fail_at), most_(most), calls_(calls) {}
  [[nodiscard]] int fd() const override { return stream_.fd(); }
  [[nodiscard]] transport::IoResult read(MutBytes into) override {
    if (calls_++ == fail_at_) return {transport::IoStatus::Error, 0, ECONNRESET};
    return stream_.read(into.first(std::min(into.size(), most_)));
  }
  [[nodiscard]] transport::IoResult write(std::span<const iovec> pieces) override {
    if (calls_++ == fail_at_) return {transport::IoStatus::Error, 0, EPIPE};
    iovec first = pieces.front();
    first.iov_len = std::min(first.iov_len, most_);
    return stream_.write({&first, 1});
  }
  // As TLS: a short call says nothing of the socket.
  [[nodiscard]] bool read_pending() const override { return true; }
  void shutdown_write() override { stream_.shutdown_write(); }
  void abort() override { stream_.abort(); }

 private:
  transport::TcpStream stream_;
  const int fail_at_;
  const std::size_t most_;
  int& calls_;
};

TEST_P(HttpFlow, EachCallOfTheSocketFails) {
  const std::string requests =
      get("/1") + "POST /2 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
      "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n" +
      "GET /up HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly";
  for (const std::size_t most : {7u, 100'000u}) {
    bool finished = false;
    for (int fail_at = 0; !finished; ++fail_at) {
      ASSERT_LT(fail_at, 2000);
      HttpWorld world(portable());
      world.link.origin = [&](FakeStream& stream) {
        if (stream.got.starts_with("GET /up ") && stream.got.ends_with("\r\n\r\n")) {
          stream.got.clear();
          return stream.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        }
        if (stream.got == "early") {
          stream.say("bye");
          return stream.fin();
        }
        if (stream.got.starts_with("GET /1 ") && stream.got.ends_with("\r\n\r\n")) {
          stream.got.clear();
          return stream.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        }
        if (stream.got.ends_with("0\r\n\r\n")) {
          stream.got.clear();
          stream.say(ok("posted"));
        }
      };
      SocketPair pair = tcp_pair();
      Visitor visitor(std::move(pair.visitor));
      int calls = 0;
      world.ingress->adopt(std::make_unique<FaultyStream>(std::move(pair.server), fail_at, most, calls),
                           HttpWorld::peer());
      visitor.send(requests);
      visitor.finish();
      ASSERT_TRUE(world.until([&] {
        visitor.move();
        return world.ingress->stats().visitors == 0;
      })) << fail_at;
      finished = calls <= fail_at;
      visitor.move();
      if (finished) {
        EXPECT_TRUE(visitor.got.ends_with("bye")) << visitor.got;
        EXPECT_TRUE(visitor.eof);
      }
      EXPECT_EQ(world.shard.buffers().lent(), 0u) << fail_at;
      EXPECT_LE(world.link.alive(), 1u) << fail_at;
    }
  }
}

// The price of a request in steady state: one read, one write, and no buffer or exchange made anew.
TEST_P(HttpFlow, OneReadAndOneWriteARequest) {
  class Counting final : public transport::ByteStream {
   public:
    Counting(transport::UniqueFd fd, int& calls) : stream_(std::move(fd)), calls_(calls) {}
    [[nodiscard]] int fd() const override { return stream_.fd(); }
    [[nodiscard]] transport::IoResult read(MutBytes into) override { return ++calls_, stream_.read(into); }
    [[nodiscard]] transport::IoResult write(std::span<const iovec> pieces) override {
      return ++calls_, stream_.write(pieces);
    }
    void shutdown_write() override { stream_.shutdown_write(); }
    void abort() override { stream_.abort(); }
    [[nodiscard]] bool plain() const override { return true; }

   private:
    transport::TcpStream stream_;
    int& calls_;
  };
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("Hello, world!"); });
  SocketPair pair = tcp_pair();
  Visitor visitor(std::move(pair.visitor));
  int calls = 0;
  world.ingress->adopt(std::make_unique<Counting>(std::move(pair.server), calls), HttpWorld::peer());
  for (int i = 1; i <= 20; ++i) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] {
      visitor.move();
      return visitor.got == ok("Hello, world!");
    }));
    visitor.got.clear();
    world.settle();
    // The portable poller's waits cannot tell a FIN from bytes, so there it reads once more to see.
    EXPECT_EQ(calls, (portable() ? 3 : 2) * i);
  }
}

TEST(HttpAdopt, WhatCannotBeWatchedIsClosed) {
  HttpWorld world(false);
  // epoll refuses regular files.
  transport::UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  world.ingress->adopt(std::make_unique<transport::TcpStream>(std::move(file)), HttpWorld::peer());
  EXPECT_EQ(world.ingress->stats().visitors, 0u);
  EXPECT_EQ(world.ingress->stats().refused, 1u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
