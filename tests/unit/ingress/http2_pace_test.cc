// How slow a visitor over HTTP/2 may be, and who is not to be blamed.
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using ferrotunnel::test::hpack;
using ferrotunnel::test::kH2Hello;

class Http2Pace : public HttpTest {
 protected:
  // 2,000 bytes in each window.
  [[nodiscard]] static HttpIngressOptions options() {
    HttpIngressOptions options;
    options.min_visitor_rate = 10'000;
    options.rate_window = 200ms;
    return options;
  }
  // So long that who was to be cut off has been.
  static constexpr Duration kLong = 1200ms;

  // Moves for so long, and calls each() every 10 ms.
  template <class Each>
  static void pass(H2Visitor& visitor, Duration time, Each&& each) {
    const TimePoint end = Clock::now() + time;
    TimePoint next = Clock::now();
    EXPECT_TRUE(visitor.until([&] {
      if (Clock::now() >= next) {
        next += 10ms;
        each();
      }
      return Clock::now() >= end;
    }));
  }
};
FT_ON_BOTH_POLLERS(Http2Pace);

TEST_P(Http2Pace, ABodyThatDripsIs408) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {{"content-length", "100000"}}, false);
  TimePoint next = Clock::now();
  ASSERT_TRUE(visitor.until([&] {
    if (Clock::now() >= next) {
      visitor.client.body(id, "x");
      next = Clock::now() + 10ms;
    }
    return visitor.answer(id).closed;
  }));
  EXPECT_EQ(visitor.answer(id).status, 408);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "request-slow");
  EXPECT_EQ(world.ingress->stats().too_slow, 1u);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "request-slow");
  EXPECT_EQ(visitor.client.goaway, std::nullopt);
}

TEST_P(Http2Pace, ASlowOriginIsNoSlowVisitor) {
  HttpWorld world(portable(), options());
  world.link.first_credit = 400;
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {{"content-length", "70000"}}, false);
  visitor.client.body(id, std::string(70'000, 'x'), true);
  pass(visitor, kLong, [&] {
    if (world.link.alive() == 1) world.link.last().give_credit(1);
  });
  EXPECT_FALSE(visitor.answer(id).closed);
  world.link.last().give_credit(100'000);
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with(std::string(1000, 'x')); }));
  world.link.last().say(ok("fine"));
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 200);
  EXPECT_EQ(world.ingress->stats().too_slow, 0u);
}

TEST_P(Http2Pace, WhoWaitsForAnAnswerOwesNothing) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world);
  const auto asked = visitor.client.ask("GET", "/");
  // Both have begun to talk; gRPC may be silent before that too.
  const auto answered = visitor.client.ask("POST", "/answered", {}, false);
  const auto grpc = visitor.client.ask("POST", "/grpc", {{"content-type", "application/grpc+proto"}}, false);
  ASSERT_TRUE(
      visitor.until([&] { return world.link.alive() == 3 && world.link.streams[1]->got.contains("/answered"); }));
  world.link.streams[1]->say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  pass(visitor, kLong, [] {});
  for (const auto id : {asked, answered, grpc}) EXPECT_FALSE(visitor.answer(id).closed) << id;
  EXPECT_EQ(world.ingress->stats().timeouts, 0u);
}

TEST_P(Http2Pace, UploadsOfOneLineAreJudgedTogether) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world);
  const auto quick = visitor.client.ask("POST", "/quick", {}, false);
  const auto waits = visitor.client.ask("POST", "/waits", {}, false);
  // Enough for both.
  pass(visitor, kLong, [&] { visitor.client.body(quick, std::string(1000, 'x')); });
  EXPECT_FALSE(visitor.answer(waits).closed);
  EXPECT_EQ(world.ingress->stats().too_slow, 0u);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(waits).closed && visitor.answer(quick).closed; }));
  EXPECT_EQ(visitor.answer(waits).status, 408);
  EXPECT_EQ(world.ingress->stats().too_slow, 2u);
}

TEST_P(Http2Pace, AnAnswerThatIsNotReadIsCut) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world, false, 1000);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.link.last().say(ok(std::string(50'000, 'x')));
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_CANCEL);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "visitor-slow");
  EXPECT_EQ(world.ingress->stats().too_slow, 1u);
}

TEST_P(Http2Pace, ASlowOriginIsNoSlowReader) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
  pass(visitor, kLong, [&] { world.link.last().say("x"); });
  EXPECT_FALSE(visitor.answer(id).closed);
  EXPECT_EQ(world.ingress->stats().too_slow, 0u);
}

TEST_P(Http2Pace, EventsAreLeftToTheStallTimeout) {
  HttpWorld world(portable(), options());
  H2Visitor visitor(world, false, 10);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.link.last().say(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: "
      "1\n\n\r\n9\r\ndata: 2\n\n\r\n");
  pass(visitor, kLong, [] {});
  EXPECT_FALSE(visitor.answer(id).closed);
  EXPECT_EQ(world.ingress->stats().too_slow, 0u);
  // What waits there is memory that others need.
  world.budget.add(MemoryBudget::kDefaultLimit);
  EXPECT_TRUE(visitor.until_closed(id));
  world.budget.sub(MemoryBudget::kDefaultLimit);
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_CANCEL);
  EXPECT_EQ(world.ingress->stats().too_slow, 1u);
}

TEST_P(Http2Pace, TheWordForGrpcIsNoLeaveToBeSlow) {
  HttpWorld world(portable(), options());
  for (const char* type : {"application/grpc-web", "application/grpc-web+proto", "application/grpcfoo"}) {
    H2Visitor visitor(world, false, 1000);
    const auto id = visitor.client.ask("POST", "/", {{"content-type", type}});
    ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); })) << type;
    world.link.last().say(ok(std::string(50'000, 'x')));
    ASSERT_TRUE(visitor.until_closed(id)) << type;
    EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_CANCEL) << type;
    const auto sends = visitor.client.ask("POST", "/", {{"content-type", type}}, false);
    ASSERT_TRUE(visitor.until_closed(sends)) << type;
    EXPECT_EQ(world.host.records.back().slug, "request-slow") << type;
    visitor.socket().close();
    ASSERT_TRUE(world.until([&] { return world.link.alive() == 0; }));
  }
}

TEST_P(Http2Pace, ASocketThatIsHardlyReadEndsTheConnection) {
  HttpIngressOptions few = options();
  few.min_visitor_rate = 10'000'000;  // of a socket a window's worth has to arrive: the kernel takes what it likes
  HttpWorld world(portable(), few);
  Visitor& visitor = world.connect(2048);
  visitor.reading = false;
  world.link.origin = answer_heads([](std::string_view) { return ok(std::string(1u << 20, 'x')); });
  visitor.send(kH2Hello + h2_frame(8, 0, 0, std::string_view("\x3f\0\0\0", 4)) +
               h2_frame(4, 0, 0, std::string_view("\0\4\x3f\xff\xff\xff", 6)));
  for (std::uint32_t i = 0; i < 20; ++i) visitor.send(h2_headers(2 * i + 1, h2_get()));
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.ingress->stats().too_slow, 1u);
  EXPECT_EQ(world.ingress->stats().h2_stalled, 0u);
  bool slow = false;
  for (const Record& record : world.host.records) slow = slow || record.slug == "visitor-slow";
  EXPECT_TRUE(slow);
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

// As over HTTP/1.1: a full socket takes new bytes once a large part of what the kernel holds is gone.
TEST_P(Http2Pace, WhoReadsIsNotStalledThoughTheSocketTakesNoMore) {
  for (const std::uint32_t floor : {100u, 0u}) {
    HttpIngressOptions options;
    options.min_visitor_rate = floor;
    options.rate_window = 500ms;
    options.stall_timeout = 1'200ms;
    HttpWorld world(portable(), options);
    Visitor& visitor = world.connect(4096);
    visitor.reading = false;
    world.link.origin = answer_heads([](std::string_view) { return ok(std::string(1u << 20, 'x')); });
    visitor.send(kH2Hello + h2_frame(8, 0, 0, std::string_view("\x3f\0\0\0", 4)) +
                 h2_frame(4, 0, 0, std::string_view("\0\4\x3f\xff\xff\xff", 6)));
    for (std::uint32_t i = 0; i < 20; ++i) visitor.send(h2_headers(2 * i + 1, h2_get()));
    ASSERT_TRUE(world.reads_slowly(visitor, 1'800ms));
    EXPECT_FALSE(visitor.closed()) << floor;
    EXPECT_EQ(world.ingress->stats().timeouts, 0u);
    ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; })) << floor;
    EXPECT_EQ(world.ingress->stats().too_slow, floor != 0 ? 1u : 0u);
    EXPECT_EQ(world.ingress->stats().h2_stalled, floor != 0 ? 0u : 1u);
  }
}

TEST_P(Http2Pace, WindowsThatOpenByCrumbsAreAbuse) {
  HttpIngressOptions none;
  none.min_visitor_rate = 0;
  HttpWorld world(portable(), none);
  Visitor& visitor = world.connect();
  world.link.origin = answer_heads([](std::string_view) { return ok(std::string(20'000, 'x')); });
  visitor.send(kH2Hello + h2_frame(4, 0, 0, std::string_view("\0\4\0\0\0\0", 6)) + h2_headers(1, h2_get()));
  int sent = 0;
  for (; sent < 1000 && !visitor.closed(); ++sent) {
    visitor.send(h2_frame(8, 0, 1, std::string_view("\0\0\0\1", 4)));
    world.settle();
  }
  ASSERT_TRUE(world.until([&] { return visitor.closed(); })) << sent;
  EXPECT_EQ(world.ingress->stats().h2_abuse[static_cast<std::size_t>(http::H2Abuse::WindowUpdates)], 1u);
}

TEST_P(Http2Pace, ABlockThatNeverEndsBesideARequest) {
  HttpIngressOptions short_head = options();
  short_head.head_timeout = 200ms;
  HttpWorld world(portable(), short_head);
  Visitor& visitor = world.connect();
  visitor.send(kH2Hello + h2_headers(1, h2_get()) + h2_frame(1, 1, 3, hpack(h2_get())));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_EQ(world.ingress->stats().timeouts, 1u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
