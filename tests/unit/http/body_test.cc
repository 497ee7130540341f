#include "http/body.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "unit/http/body_vectors.h"

namespace ferrotunnel::http::testing {
namespace {

std::string expected(const GoodBody& vector) {
  return "done " + std::to_string(vector.text.size()) + " [" + std::string(vector.payload) + "]";
}

TEST(Body, GoodChunkedBodies) {
  for (const GoodBody& vector : good_bodies()) {
    EXPECT_EQ(feed_body(vector.text, {}), expected(vector)) << vector.text;
    EXPECT_EQ(feed_body(std::string(vector.text) + "GET /next", {}), expected(vector))
        << vector.text;  // takes its own bytes only
  }
}

TEST(Body, BadChunkedBodies) {
  for (const BadBody& vector : bad_bodies()) {
    const std::string result = feed_body(vector.text, {});
    EXPECT_TRUE(result.starts_with(std::string(vector.slug) + " " + std::to_string(vector.good_bytes) + " ["))
        << vector.text << result;
  }
}

// A request's chunk lines have no white space but inside quoted strings.
TEST(Body, WhiteSpaceInChunkLinesMayBeRefused) {
  const auto feed = [](std::string_view text, std::size_t piece) {
    BodyFramer framer(Framing::chunked(), {}, BodyFramer::ChunkSpace::Refused);
    std::size_t consumed = 0;
    for (std::size_t at = 0; at < text.size() && framer.error() == BodyError::None; at += piece)
      consumed += framer.feed(text.substr(at, piece)).consumed;
    return std::string(slug(framer.error())) + " " + std::to_string(consumed);
  };
  struct Case {
    std::string_view line;
    std::size_t good;
  };
  for (const Case& bad :
       {Case{"5 ;a=b", 1}, Case{"5\t;a=b", 1}, Case{"5; a=b", 2}, Case{"5;a =b", 3}, Case{"5;a= b", 4},
        Case{"5;a=b ;c", 5}, Case{"5;a=\"b\" ;c", 7}, Case{"5;a=\"b\"\t", 7}, Case{"5 ", 1}}) {
    const std::string text = std::string(bad.line) + "\r\nhello\r\n0\r\n\r\n";
    for (const std::size_t piece : {1, 100})
      EXPECT_EQ(feed(text, piece), "chunk-extension " + std::to_string(bad.good)) << text;
  }
  for (const std::string_view line : {"5", "5;a=b;c", "5;a=\"b c\t\\ d\";e"}) {
    const std::string text = std::string(line) + "\r\nhello\r\n0\r\n\r\n";
    for (const std::size_t piece : {1, 100})
      EXPECT_EQ(feed(text, piece), "none " + std::to_string(text.size())) << text;
  }
}

std::vector<std::string> all_bodies() {
  std::vector<std::string> all;
  for (const GoodBody& vector : good_bodies()) all.emplace_back(vector.text);
  for (const BadBody& vector : bad_bodies()) all.emplace_back(vector.text);
  return all;
}

TEST(Body, CutAtEachByteIsTheSameAsWhole) {
  for (const std::string& text : all_bodies()) {
    const std::string whole = feed_body(text, {});
    std::vector<std::size_t> each(text.size());
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
      ASSERT_EQ(feed_body(text, {cut}), whole) << text << cut;
      each[cut] = cut;
    }
    ASSERT_EQ(feed_body(text, each), whole) << text;
  }
}

TEST(Body, RandomlyDamagedAndRandomlyCut) {
  std::mt19937 random(7);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::string_view spice("\r\n 0;=\"\\af:\0", 12);
  const auto bodies = all_bodies();
  const Limits tight{.chunk_line_bytes = 6, .chunk_overhead_bytes = 4, .trailer_bytes = 10};
  for (int round = 0; round < 20000; ++round) {
    std::string text = bodies[below(bodies.size())];
    for (std::size_t n = below(3); n > 0; --n) text[below(text.size())] = spice[below(spice.size())];
    text += bodies[below(bodies.size())];
    std::vector<std::size_t> cuts(below(6));
    for (std::size_t& cut : cuts) cut = below(text.size() + 1);
    std::ranges::sort(cuts);
    const Limits limits = round % 2 == 0 ? Limits{} : tight;
    const Framing framing = round % 8 == 0 ? Framing::of_length(below(20)) : Framing::chunked();
    ASSERT_EQ(feed_body(text, cuts, framing, limits), feed_body(text, {}, framing, limits)) << text;
  }
}

TEST(Body, NoneIsDoneAtOnce) {
  BodyFramer framer;
  EXPECT_TRUE(framer.done());
  const auto step = framer.feed("next");
  EXPECT_EQ(step.consumed, 0u);
  EXPECT_TRUE(step.done);
  EXPECT_TRUE(framer.finish_at_eof());
  EXPECT_TRUE(BodyFramer(Framing::of_length(0)).done());
}

TEST(Body, Length) {
  BodyFramer framer(Framing::of_length(10));
  EXPECT_EQ(framer.remaining(), 10u);
  EXPECT_EQ(framer.feed("1234").consumed, 4u);
  EXPECT_EQ(framer.remaining(), 6u);
  EXPECT_FALSE(framer.finish_at_eof());
  framer.pass_opaque(3);
  const auto step = framer.feed("890next");
  EXPECT_EQ(step.consumed, 3u);
  EXPECT_TRUE(step.done);
  EXPECT_EQ(framer.remaining(), 0u);
  EXPECT_TRUE(framer.finish_at_eof());
}

TEST(Body, EmptyInputChangesNothing) {
  BodyFramer framer(Framing::of_length(1));
  EXPECT_EQ(framer.feed("").consumed, 0u);
  EXPECT_FALSE(framer.done());
}

TEST(Body, UntilCloseEndsAtEofOnly) {
  BodyFramer framer(Framing::until_close());
  EXPECT_EQ(framer.feed("1234").consumed, 4u);
  EXPECT_EQ(framer.opaque(), std::numeric_limits<std::uint64_t>::max());
  framer.pass_opaque(1u << 30);
  EXPECT_EQ(framer.opaque(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_FALSE(framer.done());
  EXPECT_TRUE(framer.finish_at_eof());
  EXPECT_TRUE(framer.done());
}

TEST(Body, ChunkedIsCutOffByEofUntilItsLastByte) {
  const std::string_view text = "2\r\nhi\r\n0\r\nX: y\r\n\r\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    BodyFramer framer(Framing::chunked());
    (void)framer.feed(text.substr(0, size));
    EXPECT_FALSE(framer.finish_at_eof()) << size;
  }
}

TEST(Body, AChunksPayloadMayPassUnseen) {
  BodyFramer framer(Framing::chunked());
  EXPECT_EQ(framer.opaque(), 0u);
  EXPECT_EQ(framer.feed("10").consumed, 2u);
  EXPECT_EQ(framer.opaque(), 0u);
  EXPECT_EQ(framer.feed("\r\nab").consumed, 4u);
  EXPECT_EQ(framer.opaque(), 14u);
  framer.pass_opaque(14);
  EXPECT_EQ(framer.opaque(), 0u);
  EXPECT_TRUE(framer.feed("\r\n0\r\n\r\n").done);
}

TEST(Body, AnErrorStays) {
  BodyFramer framer(Framing::chunked());
  EXPECT_EQ(framer.feed("x").error, BodyError::ChunkSize);
  EXPECT_EQ(framer.feed("0\r\n\r\n").error, BodyError::ChunkSize);
  EXPECT_EQ(framer.feed("0\r\n\r\n").consumed, 0u);
  EXPECT_FALSE(framer.finish_at_eof());
}

TEST(Body, ChunkLineLimit) {
  const auto body = [](std::size_t line) { return "1;" + std::string(line - 2, 'e') + "\r\nx\r\n0\r\n\r\n"; };
  EXPECT_TRUE(feed_body(body(256), {}).starts_with("done"));
  EXPECT_EQ(feed_body(body(257), {}), "chunk-line-too-long 256 []");
}

TEST(Body, TrailerLimit) {
  const auto body = [](std::size_t trailers) { return "0\r\nX:" + std::string(trailers - 6, 'v') + "\r\n\r\n"; };
  EXPECT_TRUE(feed_body(body(8192), {}).starts_with("done"));
  EXPECT_TRUE(feed_body(body(8193), {}).starts_with("trailers-too-large 8195 "));
}

TEST(Body, OverheadLimit) {
  // Lines of 118 bytes with a byte of payload: 100 more than is free.
  const std::string chunk = "1;" + std::string(116, 'e') + "\r\nx\r\n";
  std::string body;
  for (int i = 0; i < 10; ++i) body += chunk;
  const auto with_limit = [&](std::uint32_t limit) {
    return feed_body(body + "0\r\n\r\n", {}, Framing::chunked(), {.chunk_overhead_bytes = limit});
  };
  EXPECT_TRUE(with_limit(1000).starts_with("done"));
  EXPECT_TRUE(with_limit(999).starts_with("chunk-overhead"));
  // Payload pays for it.
  body.clear();
  for (int i = 0; i < 1000; ++i) body += "64;" + std::string(115, 'e') + "\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_TRUE(with_limit(0).starts_with("done"));
  // Small chunks without extensions are free.
  body.clear();
  for (int i = 0; i < 1000; ++i) body += "1\r\nx\r\n";
  EXPECT_TRUE(with_limit(0).starts_with("done"));
}

TEST(Body, IsSmall) { EXPECT_LE(sizeof(BodyFramer), 80u); }

}  // namespace
}  // namespace ferrotunnel::http::testing
