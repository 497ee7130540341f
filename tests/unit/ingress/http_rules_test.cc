// Rules in the way of a request: before anything is sent on, around bodies, and when a rule waits.
#include <thread>

#include "unit/ingress/rules_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using plugin::Phase;

class HttpRules : public RulesTest {};
FT_ON_BOTH_POLLERS(HttpRules);

TEST_P(HttpRules, HeadsAreChanged) {
  HttpWorld world(portable());
  set_rules(world, {{"strip_prefix", {{"prefix", "/api"}}, {}, {}, {}},
                    {"host", {{"host", "inner.test:8080"}}, {}, {}, {}},
                    {"request_headers", {{"set", "X-Visitor: ${visitor.address}"}, {"remove", "Cookie"}}, {}, {}, {}},
                    {"response_headers", {{"set", "X-Id: ${request.id}"}, {"remove", "Server"}}, {}, {}, {}}});
  Visitor& visitor = ask(world, get("/x/../api/%61?q=%2f", "Cookie: c\r\nX-Visitor: me\r\nConnection: x-visitor\r\n"));
  const std::string head = world.link.last().take();
  EXPECT_TRUE(head.starts_with("GET /a?q=%2f HTTP/1.1\r\nHost: inner.test:8080\r\n")) << head;
  EXPECT_TRUE(head.contains("\r\nX-Visitor: 192.0.2.7\r\n")) << head << "Connection cannot name a rule's away";
  EXPECT_TRUE(head.contains("\r\nX-Forwarded-Host: a.test\r\n")) << head;
  EXPECT_FALSE(head.contains("Cookie")) << head;
  EXPECT_FALSE(head.contains("X-Visitor: me")) << head;
  world.link.last().say(ok("hi", "Server: origin\r\n"));
  ASSERT_TRUE(world.until_got(visitor, "hi"));
  world.settle();
  const Record& record = world.host.records.at(0);
  EXPECT_EQ(visitor.got, "HTTP/1.1 200 OK\r\nX-Id: " + record.request_id + "\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(record.path, "/api/a") << "as the visitor asked";
  EXPECT_TRUE(head.contains("X-Request-Id: " + record.request_id)) << head;
}

TEST_P(HttpRules, TrailersDoNotBringWhatARuleHasDecided) {
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
  constexpr std::string_view kTail = "0\r\nX-Sum: 5\r\nx_user: me\r\nX-Admin: 1\r\nX-Users: 2\r\nX-ADMIN: 2\r\n\r\n";
  for (const bool whole : {true, false}) {
    HttpWorld world(portable());
    if (!whole) world.link.fill_size = 1;
    set_rules(world, {{"request_headers", {{"set", "X-User: ann"}, {"remove", "X-Admin"}}, {}, {}, {}}});
    Visitor& visitor = world.connect();
    const std::string request = std::string(kHead) + "5\r\nhello\r\n" + std::string(kTail);
    if (whole) {
      visitor.send(request + request);
    } else {
      for (const char c : request) {
        visitor.send({&c, 1});
        world.settle();
      }
    }
    ASSERT_TRUE(world.until([&] {
      return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n") &&
             world.link.last().got.contains("X-Users");
    }));
    world.settle();
    FakeStream& stream = world.link.last();
    EXPECT_TRUE(stream.got.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\nX-Users: 2\r\n\r\n")) << stream.got;
    EXPECT_TRUE(stream.got.contains("\r\nX-User: ann\r\n")) << stream.got;
    if (!whole) continue;
    // The next request begins where it should, and trailers that all go leave the end.
    (void)stream.take();
    stream.say(ok("a"));
    ASSERT_TRUE(world.until([&] { return world.link.last().got.ends_with("0\r\nX-Sum: 5\r\nX-Users: 2\r\n\r\n"); }));
    (void)world.link.last().take();
    world.link.last().say(ok("b"));
    ASSERT_TRUE(world.until_got(visitor, "\r\n\r\nb"));
    visitor.send(std::string(kHead) + "1\r\nx\r\n0\r\nX-User: me\r\n\r\n");
    ASSERT_TRUE(world.until([&] { return world.link.last().got.ends_with("1\r\nx\r\n0\r\n\r\n"); }));
    visitor.close();
    world.settle();
    EXPECT_EQ(world.shard.buffers().lent(), 0u);
  }
}

TEST_P(HttpRules, APathThatCouldBeAnotherIsRefusedWhereARuleLooksAtPaths) {
  HttpWorld world(portable());
  {
    Visitor& visitor = ask(world, get("/a%2fb"));  // nobody looks at it
    EXPECT_TRUE(world.link.last().take().starts_with("GET /a%2fb "));
    world.link.last().say(ok(""));
    ASSERT_TRUE(world.until_got(visitor, "Content-Length: 0"));
  }
  EXPECT_NE(world.cache.find(HttpWorld::kHost), nullptr);
  set_rules(world, {{"answer", {{"status", "403"}}, {"/admin"}, {}, {}}});
  EXPECT_EQ(world.cache.find(HttpWorld::kHost), nullptr) << "who knows no rules does not find the tunnel without them";
  for (const std::string path : {"/x%2fadmin", "/x/..;/admin", "/%5cadmin"}) {
    Visitor& visitor = world.connect();
    visitor.send(get(path));
    expect_page(world, visitor, 400, "visitor", "ambiguous-path");
  }
  for (const std::string path : {"/admin", "//admin/", "/x/../%61dmin;q/y", "/./admin?x", "http://a.test//admin"}) {
    Visitor& visitor = world.connect();
    visitor.send(get(path));
    ASSERT_TRUE(world.until_got(visitor, "HTTP/1.1 403 Forbidden\r\n")) << path << visitor.got;
  }
  EXPECT_EQ(world.link.streams.size(), 1u) << "nothing more has reached the origin";
}

TEST_P(HttpRules, MoreTextThanARuleMayMakeFails) {
  HttpWorld world(portable());
  std::string often, hosts = "X-Long: ";
  for (int i = 0; i < 100; ++i) often += "${uri}";
  for (int i = 0; i < 2400; ++i) hosts += "${request.id}";
  set_rules(world, {{"redirect", {{"to", "/x" + often}}, {"/far"}, {}, {}},
                    {"response_headers", {{"set", hosts}}, {"/back"}, {}, {}}});
  Visitor& visitor = world.connect();
  visitor.send(get("/far/" + std::string(4000, 'x')));
  expect_page(world, visitor, 500, "server", "rule-failed");
  Visitor& other = world.connect();
  other.send(get("/back"));
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty(); }));
  (void)world.link.last().take();
  world.link.last().say(ok("hi"));
  ASSERT_TRUE(world.until_got(other, "Ferrotunnel-Error: rule-failed\r\n")) << other.got;
  EXPECT_TRUE(other.got.starts_with("HTTP/1.1 500 ")) << other.got;
}

TEST_P(HttpRules, AnswersKeepTheConnection) {
  HttpWorld world(portable());
  set_rules(world, {{"answer", {{"body", "gone fishing"}}, {"/a"}, {}, {}},
                    {"redirect", {{"to", "https://new.test${uri}"}}, {"/r"}, {}, {}}});
  Visitor& visitor = world.connect();
  visitor.send(get("/a") + get("/r/x?y") + "HEAD /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.host.records.size() == 3; }));
  world.settle();
  const auto id = [&](std::size_t i) { return "X-Request-Id: " + world.host.records[i].request_id + "\r\n\r\n"; };
  EXPECT_EQ(visitor.got,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n" + id(0) +
                "gone fishing" + "HTTP/1.1 302 Found\r\nLocation: https://new.test/r/x?y\r\nContent-Length: 0\r\n" +
                id(1) + "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n" + id(2));
  EXPECT_EQ(world.host.records[1].path, "/r/x");
  EXPECT_EQ(world.host.records[1].fields.status, 302);
  EXPECT_EQ(world.host.records[1].fields.session, HttpWorld::kSession);
  EXPECT_FALSE(visitor.closed());
  // With a body that nobody has read it ends.
  (void)visitor.take();
  visitor.send("POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(world.until_got(visitor, "Connection: close"));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.eof);
  EXPECT_TRUE(world.link.streams.empty());
}

// The end of it is kept for him, and no exchange is there any more that would look how he reads.
TEST_P(HttpRules, AnAnswerOfARuleMayBeReadSlowly) {
  for (const bool reads : {true, false}) {
    HttpIngressOptions options;
    options.stall_timeout = 300ms;
    HttpWorld world(portable(), options);
    set_rules(world, {{"answer", {{"body", std::string(30'000, 'x')}}, {}, {}, {}}});
    Visitor& visitor = world.connect_narrow();
    visitor.send(get());
    TimePoint next = Clock::now();
    ASSERT_TRUE(world.until([&] {
      if (reads && Clock::now() >= next) {
        next = Clock::now() + 10ms;
        visitor.read_some(300);
      }
      return visitor.taken >= 30'000 || visitor.closed() || world.ingress->stats().visitors == 0;
    }));
    EXPECT_EQ(visitor.taken >= 30'000, reads);
    EXPECT_EQ(world.ingress->stats().timeouts, reads ? 0u : 1u);
  }
}

TEST_P(HttpRules, BodiesThatAreTooLarge) {
  HttpWorld world(portable());
  set_rules(world, {{"max_body", {{"bytes", "10"}}, {}, {}, {}}});
  Visitor& told = world.connect();
  told.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n");
  expect_page(world, told, 413, "visitor", "body-too-large");
  EXPECT_TRUE(world.link.streams.empty());

  Visitor& fits = world.connect();
  fits.send(
      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5;x=y\r\n67890\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("0\r\n\r\n"); }));
  world.link.last().say(ok("fine"));
  ASSERT_TRUE(world.until_got(fits, "fine"));

  Visitor& chunked = world.connect();
  chunked.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
  world.settle();
  chunked.send("6\r\n678901\r\n0\r\n\r\n");
  expect_page(world, chunked, 413, "visitor", "body-too-large");
  EXPECT_TRUE(world.link.last().dead) << "the origin does not take it for whole";
  EXPECT_FALSE(world.link.last().got.contains("678901"));
  world.settle();
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpRules, AFilterSeesThePayloadOfBothBodies) {
  HttpWorld world(portable());
  const auto filter = std::make_shared<Scripted>();
  filter->wanted = {Phase::RequestBody, Phase::ResponseBody, Phase::ResponseHead, Phase::Log};
  set_filter(world, filter);
  world.link.first_cut = 3;
  world.link.fill_size = 3;
  Visitor& visitor = world.connect();
  visitor.send(
      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("0\r\n\r\n"); }));
  EXPECT_EQ(filter->request_body, "hello!");
  world.link.last().say(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nback\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "0\r\n\r\n"));
  world.settle();
  EXPECT_EQ(filter->response_body, "back");
  EXPECT_EQ(filter->response_heads, 1) << "interim ones are none";
  EXPECT_EQ(filter->logged, std::vector<std::string>{"200 "});
  (void)visitor.take();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] {
    return world.link.last().got.ends_with("X-Request-Id: " +
                                           world.link.last().got.substr(world.link.last().got.size() - 20));
  }));
  world.link.last().say(ok("length"));
  ASSERT_TRUE(world.until_got(visitor, "length"));
  EXPECT_EQ(filter->response_body, "backlength");
  // HTTP/1.0 gets the payload alone.
  Visitor& old = world.connect();
  old.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  const std::size_t before = world.link.last().got.size();
  ASSERT_TRUE(world.until(
      [&] { return world.link.last().got.size() > before && world.link.last().got.ends_with("\r\n\r\n"); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nold!\r\n0\r\n\r\n");
  ASSERT_TRUE(world.until_got(old, "old!"));
  EXPECT_EQ(filter->response_body, "backlengthold!");
}

TEST_P(HttpRules, ARequestWaitsAndGoesOn) {
  HttpWorld world(portable());
  Waiting waiting;
  set_filter(world, waiting.filter);
  Visitor& visitor = world.connect();
  visitor.send("POST /w HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\na");
  ASSERT_TRUE(world.until([&] { return waiting.calls == 1; }));
  visitor.send("bc");
  world.settle();
  EXPECT_TRUE(world.link.streams.empty());
  EXPECT_EQ(world.ingress->reading(), 1u) << "a drain waits for it";
  waiting.decided = true;
  std::thread([&] { waiting.waiter->resume(); }).join();
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("abc"); }));
  EXPECT_TRUE(world.link.last().got.starts_with("POST /w HTTP/1.1\r\n"));
  world.link.last().say(ok("ok"));
  ASSERT_TRUE(world.until_got(visitor, "ok"));
  EXPECT_EQ(waiting.calls, 2);
  EXPECT_EQ(world.ingress->stats().requests, 1u);
  waiting.waiter->resume();  // once too often
  world.settle();
  EXPECT_FALSE(visitor.closed());
}

TEST_P(HttpRules, WhoGoesAwayIsNotWaitedFor) {
  HttpWorld world(portable());
  Waiting waiting;
  set_filter(world, waiting.filter);
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return waiting.calls == 1; }));
  visitor.close_with_rst();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  waiting.waiter->resume();
  world.settle();
  EXPECT_EQ(waiting.calls, 1);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(HttpRules, WhoShutsHisSideWhileHeWaitsIsGoneToo) {
  for (const bool at_once : {true, false}) {
    HttpWorld world(portable());
    Waiting waiting;
    set_filter(world, waiting.filter);
    Visitor& visitor = world.connect();
    visitor.send(get());
    if (at_once) visitor.finish();
    ASSERT_TRUE(world.until([&] { return waiting.calls == 1; }));
    if (!at_once) {
      world.settle();
      EXPECT_EQ(world.ingress->stats().visitors, 1u);
      visitor.finish();
    }
    ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; })) << at_once;
    waiting.waiter->resume();
    world.settle();
    EXPECT_EQ(waiting.calls, 1);
    EXPECT_EQ(world.shard.buffers().lent(), 0u);
  }
}

TEST_P(HttpRules, ARuleThatNeverDecidesIsAFailure) {
  HttpIngressOptions options;
  options.response_timeout = 50ms;
  HttpWorld world(portable(), options);
  Waiting waiting;
  set_filter(world, waiting.filter);
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until_got(visitor, "Ferrotunnel-Error: rule-timeout"));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  waiting.waiter->resume();
  world.settle();
  EXPECT_TRUE(world.link.streams.empty());
  const Record& record = world.host.records.at(0);
  EXPECT_EQ(record.method + " " + record.host + record.path, "GET a.test/");
  EXPECT_EQ(record.fields.tunnel, HttpWorld::kTunnel);
  EXPECT_EQ(record.fields.session, HttpWorld::kSession);
  EXPECT_EQ(record.fields.status, 503);
  // A HEAD gets no body.
  Visitor& head = world.connect();
  head.send("HEAD /x?y HTTP/1.1\r\nHost: A.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return head.closed(); }));
  EXPECT_TRUE(head.got.contains("Ferrotunnel-Error: rule-timeout")) << head.got;
  EXPECT_TRUE(head.got.ends_with("\r\n\r\n")) << head.got;
  EXPECT_EQ(world.host.records.at(1).path, "/x");
  EXPECT_EQ(world.host.records.at(1).host, "a.test");
}

TEST_P(HttpRules, WhileOneWaitsTheRulesMayChange) {
  HttpWorld world(portable());
  Waiting waiting;
  set_filter(world, waiting.filter);
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return waiting.calls == 1; }));
  set_rules(world, {{"answer", {{"status", "410"}}, {}, {}, {}}});
  waiting.waiter->resume();
  ASSERT_TRUE(world.until_got(visitor, "HTTP/1.1 410 Gone"));
  EXPECT_EQ(waiting.calls, 1);
}

TEST_P(HttpRules, ARequestDoesNotWaitForItsOwnPlace) {
  HttpWorld world(portable());
  const auto gate = std::make_shared<VisitorGate>(world.shard, nullptr);
  wire::Limits limits;
  limits.max_visitors = 1;
  gate->set(limits, nullptr, nullptr);
  world.ingress->set_gate({HttpWorld::kSession, HttpWorld::kTunnel}, gate);
  Waiting waiting;
  set_filter(world, waiting.filter);
  Visitor& visitor = world.connect();
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return waiting.calls == 1; }));
  EXPECT_EQ(gate->visitors(), 1u);
  set_rules(world, {{"request_headers", {{"set", "X-New: 1"}}, {}, {}, {}}});
  waiting.waiter->resume();
  ASSERT_TRUE(world.until([&] { return asked(world) || visitor.got.contains("\r\n"); }));
  ASSERT_TRUE(asked(world)) << visitor.got;
  EXPECT_TRUE(world.link.last().got.contains("X-New: 1"));
  EXPECT_EQ(gate->visitors(), 1u);
  world.link.last().say(ok("x"));
  ASSERT_TRUE(world.until_got(visitor, ok("x")));
  EXPECT_EQ(gate->visitors(), 0u);
}

TEST_P(HttpRules, PathsOfAHostGoToTheirTunnels) {
  HttpWorld world(portable());
  const std::string host(HttpWorld::kHost);
  ASSERT_TRUE(world.router.claim(host + "/api", "owner", {HttpWorld::kSession, 5, 0}));
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  const auto tunnel_of = [&](const std::string& path) {
    Visitor& visitor = world.connect();
    const std::size_t before = world.host.records.size();
    visitor.send(get(path));
    EXPECT_TRUE(world.until([&] { return world.host.records.size() > before; })) << path;
    return world.host.records.back().fields.tunnel;
  };
  EXPECT_EQ(tunnel_of("/"), HttpWorld::kTunnel);
  EXPECT_EQ(tunnel_of("/apis"), HttpWorld::kTunnel);
  EXPECT_EQ(tunnel_of("/api"), 5u);
  EXPECT_EQ(tunnel_of("/x/..//%61pi/y"), 5u);
  world.router.release(host, HttpWorld::kSession);
  Visitor& visitor = world.connect();
  visitor.send(get("/other"));
  expect_page(world, visitor, 404, "visitor", "no-such-path");
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
