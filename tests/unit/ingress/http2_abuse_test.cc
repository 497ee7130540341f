// Attacks over HTTP/2, frame by frame: each ends with GOAWAY ENHANCE_YOUR_CALM within 1,000 frames, is counted, and leaves nothing behind.
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using ferrotunnel::test::hpack;
using ferrotunnel::test::kH2Hello;
using http::H2Abuse;

constexpr int kFrames = 1000;

// The code of the last GOAWAY among these frames.
std::optional<std::uint32_t> goaway(std::string_view frames) {
  std::optional<std::uint32_t> code;
  const auto number = [&frames](std::size_t at, std::size_t bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<std::uint8_t>(frames[at + i]);
    return value;
  };
  while (frames.size() >= 9) {
    const std::size_t size = 9 + number(0, 3);
    if (frames[3] == 7 && frames.size() >= 17) code = number(13, 4);
    frames.remove_prefix(std::min(size, frames.size()));
  }
  return code;
}

class Http2Abuse : public HttpTest {
 protected:
  // Sends hello and then the frames that make(i) gives, until the server has had enough.
  template <class Make>
  void attack(HttpWorld& world, H2Abuse kind, Make&& make, std::uint32_t code = NGHTTP2_ENHANCE_YOUR_CALM) {
    Visitor& visitor = world.connect();
    visitor.send(kH2Hello);
    for (int i = 0; i < kFrames && !visitor.closed(); ++i) {
      visitor.send(make(i));
      if (i % 50 == 0) world.settle();
    }
    ASSERT_TRUE(world.until([&] { return visitor.closed(); })) << to_string(kind);
    EXPECT_EQ(goaway(visitor.got), code) << to_string(kind);
    visitor.close();
    ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
    const HttpIngressStats stats = world.ingress->stats();
    for (std::size_t i = 0; i < http::kH2Abuses; ++i)
      EXPECT_EQ(stats.h2_abuse[i], i == static_cast<std::size_t>(kind) ? 1u : 0u)
          << to_string(static_cast<H2Abuse>(i)) << " in " << to_string(kind);
    world.settle();
    EXPECT_EQ(world.link.alive(), 0u);
    EXPECT_EQ(world.shard.buffers().lent(), 0u);
  }
  static std::uint32_t stream(int i) { return static_cast<std::uint32_t>(2 * i + 1); }
};
FT_ON_BOTH_POLLERS(Http2Abuse);

std::string rst(std::uint32_t id) { return h2_frame(3, 0, id, std::string_view("\0\0\0\x8", 4)); }

TEST_P(Http2Abuse, RapidReset) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Resets, [](int i) { return h2_headers(stream(i), h2_get()) + rst(stream(i)); });
}

TEST_P(Http2Abuse, MadeYouReset) {
  HttpWorld world(portable());
  // A window past 2^31 - 1 is an error of its stream.
  attack(world, H2Abuse::MadeResets, [](int i) {
    return h2_headers(stream(i), h2_get()) + h2_frame(8, 0, stream(i), std::string_view("\x7f\xff\xff\xff", 4));
  });
}

TEST_P(Http2Abuse, MalformedRequestsMakeUsResetToo) {
  HttpWorld world(portable());
  attack(world, H2Abuse::MadeResets, [](int i) { return h2_headers(stream(i), {{":method", "GET"}}); });
  EXPECT_GT(world.ingress->stats().h2_malformed, 100u);
}

TEST_P(Http2Abuse, Pings) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Pings, [](int) { return h2_frame(6, 0, 0, "12345678"); });
}

TEST_P(Http2Abuse, Settings) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Settings, [](int) { return h2_frame(4, 0, 0); });
}

TEST_P(Http2Abuse, ManySettingsInOne) {
  HttpWorld world(portable());
  std::string entries;
  for (int i = 0; i < 100; ++i) entries += std::string("\0\x7f\0\0\0\1", 6);
  attack(world, H2Abuse::Settings, [&](int) { return h2_frame(4, 0, 0, entries); });
}

TEST_P(Http2Abuse, EmptyData) {
  HttpWorld world(portable());
  attack(world, H2Abuse::EmptyFrames, [](int i) {
    if (i == 0)
      return h2_headers(1, {{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}}, false);
    return h2_frame(0, 0, 1);
  });
}

// On a stream that was answered before its end, and so reset: nghttp2 says nothing of what comes for it.
TEST_P(Http2Abuse, FramesForAStreamThatIsOver) {
  const auto post = [](int i) {
    return i == 0 ? h2_headers(1, {{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
                               false)
                  : std::string();
  };
  const auto flood = [&](H2Abuse kind, const std::string& frame) {
    HttpWorld world(portable());
    world.link.origin = answer_heads([](std::string_view) { return ok("no"); });
    attack(world, kind, [&](int i) { return i == 0 ? post(i) : frame; });
  };
  flood(H2Abuse::EmptyFrames, h2_frame(0, 0, 1));
  flood(H2Abuse::WindowUpdates, h2_frame(8, 0, 1, std::string_view("\0\0\0\1", 4)));
  flood(H2Abuse::MadeResets, h2_headers(1, {{"x-a", "b"}}));
  flood(H2Abuse::Resets, rst(1));
}

const H2Pairs kPost{{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}};
const H2Pairs kMalformedPost{
    {":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}, {"te", "gzip"}};

TEST_P(Http2Abuse, PaddingAlone) {
  for (const std::string& padding : {std::string(1, '\0'), "\xff" + std::string(255, '\0')}) {
    HttpWorld world(portable());
    attack(world, H2Abuse::EmptyFrames,
           [&](int i) { return i == 0 ? h2_headers(1, kPost, false) : h2_frame(0, 8, 1, padding); });
  }
}

TEST_P(Http2Abuse, DataForAStreamThatWeHaveReset) {
  for (const std::string& frame :
       {h2_frame(0, 0, 1, "x"), h2_frame(0, 1, 1), h2_frame(0, 8, 1, std::string(1, '\0'))}) {
    HttpWorld world(portable());
    attack(world, H2Abuse::EmptyFrames, [&](int i) { return i == 0 ? h2_headers(1, kMalformedPost, false) : frame; });
  }
}

// What may have been on its way when we reset comes through, and nothing beyond the window that it had.
TEST_P(Http2Abuse, AStreamThatWeHaveResetKeepsItsWindow) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  visitor.send(kH2Hello + h2_headers(1, kMalformedPost, false));
  world.settle();
  for (int i = 0; i < 4; ++i) visitor.send(h2_frame(0, 0, 1, std::string(i < 3 ? 16'384 : 16'383, 'x')));
  world.settle();
  EXPECT_EQ(goaway(visitor.got), std::nullopt);
  EXPECT_FALSE(visitor.closed());
  visitor.send(h2_frame(0, 0, 1, "x"));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_EQ(goaway(visitor.got), NGHTTP2_FLOW_CONTROL_ERROR);
}

TEST_P(Http2Abuse, GoawayAgainAndAgain) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Unknown,
         [](int i) { return i == 0 ? h2_headers(1, kPost, false) : h2_frame(7, 0, 0, std::string(8, '\0')); });
}

// Frames are counted, not the pieces in which they come.
TEST_P(Http2Abuse, ContinuationInPiecesIsNotMany) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  visitor.send(kH2Hello);
  const std::string bytes = h2_frame(1, 1, 1, hpack(h2_get())) + h2_frame(9, 0, 1, hpack({{"a", "0123456789abcdef"}})) +
                            h2_frame(9, 4, 1, hpack({{"b", "0123456789abcdef"}}));
  for (const char one : bytes) {
    visitor.send(std::string(1, one));
    world.settle();
  }
  EXPECT_EQ(goaway(visitor.got), std::nullopt);
  EXPECT_EQ(world.link.streams.size(), 1u);
}

TEST_P(Http2Abuse, Continuations) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Continuations,
         [](int i) { return i == 0 ? h2_frame(1, 1, 1, hpack(h2_get())) : h2_frame(9, 0, 1, hpack({{"a", "b"}})); });
}

TEST_P(Http2Abuse, EmptyContinuations) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Continuations,
         [](int i) { return i == 0 ? h2_frame(1, 1, 1, hpack(h2_get())) : h2_frame(9, 0, 1); });
}

TEST_P(Http2Abuse, AHeaderBomb) {
  HttpWorld world(portable());
  // One large field into the table, then a byte for each repetition of it.
  std::string block = hpack(h2_get());
  block += '\x40';  // literal with incremental indexing
  block += std::string("\x01", 1) + "a";
  block += std::string("\x7f\xa1\x1e", 3) + std::string(4000, 'x');  // 127 + 0x21 + 0x1e * 128 = 4000
  block.append(16'000 - block.size(), '\xbe');                       // the newest entry, again and again
  attack(world, H2Abuse::HeaderBytes, [&](int i) { return h2_frame(1, 5, stream(i), block); });
}

TEST_P(Http2Abuse, CookieCrumbsAreCounted) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  H2Visitor visitor(world);
  H2Pairs crumbs(200, {"cookie", "a=b"});
  const auto id = visitor.client.ask("GET", "/", crumbs);
  ASSERT_TRUE(visitor.until_closed(id));
  EXPECT_EQ(visitor.answer(id).status, 431);
  EXPECT_EQ(visitor.answer(id).value("ferrotunnel-error"), "too-many-fields");
  const auto large = visitor.client.ask("GET", "/", {{"x-large", std::string(40'000, 'x')}});
  ASSERT_TRUE(visitor.until_closed(large));
  EXPECT_EQ(visitor.answer(large).status, 431);
  EXPECT_EQ(visitor.answer(large).value("ferrotunnel-error"), "head-too-large");
  EXPECT_TRUE(world.link.streams.empty());
}

TEST_P(Http2Abuse, PriorityChurn) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Priorities,
         [](int i) { return h2_frame(2, 0, stream(i), std::string_view("\0\0\0\0\x10", 5)); });
}

TEST_P(Http2Abuse, PriorityUpdateChurn) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Priorities, [](int i) {
    if (i == 0) return h2_headers(1, h2_get());
    return h2_frame(16, 0, 0, std::string("\0\0\0\1", 4) + "u=" + std::to_string(i % 8));
  });
}

TEST_P(Http2Abuse, WindowUpdates) {
  HttpWorld world(portable());
  attack(world, H2Abuse::WindowUpdates, [](int) { return h2_frame(8, 0, 0, std::string_view("\0\0\0\1", 4)); });
}

TEST_P(Http2Abuse, UnknownFrames) {
  HttpWorld world(portable());
  attack(world, H2Abuse::Unknown, [](int) { return h2_frame(0x42, 0, 0, "?"); });
}

TEST_P(Http2Abuse, AHeaderBlockThatNeverEnds) {
  HttpIngressOptions options;
  options.head_timeout = 200ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = world.connect();
  visitor.send(kH2Hello + h2_frame(1, 1, 1, hpack(h2_get())));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_EQ(world.ingress->stats().timeouts, 1u);
}

// It is memory as an unfinished head of HTTP/1.1 is.
TEST_P(Http2Abuse, AHeaderBlockThatIsNotWholeCounts) {
  HttpWorld world(portable());
  const std::string block = hpack(h2_get({{"x-long", std::string(10'000, 'x')}, {"x-more", "y"}}));
  Visitor& visitor = world.connect();
  visitor.send(kH2Hello + h2_frame(1, 1, 1, block));
  ASSERT_TRUE(world.until([&] { return world.budget.used() >= 10'000; }));
  world.settle();
  EXPECT_LT(world.budget.used(), 30'000u);
  EXPECT_FALSE(visitor.closed());
  // Where nothing is left, and heads hold their eighth.
  world.budget.set_limit(64 * 1024);
  world.budget.add(world.budget.limit());
  visitor.send(h2_frame(9, 0, 1, hpack({{"x-again", "z"}})));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_EQ(goaway(visitor.got), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_EQ(world.ingress->stats().no_memory, 1u);
  for (const std::uint64_t one : world.ingress->stats().h2_abuse) EXPECT_EQ(one, 0u);
  visitor.close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  world.budget.sub(world.budget.limit());
  EXPECT_EQ(world.budget.used(), 0u);
  // One that becomes whole is none any more.
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& other = world.connect();
  other.send(kH2Hello + h2_frame(1, 1, 1, block));
  ASSERT_TRUE(world.until([&] { return world.budget.used() >= 10'000; }));
  other.send(h2_frame(9, 4, 1, hpack({{"x-again", "z"}})));
  ASSERT_TRUE(world.until([&] { return world.budget.used() == 0; }));
}

TEST_P(Http2Abuse, ASocketThatIsNeverRead) {
  HttpIngressOptions options;
  options.stall_timeout = 300ms;
  HttpWorld world(portable(), options);
  Visitor& visitor = world.connect(2048);
  visitor.reading = false;
  const std::string body(1u << 20, 'x');
  world.link.origin = answer_heads([&](std::string_view) { return ok(body); });
  visitor.send(kH2Hello + h2_frame(8, 0, 0, std::string_view("\x3f\0\0\0", 4)) +
               h2_frame(4, 0, 0, std::string_view("\0\4\x3f\xff\xff\xff", 6)));
  for (int i = 0; i < 20; ++i) visitor.send(h2_headers(stream(i), h2_get()));
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.ingress->stats().h2_stalled, 1u);
  world.settle();
  EXPECT_EQ(world.link.alive(), world.ingress->stats().idle_origins);
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(Http2Abuse, MoreStreamsThanMayBeAreRefused) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  std::string asks = kH2Hello;
  for (int i = 0; i < 150; ++i) asks += h2_headers(stream(i), h2_get());
  visitor.send(asks);
  world.settle();
  EXPECT_EQ(world.link.alive(), 100u);
  EXPECT_EQ(goaway(visitor.got), std::nullopt);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
