// HTTP/2 visitors: what the origin is asked, what they are answered, and what becomes of connections.
#include "ingress/http2/websocket_key.h"
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class Http2 : public HttpTest {};
FT_ON_BOTH_POLLERS(Http2);

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 2654435761u >> 7) % 26);
  return text;
}

TEST_P(Http2, AGetIsAskedAsHttp11AndAnswered) {
  HttpWorld world(portable());
  std::string asked;
  world.link.origin = answer_heads([&](std::string_view head) {
    asked = head;
    return ok("hello", "X-Origin: Yes\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n");
  });
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/path?q=1", {{"x-a", "b"}, {"cookie", "a=1"}, {"cookie", "b=2"}});
  ASSERT_TRUE(visitor.until_closed(id));
  const H2Answer& answer = visitor.answer(id);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_TRUE(answer.ended);
  EXPECT_FALSE(answer.reset);
  EXPECT_EQ(answer.value("x-origin"), "Yes");
  EXPECT_EQ(answer.value("content-length"), "5");
  for (const char* gone : {"connection", "keep-alive", "x-hop"}) EXPECT_EQ(answer.value(gone), "") << gone;
  EXPECT_TRUE(asked.starts_with("GET /path?q=1 HTTP/1.1\r\nHost: a.test\r\n")) << asked;
  EXPECT_TRUE(asked.contains("\r\ncookie: a=1; b=2\r\n")) << asked;
  EXPECT_TRUE(asked.contains("\r\nX-Forwarded-For: 192.0.2.7\r\n")) << asked;
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  const Record& record = world.host.records[0];
  EXPECT_EQ(record.method, "GET");
  EXPECT_EQ(record.path, "/path");
  EXPECT_EQ(record.host, "a.test");
  EXPECT_EQ(record.slug, "");
  EXPECT_EQ(record.fields.status, 200);
  const HttpIngressStats stats = world.ingress->stats();
  EXPECT_EQ(stats.h2_visitors, 1u);
  EXPECT_EQ(stats.h2_requests, 1u);
  EXPECT_EQ(stats.idle_origins, 1u);
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(Http2, ManyRequestsAtOnceShareAConnection) {
  HttpWorld world(portable());
  world.link.origin =
      answer_heads([](std::string_view head) { return ok(std::string(head.substr(4, head.find(' ', 4) - 4))); });
  H2Visitor visitor(world);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 300; ++i) ids.push_back(visitor.client.ask("GET", "/" + std::to_string(i)));
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(ids.back()).closed; }));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(visitor.answer(ids[i]).status, 200) << i;
    EXPECT_EQ(visitor.answer(ids[i]).body, "/" + std::to_string(i));
  }
  EXPECT_LE(world.link.streams.size(), 100u);
}

TEST_P(Http2, ABodyWithALengthIsPassedOn) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const std::string body = pattern(300'000);
  const auto id = visitor.client.ask("POST", "/", {{"content-length", std::to_string(body.size())}}, false);
  visitor.client.body(id, body, true);
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.size() > body.size(); }));
  FakeStream& stream = world.link.last();
  ASSERT_TRUE(visitor.until([&] { return stream.got.ends_with("\r\n\r\n" + body); }));
  EXPECT_TRUE(stream.got.contains("Content-Length: 300000\r\n"));
  stream.say(ok("thanks"));
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "thanks");
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
}

// RFC 9113 section 8.1.1: a length that is not what comes is malformed, so nobody has had the request before its end.
TEST_P(Http2, ARequestWithALengthIsWholeAtItsEndOnly) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto empty = visitor.client.ask("POST", "/", {{"content-length", "0"}}, false);
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty(); }));
  FakeStream& first = world.link.last();
  world.settle();
  visitor.client.body(empty, "x", true);
  ASSERT_TRUE(visitor.until_closed(empty));
  EXPECT_TRUE(visitor.answer(empty).reset);
  EXPECT_TRUE(first.dead);
  EXPECT_EQ(first.got, "");

  const auto more = visitor.client.ask("POST", "/", {{"content-length", "3"}}, false);
  visitor.client.body(more, "abc");
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with("\r\n\r\nab"); }));
  visitor.client.body(more, "d", true);
  ASSERT_TRUE(visitor.until_closed(more));
  EXPECT_TRUE(visitor.answer(more).reset);
  EXPECT_TRUE(world.link.last().got.ends_with("\r\n\r\nab")) << world.link.last().got;

  const auto right = visitor.client.ask("POST", "/", {{"content-length", "3"}}, false);
  visitor.client.body(right, "abc");
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with("\r\n\r\nab"); }));
  visitor.client.body(right, "", true);
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with("\r\n\r\nabc"); }));
  world.link.last().say(ok("x"));
  ASSERT_TRUE(visitor.until_closed(right));
  EXPECT_EQ(visitor.answer(right).status, 200);
}

TEST_P(Http2, ABodyWithoutALengthGoesChunkedWithItsTrailers) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {{"te", "trailers"}}, false);
  visitor.client.body(id, "hello", true, {{"x-sum", "5"}, {"authorization", "x"}});
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("x-sum"); }));
  FakeStream& stream = world.link.last();
  EXPECT_TRUE(stream.got.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")) << stream.got;
  EXPECT_TRUE(stream.got.contains("Transfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n")) << stream.got;
  stream.say(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n3\r\nabc\r\n0\r\nGrpc-Status: "
      "0\r\n\r\n");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "abc");
  EXPECT_EQ(visitor.answer(id).trailer("grpc-status"), "0");
  EXPECT_TRUE(visitor.answer(id).ended);
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
}

TEST_P(Http2, AnswersWithoutBodyAndInterimOnes) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view head) -> std::string {
    if (head.starts_with("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    if (head.contains("/304")) return "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n";
    if (head.contains("/204")) return "HTTP/1.1 204 No Content\r\n\r\n";
    return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok("x");
  });
  H2Visitor visitor(world);
  const auto head = visitor.client.ask("HEAD", "/");
  const auto unchanged = visitor.client.ask("GET", "/304");
  const auto nothing = visitor.client.ask("GET", "/204");
  const auto hints = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(hints).closed && visitor.answer(nothing).closed; }));
  EXPECT_EQ(visitor.answer(head).value("content-length"), "1000");
  EXPECT_TRUE(visitor.answer(head).ended);
  EXPECT_EQ(visitor.answer(unchanged).status, 304);
  EXPECT_EQ(visitor.answer(nothing).status, 204);
  EXPECT_EQ(visitor.answer(hints).interim, (std::vector<int>{103, 100}));
  EXPECT_EQ(visitor.answer(hints).body, "x");
}

// Nothing holds back an origin that says them, so that they are bounded, and count as memory until the request is over.
TEST_P(Http2, InterimHeadsThatNobodyReadsAreBounded) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: <" + std::string(12'000, 'a') + ">\r\n\r\n";
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  const std::size_t before = world.budget.used();
  world.link.last().say(hint + hint);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).interim.size() == 2; }));
  EXPECT_GE(world.budget.used(), before + 2 * hint.size());
  world.link.last().say(hint);
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).interim.size(), 2u);
  EXPECT_EQ(visitor.answer(id).status, 502);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "bad-response");
  visitor.socket().close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_P(Http2, FailuresAreTheSamePages) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto unknown = visitor.client.ask_as({{":method", "GET"},
                                              {":scheme", "http"},
                                              {":authority", "b.test"},
                                              {":path", "/"},
                                              {"accept", "application/json"}});
  ASSERT_TRUE(visitor.until_closed(unknown));
  EXPECT_EQ(visitor.answer(unknown).status, 404);
  EXPECT_EQ(visitor.answer(unknown).value("ferrotunnel-error"), "no-such-host");
  EXPECT_TRUE(visitor.answer(unknown).body.starts_with("{\"error\"")) << visitor.answer(unknown).body;

  const auto refused = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1; }));
  world.link.last().end(transport::ResetReason::OriginRefused);
  ASSERT_TRUE(visitor.until_closed(refused));
  EXPECT_EQ(visitor.answer(refused).status, 502);
  EXPECT_EQ(visitor.answer(refused).value("ferrotunnel-error"), "origin-refused");
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 2; }));
  EXPECT_EQ(world.host.records[1].slug, "origin-refused");
  EXPECT_EQ(world.host.records[1].fields.status, 502);
}

TEST_P(Http2, ABrokenAnswerIsReset) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1; }));
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "abc"; }));
  world.link.last().fin();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_FALSE(visitor.answer(id).ended);
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_INTERNAL_ERROR);
  EXPECT_EQ(world.ingress->stats().cut, 1u);
}

TEST_P(Http2, ADeadWarmConnectionIsTriedAgain) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  world.link.origin = answer_heads([](std::string_view) { return ok("1"); });
  const auto first = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(first));
  world.link.origin = [&](FakeStream& stream) {
    if (&stream == world.link.streams.front().get()) {
      stream.end(transport::ResetReason::PeerReset);
    } else if (stream.got.ends_with("\r\n\r\n")) {
      stream.got.clear();
      stream.say(ok("2"));
    }
  };
  const auto second = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(second));
  EXPECT_EQ(visitor.answer(second).body, "2");
  EXPECT_EQ(world.ingress->stats().retries, 1u);
}

TEST_P(Http2, ASlowReaderHoldsBackItsOwnStreamOnly) {
  HttpWorld world(portable());
  H2Visitor visitor(world, false);
  const auto slow = visitor.client.ask("GET", "/slow");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  FakeStream& stream = world.link.last();
  const std::string body = pattern(1u << 20);
  stream.say(ok(body));
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(slow).body.size() == 65'535; }));
  world.settle();
  EXPECT_LE(stream.max_held, stream.window);
  EXPECT_FALSE(stream.all_said());
  EXPECT_LE(world.budget.used(), 3 * ByteQueue::kBlock);
  // The connection's window is shut too: open that, and another stream passes.
  nghttp2_session_consume_connection(visitor.client.session(), 65'535);
  world.link.origin = answer_heads([](std::string_view) { return ok("quick"); });
  const auto quick = visitor.client.ask("GET", "/quick");
  ASSERT_TRUE(visitor.until_closed(quick));
  EXPECT_EQ(visitor.answer(quick).body, "quick");
  EXPECT_EQ(visitor.answer(slow).body.size(), 65'535u);
  std::size_t given = 65'535;
  nghttp2_session_consume_stream(visitor.client.session(), slow, 65'535);
  ASSERT_TRUE(visitor.until([&] {
    const std::size_t more = visitor.answer(slow).body.size() - std::min(given, visitor.answer(slow).body.size());
    if (more > 0) nghttp2_session_consume(visitor.client.session(), slow, more);
    given += more;
    return visitor.answer(slow).closed;
  }));
  EXPECT_TRUE(visitor.answer(slow).body == body);
}

TEST_P(Http2, ASlowOriginHoldsBackTheUploadAndNoOther) {
  HttpWorld world(portable());
  world.link.first_credit = 10'000;
  H2Visitor visitor(world);
  const std::string body = pattern(500'000);
  const auto slow = visitor.client.ask("POST", "/slow", {{"content-length", "500000"}}, false);
  visitor.client.body(slow, body, true);
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && world.link.last().credit == 0; }));
  world.settle();
  visitor.move();
  world.settle();
  FakeStream& stream = world.link.last();
  EXPECT_GE(visitor.client.unsent(slow), body.size() - 65'535 - 10'000);
  EXPECT_LE(world.budget.used(), 6 * ByteQueue::kBlock);
  world.link.first_credit = std::size_t{1} << 30;
  world.link.origin = [&](FakeStream& other) {
    if (&other == &stream || !other.got.ends_with("\r\n\r\n" + pattern(200'000))) return;
    other.say(ok("through"));
  };
  const auto quick = visitor.client.ask("POST", "/quick", {{"content-length", "200000"}}, false);
  visitor.client.body(quick, pattern(200'000), true);
  ASSERT_TRUE(visitor.until_closed(quick));
  EXPECT_EQ(visitor.answer(quick).body, "through");
  stream.give_credit(std::size_t{1} << 30);
  ASSERT_TRUE(visitor.until([&] { return stream.got.ends_with("\r\n\r\n" + body); }));
}

TEST_P(Http2, WithoutMemoryTheConnectionsWindowHoldsUploadsBack) {
  HttpWorld world(portable(), {}, 0, 20'000);
  world.link.first_credit = 1000;
  H2Visitor visitor(world);
  const std::string body = pattern(60'000);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(visitor.client.ask("POST", "/", {}, false));
    visitor.client.body(ids.back(), body, true);
  }
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 40; }));
  for (int i = 0; i < 20; ++i) {
    visitor.move();
    world.settle();
  }
  EXPECT_GT(world.budget.used(), 500'000u);
  EXPECT_LE(world.budget.used(), (std::size_t{1} << 20) + 41 * ByteQueue::kBlock);
  for (const auto& stream : world.link.streams) stream->give_credit(std::size_t{1} << 30);
  ASSERT_TRUE(visitor.until([&] {
    return std::ranges::all_of(world.link.streams,
                               [](const auto& stream) { return stream->got.ends_with("0\r\n\r\n"); });
  }));
  for (const auto& stream : world.link.streams) stream->say(ok("got it"));
  ASSERT_TRUE(visitor.until(
      [&] { return std::ranges::all_of(ids, [&](std::int32_t id) { return visitor.answer(id).closed; }); }));
  for (const auto id : ids) EXPECT_EQ(visitor.answer(id).body, "got it");
}

TEST_P(Http2, AChunkedBodyPassesAByteAtATime) {
  HttpWorld world(portable());
  world.link.fill_size = 1;
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {}, false);
  visitor.client.body(id, "abc", true, {{"x-sum", "1"}});
  ASSERT_TRUE(visitor.until(
      [&] { return world.link.alive() == 1 && world.link.last().got.ends_with("0\r\nx-sum: 1\r\n\r\n"); }));
  EXPECT_TRUE(world.link.last().got.ends_with("\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nx-sum: 1\r\n\r\n"))
      << world.link.last().got;
}

TEST_P(Http2, AnAnswerBeforeTheUploadIsOver) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {{"content-length", "1000"}}, false);
  visitor.client.body(id, "abc");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && world.link.last().got.ends_with("abc"); }));
  world.link.last().say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 413);
  EXPECT_EQ(visitor.answer(id).body, "no");
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_NO_ERROR);
  EXPECT_EQ(world.ingress->stats().idle_origins, 0u);  // what follows on that connection cannot be told from the body
  EXPECT_EQ(world.link.alive(), 0u);
}

TEST_P(Http2, AVisitorsResetCancelsTheOrigin) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  visitor.client.reset(id);
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 0; }));
  EXPECT_EQ(world.link.last().got_reset, transport::ResetReason::Cancel);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "visitor-gone");
}

TEST_P(Http2, AVisitorThatIsGoneCancelsAll) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  for (int i = 0; i < 10; ++i) (void)visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 10; }));
  visitor.socket().close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.link.alive(), 0u);
  EXPECT_EQ(world.host.records.size(), 10u);
  EXPECT_EQ(world.ingress->stats().h2_visitors, 0u);
}

TEST_P(Http2, ThePrefaceMayComeInPieces) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("pieces"); });
  Visitor& visitor = world.connect();
  H2Client client;
  const auto id = client.ask("GET", "/");
  for (const char c : client.out()) {
    visitor.send(std::string_view(&c, 1));
    world.settle();
  }
  ASSERT_TRUE(world.until([&] {
    client.in(visitor.take());
    visitor.send(client.out());
    return client.answers[id].closed;
  }));
  EXPECT_EQ(client.answers[id].body, "pieces");
}

TEST_P(Http2, WhatOnlyBeginsLikeThePrefaceIsHttp11) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.got.contains("HTTP/1.1 "); }));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 505 ") || visitor.got.starts_with("HTTP/1.1 400 ")) << visitor.got;
}

TEST_P(Http2, DrainSaysSoTwiceAndFinishes) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.ingress->drain();
  ASSERT_TRUE(visitor.until([&] { return visitor.client.goaways == 1; }));
  EXPECT_EQ(visitor.client.goaway_last, INT32_MAX);
  ASSERT_TRUE(visitor.until([&] { return visitor.client.goaways == 2; }));
  EXPECT_EQ(visitor.client.goaway_last, id);
  EXPECT_EQ(visitor.client.goaway, NGHTTP2_NO_ERROR);
  world.link.last().say(ok("last words"));
  ASSERT_TRUE(visitor.until([&] { return visitor.socket().closed(); }));
  visitor.move();
  EXPECT_EQ(visitor.answer(id).body, "last words");
  visitor.socket().finish();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
}

TEST_P(Http2, AnIdleConnectionIsTold) {
  HttpIngressOptions options;
  options.keep_alive_timeout = 200ms;
  HttpWorld world(portable(), options);
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(id));
  ASSERT_TRUE(visitor.until([&] { return visitor.socket().closed(); }));
  EXPECT_EQ(visitor.client.goaway, NGHTTP2_NO_ERROR);
}

TEST_P(Http2, AnOldConnectionIsToldToGo) {
  HttpIngressOptions options;
  options.h2_max_age = 1ms;
  HttpWorld world(portable(), options);
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  H2Visitor visitor(world);
  auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] {
    if (visitor.answer(id).closed && visitor.client.goaways == 0) id = visitor.client.ask("GET", "/");
    return visitor.socket().closed();
  }));
  EXPECT_EQ(visitor.client.goaways,
            1);  // to the second one nghttp2's client, which has nothing under way, does not listen
  EXPECT_EQ(visitor.client.goaway, NGHTTP2_NO_ERROR);
  EXPECT_EQ(visitor.client.goaway_last, INT32_MAX);
}

TEST_P(Http2, AnOriginThatIsSilentIs504) {
  HttpIngressOptions options;
  options.response_timeout = 200ms;
  HttpWorld world(portable(), options);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 504);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "origin-timeout");
}

TEST_P(Http2, AVisitorWhoReadsNothingIsCut) {
  HttpIngressOptions options;
  options.stall_timeout = 300ms;
  HttpWorld world(portable(), options);
  H2Visitor visitor(world, false, 1000);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.link.last().say(ok(pattern(5000)));
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_CANCEL);
  EXPECT_EQ(visitor.answer(id).body.size(), 1000u);
  EXPECT_EQ(world.ingress->stats().h2_stalled, 1u);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "visitor-stalled");
}

TEST_P(Http2, AWebSocketByExtendedConnect) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  ASSERT_TRUE(visitor.until([&] {
    return nghttp2_session_get_remote_settings(visitor.client.session(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  }));
  const auto id = visitor.client.ask_as({{":method", "CONNECT"},
                                         {":protocol", "websocket"},
                                         {":scheme", "http"},
                                         {":authority", "a.test"},
                                         {":path", "/chat"},
                                         {"sec-websocket-version", "13"},
                                         {"sec-websocket-protocol", "soap"}},
                                        false);
  visitor.client.body(id, "before the 101");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  FakeStream& stream = world.link.last();
  world.settle();
  const std::string head = stream.take();
  EXPECT_TRUE(head.starts_with("GET /chat HTTP/1.1\r\nHost: a.test\r\n")) << head;
  EXPECT_TRUE(head.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n")) << head;
  EXPECT_FALSE(head.contains("before"));
  const std::size_t at = head.find("Sec-WebSocket-Key: ");
  ASSERT_NE(at, std::string::npos);
  const WebSocketKey key(head.substr(at + 19, 24));
  stream.say(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: "
      "soap\r\n"
      "Sec-WebSocket-Accept: " +
      key.accept() + "\r\n\r\nfirst");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "first"; }));
  EXPECT_EQ(visitor.answer(id).status, 200);
  EXPECT_EQ(visitor.answer(id).value("sec-websocket-protocol"), "soap");
  EXPECT_EQ(visitor.answer(id).value("sec-websocket-accept"), "");
  ASSERT_TRUE(visitor.until([&] { return stream.got == "before the 101"; }));
  EXPECT_EQ(world.ingress->stats().upgraded, 1u);
  visitor.client.body(id, " and behind", true);
  ASSERT_TRUE(visitor.until([&] { return stream.got_fin; }));
  EXPECT_EQ(stream.got, "before the 101 and behind");
  stream.say(" last");
  stream.fin();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "first last");
  EXPECT_TRUE(visitor.answer(id).ended);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "");
  EXPECT_TRUE(world.host.records[0].fields.upgraded);
  EXPECT_EQ(world.ingress->stats().upgraded, 0u);
}

TEST_P(Http2, AWebSocketWithAWrongAcceptIsABadResponse) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as({{":method", "CONNECT"},
                                         {":protocol", "websocket"},
                                         {":scheme", "http"},
                                         {":authority", "a.test"},
                                         {":path", "/"}},
                                        false);
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  world.link.last().say(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 502);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "bad-response");
}

// Where it would be a plain answer over HTTP/1.1, over HTTP/2 it would say that the WebSocket stands.
TEST_P(Http2, AWebSocketThatIsAnsweredPlainlyDoesNotStand) {
  for (const int status : {200, 204, 403}) {
    HttpWorld world(portable());
    H2Visitor visitor(world);
    const auto id = visitor.client.ask_as({{":method", "CONNECT"},
                                           {":protocol", "websocket"},
                                           {":scheme", "http"},
                                           {":authority", "a.test"},
                                           {":path", "/"}},
                                          false);
    ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); })) << status;
    world.link.last().say("HTTP/1.1 " + std::to_string(status) + " X\r\n" +
                          (status == 204 ? "" : "Content-Length: 2\r\n") + "\r\n" + (status == 204 ? "" : "no"));
    ASSERT_TRUE(visitor.until_closed(id)) << status;
    EXPECT_EQ(visitor.answer(id).status, status == 403 ? 403 : 502);
    EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), status == 403 ? "" : "bad-response");
  }
}

TEST_P(Http2, AConnectionMovesToWhereTheLinkIs) {
  HttpWorld here(portable(), {}, 0), there(portable(), {}, 1);
  // Here the host's link is on the other shard.
  ASSERT_TRUE(here.router.claim("b.test", "owner", {HttpWorld::kSession + 1, HttpWorld::kTunnel, 1}).has_value());
  ASSERT_TRUE(there.router.claim("b.test", "owner", {HttpWorld::kSession, HttpWorld::kTunnel, 1}).has_value());
  here.link.origin = answer_heads([](std::string_view) { return ok("here"); });
  there.link.origin = [](FakeStream& stream) {
    if (stream.got.ends_with("\r\n\r\n")) stream.say(ok("there"));
    if (stream.got.ends_with("the body")) stream.say(ok("there too"));
  };
  H2Visitor visitor(here);
  const auto both = [&](auto condition) {
    return visitor.until([&] {
      while (!here.host.moved_http2.empty()) {
        auto [shard, parcel] = std::move(here.host.moved_http2.back());
        here.host.moved_http2.pop_back();
        EXPECT_EQ(shard, 1u);
        there.ingress->adopt_http2(std::move(parcel));
      }
      there.settle();
      return condition();
    });
  };
  // After an answer, and with a body and another request in the same segment.
  const auto first = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(first));
  EXPECT_EQ(visitor.answer(first).body, "here");
  const H2Pairs post{
      {":method", "POST"}, {":scheme", "http"}, {":authority", "b.test"}, {":path", "/"}, {"content-length", "8"}};
  const auto second = visitor.client.ask_as(post, false);
  visitor.client.body(second, "the body", true);
  const auto third =
      visitor.client.ask_as({{":method", "GET"}, {":scheme", "http"}, {":authority", "b.test"}, {":path", "/"}});
  ASSERT_TRUE(both([&] { return visitor.answer(second).closed && visitor.answer(third).closed; }));
  EXPECT_EQ(visitor.answer(second).body, "there too");
  EXPECT_EQ(visitor.answer(third).body, "there");
  EXPECT_EQ(here.ingress->stats().visitors, 0u);
  EXPECT_EQ(here.ingress->stats().moved, 1u);
  EXPECT_EQ(there.ingress->stats().h2_visitors, 1u);
  EXPECT_EQ(here.host.wanted.size(), 1u);
}

TEST_P(Http2, WhatCannotMoveIsMisdirected) {
  HttpWorld world(portable());
  ASSERT_TRUE(world.router.claim("b.test", "owner", {HttpWorld::kSession + 1, HttpWorld::kTunnel, 1}).has_value());
  H2Visitor visitor(world);
  (void)visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.alive() == 1 && asked(world); }));
  const auto other =
      visitor.client.ask_as({{":method", "GET"}, {":scheme", "http"}, {":authority", "b.test"}, {":path", "/"}});
  ASSERT_TRUE(visitor.until_closed(other));
  EXPECT_EQ(visitor.answer(other).status, 421);
  EXPECT_TRUE(world.host.moved_http2.empty());
}

TEST_P(Http2, UrgentAnswersGoFirst) {
  HttpWorld world(portable());
  H2Visitor visitor(world, true, 1 << 20);
  const auto late = visitor.client.ask("GET", "/late", {{"priority", "u=7"}});
  const auto soon = visitor.client.ask("GET", "/soon", {{"priority", "u=0"}});
  ASSERT_TRUE(visitor.until([&] {
    return world.link.alive() == 2 && std::ranges::all_of(world.link.streams, [](const auto& stream) {
             return stream->got.ends_with("\r\n\r\n");
           });
  }));
  for (const auto& stream : world.link.streams) stream->say(ok(pattern(30'000)));
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(late).closed && visitor.answer(soon).closed; }));
  EXPECT_EQ(visitor.client.order.front(), soon);
  EXPECT_EQ(visitor.client.order.back(), late);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
