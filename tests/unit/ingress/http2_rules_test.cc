// Rules in the way of an HTTP/2 request: the same as of HTTP/1.1, and other streams go on while one waits.
#include <thread>

#include "unit/ingress/http2_world.h"
#include "unit/ingress/rules_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using plugin::Phase;

class Http2Rules : public RulesTest {};
FT_ON_BOTH_POLLERS(Http2Rules);

TEST_P(Http2Rules, HeadsAreChanged) {
  HttpWorld world(portable());
  std::string asked;
  world.link.origin = answer_heads([&](std::string_view head) {
    asked = head;
    return ok("hi", "Server: origin\r\n");
  });
  set_rules(world, {{"strip_prefix", {{"prefix", "/api"}}, {}, {}, {}},
                    {"host", {{"host", "inner.test:8080"}}, {}, {}, {}},
                    {"request_headers", {{"set", "X-Visitor: ${visitor.address}"}, {"remove", "Cookie"}}, {}, {}, {}},
                    {"response_headers", {{"set", "X-Id: ${request.id}"}, {"remove", "Server"}}, {}, {}, {}}});
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/x/../api/%61?q=%2f", {{"cookie", "c"}, {"x-visitor", "me"}});
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_TRUE(asked.starts_with("GET /a?q=%2f HTTP/1.1\r\nHost: inner.test:8080\r\n")) << asked;
  EXPECT_TRUE(asked.contains("\r\nX-Visitor: 192.0.2.7\r\n")) << asked;
  EXPECT_FALSE(asked.contains("ookie")) << asked;
  EXPECT_FALSE(asked.contains(" me\r\n")) << asked;
  const Record& record = world.host.records.at(0);
  EXPECT_EQ(visitor.answer(id).body, "hi");
  EXPECT_EQ(visitor.answer(id).value("x-id"), record.request_id);
  EXPECT_EQ(visitor.answer(id).value("server"), "");
  EXPECT_EQ(record.path, "/api/a") << "as the visitor asked";
  EXPECT_TRUE(asked.contains("X-Request-Id: " + record.request_id)) << asked;
}

// Heads that visitors and rules make longer than any that an origin may send. What was told to somebody else is nowhere in them.
TEST_P(Http2Rules, LongHeadsOfRulesAreSentOrFail) {
  HttpWorld world(portable());
  std::string twice, often;
  for (int i = 0; i < 8; ++i) twice += "${uri}";
  for (int i = 0; i < 100; ++i) often += "${uri}";
  set_rules(world, {{"redirect", {{"to", "/x" + twice}}, {"/long"}, {}, {}},
                    {"redirect", {{"to", "/x" + often}}, {"/far"}, {}, {}},
                    {"cors", {{"origin", "https://b.test"}}, {"/cors"}, {}, {}}});
  world.link.origin = answer_heads([&](std::string_view) { return ok("private", "Set-Cookie: secret\r\n"); });
  H2Visitor other(world);
  const auto before = other.client.ask("GET", "/");
  ASSERT_TRUE(other.until_closed(before));
  EXPECT_EQ(other.answer(before).value("set-cookie"), "secret");

  H2Visitor visitor(world);
  const std::string uri = "/long/" + std::string(4000, 'x');
  const auto redirect = visitor.client.ask("GET", uri);
  ASSERT_TRUE(visitor.until_closed(redirect));
  EXPECT_EQ(visitor.answer(redirect).status, 302);
  EXPECT_EQ(visitor.answer(redirect).value("location").size(), 2 + 8 * uri.size());
  const auto far = visitor.client.ask("GET", "/far/" + std::string(4000, 'x'));
  ASSERT_TRUE(visitor.until_closed(far));
  EXPECT_EQ(visitor.answer(far).status, 500);
  EXPECT_EQ(visitor.answer(far).value("ferrotunnel-error"), "rule-failed");
  const std::string wanted(31'000, 'w');
  const auto preflight = visitor.client.ask("OPTIONS", "/cors",
                                            {{"origin", "https://b.test"},
                                             {"access-control-request-method", "PUT"},
                                             {"access-control-request-headers", wanted}});
  ASSERT_TRUE(visitor.until_closed(preflight));
  EXPECT_EQ(visitor.answer(preflight).status, 204);
  for (const auto id : {redirect, far, preflight}) EXPECT_EQ(visitor.answer(id).value("set-cookie"), "") << id;
}

TEST_P(Http2Rules, AnswersOfRulesAndAmbiguousPaths) {
  HttpWorld world(portable());
  set_rules(world, {{"answer", {{"body", "gone fishing"}}, {"/a"}, {}, {}},
                    {"redirect", {{"to", "https://new.test${uri}"}}, {"/r"}, {}, {}}});
  H2Visitor visitor(world);
  const auto answer = visitor.client.ask("GET", "/a"), head = visitor.client.ask("HEAD", "/a");
  const auto redirect = visitor.client.ask("GET", "/r/x?y"), twice = visitor.client.ask("GET", "/x%2fa");
  for (const auto id : {answer, head, redirect, twice}) ASSERT_TRUE(visitor.until_closed(id)) << id;
  EXPECT_EQ(visitor.answer(answer).status, 200);
  EXPECT_EQ(visitor.answer(answer).body, "gone fishing");
  EXPECT_EQ(visitor.answer(head).body, "");
  EXPECT_EQ(visitor.answer(head).value("content-length"), "12");
  EXPECT_EQ(visitor.answer(redirect).status, 302);
  EXPECT_EQ(visitor.answer(redirect).value("location"), "https://new.test/r/x?y");
  EXPECT_EQ(visitor.answer(twice).status, 400);
  EXPECT_EQ(visitor.answer(twice).value("ferrotunnel-error"), "ambiguous-path");
  EXPECT_TRUE(world.link.streams.empty());
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 4; }));
  EXPECT_EQ(world.ingress->stats().errors, 1u);
}

TEST_P(Http2Rules, BodiesThatAreTooLarge) {
  HttpWorld world(portable());
  set_rules(world, {{"max_body", {{"bytes", "10"}}, {}, {}, {}}});
  H2Visitor visitor(world);
  const auto told = visitor.client.ask("POST", "/", {{"content-length", "11"}}, false);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(told).status == 413; }));
  EXPECT_TRUE(world.link.streams.empty());
  const auto chunked = visitor.client.ask("POST", "/", {}, false);
  visitor.client.body(chunked, "12345");
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("12345"); }));
  visitor.client.body(chunked, "678901", true);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(chunked).status == 413; }));
  EXPECT_EQ(visitor.answer(chunked).value("ferrotunnel-error"), "body-too-large");
  EXPECT_TRUE(world.link.last().dead) << "the origin does not take it for whole";
  EXPECT_FALSE(world.link.last().got.contains("678901"));
  const auto fits = visitor.client.ask("POST", "/", {{"content-length", "10"}}, false);
  visitor.client.body(fits, "1234567890", true);
  ASSERT_TRUE(visitor.until([&] { return world.link.last().got.ends_with("1234567890"); }));
  world.link.last().say(ok("fine"));
  ASSERT_TRUE(visitor.until_closed(fits));
  EXPECT_EQ(visitor.answer(fits).body, "fine");
}

TEST_P(Http2Rules, AFilterSeesThePayloadOfBothBodies) {
  HttpWorld world(portable());
  const auto filter = std::make_shared<Scripted>();
  filter->wanted = {Phase::RequestBody, Phase::ResponseBody, Phase::ResponseHead, Phase::Log};
  set_filter(world, filter);
  world.link.fill_size = 3;
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {}, false);
  visitor.client.body(id, "hello!", true);
  ASSERT_TRUE(
      visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("0\r\n\r\n"); }));
  EXPECT_EQ(filter->request_body, "hello!");
  world.link.last().say(
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nback\r\n0\r\n\r\n");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(filter->response_body, "back");
  EXPECT_EQ(filter->response_heads, 1) << "interim ones are none";
  ASSERT_TRUE(visitor.until([&] { return !filter->logged.empty(); }));
  EXPECT_EQ(filter->logged, std::vector<std::string>{"200 "});
}

TEST_P(Http2Rules, OneWaitsAndOthersGoOn) {
  HttpWorld world(portable());
  Waiting waiting;
  bool others = false;
  const auto head = waiting.filter->head;
  waiting.filter->head = [&](plugin::RequestView& request) { return others ? plugin::Verdict::Pass : head(request); };
  waiting.filter->waits = true;
  set_filter(world, waiting.filter);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/w", {{"x-a", "b"}}, false);
  visitor.client.body(id, "a");
  ASSERT_TRUE(visitor.until([&] { return waiting.calls == 1; }));
  EXPECT_TRUE(world.link.streams.empty());
  others = true;
  const auto other = visitor.client.ask("GET", "/other");
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("/other"); }));
  world.link.last().say(ok("other"));
  ASSERT_TRUE(visitor.until_closed(other));
  others = false;
  visitor.client.body(id, "bc", true);
  world.settle();
  waiting.decided = true;
  std::thread([&] { waiting.waiter->resume(); }).join();
  ASSERT_TRUE(visitor.until([&] {
    return world.link.last().got.ends_with("3\r\nabc\r\n0\r\n\r\n") || world.link.last().got.ends_with("0\r\n\r\n");
  }));
  EXPECT_TRUE(world.link.last().got.contains("POST /w HTTP/1.1\r\nHost: a.test\r\n")) << world.link.last().got;
  EXPECT_TRUE(world.link.last().got.contains("\r\nx-a: b\r\n")) << world.link.last().got;
  EXPECT_FALSE(visitor.answer(id).closed);
  world.link.last().say(ok("ok"));
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "ok");
  EXPECT_EQ(waiting.calls, 2);
  EXPECT_EQ(world.ingress->stats().requests, 2u);
  waiting.waiter->resume();  // once too often
  world.settle();
  EXPECT_FALSE(visitor.client.goaway);
}

TEST_P(Http2Rules, WhoGoesAwayIsNotWaitedFor) {
  HttpWorld world(portable());
  Waiting waiting;
  waiting.filter->waits = true;
  set_filter(world, waiting.filter);
  {
    H2Visitor visitor(world);
    const auto id = visitor.client.ask("GET", "/");
    ASSERT_TRUE(visitor.until([&] { return waiting.calls == 1; }));
    visitor.client.reset(id);
    ASSERT_TRUE(visitor.until([&] { return !world.host.records.empty(); }));
    EXPECT_EQ(world.host.records.at(0).slug, "visitor-gone");
    EXPECT_EQ(world.host.records.at(0).method, "GET");
    waiting.waiter->resume();
    world.settle();
    (void)visitor.client.ask("GET", "/again");
    ASSERT_TRUE(visitor.until([&] { return waiting.calls == 2; }));
    visitor.socket().close_with_rst();
    ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  }
  waiting.waiter->resume();
  world.settle();
  EXPECT_EQ(waiting.calls, 2);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(Http2Rules, TrailersDoNotBringWhatARuleHasDecided) {
  HttpWorld world(portable());
  set_rules(world, {{"request_headers", {{"set", "X-User: ann"}, {"remove", "X-Admin"}}, {}, {}, {}}});
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {{"x_user", "me"}}, false);
  visitor.client.body(id, "hello", true, {{"x-sum", "5"}, {"x_user", "me"}, {"x-admin", "1"}, {"if-match", "x"}});
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("x-sum"); }));
  FakeStream& stream = world.link.last();
  EXPECT_TRUE(stream.got.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")) << stream.got;
  EXPECT_FALSE(stream.got.contains(": me")) << stream.got;
  stream.say(ok("x"));
  ASSERT_TRUE(visitor.until_closed(id));
}

// They are all here before it is known what rules decide.
TEST_P(Http2Rules, TrailersThatCameWhileARuleWaitedDoNotEither) {
  HttpWorld world(portable());
  Waiting waiting;
  waiting.filter->waits = true;
  const auto head = waiting.filter->head;
  waiting.filter->head = [&](plugin::RequestView& request) {
    const plugin::Verdict verdict = head(request);
    if (verdict == plugin::Verdict::Pass) request.head.settled.emplace_back("X-User");
    return verdict;
  };
  set_filter(world, waiting.filter);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("POST", "/", {}, false);
  visitor.client.body(id, "hello", true, {{"x-user", "admin"}, {"x-sum", "5"}});
  ASSERT_TRUE(visitor.until([&] { return waiting.calls == 1 && visitor.client.unsent(id) == 0; }));
  world.settle();
  waiting.decided = true;
  waiting.waiter->resume();
  ASSERT_TRUE(visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.contains("x-sum"); }));
  world.settle();
  EXPECT_TRUE(world.link.last().got.ends_with("5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")) << world.link.last().got;
}

TEST_P(Http2Rules, ARuleThatNeverDecidesIsAFailure) {
  HttpIngressOptions options;
  options.response_timeout = 50ms;
  HttpWorld world(portable(), options);
  Waiting waiting;
  waiting.filter->waits = true;
  set_filter(world, waiting.filter);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 503);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "rule-timeout");
  waiting.waiter->resume();
  world.settle();
  EXPECT_TRUE(world.link.streams.empty());
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
