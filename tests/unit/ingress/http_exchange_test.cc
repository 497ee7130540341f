// Requests and responses as they should be: heads, bodies of every framing, keep-alive, pipelining, interim responses, upgrades.
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class HttpExchange : public HttpTest {};
FT_ON_BOTH_POLLERS(HttpExchange);

TEST_P(HttpExchange, SimpleGet) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  const std::string request =
      "GET /x?q=1 HTTP/1.1\r\nHost: A.Test:8080\r\nAccept: */*\r\nConnection: keep-alive\r\nX-Forwarded-For: "
      "6.6.6.6\r\n\r\n";
  visitor.send(request);
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  EXPECT_EQ(stream.info.tunnel, HttpWorld::kTunnel);
  EXPECT_EQ(stream.info.kind, transport::OpenKind::Http);
  EXPECT_EQ(stream.info.visitor.port, 50'000);
  const std::string head = stream.take();
  EXPECT_TRUE(head.starts_with("GET /x?q=1 HTTP/1.1\r\nHost: A.Test:8080\r\nAccept: */*\r\n")) << head;
  EXPECT_TRUE(
      head.contains("\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: A.Test:8080\r\n"))
      << head;
  EXPECT_FALSE(head.contains("Connection")) << head;
  const std::size_t id_at = head.find("X-Request-Id: ");
  ASSERT_NE(id_at, std::string::npos);
  const std::string id = head.substr(id_at + 14, 16);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;

  stream.say("HTTP/1.1 200 OK\r\nServer: o\r\nContent-Length: 2\r\n\r\nhi");
  ASSERT_TRUE(world.until_got(visitor, "hi"));
  EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nServer: o\r\nContent-Length: 2\r\n\r\nhi");
  world.settle();
  ASSERT_EQ(world.host.records.size(), 1u);
  const Record& record = world.host.records[0];
  EXPECT_EQ(record.method, "GET");
  EXPECT_EQ(record.host, "a.test");
  EXPECT_EQ(record.path, "/x");
  EXPECT_EQ(record.request_id, id);
  EXPECT_EQ(record.slug, "");
  EXPECT_EQ(record.fields.status, 200);
  EXPECT_EQ(record.fields.session, HttpWorld::kSession);
  EXPECT_EQ(record.fields.tunnel, HttpWorld::kTunnel);
  const std::string date = "Date: " + visitor.dates.back() + "\r\n";  // which the visitor has put aside
  EXPECT_EQ(record.fields.bytes_out, visitor.got.size() + date.size());
  EXPECT_EQ(record.fields.bytes_in, request.size());
  EXPECT_FALSE(record.fields.reused_origin);
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpExchange, CutAtEachByte) {
  const std::string request = "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
  const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld";
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    visitor.send(request.substr(0, cut));
    world.settle();
    visitor.send(request.substr(cut));
    ASSERT_TRUE(world.until([&] {
      return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\nhello");
    })) << cut;
    FakeStream& stream = world.link.last();
    stream.got.clear();
    const std::size_t answer_cut = cut % response.size();
    stream.say(response.substr(0, answer_cut));
    world.settle();
    stream.say(response.substr(answer_cut));
    ASSERT_TRUE(world.until([&] { return visitor.got == response; })) << cut << ": " << visitor.got;
    visitor.got.clear();
  }
  EXPECT_EQ(world.link.streams.size(), 1u);
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpExchange, ByteByByte) {
  const std::string request =
      "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: "
      "X-T\r\n\r\n5;e=1\r\nhello\r\n0\r\nX-T: v\r\n\r\n";
  const std::string response =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: w\r\n\r\n";
  HttpWorld world(portable());
  world.link.first_cut = 1;
  world.link.fill_size = 1;
  Visitor& visitor = world.connect();
  for (const char c : request) {
    visitor.send({&c, 1});
    world.settle();
  }
  ASSERT_TRUE(
      world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("X-T: v\r\n\r\n"); }));
  EXPECT_TRUE(world.link.last().got.contains("\r\n\r\n5;e=1\r\nhello\r\n0\r\nX-T: v\r\n\r\n"));
  for (const char c : response) {
    world.link.last().say({&c, 1});
    world.settle();
  }
  ASSERT_TRUE(world.until_got(visitor, "X-T: w\r\n\r\n"));
  EXPECT_EQ(visitor.got, response);
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
}

TEST_P(HttpExchange, KeepAliveReusesTheOrigin) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  for (int i = 0; i < 5; ++i) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return visitor.got == ok("x"); }));
    visitor.got.clear();
  }
  Visitor& other = world.connect();
  other.send(get());
  ASSERT_TRUE(world.until_got(other, "\r\n\r\nx"));
  world.settle();
  EXPECT_EQ(world.link.streams.size(), 1u);
  EXPECT_EQ(world.ingress->stats().origins_reused, 5u);
  EXPECT_TRUE(world.host.records.back().fields.reused_origin);
}

TEST_P(HttpExchange, OriginThatClosesIsNotReused) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x", "Connection: close\r\n"); });
  Visitor& visitor = world.connect();
  for (int i = 0; i < 3; ++i) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return visitor.got == ok("x"); })) << visitor.got;
    visitor.got.clear();
  }
  EXPECT_EQ(world.link.streams.size(), 3u);
  // Each is ended by FIN, not by RESET.
  ASSERT_TRUE(world.until([&] { return world.link.last().got_fin; }));
  world.link.last().fin();
  EXPECT_TRUE(world.link.last().clean);
}

TEST_P(HttpExchange, Pipelining) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view head) { return ok(head.substr(4, head.find(' ', 4) - 4)); });
  Visitor& visitor = world.connect();
  std::string requests, responses;
  for (int i = 0; i < 300; ++i) {
    requests += get("/" + std::to_string(i));
    responses += ok("/" + std::to_string(i));
  }
  visitor.send(requests);
  ASSERT_TRUE(world.until([&] { return visitor.got.size() >= responses.size(); }));
  EXPECT_EQ(visitor.got, responses);
  EXPECT_EQ(world.link.streams.size(), 1u);
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpExchange, PipelinedErrorsDoNotRecurse) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  std::string requests;
  for (int i = 0; i < 2000; ++i) requests += "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n";
  visitor.send(requests);
  ASSERT_TRUE(world.until([&] { return world.host.records.size() == 2000; }));
  EXPECT_EQ(world.ingress->stats().visitors, 1u);
}

TEST_P(HttpExchange, ChunkedBothWaysWithTheNextRequestBehind) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  const std::string body = "6\r\nabcdef\r\n0\r\nX-Sum: 1\r\n\r\n";
  visitor.send("POST /1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body + get("/2"));
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with(body); }));
  FakeStream& stream = world.link.last();
  EXPECT_FALSE(stream.take().contains("/2"));
  const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nX-T: 1\r\n\r\n";
  stream.say(answer);
  ASSERT_TRUE(world.until([&] { return stream.got.starts_with("GET /2 "); }));
  stream.say(ok("2"));
  ASSERT_TRUE(world.until_got(visitor, ok("2")));
  EXPECT_EQ(visitor.got, answer + ok("2"));
}

// The body is read straight from the socket, so what lies behind it comes along.
TEST_P(HttpExchange, RequestBehindAStreamedChunkedBody) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("POST /1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.got.clear();
  visitor.send("3\r\nabc\r\n0\r\n\r\n" + get("/2") + get("/3"));
  ASSERT_TRUE(world.until([&] { return stream.got == "3\r\nabc\r\n0\r\n\r\n"; }));
  stream.got.clear();
  stream.say(ok("1"));
  ASSERT_TRUE(world.until([&] { return stream.got.starts_with("GET /2 "); }));
  stream.got.clear();
  stream.say(ok("2"));
  ASSERT_TRUE(world.until([&] { return stream.got.starts_with("GET /3 "); }));
  stream.say(ok("3"));
  ASSERT_TRUE(world.until([&] { return visitor.got == ok("1") + ok("2") + ok("3"); }));
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpExchange, ExpectContinue) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("PUT /u HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  EXPECT_TRUE(stream.take().contains("Expect: 100-continue\r\n"));
  stream.say("HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.got == "HTTP/1.1 100 Continue\r\n\r\n"; }));
  visitor.got.clear();
  visitor.send("abc");
  ASSERT_TRUE(world.until([&] { return stream.got == "abc"; }));
  stream.say(ok("done"));
  ASSERT_TRUE(world.until([&] { return visitor.got == ok("done"); }));
  EXPECT_EQ(world.ingress->stats().visitors, 1u);
}

TEST_P(HttpExchange, ExpectationRefused) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send("PUT /u HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_TRUE(visitor.got.contains("Connection: close\r\n")) << visitor.got;
  EXPECT_EQ(world.link.last().got_reset, transport::ResetReason::Cancel);
}

TEST_P(HttpExchange, BodilessResponses) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  const struct {
    std::string request, response;
  } cases[] = {
      {"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"},
      {get(), "HTTP/1.1 204 No Content\r\n\r\n"},
      {get(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"},
      {get(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {get(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"},
  };
  for (const auto& [request, response] : cases) {
    world.link.origin = answer_heads([&](std::string_view) { return response; });
    visitor.send(request);
    ASSERT_TRUE(world.until([&] { return visitor.got == response; })) << visitor.got;
    visitor.got.clear();
  }
}

TEST_P(HttpExchange, UntilClose) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.say("HTTP/1.1 200 OK\r\n\r\nall ");
  stream.say("of it");
  ASSERT_TRUE(world.until_got(visitor, "all of it"));
  EXPECT_FALSE(visitor.closed());
  stream.fin();
  ASSERT_TRUE(world.until([&] { return visitor.eof && stream.dead; }));
  EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
  EXPECT_TRUE(stream.clean);
}

TEST_P(HttpExchange, VisitorAsksForTheClose) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  visitor.send(get("/", "Connection: close\r\n"));
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  EXPECT_FALSE(visitor.reset);
  EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
}

TEST_P(HttpExchange, Http10) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) {
    return std::string(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3;x=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n");
  });
  for (const std::size_t cut : {16'384u, 7u, 1u}) {
    world.link.first_cut = cut;
    world.ingress->forget_session(HttpWorld::kSession);  // so that the cut is that of a new stream
    Visitor& visitor = world.connect();
    visitor.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    ASSERT_TRUE(world.until([&] { return visitor.eof; }));
    EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdefg");
  }
  // With a length the connection can be kept.
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  for (int i = 0; i < 2; ++i) {
    visitor.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("\r\n\r\nx"); }));
    EXPECT_TRUE(visitor.take().contains("Connection: keep-alive\r\n"));
  }
}

TEST_P(HttpExchange, HalfClosedVisitorGetsItsResponse) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(get());
  visitor.finish();
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.settle();
  world.link.last().say(ok("late"));
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(visitor.got, ok("late"));
  EXPECT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
}

const std::string kUpgrade = "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const std::string kSwitching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST_P(HttpExchange, UpgradeWithEarlyBytesBothWays) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(kUpgrade + "early");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.settle();
  FakeStream& stream = world.link.last();
  EXPECT_TRUE(stream.got.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(stream.take().contains("early"));
  stream.say(kSwitching + "first");
  ASSERT_TRUE(world.until([&] { return visitor.got == kSwitching + "first" && stream.got == "early"; }))
      << visitor.got << stream.got;
  visitor.send("more");
  stream.say("second");
  ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("second") && stream.got == "earlymore"; }));
  EXPECT_EQ(world.ingress->stats().upgraded, 1u);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
  // Half-closes go through, each by itself.
  visitor.finish();
  ASSERT_TRUE(world.until([&] { return stream.got_fin; }));
  stream.say("last");
  stream.fin();
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_TRUE(visitor.got.ends_with("last"));
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  ASSERT_EQ(world.host.records.size(), 1u);
  EXPECT_TRUE(world.host.records[0].fields.upgraded);
  EXPECT_EQ(world.host.records[0].method, "GET");
  EXPECT_EQ(world.host.records[0].path, "/ws");
  EXPECT_EQ(world.host.records[0].fields.status, 101);
  EXPECT_EQ(world.host.records[0].fields.bytes_in, kUpgrade.size() + 9);
  EXPECT_EQ(world.host.records[0].fields.bytes_out, visitor.got.size());
  EXPECT_EQ(world.ingress->stats().upgraded, 0u);
}

TEST_P(HttpExchange, UpgradeAnsweredTogetherWithTheOriginsEnd) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(kUpgrade);
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.say(kSwitching);
  stream.fin();
  ASSERT_TRUE(world.until([&] { return visitor.eof; }));
  EXPECT_EQ(visitor.got, kSwitching);
  visitor.send("x");
  visitor.finish();
  ASSERT_TRUE(world.until([&] { return stream.dead; }));
  EXPECT_TRUE(stream.clean);
  EXPECT_TRUE(stream.got.ends_with("x"));
}

TEST_P(HttpExchange, UpgradeThatEndsBeforeItIsJoined) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(kUpgrade);
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say(kSwitching);
  world.link.last().end(transport::ResetReason::PeerReset);
  ASSERT_TRUE(world.until([&] { return visitor.closed() && world.ingress->stats().visitors == 0; }));
}

TEST_P(HttpExchange, UpgradeDeclined) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(kUpgrade + get("/next"));
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  FakeStream& stream = world.link.last();
  stream.got.clear();
  stream.say(ok("no"));
  ASSERT_TRUE(world.until([&] { return stream.got.starts_with("GET /next "); }));
  stream.say(ok("yes"));
  ASSERT_TRUE(world.until([&] { return visitor.got == ok("no") + ok("yes"); }));
}

// What is behind it was for a protocol that nobody agreed on.
TEST_P(HttpExchange, AFailedUpgradeEndsTheConnection) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(get("/up", "Upgrade: websocket\r\nConnection: Upgrade\r\n") + get("/behind"));
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 502 ")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("\r\nConnection: close\r\n")) << visitor.got;
  EXPECT_EQ(world.link.streams.size(), 1u);
}

// A body behind HEAD or 304 is not the next visitor's answer.
TEST_P(HttpExchange, ALateBodyThatMustNotBeIsNobodysAnswer) {
  const auto late = [&](const std::string& request, const std::string& answer) {
    HttpWorld world(portable());
    world.link.origin =
        answer_heads([&](std::string_view head) { return head.starts_with("GET /second ") ? ok("own") : answer; });
    Visitor& visitor = world.connect();
    visitor.send(request + get("/second"));
    ASSERT_TRUE(world.until([&] { return visitor.got == answer + ok("own"); })) << visitor.got;
    ASSERT_EQ(world.link.streams.size(), 2u);
    FakeStream& stream = *world.link.streams.front();
    EXPECT_EQ(world.ingress->stats().idle_origins, 2u);
    stream.say(ok("poisoned"));
    EXPECT_EQ(stream.got_reset, transport::ResetReason::Cancel);
    world.settle();
    EXPECT_EQ(visitor.got, answer + ok("own"));
  };
  late("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
  late(get(), "HTTP/1.1 304 Not Modified\r\n\r\n");
  late(get(), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_P(HttpExchange, VisitorResetsAnUpgradedConnection) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(kUpgrade);
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say(kSwitching);
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().upgraded == 1; }));
  visitor.move();
  visitor.close_with_rst();
  ASSERT_TRUE(world.until([&] { return world.link.last().dead; }));
  EXPECT_EQ(world.link.last().got_reset, transport::ResetReason::PeerReset);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
