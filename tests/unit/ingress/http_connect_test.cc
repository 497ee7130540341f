// CONNECT to a tunnel that asks for it (RFC 9110 section 9.3.6, RFC 9113 section 8.5), and to others.
#include "plugin/builtin/rules.h"
#include "unit/ingress/h2_origin_world.h"
#include "unit/ingress/http2_world.h"
#include "unit/ingress/rules_world.h"

namespace ferrotunnel::ingress::test {
namespace {

const std::string kConnect = "CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\n\r\n";
const std::string kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

class HttpConnect : public RulesTest {
 protected:
  static route::RouteTarget target(bool connect = true) {
    route::RouteTarget target{HttpWorld::kSession, HttpWorld::kTunnel, 0};
    target.connect = connect;
    return target;
  }
  static void claim(HttpWorld& world, const route::RouteTarget& target, const std::string& place = "c.test") {
    ASSERT_TRUE(world.router.claim(place, "owner", target).has_value());
  }
  static H2Pairs pairs(const H2Pairs& more = {}) {
    H2Pairs all{{":method", "CONNECT"}, {":authority", "c.test:443"}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};
FT_ON_BOTH_POLLERS(HttpConnect);

TEST_P(HttpConnect, IsAPipeBothWaysAfterA2xx) {
  HttpWorld world(portable());
  claim(world, target());
  Visitor& visitor = world.connect();
  const std::string behind = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
  visitor.send(kConnect + behind);
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.settle();
  FakeStream& stream = world.link.last();
  const std::string head = stream.take();
  EXPECT_TRUE(head.starts_with("CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\n")) << head;
  EXPECT_FALSE(head.contains("smuggled"));
  EXPECT_EQ(visitor.got, "");
  stream.say("HTTP/1.1 102 Processing\r\n\r\n" + kEstablished + "first");
  ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("first") && stream.got == behind; })) << visitor.got;
  EXPECT_TRUE(visitor.got.contains("HTTP/1.1 200 Connection established\r\n\r\nfirst")) << visitor.got;
  EXPECT_EQ(world.ingress->stats().upgraded, 1u);
  EXPECT_EQ(world.link.streams.size(), 1u);
  visitor.finish();
  ASSERT_TRUE(world.until([&] { return stream.got_fin; }));
  stream.say("last");
  stream.fin();
  ASSERT_TRUE(world.until([&] { return visitor.eof && world.ingress->stats().visitors == 0; }));
  EXPECT_TRUE(visitor.got.ends_with("last"));
  ASSERT_EQ(world.host.records.size(), 1u);
  EXPECT_EQ(world.host.records[0].method, "CONNECT");
  EXPECT_EQ(world.host.records[0].path, "c.test:443");
  EXPECT_EQ(world.host.records[0].fields.status, 200);
  EXPECT_TRUE(world.host.records[0].fields.upgraded);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpConnect, WhatA2xxSaysOfABodyIsPassedOver) {
  for (const std::string_view lines : {"Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
                                       "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"}) {
    HttpWorld world(portable());
    claim(world, target());
    Visitor& visitor = world.connect();
    visitor.send(kConnect);
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    world.link.last().say("HTTP/1.1 200 OK\r\nX: y\r\n" + std::string(lines) + "\r\nfree bytes");
    ASSERT_TRUE(world.until_got(visitor, "free bytes"));
    EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nX: y\r\n\r\nfree bytes");
  }
}

TEST_P(HttpConnect, AnotherAnswerIsOneWithABodyAndEndsTheConnection) {
  HttpWorld world(portable());
  claim(world, target());
  Visitor& visitor = world.connect();
  visitor.send(kConnect + get("/smuggled"));
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  FakeStream& stream = world.link.last();
  stream.say("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 4\r\n\r\nwho?");
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_EQ(visitor.got,
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 4\r\n"
            "Connection: close\r\n\r\nwho?");
  EXPECT_FALSE(visitor.reset);
  world.settle();
  EXPECT_EQ(world.link.streams.size(), 1u);
  EXPECT_FALSE(stream.got.contains("smuggled"));
}

TEST_P(HttpConnect, IsRefusedWhereNobodyAsksForIt) {
  HttpWorld world(portable());
  claim(world, target(false));
  claim(world, target(), "p.test/api");  // it has a path, and CONNECT none
  for (const std::string host : {"c.test", "a.test", "p.test", "nobody.test"}) {
    Visitor& visitor = world.connect();
    std::string request = "CONNECT ";
    request.append(host).append(":443 HTTP/1.1\r\nHost: ").append(host).append(":443\r\n\r\n").append(get("/smuggled"));
    visitor.send(request);
    expect_page(world, visitor, 501, "visitor", "connect-refused");
    ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
    EXPECT_FALSE(visitor.reset);
    EXPECT_EQ(visitor.got.find("HTTP/1.1", 1), std::string::npos) << visitor.got;
    H2Visitor h2(world);
    const auto id = h2.client.ask_as({{":method", "CONNECT"}, {":authority", host + ":443"}}, false);
    ASSERT_TRUE(h2.until([&] { return h2.answer(id).status != 0; }));
    EXPECT_EQ(h2.answer(id).status, 501);
    EXPECT_EQ(h2.answer(id).value("ferrotunnel-error"), "connect-refused");
  }
  EXPECT_TRUE(world.link.streams.empty());
}

TEST_P(HttpConnect, ItsAuthorityDecidesAndNoOtherName) {
  HttpWorld world(portable());
  claim(world, target());
  const std::pair<const char*, const char*> cases[] = {
      {"CONNECT c.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "host-differs"},
      {"CONNECT c.test HTTP/1.1\r\nHost: c.test\r\n\r\n", "connect-target"},
      {"CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\nContent-Length: 1\r\n\r\nx", "connect-body"},
      {"CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "connect-body"},
  };
  for (const auto& [request, slug] : cases) {
    Visitor& visitor = world.connect();
    visitor.send(request);
    expect_page(world, visitor, 400, "visitor", slug);
    ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  }
  EXPECT_TRUE(world.link.streams.empty());
}

TEST_P(HttpConnect, NeverGoesOnAWarmConnection) {
  HttpWorld world(portable());
  claim(world, target());
  Visitor& visitor = world.connect();
  visitor.send("GET / HTTP/1.1\r\nHost: c.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say(ok("x"));
  ASSERT_TRUE(world.until_got(visitor, "\r\n\r\nx"));
  Visitor& other = world.connect();
  other.send(kConnect);
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 2 && asked(world); }));
  // Nor is it said twice.
  world.link.last().end(transport::ResetReason::PeerReset);
  ASSERT_TRUE(world.until_got(other, "Ferrotunnel-Error: peer-reset"));
  EXPECT_TRUE(world.until([&] { return other.closed(); }));
  EXPECT_EQ(world.link.streams.size(), 2u);
}

TEST_P(HttpConnect, A2xxBeforeTheRequestOrASwitchIsABadResponse) {
  HttpWorld world(portable());
  claim(world, target());
  Visitor& visitor = world.connect();
  visitor.send(kConnect);
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "Ferrotunnel-Error: bad-response"));
}

TEST_P(HttpConnect, RulesAreAskedAndNameAndPasswordAreTheProxys) {
  HttpWorld world(portable());
  claim(world, target());
  auto rule = std::make_shared<Scripted>();
  rule->wanted = {plugin::Phase::RequestHead, plugin::Phase::RequestBody, plugin::Phase::ResponseBody};
  rule->head = [](plugin::RequestView& request) {
    if (request.head.fields.find("x-ok") != nullptr) return plugin::Verdict::Pass;
    request.reply.status = 403;
    request.reply.slug = "no";
    request.reply.sentence = "No.";
    return plugin::Verdict::Answer;
  };
  world.router.set_chain("c.test", HttpWorld::kSession,
                         std::make_shared<const plugin::Chain>(std::vector<plugin::Chain::Link>{{rule, {}}}));
  Visitor& visitor = world.connect();
  visitor.send(kConnect + get("/smuggled"));
  expect_page(world, visitor, 403, "visitor", "no");
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(world.link.streams.empty());
  H2Visitor h2(world);
  const auto id = h2.client.ask_as(pairs({{"x-ok", "1"}}), false);
  ASSERT_TRUE(h2.until([&] { return asked(world); }));
  world.link.last().say(kEstablished + "down");
  h2.client.body(id, "up");
  world.link.last().got.clear();
  ASSERT_TRUE(h2.until([&] { return h2.answer(id).body == "down" && world.link.last().got == "up"; }));
  // What the tunnel carries is no body.
  EXPECT_EQ(rule->request_body + rule->response_body, "");
}

TEST_P(HttpConnect, ByHttp2IsAPipeOfItsStream) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs({{"content-type", "application/grpc"}}), false);
  visitor.client.body(id, "before the 200");
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.settle();
  FakeStream& stream = world.link.last();
  const std::string head = stream.take();
  EXPECT_TRUE(head.starts_with("CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\n")) << head;
  EXPECT_FALSE(head.contains("before"));
  EXPECT_FALSE(head.contains("Transfer-Encoding"));
  stream.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfirst");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "first" && stream.got == "before the 200"; }));
  EXPECT_EQ(visitor.answer(id).status, 200);
  EXPECT_EQ(visitor.answer(id).value("content-length"), "");
  EXPECT_EQ(world.ingress->stats().upgraded, 1u);
  visitor.client.body(id, " and behind", true);
  ASSERT_TRUE(visitor.until([&] { return stream.got_fin; }));
  stream.say(" last");
  stream.fin();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "first last");
  EXPECT_TRUE(visitor.answer(id).ended);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "");
  EXPECT_EQ(world.host.records[0].path, "c.test:443");
  EXPECT_TRUE(world.host.records[0].fields.upgraded);
  EXPECT_EQ(world.ingress->stats().upgraded, 0u);
}

// Each end is closed by itself (RFC 9113 section 8.5).
TEST_P(HttpConnect, ByHttp2TheServicesEndIsNotTheVisitors) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  FakeStream& stream = world.link.last();
  (void)stream.take();
  stream.say(std::string(kEstablished) + "all");
  stream.fin();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).ended; }));
  visitor.client.body(id, "late");
  ASSERT_TRUE(visitor.until([&] { return stream.got == "late"; }));
  EXPECT_FALSE(visitor.answer(id).closed);
  EXPECT_TRUE(world.host.records.empty());
  // The last of it is under way when the visitor's stream is over.
  stream.credit = 2;
  visitor.client.body(id, " and last", true);
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).reset, std::nullopt);
  world.settle();
  EXPECT_EQ(stream.got, "late a");
  EXPECT_TRUE(world.host.records.empty());
  stream.give_credit(100);
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(stream.got, "late and last");
  EXPECT_TRUE(stream.got_fin && stream.clean);
  EXPECT_EQ(world.host.records[0].slug, "");
  EXPECT_EQ(world.ingress->stats().upgraded, 0u);
  EXPECT_EQ(visitor.client.goaway, std::nullopt);
}

TEST_P(HttpConnect, ByHttp2LastBytesThatTheServiceDoesNotTakeAreNotKeptForEver) {
  HttpIngressOptions options;
  options.stall_timeout = 100ms;
  HttpWorld world(portable(), options);
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  FakeStream& stream = world.link.last();
  stream.credit = 0;
  stream.say(std::string(kEstablished));
  stream.fin();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).ended; }));
  visitor.client.body(id, "last", true);
  ASSERT_TRUE(visitor.until_closed(id));
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 1; }));
  EXPECT_TRUE(stream.dead);
}

TEST_P(HttpConnect, ByHttp2AnotherAnswerHasABody) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  visitor.client.body(id, "GET /smuggled HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.settle();
  FakeStream& stream = world.link.last();
  stream.say("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 4\r\n\r\nwho?");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).ended; }));
  EXPECT_EQ(visitor.answer(id).status, 407);
  EXPECT_EQ(visitor.answer(id).body, "who?");
  EXPECT_EQ(visitor.answer(id).value("proxy-authenticate"), "Basic realm=\"p\"");
  world.settle();
  EXPECT_FALSE(stream.got.contains("smuggled"));
}

TEST_P(HttpConnect, ByHttp2ACutIsAConnectError) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.link.last().say(kEstablished);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).status == 200; }));
  world.link.last().end(transport::ResetReason::PeerReset);
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_CONNECT_ERROR);
}

TEST_P(HttpConnect, ByHttp2TheVisitorsResetReachesTheService) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.link.last().say(kEstablished);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).status == 200; }));
  nghttp2_submit_rst_stream(visitor.client.session(), 0, id, NGHTTP2_CANCEL);
  ASSERT_TRUE(visitor.until([&] { return world.link.last().dead; }));
}

TEST_P(HttpConnect, ByHttp2TrailersAreWrong) {
  HttpWorld world(portable());
  claim(world, target());
  H2Visitor visitor(world);
  const auto id = visitor.client.ask_as(pairs(), false);
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.link.last().say(kEstablished);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).status == 200; }));
  visitor.client.body(id, "x", true, {{"x-sum", "1"}});
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).reset, NGHTTP2_PROTOCOL_ERROR);
  EXPECT_FALSE(world.link.last().got_fin);
}

TEST_P(HttpConnect, AServiceThatSaysNothingIsToBlame) {
  HttpIngressOptions options;
  options.response_timeout = 200ms;
  HttpWorld world(portable(), options);
  claim(world, target());
  Visitor& visitor = world.connect();
  visitor.send(kConnect + "early");
  expect_page(world, visitor, 504, "origin", "origin-timeout");
  EXPECT_TRUE(world.until([&] { return visitor.closed(); }));
  H2Visitor h2(world);
  const auto id = h2.client.ask_as(pairs(), false);
  h2.client.body(id, "early");
  ASSERT_TRUE(h2.until([&] { return h2.answer(id).ended; }));
  EXPECT_EQ(h2.answer(id).value("ferrotunnel-error"), "origin-timeout");
}

TEST_P(HttpConnect, OfAHostForHttpsItIsForTheHttpsPort) {
  HttpWorld world(portable());
  world.ingress->set_https({.book = nullptr, .port = 443, .redirect = true, .hsts = ""});
  claim(world, target());
  Visitor& plain = world.connect();
  plain.send(kConnect);
  expect_page(world, plain, 501, "visitor", "connect-refused");
  EXPECT_TRUE(world.link.streams.empty());
  Visitor& secure = world.connect(0, {.on = true, .h2 = false, .name = "c.test"});
  secure.send(kConnect);
  EXPECT_TRUE(world.until([&] { return asked(world); }));
}

TEST_P(HttpConnect, ToAServiceOfHttp2) {
  H2OriginWorld w(portable());
  route::RouteTarget target{HttpWorld::kSession, H2OriginWorld::kTunnel, 0};
  target.connect = true;
  target.speech = route::OriginSpeech::Http2;
  claim(w.world, target);
  Visitor& visitor = w.world.connect();
  visitor.send(kConnect + "up");
  ASSERT_TRUE(w.until([&] { return w.asked(1); }));
  const H2Asked& asked = w.service().asked[1];
  EXPECT_EQ(asked.value(":method"), "CONNECT");
  EXPECT_EQ(asked.value(":authority"), "c.test:443");
  EXPECT_EQ(asked.value(":path"), "");
  EXPECT_EQ(asked.value(":scheme"), "");
  w.settle();
  EXPECT_EQ(asked.body, "");
  w.service().head(1, {{":status", "200"}});
  w.service().body(1, "down");
  ASSERT_TRUE(w.until([&] { return visitor.got.ends_with("\r\n\r\ndown") && asked.body == "up"; })) << visitor.got;
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 ")) << visitor.got;
  EXPECT_FALSE(visitor.got.contains("Transfer-Encoding")) << visitor.got;
  visitor.finish();
  ASSERT_TRUE(w.until([&] { return asked.ended; }));
  w.service().body(1, "", true);
  EXPECT_TRUE(w.until([&] { return visitor.eof; }));

  H2Visitor h2(w.world);
  const auto id = h2.client.ask_as(pairs(), false);
  ASSERT_TRUE(h2.until([&] { return w.asked(3); }));
  w.service().head(3, {{":status", "403"}}, true);
  w.speak();
  ASSERT_TRUE(h2.until([&] { return h2.answer(id).ended; }));
  EXPECT_EQ(h2.answer(id).status, 403);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
