// What goes wrong on each side, and what the visitor then sees: pages with the side at fault, retries, cut responses, timeouts.
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using transport::ResetReason;

class HttpFailure : public HttpTest {};
FT_ON_BOTH_POLLERS(HttpFailure);

TEST_P(HttpFailure, NoSuchHost) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("GET / HTTP/1.1\r\nHost: B.test\r\nAccept: application/json\r\n\r\n");
  expect_page(world, visitor, 404, "visitor", "no-such-host");
  EXPECT_TRUE(visitor.got.contains("No tunnel serves b.test here.")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("application/json"));
  visitor.got.clear();
  // The connection goes on.
  visitor.send("HEAD / HTTP/1.1\r\nHost: b.test\r\n\r\n");
  expect_page(world, visitor, 404, "visitor", "no-such-host");
  EXPECT_TRUE(visitor.got.ends_with("\r\n\r\n"));
  visitor.got.clear();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say(ok("x"));
  EXPECT_TRUE(world.until_got(visitor, ok("x")));
  // Not with a body behind it, which would be read as the next request.
  Visitor& poster = world.connect();
  poster.send("POST / HTTP/1.1\r\nHost: b.test\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return poster.eof; }));
  EXPECT_EQ(world.link.last().got.find("GET /", 1), std::string::npos);
}

TEST_P(HttpFailure, BadRequests) {
  HttpWorld world(portable());
  const struct {
    std::string request;
    int status;
    std::string_view slug;
  } cases[] = {
      {"\x16\x03\x01", 400, "not-http"},
      {"GET / HTTP/1.1\r\n\r\n", 400, "host-missing"},
      {"GET / HTTP/1.0\r\n\r\n", 400, "host-missing"},
      {"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, "host-repeated"},
      {"GET / HTTP/1.1\r\nHost: a_b%41\r\n\r\n", 400, "host-invalid"},
      {"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505, "http-version"},
      {"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "request-line"},
      {"GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400, "bare-lf"},
      {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
       "length-and-chunked"},
      {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\n", 400, "content-length"},
      {"GET / HTTP/1.1\r\nHost: a.test\r\nA : b\r\n\r\n", 400, "space-before-colon"},
      {"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 501, "connect-refused"},
      {"GET /" + std::string(9000, 'x'), 414, "target-too-long"},
      {"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + std::string(40'000, 'x'), 431, "head-too-large"},
      {"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nExpect: something\r\n\r\n", 417, "expectation"},
  };
  for (const auto& [request, status, slug] : cases) {
    Visitor& visitor = world.connect();
    visitor.send(request);
    expect_page(world, visitor, status, "visitor", slug);
    ASSERT_TRUE(world.until([&] { return visitor.closed(); })) << slug;
    EXPECT_FALSE(visitor.reset) << slug;
    visitor.close();
  }
  EXPECT_TRUE(world.link.streams.empty());
  EXPECT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpFailure, EachResetReason) {
  HttpWorld world(portable());
  const struct {
    ResetReason reason;
    int status;
    std::string_view side;
  } cases[] = {
      {ResetReason::Cancel, 502, "tunnel"},
      {ResetReason::PeerReset, 502, "origin"},
      {ResetReason::OriginRefused, 502, "origin"},
      {ResetReason::OriginTimeout, 504, "origin"},
      {ResetReason::OriginUnreachable, 502, "origin"},
      {ResetReason::NoTunnel, 502, "tunnel"},
      {ResetReason::Refused, 503, "tunnel"},
      {ResetReason::FlowControl, 502, "tunnel"},
      {ResetReason::Protocol, 502, "tunnel"},
      {ResetReason::Memory, 503, "tunnel"},
      {ResetReason::GoingAway, 503, "tunnel"},
      {ResetReason::Idle, 502, "tunnel"},
      {ResetReason::LinkLost, 502, "tunnel"},
  };
  Visitor& visitor = world.connect();
  for (const auto& [reason, status, side] : cases) {
    visitor.send(get("/", "Accept: text/html\r\n"));
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    world.link.last().got.clear();
    world.link.last().end(reason);
    expect_page(world, visitor, status, side, transport::to_string(reason));
    EXPECT_TRUE(visitor.got.contains("text/html"));
    visitor.got.clear();
  }
  EXPECT_EQ(world.ingress->stats().visitors, 1u);
  EXPECT_EQ(world.ingress->stats().retries, 0u);
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().end(ResetReason::OriginRefused);
  EXPECT_TRUE(world.until_got(visitor, "The tunnel to a.test is up, but its local service refused the connection."))
      << visitor.got;
}

TEST_P(HttpFailure, LinkRefusesToOpen) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  world.link.open_error = Error(ErrorCode::Limit, Side::Tunnel, true, "full");
  visitor.send(get());
  expect_page(world, visitor, 503, "tunnel", "link-limit");
  visitor.got.clear();
  world.link.open_error = Error(ErrorCode::Closed, Side::Tunnel, true, "closing");
  visitor.send(get());
  expect_page(world, visitor, 503, "tunnel", "link-closing");
  visitor.got.clear();
  world.links.remove(HttpWorld::kSession);
  visitor.send(get());
  expect_page(world, visitor, 503, "tunnel", "client-away");
  // A request with a body: the page, then the close, without an RST on the way.
  Visitor& poster = world.connect();
  poster.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x'));
  ASSERT_TRUE(world.until([&] { return poster.closed(); }));
  EXPECT_TRUE(poster.got.starts_with("HTTP/1.1 503 "));
  EXPECT_FALSE(poster.reset);
}

TEST_P(HttpFailure, OriginBreaksTheRules) {
  HttpWorld world(portable());
  const std::string cases[] = {
      "SSH-2.0-OpenSSH\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",  // unasked
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",                    // nothing was sent yet
      "HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x'),
      "HTTP/1.1 600 Beyond\r\nContent-Length: 0\r\n\r\n",
  };
  Visitor& visitor = world.connect();
  for (const std::string& response : cases) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    FakeStream& stream = world.link.last();
    stream.got.clear();
    stream.say(response);
    expect_page(world, visitor, 502, "origin", "bad-response");
    EXPECT_EQ(stream.got_reset, ResetReason::Cancel);
    visitor.got.clear();
  }
  // Ends without an answer, or inside its head.
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().got.clear();
  world.link.last().fin();
  expect_page(world, visitor, 502, "origin", "origin-closed");
  visitor.got.clear();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 O");
  world.link.last().fin();
  expect_page(world, visitor, 502, "origin", "bad-response");
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpFailure, InterimResponsesWithoutEnd) {
  HttpIngressOptions options;
  HttpWorld world(portable(), options);
  const std::string hint = "HTTP/1.1 103 Hints\r\n\r\n";
  std::string hints;
  for (std::uint32_t i = 0; i < options.limits.interim_responses; ++i) hints += hint;
  Visitor& visitor = ask(world);
  world.link.last().got.clear();
  world.link.last().say(hints + ok("x"));
  ASSERT_TRUE(world.until([&] { return visitor.got == hints + ok("x"); }));
  visitor.got.clear();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say(hints + hint + ok("x"));
  expect_page(world, visitor, 502, "origin", "bad-response");
  EXPECT_TRUE(visitor.got.starts_with(hints + "HTTP/1.1 502 "));
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
  // Those that an HTTP/1.0 visitor does not get count too.
  Visitor& old = ask(world, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  world.link.last().say(hints + hint);
  expect_page(world, old, 502, "origin", "bad-response");
  EXPECT_TRUE(old.got.starts_with("HTTP/1.1 502 "));
}

TEST_P(HttpFailure, AnAnswerBeforeTheRequest) {
  HttpWorld world(portable());
  world.link.paused = true;
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 1; }));
  world.link.last().say(ok("not asked"));
  expect_page(world, visitor, 502, "origin", "bad-response");
  EXPECT_FALSE(visitor.got.contains("not asked"));
  EXPECT_EQ(world.link.last().got, "");
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
}

TEST_P(HttpFailure, ResponseCutOff) {
  const std::string responses[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
      "HTTP/1.1 200 OK\r\n\r\nabc",
  };
  for (const std::string& response : responses) {
    for (const bool fin : {false, true}) {
      const bool whole = fin && response == responses[3];  // until close
      if (whole) continue;
      HttpWorld world(portable());
      Visitor& visitor = ask(world);
      world.link.last().say(response);
      ASSERT_TRUE(world.until_got(visitor, "abc"));
      if (fin) {
        world.link.last().fin();
      } else {
        world.link.last().end(ResetReason::PeerReset);
      }
      ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
      EXPECT_TRUE(visitor.reset) << response;
      EXPECT_EQ(world.host.records.back().slug, "response-cut");
      EXPECT_EQ(world.host.records.back().fields.status, 200);
      EXPECT_EQ(world.ingress->stats().cut, 1u);
    }
  }
  // For an HTTP/1.0 visitor the end of the connection is the end of the body: there an RST is all that can tell.
  HttpWorld world(portable());
  Visitor& visitor = ask(world, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  world.link.last().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  ASSERT_TRUE(world.until_got(visitor, "abc"));
  world.link.last().fin();
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.reset);
  // Broken framing after a good begin.
  Visitor& second = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  ASSERT_TRUE(world.until_got(second, "abc"));
  world.link.last().say("zz\r\n");
  ASSERT_TRUE(world.until([&] { return second.reset; }));
}

TEST_P(HttpFailure, MoreThanTheResponse) {
  HttpWorld world(portable());
  Visitor& visitor = ask(world);
  world.link.last().say(ok("x") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  ASSERT_TRUE(world.until([&] { return visitor.got == ok("x"); }));
  EXPECT_EQ(world.ingress->stats().idle_origins, 0u);
  visitor.got.clear();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 2 && asked(world); }));
  world.link.last().say(ok("y"));
  ASSERT_TRUE(world.until([&] { return visitor.got == ok("y"); }));
  // It comes in a piece of its own, when the connection is already kept.
  world.link.last().say("HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
  EXPECT_EQ(world.ingress->stats().idle_origins, 0u);
  EXPECT_EQ(world.ingress->stats().origins_dropped, 1u);
}

// ---- visitors that go ---------------------------------------------------------------------------------------------

TEST_P(HttpFailure, VisitorResetsWhileWaiting) {
  HttpWorld world(portable());
  Visitor& visitor = ask(world);
  visitor.close_with_rst();
  ASSERT_TRUE(world.until([&] { return world.link.last().dead; }));
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.host.records.back().slug, "visitor-gone");
  EXPECT_EQ(world.host.records.back().fields.status, 0);
}

TEST_P(HttpFailure, VisitorResetsInsideTheResponse) {
  HttpWorld world(portable());
  Visitor& visitor = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
  ASSERT_TRUE(world.until_got(visitor, "abc"));
  visitor.close_with_rst();
  ASSERT_TRUE(world.until([&] {
    if (!world.link.last().dead) world.link.last().say("x");
    return world.link.last().dead;
  }));
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
}

TEST_P(HttpFailure, VisitorEndsInsideItsRequest) {
  for (const std::string request :
       {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    HttpWorld world(portable());
    Visitor& visitor = world.connect();
    visitor.send(request);
    ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("abc"); }));
    visitor.finish();
    ASSERT_TRUE(world.until([&] { return world.link.last().dead; }));
    EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
    ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
    EXPECT_EQ(world.host.records.back().slug, "request-cut");
  }
}

TEST_P(HttpFailure, BadChunkedRequestBody) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz");
  expect_page(world, visitor, 400, "visitor", "bad-body");
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
}

// ---- timeouts -----------------------------------------------------------------------------------------------------

TEST_P(HttpFailure, HeadTimeout) {
  HttpIngressOptions options;
  options.head_timeout = 50ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = world.connect();
  visitor.send("GET / HTT");
  expect_page(world, visitor, 408, "visitor", "request-timeout");
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
}

TEST_P(HttpFailure, KeepAliveTimeout) {
  HttpIngressOptions options;
  options.keep_alive_timeout = 50ms;
  HttpWorld world(portable(), options);
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until_got(visitor, ok("x")));
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(world.ingress->stats().visitors, 0u);
}

TEST_P(HttpFailure, FirstByteTimeout) {
  HttpIngressOptions options;
  options.first_byte_timeout = 50ms;
  HttpWorld world(portable(), options);
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& silent = world.connect();
  ASSERT_TRUE(world.until([&] { return silent.closed(); }));
  EXPECT_TRUE(silent.eof);
  EXPECT_EQ(silent.got, "");
  EXPECT_EQ(world.ingress->stats().timeouts, 0u);
  EXPECT_TRUE(world.host.records.empty());
  // From the first byte on it is the head's time, and after a request the keep-alive's.
  Visitor& slow = world.connect();
  slow.send("GET / HTT");
  Visitor& kept = world.connect();
  kept.send(get());
  ASSERT_TRUE(world.until_got(kept, ok("x")));
  const TimePoint begin = Clock::now();
  ASSERT_TRUE(world.until([&] { return Clock::now() - begin > 400ms; }));
  EXPECT_FALSE(slow.closed());
  EXPECT_FALSE(kept.closed());
  EXPECT_EQ(world.ingress->stats().visitors, 2u);
}

TEST_P(HttpFailure, ResponseTimeout) {
  HttpIngressOptions options;
  options.response_timeout = 50ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = ask(world);
  expect_page(world, visitor, 504, "origin", "origin-timeout");
  EXPECT_EQ(world.link.last().got_reset, ResetReason::Cancel);
  EXPECT_EQ(world.ingress->stats().timeouts, 1u);
  // Progress puts it off.
  world.link.last().got.clear();
  visitor.got.clear();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  const TimePoint begin = Clock::now();
  EXPECT_FALSE(world.until([&] { return Clock::now() - begin > 400ms || visitor.closed(); }) && visitor.closed());
}

TEST_P(HttpFailure, BodyStalls) {
  HttpIngressOptions options;
  options.stall_timeout = 50ms;
  HttpWorld world(portable(), options);
  // The visitor does not send the rest.
  Visitor& slow = world.connect();
  slow.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc");
  expect_page(world, slow, 408, "visitor", "request-timeout");
  // The origin does not take it.
  world.link.first_credit = 100;
  Visitor& stuck = world.connect();
  stuck.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000\r\n\r\n" + std::string(10'000, 'x'));
  expect_page(world, stuck, 504, "origin", "origin-stalled");
  world.link.first_credit = 1 << 20;
  // The origin does not go on.
  Visitor& waiting = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  ASSERT_TRUE(world.until([&] { return waiting.reset; }));
  EXPECT_EQ(world.host.records.back().slug, "origin-timeout");
  // The visitor does not read.
  Visitor& deaf = world.connect(4096);
  deaf.reading = false;
  deaf.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n" + std::string(16u << 20, 'x'));
  ASSERT_TRUE(world.until([&] { return world.host.records.back().slug == "visitor-stalled"; }));
  EXPECT_EQ(world.ingress->stats().timeouts, 4u);
}

// Each moves something all the time, and next to nothing.
TEST_P(HttpFailure, WhoIsTooSlowIsCut) {
  HttpIngressOptions options;
  options.min_visitor_rate = 10'000;
  options.rate_window = 100ms;
  HttpWorld world(portable(), options);
  Visitor& drips = world.connect();
  drips.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n");
  const TimePoint begin = Clock::now();
  TimePoint last = begin;
  ASSERT_TRUE(world.until([&] {
    if (Clock::now() - last > 5ms) {
      drips.send("x");
      last = Clock::now();
    }
    return drips.got.contains("request-slow") || drips.closed();
  }));
  EXPECT_TRUE(drips.got.starts_with("HTTP/1.1 408 ")) << drips.got;
  EXPECT_TRUE(drips.got.contains("request-slow")) << drips.got;
  EXPECT_LT(Clock::now() - begin, 5s);
  Visitor& deaf = world.connect(4096);
  deaf.reading = false;
  deaf.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n" + std::string(16u << 20, 'x'));
  ASSERT_TRUE(world.until([&] { return world.host.records.back().slug == "visitor-slow"; }));
  EXPECT_EQ(world.ingress->stats().too_slow, 2u);
}

// A full socket takes new bytes once a large part of what the kernel holds is gone: until then his reading shows there alone.
TEST_P(HttpFailure, WhoReadsIsNotStalledThoughTheSocketTakesNoMore) {
  for (const std::uint32_t floor : {100u, 0u}) {
    HttpIngressOptions options;
    options.min_visitor_rate = floor;
    options.rate_window = 500ms;
    options.stall_timeout = 1'200ms;
    HttpWorld world(portable(), options);
    Visitor& visitor = world.connect(4096);
    visitor.reading = false;
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n" + std::string(16u << 20, 'x'));
    ASSERT_TRUE(world.reads_slowly(visitor, 1'800ms));
    EXPECT_FALSE(visitor.closed()) << floor;
    // And who does not is.
    ASSERT_TRUE(world.until([&] { return !world.host.records.empty(); })) << floor;
    EXPECT_EQ(world.host.records[0].slug, floor != 0 ? "visitor-slow" : "visitor-stalled");
  }
}

TEST_P(HttpFailure, NobodyIsTooSlowWhoWaitsForSomebodyElse) {
  HttpIngressOptions options;
  options.min_visitor_rate = 10'000;
  options.rate_window = 20ms;
  HttpWorld world(portable(), options);
  // He waits for the 100; the answer has begun; the origin does not take what he has sent.
  Visitor& asks = world.connect();
  asks.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
  Visitor& talks = world.connect();
  talks.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n");
  ASSERT_TRUE(
      world.until([&] { return world.link.streams.size() == 2 && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  world.link.first_credit = 100;
  Visitor& held = world.connect();
  held.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000\r\n\r\n" + std::string(5'000, 'x'));
  const TimePoint begin = Clock::now();
  ASSERT_TRUE(world.until([&] { return Clock::now() - begin > 300ms; }));
  for (const Visitor* one : {&asks, &talks, &held}) EXPECT_FALSE(one->closed()) << one->got;
  EXPECT_TRUE(world.host.records.empty());
}

// What goes on in HTTP/1 is no call of gRPC, whatever its type says.
TEST_P(HttpFailure, TheWordForGrpcIsNoLeaveToBeSlow) {
  HttpIngressOptions options;
  options.min_visitor_rate = 10'000;
  options.rate_window = 20ms;
  HttpWorld world(portable(), options);
  for (const std::string_view type : {"grpc", "grpc+proto", "grpc-web", "grpcfoo"}) {
    Visitor& visitor = world.connect();
    visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\nContent-Type: application/" +
                 std::string(type) + "\r\n\r\n");
    ASSERT_TRUE(world.until([&] { return visitor.closed(); })) << type;
    EXPECT_EQ(world.host.records.back().slug, "request-slow") << type;
  }
}

constexpr std::string_view kUpgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
constexpr std::string_view kSwitched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n";

TEST_P(HttpFailure, ASwitchThatIsNotReadIsTold) {
  HttpIngressOptions options;
  options.stall_timeout = 100ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = world.connect_narrow();
  visitor.send(kUpgrade);
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say(std::string(kSwitched) + "X: " + std::string(30'000, 'x') + "\r\n\r\nfirst");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  ASSERT_EQ(world.host.records.size(), 1u);
  EXPECT_EQ(world.host.records[0].slug, "visitor-stalled");
  EXPECT_EQ(world.host.records[0].fields.status, 101);
  EXPECT_EQ(world.ingress->stats().upgraded, 0u);
  EXPECT_EQ(world.ingress->stats().timeouts, 1u);
}

// The allowance ends where the head does.
TEST_P(HttpFailure, WhatIsBehindASwitchIsNotLostToTheBandwidthLimit) {
  HttpWorld world(portable());
  const auto gate = std::make_shared<VisitorGate>(world.shard, nullptr);
  wire::Limits limits;
  limits.bandwidth = 10'000;
  gate->set(limits, nullptr, nullptr);
  world.ingress->set_gate({HttpWorld::kSession, HttpWorld::kTunnel}, gate);
  Visitor& visitor = ask(world, std::string(kUpgrade));
  std::string head = std::string(kSwitched) + "X: ";
  head += std::string(bandwidth_burst(limits.bandwidth) - head.size() - 4, 'x') + "\r\n\r\n";
  world.link.last().cut = 2 * head.size();
  world.link.last().say(head + "first");
  ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("\r\n\r\nfirst"); }));
}

TEST_P(HttpFailure, UpgradedConnectionsMaySleep) {
  HttpIngressOptions options;
  options.stall_timeout = options.response_timeout = options.keep_alive_timeout = 50ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = ask(world, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  world.link.last().say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().upgraded == 1; }));
  const TimePoint begin = Clock::now();
  ASSERT_TRUE(world.until([&] { return Clock::now() - begin > 400ms; }));
  visitor.send("still here");
  EXPECT_TRUE(world.until([&] { return world.link.last().got.ends_with("still here"); }));
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
