// Local services that speak HTTP/2, to visitors of HTTP/1.1 and HTTP/2: connections that are shared, bodies both ways, and how each side may end.
#include <gtest/gtest.h>

#include "support/h2_client.h"
#include "unit/ingress/h2_origin_world.h"
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class H2OriginTest : public HttpTest {};
FT_ON_BOTH_POLLERS(H2OriginTest);

TEST_P(H2OriginTest, ARequestAndItsAnswer) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask(h2_site_get("/a?b", "Cookie: c=d\r\nTE: trailers\r\nX-A: b\r\n"));
  const H2Asked& asked = w.service().asked[1];
  EXPECT_EQ(asked.value(":method"), "GET");
  EXPECT_EQ(asked.value(":scheme"), "http");
  EXPECT_EQ(asked.value(":path"), "/a?b");
  EXPECT_EQ(asked.value(":authority"), "h2.test");
  EXPECT_EQ(asked.value("x-a"), "b");
  EXPECT_EQ(asked.value("cookie"), "c=d");
  EXPECT_EQ(asked.value("te"), "trailers");
  EXPECT_EQ(asked.value("x-forwarded-for"), "192.0.2.7");
  EXPECT_EQ(asked.value("host") + asked.value("connection"), "");
  EXPECT_TRUE(asked.ended);
  w.service().answer(1, "hello", {{"content-length", "5"}, {"x-c", "d"}});
  ASSERT_TRUE(w.until_got(visitor, "hello"));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 OK\r\n")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("x-c: d\r\n")) << visitor.got;
  ASSERT_EQ(w.world.host.records.size(), 1u);
  EXPECT_EQ(w.world.host.records[0].fields.status, 200);
  EXPECT_EQ(w.service().broken, "");
}

TEST_P(H2OriginTest, OneConnectionForAllOfThem) {
  H2OriginWorld w(portable());
  std::vector<Visitor*> visitors;
  for (int i = 0; i < 20; ++i) visitors.push_back(&w.ask(h2_site_get("/" + std::to_string(i)), 2 * i + 1));
  EXPECT_EQ(w.connections(), 1u);
  EXPECT_EQ(w.world.ingress->requests_now({HttpWorld::kSession, H2OriginWorld::kTunnel}), 20u);
  for (int i = 19; i >= 0; --i) w.service().answer(2 * i + 1, "answer " + std::to_string(i) + ".");
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(w.until_got(*visitors[static_cast<std::size_t>(i)], "answer " + std::to_string(i) + "."));
  // And on the same visitor's connection again.
  visitors[0]->send(h2_site_get("/again"));
  ASSERT_TRUE(w.until([&] { return w.asked(41); }));
  w.service().answer(41, "again");
  EXPECT_TRUE(w.until_got(*visitors[0], "again"));
  EXPECT_EQ(w.world.ingress->stats().origins_opened, 1u);
  EXPECT_EQ(w.world.ingress->stats().origins_reused, 20u);
}

TEST_P(H2OriginTest, MoreThanOneTakesGoToAnother) {
  H2OriginOptions service;
  service.max_streams = 2;
  H2OriginWorld w(portable(), {}, service);
  (void)w.ask(h2_site_get(), 1);
  (void)w.ask(h2_site_get(), 3);
  Visitor& third = w.ask(h2_site_get(), 1, 1);
  EXPECT_EQ(w.connections(), 2u);
  w.service(1).answer(1, "third");
  EXPECT_TRUE(w.until_got(third, "third"));
}

TEST_P(H2OriginTest, PastTheNumberOfConnectionsTheyWait) {
  H2OriginOptions service;
  service.max_streams = 1;
  HttpIngressOptions options;
  options.pool.h2_connections_per_tunnel = 1;
  H2OriginWorld w(portable(), options, service);
  Visitor& first = w.ask(h2_site_get("/first"), 1);
  Visitor& second = w.world.connect();
  second.send(h2_site_get("/second"));
  w.settle();
  EXPECT_EQ(w.connections(), 1u);
  w.service().answer(1, "first");
  EXPECT_TRUE(w.until_got(first, "first"));
  ASSERT_TRUE(w.until([&] { return w.asked(3); }));
  w.service().answer(3, "second");
  EXPECT_TRUE(w.until_got(second, "second"));
}

TEST_P(H2OriginTest, BodiesBothWaysWithTrailers) {
  H2OriginWorld w(portable());
  std::string body(300'000, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  Visitor& visitor = w.ask("POST / HTTP/1.1\r\nHost: h2.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunked;
  for (std::size_t at = 0; at < body.size(); at += 10'000) chunked += "2710\r\n" + body.substr(at, 10'000) + "\r\n";
  visitor.send(chunked + "0\r\nX-Sum: 7\r\n\r\n");
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].ended; }));
  EXPECT_TRUE(w.service().asked[1].body == body);
  EXPECT_EQ(w.service().asked[1].trailers, (H2Pairs{{"x-sum", "7"}}));
  w.service().head(1, {{":status", "200"}});
  w.service().body(1, body, true, {{"x-crc", "8"}});
  ASSERT_TRUE(w.until_got(visitor, "x-crc: 8\r\n\r\n"));
  http::ResponseHead head;
  const auto parsed = http::parse_response_head(visitor.got, {}, {}, head);
  ASSERT_TRUE(parsed.done());
  http::BodyFramer framer(head.framing);
  std::string got;
  EXPECT_TRUE(framer.feed(visitor.got.substr(parsed.consumed), [&](std::string_view part) { got.append(part); }).done);
  EXPECT_TRUE(got == body);
}

TEST_P(H2OriginTest, ASlowVisitorHoldsBackHisOwnStreamOnly) {
  H2OriginWorld w(portable());
  Visitor& slow = w.ask(h2_site_get("/slow"), 1);
  Visitor& quick = w.ask(h2_site_get("/quick"), 3);
  slow.reading = false;
  constexpr std::size_t kLong = 20'000'000;
  for (const std::int32_t id : {1, 3})
    w.service().answer(id, std::string(kLong, 'x'), {{"content-length", std::to_string(kLong)}});
  ASSERT_TRUE(w.until([&] { return quick.got.size() > kLong; }));
  EXPECT_GT(w.service().unsent(1), kLong / 3) << "it was read, and waits somewhere";
  EXPECT_LT(w.world.shard.buffers().budget().used(), 1'000'000u);
  slow.reading = true;
  EXPECT_TRUE(w.until([&] { return slow.got.size() > kLong; }));
}

TEST_P(H2OriginTest, AServiceThatDoesNotReadHoldsBackTheVisitor) {
  H2OriginOptions service;
  service.reads = false;
  H2OriginWorld w(portable(), {}, service);
  Visitor& visitor = w.ask("PUT / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 30000000\r\n\r\n");
  visitor.send(std::string(30'000'000, 'x'));
  w.settle();
  EXPECT_EQ(w.service().asked[1].body.size(), 65'535u);
  EXPECT_GT(visitor.unsent(), 10'000'000u);
}

TEST_P(H2OriginTest, HeadsWithoutBodies) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask("HEAD / HTTP/1.1\r\nHost: h2.test\r\n\r\n");
  w.service().head(1, {{":status", "200"}, {"content-length", "5"}}, true);
  ASSERT_TRUE(w.until_got(visitor, "\r\n\r\n"));
  EXPECT_TRUE(visitor.take().contains("Content-Length: 5\r\n"));
  visitor.send(h2_site_get());
  ASSERT_TRUE(w.until([&] { return w.asked(3); }));
  w.service().head(3, {{":status", "204"}}, true);
  ASSERT_TRUE(w.until_got(visitor, "HTTP/1.1 204 No Content\r\n"));
  ASSERT_TRUE(w.until_got(visitor, "\r\n\r\n"));
  EXPECT_FALSE(visitor.take().contains("ength"));
  visitor.send(h2_site_get());
  ASSERT_TRUE(w.until([&] { return w.asked(5); }));
  w.service().head(5, {{":status", "200"}}, true);
  ASSERT_TRUE(w.until_got(visitor, "Content-Length: 0\r\n"));
  EXPECT_EQ(w.world.host.records.size(), 3u);
}

TEST_P(H2OriginTest, InterimAnswersPass) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask("PUT / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(w.service().asked[1].value("expect"), "100-continue");
  EXPECT_FALSE(w.service().asked[1].ended);
  w.service().interim(1, {{":status", "100"}});
  ASSERT_TRUE(w.until_got(visitor, "HTTP/1.1 100 Continue\r\n\r\n"));
  visitor.send("body");
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].ended; }));
  EXPECT_EQ(w.service().asked[1].body, "body");
  w.service().interim(1, {{":status", "103"}, {"link", "</a>"}});
  w.service().answer(1, "done");
  EXPECT_TRUE(w.until_got(visitor, "done\r\n0\r\n\r\n"));
}

TEST_P(H2OriginTest, AnAnswerBeforeTheRequestIsWhole) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask("PUT / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 100\r\n\r\npart");
  w.service().answer(1, "no", {{"content-length", "2"}});
  ASSERT_TRUE(w.until_got(visitor, "\r\n\r\nno"));
  EXPECT_TRUE(w.until([&] { return w.service().asked[1].reset.has_value(); }));
  // The others' connection lives.
  Visitor& next = w.ask(h2_site_get(), 3);
  w.service().answer(3, "next");
  EXPECT_TRUE(w.until_got(next, "next"));
  EXPECT_EQ(w.connections(), 1u);
}

// ---- ends ---------------------------------------------------------------------------------------------------------

TEST_P(H2OriginTest, AResetEndsOneOfThem) {
  H2OriginWorld w(portable());
  Visitor& reset = w.ask(h2_site_get(), 1);
  Visitor& cut = w.ask(h2_site_get(), 3);
  Visitor& other = w.ask(h2_site_get(), 5);
  w.service().head(3, {{":status", "200"}});
  w.service().body(3, "part");
  ASSERT_TRUE(w.until_got(cut, "part"));
  w.service().reset(1, NGHTTP2_INTERNAL_ERROR);
  w.service().reset(3, NGHTTP2_INTERNAL_ERROR);
  ASSERT_TRUE(w.until_got(reset, "Ferrotunnel-Error: peer-reset"));
  ASSERT_TRUE(w.until([&] { return cut.closed(); }));
  EXPECT_TRUE(cut.reset) << "its end must not look clean";
  w.service().answer(5, "other");
  EXPECT_TRUE(w.until_got(other, "other"));
}

TEST_P(H2OriginTest, WhatWasNotLookedAtIsAskedAgain) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask("POST / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 0\r\n\r\n");
  w.service().reset(1, NGHTTP2_REFUSED_STREAM);
  ASSERT_TRUE(w.until([&] { return w.asked(1, 1); })) << "on another connection";
  w.service(1).answer(1, "second");
  EXPECT_TRUE(w.until_got(visitor, "second"));
  EXPECT_EQ(w.world.ingress->stats().retries, 1u);
}

TEST_P(H2OriginTest, WhatHasABodyIsNotAskedAgain) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask("POST / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 4\r\n\r\nbody");
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].ended; }));
  w.service().reset(1, NGHTTP2_REFUSED_STREAM);
  ASSERT_TRUE(w.until_got(visitor, "Ferrotunnel-Error: origin-busy"));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(w.connections(), 1u);
}

TEST_P(H2OriginTest, AfterGoawayTheNextGoElsewhere) {
  H2OriginWorld w(portable());
  Visitor& first = w.ask(h2_site_get("/1"), 1);
  Visitor& second = w.ask(h2_site_get("/2"), 3);
  w.service().goaway(1);
  ASSERT_TRUE(w.until([&] { return w.asked(1, 1); })) << "the second was not looked at";
  Visitor& third = w.ask(h2_site_get("/3"), 1, 2);
  w.service(0).answer(1, "first");
  w.service(1).answer(1, "second");
  w.service(2).answer(1, "third");
  EXPECT_TRUE(w.until_got(first, "first") && w.until_got(second, "second") && w.until_got(third, "third"));
  EXPECT_TRUE(w.until([&] { return w.stream(0).got_fin || w.stream(0).dead; })) << "the first connection goes";
}

TEST_P(H2OriginTest, ALostConnectionEndsAllOfItsRequests) {
  H2OriginWorld w(portable());
  Visitor& waits = w.ask("POST /1 HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 4\r\n\r\nbody", 1);
  Visitor& reads = w.ask(h2_site_get("/2"), 3);
  w.service().head(3, {{":status", "200"}});
  w.service().body(3, "part");
  ASSERT_TRUE(w.until_got(reads, "part"));
  w.stream().end(transport::ResetReason::PeerReset);
  ASSERT_TRUE(w.until_got(waits, "Ferrotunnel-Error: peer-reset"));
  ASSERT_TRUE(w.until([&] { return reads.closed(); }));
}

TEST_P(H2OriginTest, ADeadWarmConnectionIsReplaced) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask(h2_site_get("/1"), 1);
  w.service().answer(1, "one");
  ASSERT_TRUE(w.until_got(visitor, "one"));
  w.settle();
  w.world.link.paused = true;  // it is asked on a connection that is dead already
  visitor.send(h2_site_get("/2"));
  w.settle();
  w.stream().end(transport::ResetReason::PeerReset);
  w.world.link.resume();
  ASSERT_TRUE(w.until([&] { return w.asked(1, 1); }));
  w.service(1).answer(1, "two");
  EXPECT_TRUE(w.until_got(visitor, "two"));
}

// What is asked for as fresh is not shared: a service that is told of its visitor by the connection has to be right about him.
TEST_P(H2OriginTest, AFreshConnectionIsNobodyElses) {
  H2OriginWorld w(portable());
  transport::Shard& shard = w.world.shard;
  class User final : public transport::StreamHandler {
   public:
    std::size_t on_data(transport::Stream&, ConstBytes bytes) override { return bytes.size(); }
    void on_fin(transport::Stream&) override {}
    void on_end(transport::Stream&, transport::StreamEnd) override {}
    transport::Fill fill(transport::Stream&, MutBytes) override { return {}; }
  } user;
  OriginPool pool(shard, {});
  std::vector<OriginPtr> taken;
  for (int i = 0; i < 100; ++i) {
    auto one = pool.reach(&w.world.link, {1, 1}, {}, user, route::OriginSpeech::Http2, true);
    ASSERT_TRUE(one.has_value() && *one != nullptr);
    EXPECT_FALSE((*one)->reused());
    taken.push_back(std::move(*one));
  }
  EXPECT_EQ(w.connections(), 100u);
  auto shared = pool.reach(&w.world.link, {1, 1}, {}, user, route::OriginSpeech::Http2, false);
  ASSERT_TRUE(shared.has_value() && *shared != nullptr);
  EXPECT_FALSE((*shared)->reused());
  auto again = pool.reach(&w.world.link, {1, 1}, {}, user, route::OriginSpeech::Http2, false);
  ASSERT_TRUE(again.has_value() && *again != nullptr);
  EXPECT_TRUE((*again)->reused());
  EXPECT_EQ(w.connections(), 101u);
  taken.clear();
  EXPECT_TRUE(w.until([&] {
    std::size_t gone = 0;
    for (const auto& stream : w.world.link.streams) gone += stream->got_fin || stream->dead ? 1u : 0u;
    return gone == 100;
  }));
}

TEST_P(H2OriginTest, WhoeverIsNotThere) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.world.connect();
  visitor.send(h2_site_get());
  ASSERT_TRUE(w.until([&] { return w.connections() == 1; }));
  w.stream().end(transport::ResetReason::OriginRefused);
  expect_page(w.world, visitor, 502, "origin", "origin-refused");
}

TEST_P(H2OriginTest, AServiceOfHttp1) {
  H2OriginWorld w(portable());
  w.world.link.origin = [](FakeStream& stream) {
    if (stream.got.size() > 20) stream.say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  };
  Visitor& visitor = w.world.connect();
  visitor.send(h2_site_get());
  expect_page(w.world, visitor, 502, "origin", "origin-not-http2");
}

TEST_P(H2OriginTest, AnAnswerThatIsNone) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask(h2_site_get());
  w.service().raw(h2_headers(1, {{":status", "200"}, {"x", "a\r\nb"}}, false));
  w.speak();
  expect_page(w.world, visitor, 502, "origin", "bad-response");
}

TEST_P(H2OriginTest, AFloodEndsItsConnectionAndNoMore) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask(h2_site_get());
  std::string flood;
  for (int i = 0; i < 300; ++i) flood += h2_frame(6, 0, 0, "12345678");
  w.service().raw(flood);
  w.speak();
  expect_page(w.world, visitor, 502, "origin", "bad-response");
  EXPECT_EQ(w.world.ingress->stats().h2_origin_abuse, 1u);
  EXPECT_TRUE(w.stream().dead);
  Visitor& next = w.ask(h2_site_get(), 1, 1);
  w.service(1).answer(1, "next");
  EXPECT_TRUE(w.until_got(next, "next"));
}

TEST_P(H2OriginTest, WhereMemoryIsUsedUpItGoesOn) {
  H2OriginWorld w(portable(), {}, {}, 1);
  Visitor& first = w.ask(h2_site_get("/1"), 1);
  Visitor& second = w.ask(h2_site_get("/2"), 3);
  for (const std::int32_t id : {1, 3}) w.service().answer(id, std::string(1'500'000, 'x') + "end");
  EXPECT_TRUE(w.until_got(first, "end\r\n0\r\n\r\n"));
  EXPECT_TRUE(w.until_got(second, "end\r\n0\r\n\r\n"));
}

TEST_P(H2OriginTest, AVisitorWhoGoesAwayIsCancelled) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.ask(h2_site_get());
  visitor.close_with_rst();
  EXPECT_TRUE(w.until([&] { return w.service().asked[1].reset == NGHTTP2_CANCEL; }));
  EXPECT_FALSE(w.stream().dead);
}

TEST_P(H2OriginTest, IdleItGoesInTime) {
  HttpIngressOptions options;
  options.pool.idle_timeout = 50ms;
  H2OriginWorld w(portable(), options);
  Visitor& visitor = w.ask(h2_site_get());
  w.service().answer(1, "one");
  ASSERT_TRUE(w.until_got(visitor, "one"));
  EXPECT_EQ(w.world.ingress->stats().idle_origins, 1u);
  ASSERT_TRUE(w.until([&] { return w.stream().got_fin; }));
  EXPECT_EQ(w.service().goaway_got, 0u);
  w.stream().fin();
  EXPECT_TRUE(w.until([&] { return w.stream().dead; }));
  EXPECT_TRUE(w.stream().clean);
  EXPECT_EQ(w.world.ingress->stats().idle_origins, 0u);
}

TEST_P(H2OriginTest, AnotherServiceBehindTheTunnel) {
  H2OriginWorld w(portable());
  Visitor& first = w.ask(h2_site_get(), 1);
  w.world.ingress->forget_tunnel({HttpWorld::kSession, H2OriginWorld::kTunnel});
  Visitor& second = w.ask(h2_site_get(), 1, 1);
  w.service(0).answer(1, "old");
  w.service(1).answer(1, "new");
  EXPECT_TRUE(w.until_got(first, "old") && w.until_got(second, "new"));
  EXPECT_TRUE(w.until([&] { return w.stream(0).got_fin || w.stream(0).dead; }));
}

TEST_P(H2OriginTest, WhatALinkTakesInSmallPieces) {
  H2OriginWorld w(portable());
  w.world.link.fill_size = 100;
  w.world.link.first_cut = 7;
  Visitor& visitor =
      w.ask("PUT / HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 50000\r\n\r\n" + std::string(50'000, 'x'));
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].ended; }));
  EXPECT_EQ(w.service().asked[1].body.size(), 50'000u);
  w.service().answer(1, std::string(100'000, 'y') + "end");
  EXPECT_TRUE(w.until_got(visitor, "yend\r\n0\r\n\r\n"));
}

// ---- visitors of HTTP/2 --------------------------------------------------------------------------------------------

TEST_P(H2OriginTest, FromHttp2ToHttp2) {
  H2OriginWorld w(portable());
  H2Visitor visitor(w.world);
  const auto id = visitor.client.ask_as(
      {{":method", "POST"}, {":scheme", "http"}, {":authority", "h2.test"}, {":path", "/"}}, false);
  visitor.client.body(id, "hello", true, {{"x-up", "1"}});
  ASSERT_TRUE(visitor.until([&] { return w.asked(1) && w.service().asked[1].ended; }));
  EXPECT_EQ(w.service().asked[1].body, "hello");
  EXPECT_EQ(w.service().asked[1].trailers, (H2Pairs{{"x-up", "1"}}));
  w.service().head(1, {{":status", "200"}});
  w.service().body(1, "answer", true, {{"x-down", "2"}});
  w.speak();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "answer");
  EXPECT_EQ(visitor.answer(id).trailer("x-down"), "2");
}

// A service that is not said to speak HTTP/2: gRPC has nothing else.
TEST_P(H2OriginTest, GrpcGoesOnInHttp2) {
  H2OriginWorld w(portable());
  H2Visitor visitor(w.world);
  const auto id = visitor.client.ask("POST", "/pkg.Service/Method",
                                     {{"content-type", "application/grpc+proto"}, {"te", "trailers"}}, false);
  visitor.client.body(id, "first");
  ASSERT_TRUE(visitor.until([&] { return w.asked(1) && w.service().asked[1].body == "first"; })) << "nothing is held";
  EXPECT_EQ(w.service().asked[1].value("te"), "trailers");
  w.service().head(1, {{":status", "200"}, {"content-type", "application/grpc"}});
  w.service().body(1, "down");
  w.speak();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "down"; }));
  visitor.client.body(id, "second", true);
  ASSERT_TRUE(visitor.until([&] { return w.service().asked[1].ended; }));
  w.service().body(1, "", true, {{"grpc-status", "0"}});
  w.speak();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).trailer("grpc-status"), "0");
}

TEST_P(H2OriginTest, FailuresOfGrpcAreSaidInItsWords) {
  H2OriginWorld w(portable());
  H2Visitor visitor(w.world);
  const auto nowhere = visitor.client.ask_as({{":method", "POST"},
                                              {":scheme", "http"},
                                              {":authority", "nobody.test"},
                                              {":path", "/a.B/C"},
                                              {"content-type", "application/grpc"}});
  ASSERT_TRUE(visitor.until_closed(nowhere));
  EXPECT_EQ(visitor.answer(nowhere).status, 200);
  EXPECT_EQ(visitor.answer(nowhere).value("grpc-status"), "12");
  EXPECT_TRUE(visitor.answer(nowhere).value("grpc-message").starts_with("no-such-host: "));
  EXPECT_EQ(visitor.answer(nowhere).value("content-type"), "application/grpc");
  EXPECT_EQ(visitor.answer(nowhere).body, "");
  const auto refused = visitor.client.ask("POST", "/a.B/C", {{"content-type", "application/grpc"}});
  ASSERT_TRUE(visitor.until([&] { return w.connections() == 1; }));
  w.stream().end(transport::ResetReason::OriginRefused);
  ASSERT_TRUE(visitor.until_closed(refused));
  EXPECT_EQ(visitor.answer(refused).value("grpc-status"), "14");
  EXPECT_EQ(visitor.answer(refused).value("ferrotunnel-error"), "origin-refused");
}

TEST_P(H2OriginTest, ADeadlineOfGrpcPasses) {
  H2OriginWorld w(portable());
  H2Visitor visitor(w.world);
  const auto id =
      visitor.client.ask("POST", "/a.B/C", {{"content-type", "application/grpc"}, {"grpc-timeout", "200m"}});
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).value("grpc-status"), "4");
  EXPECT_TRUE(visitor.until([&] { return w.service().asked[1].reset == NGHTTP2_CANCEL; })) << "the service hears of it";
}

TEST_P(H2OriginTest, ACallMayBeSilentOnceItWasAnswered) {
  HttpIngressOptions options;
  options.stall_timeout = options.response_timeout = 150ms;
  H2OriginWorld w(portable(), options);
  H2Visitor visitor(w.world);
  const auto watch = visitor.client.ask("POST", "/a.B/Watch", {{"content-type", "application/grpc"}});
  ASSERT_TRUE(visitor.until([&] { return w.asked(1); }));
  w.service().head(1, {{":status", "200"}, {"content-type", "application/grpc"}});
  w.speak();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(watch).status == 200; }));
  // One that is not answered is cut: by then the other has been silent for long enough.
  const auto unanswered = visitor.client.ask("POST", "/a.B/C", {{"content-type", "application/grpc"}});
  ASSERT_TRUE(visitor.until_closed(unanswered));
  EXPECT_EQ(visitor.answer(unanswered).value("grpc-status"), "4");
  w.service().body(1, "news", true, {{"grpc-status", "0"}});
  w.speak();
  ASSERT_TRUE(visitor.until_closed(watch));
  EXPECT_EQ(visitor.answer(watch).body, "news");
  EXPECT_EQ(visitor.answer(watch).trailer("grpc-status"), "0");
}

TEST_P(H2OriginTest, GrpcWebIsARequestLikeAnyOther) {
  H2OriginWorld w(portable());
  w.world.link.origin = answer_heads([](std::string_view) { return ok("web"); });
  H2Visitor visitor(w.world);
  const auto id = visitor.client.ask("POST", "/a.B/C", {{"content-type", "application/grpc-web+proto"}});
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "web");
}

// ---- WebSockets ---------------------------------------------------------------------------------------------------

const std::string kUpgrade = h2_site_get("/chat",
                                         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");

TEST_P(H2OriginTest, AWebSocketOfHttp1) {
  H2OriginOptions service;
  service.websockets = true;
  H2OriginWorld w(portable(), {}, service);
  Visitor& visitor = w.ask(kUpgrade);
  EXPECT_EQ(w.service().asked[1].value(":protocol"), "websocket");
  w.service().head(1, {{":status", "200"}});
  ASSERT_TRUE(w.until_got(visitor, "\r\n\r\n"));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 101 ")) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) << "RFC 6455 section 1.3";
  visitor.send("up");
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].body == "up"; }));
  w.service().body(1, "down");
  ASSERT_TRUE(w.until_got(visitor, "down"));
  w.service().body(1, "", true);
  ASSERT_TRUE(w.until([&] { return visitor.eof; }));
  visitor.send("last");
  visitor.finish();
  ASSERT_TRUE(w.until([&] { return w.service().asked[1].ended; }));
  EXPECT_EQ(w.service().asked[1].body, "uplast");
  EXPECT_TRUE(w.until([&] { return w.world.host.records.size() == 1; }));
}

TEST_P(H2OriginTest, AWebSocketOfHttp2) {
  H2OriginOptions service;
  service.websockets = true;
  H2OriginWorld w(portable(), {}, service);
  H2Visitor visitor(w.world);
  const auto id = visitor.client.ask_as({{":method", "CONNECT"},
                                         {":protocol", "websocket"},
                                         {":scheme", "http"},
                                         {":authority", "h2.test"},
                                         {":path", "/"},
                                         {"sec-websocket-version", "13"}},
                                        false);
  ASSERT_TRUE(visitor.until([&] { return w.asked(1); }));
  w.service().head(1, {{":status", "200"}});
  w.service().body(1, "down");
  w.speak();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "down"; }));
  EXPECT_EQ(visitor.answer(id).status, 200);
  visitor.client.body(id, "up", true);
  ASSERT_TRUE(visitor.until([&] { return w.service().asked[1].ended; }));
  w.service().body(1, "", true);
  w.speak();
  EXPECT_TRUE(visitor.until_closed(id));
}

TEST_P(H2OriginTest, AServiceWithoutWebSockets) {
  H2OriginWorld w(portable());
  Visitor& visitor = w.world.connect();
  visitor.send(kUpgrade);
  ASSERT_TRUE(w.until_got(visitor, "Ferrotunnel-Error: origin-no-websocket"));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 502 "));
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
