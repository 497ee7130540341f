// What the ingress says itself: Date, and what ends here by Max-Forwards. Over both versions.
#include <ctime>

#include "http/date.h"
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class HttpOwnAnswers : public HttpTest {};
FT_ON_BOTH_POLLERS(HttpOwnAnswers);

// Not far from now.
bool of_now(std::string_view date) {
  const std::int64_t now = std::time(nullptr);
  const auto said = http::parse_date(date, now);
  return said && *said <= now && now - *said < 60;
}
TEST_P(HttpOwnAnswers, EachHasADate) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view head) {
    if (head.contains("/dated")) return ok("fine", "Date: theirs\r\n");
    return "HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n" + ok("fine");
  });
  Visitor& visitor = world.connect();
  visitor.send("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "no-such-host"));
  ASSERT_EQ(visitor.dates.size(), 1u);
  EXPECT_TRUE(of_now(visitor.dates.back())) << visitor.dates.back();
  visitor.got.clear();
  visitor.send(get("/x"));
  ASSERT_TRUE(world.until_got(visitor, "fine"));
  ASSERT_EQ(visitor.dates.size(), 2u);
  EXPECT_TRUE(of_now(visitor.dates.back())) << visitor.dates.back();
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n")) << visitor.got;
  visitor.got.clear();
  visitor.send(get("/dated"));
  ASSERT_TRUE(world.until_got(visitor, "fine"));
  EXPECT_TRUE(visitor.got.contains("\r\nDate: theirs\r\n")) << visitor.got;
  EXPECT_EQ(visitor.dates.size(), 2u);
  H2Visitor other(world);
  const auto page = other.client.ask("GET", "/", {{"expect", "x"}});
  const auto plain = other.client.ask("GET", "/x");
  const auto dated = other.client.ask("GET", "/dated");
  ASSERT_TRUE(other.until(
      [&] { return other.answer(page).closed && other.answer(plain).closed && other.answer(dated).closed; }));
  EXPECT_TRUE(of_now(other.answer(page).value("date"))) << other.answer(page).status;
  EXPECT_TRUE(of_now(other.answer(plain).value("date")));
  EXPECT_EQ(other.answer(dated).value("date"), "theirs");
}

TEST_P(HttpOwnAnswers, WhatMayGoNoFurtherIsAnsweredHere) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view head) { return ok(head); });
  Visitor& visitor = world.connect();
  const auto ask = [&](std::string_view method, std::string_view forwards) {
    visitor.got.clear();
    visitor.send(std::string(method) + " / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: " + std::string(forwards) +
                 "\r\n\r\n");
    EXPECT_TRUE(world.until_got(visitor, "\r\n\r\n"));
    world.settle();
    return visitor.got;
  };
  std::string said = ask("TRACE", "0");
  EXPECT_TRUE(said.starts_with("HTTP/1.1 501 ") && said.contains("Ferrotunnel-Error: trace-ends\r\n")) << said;
  said = ask("OPTIONS", "0");
  EXPECT_TRUE(said.starts_with("HTTP/1.1 204 ") && said.contains("\r\nAllow: GET, ")) << said;
  EXPECT_TRUE(of_now(visitor.dates.back()));
  EXPECT_TRUE(world.link.streams.empty());
  said = ask("OPTIONS", "1");
  EXPECT_TRUE(said.starts_with("HTTP/1.1 200 ") && said.contains("\r\nMax-Forwards: 0\r\n")) << said;
  ASSERT_EQ(world.host.records.size(), 3u);
  EXPECT_EQ(world.host.records[1].fields.status, 204);
  EXPECT_EQ(world.host.records[1].method, "OPTIONS");

  H2Visitor other(world);
  const auto trace = other.client.ask("TRACE", "/", {{"max-forwards", "0"}});
  const auto options = other.client.ask("OPTIONS", "/", {{"max-forwards", "0"}});
  const auto further = other.client.ask("OPTIONS", "/", {{"max-forwards", "7"}});
  ASSERT_TRUE(other.until(
      [&] { return other.answer(trace).closed && other.answer(options).closed && other.answer(further).closed; }));
  EXPECT_EQ(other.answer(trace).status, 501);
  EXPECT_EQ(other.answer(options).status, 204);
  EXPECT_TRUE(other.answer(options).value("allow").contains("POST"));
  EXPECT_EQ(other.answer(further).status, 200);
  EXPECT_TRUE(other.answer(further).body.contains("max-forwards: 6\r\n")) << other.answer(further).body;
  EXPECT_EQ(world.link.streams.size(), 1u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
