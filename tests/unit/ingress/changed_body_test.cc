// Payloads that a filter makes into others, in HTTP/1.1, HTTP/1.0 and HTTP/2: framing, pauses, ends, backpressure, failures.
#include <algorithm>

#include "unit/ingress/http2_world.h"
#include "unit/ingress/rules_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using plugin::Phase;

std::string text_of(std::size_t size) {
  std::string text;
  while (text.size() < size) text += "some words, " + std::to_string(text.size()) + "\n";
  text.resize(size);
  return text;
}

class ChangedBodies : public RulesTest {
 protected:
  std::shared_ptr<Scripted> shout(HttpWorld& world, bool fails = false) {
    auto filter = std::make_shared<Scripted>();
    filter->wanted = {Phase::ResponseHead, Phase::ResponseBody};
    filter->transform = [fails] {
      auto made = std::make_unique<Shouting>();
      made->fails = fails;
      return made;
    };
    set_filter(world, filter);
    return filter;
  }
  static std::string body_of(const std::string& got) { return got.substr(got.find("\r\n\r\n") + 4); }
  // The payload of a chunked body, and what is behind its last chunk's line.
  static std::pair<std::string, std::string> dechunked(std::string body) {
    std::string all;
    while (true) {
      const std::size_t line = body.find("\r\n");
      if (line == std::string::npos) return {all, "cut: " + body};
      const std::size_t size = std::stoul(body.substr(0, line), nullptr, 16);
      body.erase(0, line + 2);
      if (size == 0) return {all, body};
      all += body.substr(0, size);
      EXPECT_EQ(body.substr(size, 2), "\r\n");
      body.erase(0, size + 2);
    }
  }
  // The origin's three ways to send a body.
  static std::string chunked(std::string_view body, std::size_t size, std::string_view trailers = "") {
    std::string all = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (; !body.empty(); body.remove_prefix(std::min(size, body.size()))) {
      char line[20];
      std::snprintf(line, sizeof line, "%zx\r\n", std::min(size, body.size()));
      all.append(line).append(body.substr(0, size)).append("\r\n");
    }
    return all + "0\r\n" + std::string(trailers) + "\r\n";
  }
};
FT_ON_BOTH_POLLERS(ChangedBodies);

TEST_P(ChangedBodies, LengthsAreForgottenAndTheConnectionStays) {
  HttpWorld world(portable());
  const auto filter = shout(world);
  Visitor& visitor = ask(world);
  for (const std::size_t size : {std::size_t{1}, std::size_t{5'000}, std::size_t{300'000}}) {
    (void)visitor.take();
    filter->response_body.clear();
    const std::string text = text_of(size);
    world.link.last().say(ok(text, "X: y\r\n"));
    ASSERT_TRUE(world.until([&] { return visitor.got.ends_with("\r\n0\r\n\r\n"); })) << visitor.got.size();
    EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"))
        << visitor.got.substr(0, 200);
    const auto [payload, rest] = dechunked(body_of(visitor.got));
    EXPECT_EQ(payload, Shouting::of(text) + ".") << size;
    EXPECT_EQ(rest, "\r\n");
    EXPECT_EQ(filter->response_body, text) << "who looks sees what the origin said";
    EXPECT_TRUE(filter->may_transform);
    world.settle();
    EXPECT_EQ(world.ingress->stats().idle_origins, 1u);
    const std::string date = "Date: " + visitor.dates.back() + "\r\n";  // which the visitor has put aside
    EXPECT_EQ(world.host.records.back().fields.bytes_out, visitor.got.size() + date.size());
    visitor.send(get());
    ASSERT_TRUE(world.until([&] {
      return world.host.records.size() > 0 && world.link.last().got.ends_with("\r\n\r\n") &&
             world.ingress->stats().idle_origins == 0;
    }));
    (void)world.link.last().take();
  }
  EXPECT_EQ(world.link.streams.size(), 1u) << "one origin connection for all";
  const HttpIngressStats stats = world.ingress->stats();
  EXPECT_EQ(stats.compressed, 3u);
  EXPECT_EQ(stats.compressed_in, 305'001u);
  EXPECT_EQ(stats.compressed_out, 2 * 305'001u + 3);
}

TEST_P(ChangedBodies, TrailersGoBehindWhatIsLeft) {
  HttpWorld world(portable());
  shout(world);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{16'384}}) {
    Visitor& visitor = ask(world);
    world.link.last().cut = piece;
    world.link.last().say(chunked("a few words", 4, "X-Sum: 1\r\nX-Two: 2\r\n"));
    ASSERT_TRUE(world.until_got(visitor, "X-Two: 2\r\n\r\n")) << visitor.got;
    const auto [payload, rest] = dechunked(body_of(visitor.got));
    EXPECT_EQ(payload, Shouting::of("a few words") + ".");
    EXPECT_EQ(rest, "X-Sum: 1\r\nX-Two: 2\r\n\r\n");
    world.link.last().cut = 16'384;
    visitor.close();
    world.settle();
  }
}

TEST_P(ChangedBodies, UntilTheOriginCloses) {
  HttpWorld world(portable());
  shout(world);
  Visitor& visitor = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\n\r\nhalf");
  ASSERT_TRUE(world.until_got(visitor, "HHAALLFF\r\n")) << "before its end";
  world.link.last().say(" done");
  world.link.last().fin();
  ASSERT_TRUE(world.until_got(visitor, "0\r\n\r\n"));
  EXPECT_EQ(dechunked(body_of(visitor.got)), std::pair(Shouting::of("half done") + ".", std::string("\r\n")));
  world.settle();
  EXPECT_FALSE(visitor.closed()) << "its end can be told now";
}

TEST_P(ChangedBodies, AVisitorOfHttp10) {
  HttpWorld world(portable());
  shout(world);
  for (const bool chunks : {false, true}) {
    Visitor& visitor = ask(world, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    const std::string text = text_of(20'000);
    world.link.last().say(chunks ? chunked(text, 999, "X: y\r\n") : ok(text));
    ASSERT_TRUE(world.until([&] { return visitor.eof; }));
    EXPECT_EQ(body_of(visitor.got), Shouting::of(text) + ".");
    EXPECT_FALSE(visitor.got.contains("Length")) << visitor.got.substr(0, 200);
    EXPECT_FALSE(visitor.got.contains("chunked")) << visitor.got.substr(0, 200);
  }
}

TEST_P(ChangedBodies, WhatHasNoBodyIsLeft) {
  HttpWorld world(portable());
  const auto filter = shout(world);
  for (const std::string_view answer : {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
    Visitor& visitor = ask(world);
    world.link.last().say(answer);
    ASSERT_TRUE(world.until_got(visitor, "\r\n\r\n"));
    EXPECT_FALSE(filter->may_transform) << answer;
    EXPECT_FALSE(visitor.got.contains("chunked")) << visitor.got;
    visitor.close();
    world.settle();
    (void)world.link.last().take();
  }
  Visitor& visitor = ask(world, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "Content-Length: 5\r\n\r\n"));
  EXPECT_FALSE(filter->may_transform);
}

TEST_P(ChangedBodies, ASlowVisitorHoldsBackTheOrigin) {
  HttpWorld world(portable());
  shout(world);
  const std::string text = text_of(6'000'000);
  for (const bool until_close : {false, true}) {
    Visitor& visitor = world.connect(4096);
    visitor.reading = false;
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    FakeStream& origin = world.link.last();
    origin.say(until_close ? "HTTP/1.1 200 OK\r\n\r\n" + text : ok(text));
    if (until_close) origin.fin();
    world.settle();
    EXPECT_FALSE(origin.all_said());
    EXPECT_LE(origin.max_held, origin.window);
    EXPECT_LT(world.budget.used(), 1u << 20);
    visitor.reading = true;
    ASSERT_TRUE(world.until_got(visitor, "\r\n0\r\n\r\n"));
    const auto [payload, rest] = dechunked(body_of(visitor.got));
    EXPECT_EQ(payload.size(), text.size() * 2 + 1);
    EXPECT_EQ(payload, Shouting::of(text) + ".");
    visitor.close();
    world.settle();
  }
}

// The last bytes are in the filter and the visitor's socket is full when the end comes, and then the stream is gone.
TEST_P(ChangedBodies, TheEndWaitsForTheVisitor) {
  for (std::size_t size = 40'000; size <= 8'000'000; size += size / 2) {
    HttpWorld world(portable());
    shout(world);
    Visitor& visitor = world.connect(4096);
    visitor.reading = false;
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    const std::string text = text_of(size);
    FakeStream& origin = world.link.last();
    origin.say("HTTP/1.1 200 OK\r\n\r\n");
    for (std::size_t at = 0; at < text.size() && origin.all_said(); at += 3'000) {
      origin.say(text.substr(at, 3'000));
      world.settle();
    }
    origin.fin();
    world.settle();
    visitor.reading = true;
    ASSERT_TRUE(world.until_got(visitor, "\r\n0\r\n\r\n")) << size;
    const auto [payload, rest] = dechunked(body_of(visitor.got));
    EXPECT_TRUE(payload.ends_with(".")) << size;
    visitor.close();
    world.settle();
    EXPECT_EQ(world.host.records.back().slug, "") << size;
  }
}

TEST_P(ChangedBodies, ACutStaysACut) {
  HttpWorld world(portable());
  shout(world);
  Visitor& visitor = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  ASSERT_TRUE(world.until_got(visitor, "HHAALLFF"));
  world.link.last().end(transport::ResetReason::PeerReset);
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.reset) << "it must not look whole";
  EXPECT_FALSE(visitor.got.contains("0\r\n\r\n"));
}

TEST_P(ChangedBodies, AFilterThatFails) {
  HttpWorld world(portable());
  shout(world, true);
  {
    Visitor& visitor = ask(world);
    world.link.last().say(ok("all of it"));
    expect_page(world, visitor, 500, "server", "rule-failed");
  }
  Visitor& visitor = ask(world);
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "\r\n\r\n"));
  world.link.last().say("half");
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.reset);
  EXPECT_EQ(world.host.records.back().slug, "rule-failed");
}

TEST_P(ChangedBodies, NotWhereMemoryIsShort) {
  HttpWorld world(portable(), {}, 0, 1 << 20);
  const auto filter = shout(world);
  Visitor& visitor = ask(world);
  world.budget.add(600'000);
  world.link.last().say(ok("as it is"));
  ASSERT_TRUE(world.until_got(visitor, "as it is"));
  EXPECT_FALSE(filter->may_transform);
  world.budget.sub(600'000);
}

// ---- HTTP/2 --------------------------------------------------------------------------------------------------------

TEST_P(ChangedBodies, OverHttp2) {
  HttpWorld world(portable());
  const auto filter = shout(world);
  H2Visitor visitor(world);
  const std::string text = text_of(300'000);
  const std::string answers[] = {ok(text), chunked(text, 5'000), chunked("short", 2, "X-Sum: 1\r\n"), ok("x")};
  for (const std::string& answer : answers) {
    filter->response_body.clear();
    const auto id = visitor.client.ask("GET", "/");
    ASSERT_TRUE(
        visitor.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
    (void)world.link.last().take();
    world.link.last().say(answer);
    ASSERT_TRUE(visitor.until_closed(id));
    EXPECT_EQ(visitor.answer(id).body, Shouting::of(filter->response_body) + ".");
    EXPECT_EQ(visitor.answer(id).value("content-length"), "");
  }
}

TEST_P(ChangedBodies, OverHttp2UntilTheOriginClosesAndByPieces) {
  HttpWorld world(portable());
  shout(world);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\n\r\nhalf");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "HHAALLFF"; })) << "before its end";
  world.link.last().say("x");
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body == "HHAALLFFXX"; }));
  world.link.last().say("y");
  world.link.last().fin();
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).body, "HHAALLFFXXYY.");
}

TEST_P(ChangedBodies, OverHttp2ASlowVisitorHoldsBackTheOrigin) {
  HttpWorld world(portable());
  shout(world);
  const std::string text = text_of(2'000'000);
  H2Visitor visitor(world, false);  // gives no window back
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  FakeStream& origin = world.link.last();
  origin.say("HTTP/1.1 200 OK\r\n\r\n" + text);
  origin.fin();
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(id).body.size() >= 65'535; }));
  world.settle();
  EXPECT_FALSE(origin.all_said());
  EXPECT_LT(world.budget.used(), 400u << 10);
  const auto other = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return world.link.streams.size() == 2 && asked(world); }));
  EXPECT_FALSE(visitor.answer(other).closed);
}

TEST_P(ChangedBodies, OverHttp2AFilterThatFailsResetsTheStream) {
  HttpWorld world(portable());
  shout(world, true);
  H2Visitor visitor(world);
  const auto id = visitor.client.ask("GET", "/");
  ASSERT_TRUE(visitor.until([&] { return asked(world); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_TRUE(visitor.answer(id).reset);
  ASSERT_TRUE(visitor.until([&] { return !world.host.records.empty(); }));
  EXPECT_EQ(world.host.records.back().slug, "rule-failed");
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
