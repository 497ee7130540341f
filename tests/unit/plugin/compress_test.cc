// compress: which responses, in which coding, with which fields; and that what comes out is what went in.
#include <brotli/decode.h>
#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

#include "plugin/builtin/coders.h"
#include "unit/plugin/plugin_world.h"

namespace ferrotunnel::plugin::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Until = Transform::Until;

// ---- which -------------------------------------------------------------------------------------------------------

std::string with(std::string_view fields, std::string_view line = "HTTP/1.1 200 OK") {
  return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}
constexpr std::string_view kText = "Content-Type: text/html; charset=utf-8\r\nContent-Length: 5000\r\n";

// The coding that is chosen; "" where the response stays as it is, and Vary where it says that it could be another.
struct Chosen {
  std::string coding;
  bool varies = false;
  bool transform = false;
  std::vector<std::string> lines;
};
Chosen choose(const ChainPtr& chain, std::string_view request, const std::string& response, bool may = true) {
  Asked asked(chain);
  EXPECT_EQ(asked.get("/", request), Verdict::Pass);
  http::ResponseHead head;
  EXPECT_TRUE(http::parse_response_head(response, {}, {}, head).done()) << response;
  Scratch scratch;
  ResponseView view{asked.info, head, scratch, may, nullptr};
  EXPECT_TRUE(asked.run.on_response_head(view));
  return {std::string(head.fields.value("content-encoding")), head.fields.value("vary").contains("Accept-Encoding"),
          view.transform != nullptr, Asked::lines(head.fields)};
}

TEST(CompressChoice, WhatTheVisitorLikesBest) {
  const ChainPtr all = chain_of({rule("compress", {})});
  const ChainPtr two = chain_of({rule("compress", {{"coding", "gzip"}, {"coding", "br"}})});
  struct Case {
    const ChainPtr& chain;
    std::string_view accepts, coding;
  };
  for (const Case& one : {
           Case{all, "gzip, deflate, br, zstd", "zstd"},
           Case{all, "gzip, deflate, br", "br"},
           Case{all, "gzip", "gzip"},
           Case{all, "GZIP", "gzip"},
           Case{all, "gzip;q=1.0, br;q=0.8", "gzip"},
           Case{all, "gzip;q=0.5, br;q=0.5", "br"},
           Case{all, "*", "zstd"},
           Case{all, "*;q=0.1, br;q=0", "zstd"},
           Case{all, "zstd;q=0, *;q=0.5", "br"},
           Case{all, "gzip;q=0", ""},
           Case{all, "identity", ""},
           Case{all, "identity;q=1, gzip;q=0.5", ""},
           Case{all, "identity;q=0, gzip;q=0.001", "gzip"},
           Case{all, "deflate, compress", ""},
           Case{all, "", ""},
           Case{all, "gzip;q=x", ""},
           Case{all, "gzip;q=1.5", ""},
           Case{all, ",, ;;gzip, gzip ; q=0.9", "gzip"},
           Case{two, "gzip, br, zstd", "gzip"},
           Case{two, "zstd", ""},
       }) {
    const Chosen chosen = choose(one.chain, "Accept-Encoding: " + std::string(one.accepts) + "\r\n", with(kText));
    EXPECT_EQ(chosen.coding, one.coding) << one.accepts;
    EXPECT_EQ(chosen.transform, !one.coding.empty()) << one.accepts;
    EXPECT_TRUE(chosen.varies) << one.accepts << ": a cache has to know";
  }
  EXPECT_EQ(choose(all, "", with(kText)).coding, "") << "who says nothing gets it plain";
  EXPECT_EQ(choose(all, "Accept-Encoding: deflate\r\nAccept-Encoding: gzip\r\n", with(kText)).coding, "gzip");
  EXPECT_EQ(choose(all, "Accept-Encoding: gzip\r\nCache-Control: max-age=0, no-transform\r\n", with(kText)).coding, "");
}

TEST(CompressChoice, WhichResponses) {
  const ChainPtr chain = chain_of({rule("compress", {})});
  const auto coded = [&](const std::string& response) { return choose(chain, "Accept-Encoding: gzip\r\n", response); };
  for (const std::string_view type :
       {"text/plain", "TEXT/HTML;charset=utf-8", "application/json", "application/problem+json", "image/svg+xml",
        "application/javascript", "application/wasm", "application/x-ndjson", "font/ttf"})
    EXPECT_EQ(coded(with("Content-Type: " + std::string(type) + "\r\n")).coding, "gzip") << type;
  for (const std::string_view type :
       {"image/png", "application/octet-stream", "video/mp4", "application/zip", "text/event-stream",
        "text/event-stream; charset=utf-8", "application/grpc", "application/grpc+json", "application/grpc-web+proto",
        "font/woff2", "textual/x", ""})
    EXPECT_FALSE(coded(with("Content-Type: " + std::string(type) + "\r\n")).transform) << type;
  EXPECT_FALSE(coded(with("X: y\r\n")).transform) << "what it is nobody knows";
  for (const std::string_view line :
       {"HTTP/1.1 204 No Content", "HTTP/1.1 205 Reset Content", "HTTP/1.1 226 IM Used"}) {
    EXPECT_FALSE(coded(with("Content-Type: text/plain\r\n", line)).transform) << line;
    EXPECT_FALSE(coded(with("Content-Type: text/plain\r\n", line)).varies) << line;
  }
  EXPECT_TRUE(coded(with(kText, "HTTP/1.1 404 Not Found")).transform);
  for (const std::string_view field : {"Content-Encoding: br", "Content-Encoding: gzip", "Cache-Control: no-transform",
                                       "Cache-Control: public, No-Transform", "Content-Range: bytes 0-1/2",
                                       "Content-MD5: x", "Repr-Digest: sha-256=:x:", "Digest: sha-256=x"})
    EXPECT_FALSE(coded(with(std::string(kText) + std::string(field) + "\r\n")).transform) << field;
  EXPECT_TRUE(coded(with(std::string(kText) + "Content-Encoding: identity\r\n")).transform);
  EXPECT_TRUE(coded(with("Content-Type: text/plain\r\nContent-Length: 1024\r\n")).transform);
  EXPECT_FALSE(coded(with("Content-Type: text/plain\r\nContent-Length: 1023\r\n")).transform);
  EXPECT_TRUE(coded(with("Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n")).transform);
  const ChainPtr large = chain_of({rule("compress", {{"min", "6000"}})});
  EXPECT_FALSE(choose(large, "Accept-Encoding: gzip\r\n", with(kText)).transform);
  const Chosen may_not = choose(chain, "Accept-Encoding: gzip\r\n", with(kText), false);
  EXPECT_FALSE(may_not.transform);
  EXPECT_EQ(may_not.coding, "");
  EXPECT_TRUE(may_not.varies);
}

TEST(CompressChoice, WhatTheFieldsSayThen) {
  const ChainPtr chain = chain_of({rule("compress", {})});
  const auto lines = [&](std::string_view more) {
    return choose(chain, "Accept-Encoding: gzip\r\n", with(std::string(kText) + std::string(more))).lines;
  };
  const auto strong = lines("ETag: \"a\"\r\nAccept-Ranges: bytes\r\nVary: Cookie\r\nContent-Encoding: identity\r\n");
  EXPECT_THAT(strong, Contains("ETag: W/\"a\""));
  EXPECT_THAT(strong, Contains("Content-Encoding: gzip"));
  EXPECT_THAT(strong, Contains("Vary: Cookie"));
  EXPECT_THAT(strong, Contains("Vary: Accept-Encoding"));
  EXPECT_THAT(strong, Not(Contains(HasSubstr("Accept-Ranges"))));
  EXPECT_THAT(strong, Not(Contains("Content-Encoding: identity")));
  EXPECT_THAT(lines("ETag: W/\"a\"\r\n"), Contains("ETag: W/\"a\""));
  EXPECT_EQ(std::ranges::count(lines("Vary: accept-encoding, Cookie\r\n"), "Vary: Accept-Encoding"), 0);
  EXPECT_EQ(std::ranges::count(lines("Vary: *\r\n"), "Vary: Accept-Encoding"), 0);
  const auto plain = choose(chain, "", with(std::string(kText) + "ETag: \"a\"\r\n")).lines;
  EXPECT_THAT(plain, Contains("ETag: \"a\"")) << "what stays as it is keeps its tag";
}

// RFC 9110 sections 15.3.7 and 15.4.5: the fields that the 200 would have had.
TEST(CompressChoice, APartAndNotModifiedSayWhatTheWholeWould) {
  const ChainPtr chain = chain_of({rule("compress", {})});
  const auto of = [&](std::string_view line, std::string_view fields, std::string_view request = "") {
    const Chosen chosen = choose(chain, "Accept-Encoding: gzip\r\n" + std::string(request), with(fields, line));
    EXPECT_FALSE(chosen.transform) << fields;
    EXPECT_EQ(chosen.coding.contains("gzip"), fields.contains("gzip")) << fields;
    return chosen;
  };
  constexpr std::string_view kPart = "HTTP/1.1 206 Partial Content", kSame = "HTTP/1.1 304 Not Modified";
  const Chosen part = of(kPart, "Content-Type: text/plain\r\nContent-Range: bytes 0-9/5000\r\nETag: \"a\"\r\n");
  EXPECT_TRUE(part.varies);
  EXPECT_THAT(part.lines, Contains("ETag: \"a\"")) << "it is of the plain bytes";
  EXPECT_TRUE(of(kPart, "Content-Type: text/plain\r\nContent-Range: bytes 0-9/*\r\n").varies);
  EXPECT_TRUE(of(kPart, "Content-Type: multipart/byteranges; boundary=x\r\n").varies);
  EXPECT_FALSE(of(kPart, "Content-Type: text/plain\r\nContent-Range: bytes 0-9/1023\r\n").varies) << "min";
  EXPECT_FALSE(of(kPart, "Content-Type: image/png\r\nContent-Range: bytes 0-9/5000\r\n").varies);

  const Chosen same = of(kSame, "ETag: \"a\"\r\n", "If-None-Match: W/\"a\"\r\n");
  EXPECT_TRUE(same.varies);
  EXPECT_THAT(same.lines, Contains("ETag: W/\"a\""));
  EXPECT_THAT(of(kSame, "ETag: \"a\"\r\n", "If-None-Match: \"b\"\r\nIf-None-Match: W/\"a\"\r\n").lines,
              Contains("ETag: W/\"a\""));
  EXPECT_THAT(of(kSame, "ETag: \"a\"\r\n", "If-Modified-Since: x\r\n").lines, Contains("ETag: W/\"a\""));
  EXPECT_THAT(of(kSame, "ETag: \"a\"\r\n", "If-None-Match: \"b\", \"a\"\r\n").lines, Contains("ETag: \"a\""))
      << "what he has did not come from here coded: a picture, or the text as it was";
  EXPECT_TRUE(of(kSame, "Content-Type: text/plain\r\nContent-Length: 5000\r\n").varies);
  EXPECT_FALSE(of(kSame, "Content-Length: 5\r\n").varies);
  for (const std::string_view field : {"Content-Type: image/png", "Content-Encoding: gzip",
                                       "Cache-Control: no-transform", "Repr-Digest: sha-256=:x:"}) {
    const Chosen other = of(kSame, std::string(field) + "\r\nETag: \"a\"\r\n");
    EXPECT_FALSE(other.varies) << field;
    EXPECT_THAT(other.lines, Contains("ETag: \"a\"")) << field;
  }
  const Chosen plain = choose(chain, "", with("ETag: \"a\"\r\n", kSame));
  EXPECT_TRUE(plain.varies);
  EXPECT_THAT(plain.lines, Contains("ETag: \"a\"")) << "his 200 would be plain";
}

// RFC 9110 section 9.3.2.
TEST(CompressChoice, AnAnswerToHeadSaysWhatThatToGetWould) {
  const ChainPtr chain = chain_of({rule("compress", {{"min", "0"}})});
  const auto of = [&](std::string_view method, std::string_view fields, std::string_view accepts = "gzip") {
    Asked asked(chain);
    EXPECT_EQ(asked.get("/", "Accept-Encoding: " + std::string(accepts) + "\r\n", method), Verdict::Pass);
    const std::string text = with("Content-Type: text/html\r\n" + std::string(fields));
    http::ResponseHead head;
    const http::RequestContext context{method == "HEAD", false, {}};
    EXPECT_TRUE(http::parse_response_head(text, {}, context, head).done());
    Scratch scratch;
    ResponseView view{asked.info, head, scratch, method != "HEAD" && !head.framing.empty(), nullptr};
    (void)asked.run.on_response_head(view);
    EXPECT_TRUE(method != "HEAD" || view.transform == nullptr);
    if (view.transform != nullptr) head.fields.remove(http::FieldId::ContentLength);  // as the exchange does
    return Asked::lines(head.fields);
  };
  for (const std::string_view fields :
       {"Content-Length: 5000\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n", "Content-Length: 0\r\nETag: \"a\"\r\n",
        "Content-Length: 5000\r\nContent-Encoding: br\r\nETag: \"a\"\r\n",
        "ETag: \"a\"\r\nContent-Length: 5\r\nDigest: x\r\n"})
    for (const std::string_view accepts : {"gzip", "identity"})
      EXPECT_EQ(of("HEAD", fields, accepts), of("GET", fields, accepts)) << fields << accepts;
  EXPECT_THAT(of("HEAD", "Content-Length: 5000\r\nETag: \"a\"\r\n"), Contains("ETag: W/\"a\""));
  EXPECT_THAT(of("HEAD", "Content-Length: 5000\r\nETag: \"a\"\r\n", "br"), Contains("Content-Encoding: br"));
}

TEST(CompressChoice, TwoRulesGiveOneCoding) {
  const ChainPtr chain = chain_of({rule("compress", {{"coding", "br"}}), rule("compress", {{"coding", "gzip"}})});
  const Chosen chosen = choose(chain, "Accept-Encoding: gzip, br\r\n", with(kText));
  EXPECT_EQ(chosen.coding, "br");
  EXPECT_EQ(std::ranges::count(chosen.lines, "Vary: Accept-Encoding"), 1);
}

TEST(CompressChoice, Mistakes) {
  EXPECT_THAT(mistake(rule("compress", {{"coding", "deflate"}})), HasSubstr("'deflate' is no coding"));
  EXPECT_THAT(mistake(rule("compress", {{"min", "much"}})), HasSubstr("min: a number"));
  EXPECT_THAT(mistake(rule("compress", {{"level", "9"}})), HasSubstr("no setting \"level\""));
  EXPECT_EQ(mistake(rule("compress", {{"coding", "br"}, {"coding", "br"}})), "");
}

// ---- what comes out ------------------------------------------------------------------------------------------------

struct Coder {
  std::string name;
  std::unique_ptr<Transform> (*make)();
};
class Coders : public testing::TestWithParam<Coder> {};
INSTANTIATE_TEST_SUITE_P(All, Coders,
                         testing::Values(Coder{"gzip", make_gzip_coder}, Coder{"zstd", make_zstd_coder},
                                         Coder{"br", make_brotli_coder}),
                         [](const auto& info) { return info.param.name; });

// As far as it goes: what a reader has before the end.
std::string decoded(const std::string& coding, const std::string& bytes) {
  std::string out(std::size_t{8} << 20, '\0');
  if (coding == "gzip") {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int done = inflate(&stream, Z_SYNC_FLUSH);
    EXPECT_TRUE(done == Z_OK || done == Z_STREAM_END) << done;
    out.resize(stream.total_out);
    inflateEnd(&stream);
  } else if (coding == "zstd") {
    ZSTD_DCtx* context = ZSTD_createDCtx();
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (from.pos < from.size) EXPECT_EQ(ZSTD_isError(ZSTD_decompressStream(context, &to, &from)), 0u);
    out.resize(to.pos);
    ZSTD_freeDCtx(context);
  } else {
    BrotliDecoderState* state = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    std::size_t in_left = bytes.size(), out_left = out.size();
    const auto* in = reinterpret_cast<const std::uint8_t*>(bytes.data());
    auto* into = reinterpret_cast<std::uint8_t*>(out.data());
    EXPECT_NE(BrotliDecoderDecompressStream(state, &in_left, &in, &out_left, &into, nullptr),
              BROTLI_DECODER_RESULT_ERROR);
    out.resize(out.size() - out_left);
    BrotliDecoderDestroyInstance(state);
  }
  return out;
}

std::string text_of(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i)
    text += "line " + std::to_string(i * i) + " of something that is said again\n";
  text.resize(size);
  return text;
}
std::string noise_of(std::size_t size) {
  std::mt19937 random(1);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

class CoderRun {
 public:
  explicit CoderRun(const Coder& coder) : transform_(coder.make()) {}
  void say(std::string_view text, std::size_t step = Transform::kMostIn) {
    while (!text.empty()) {
      give(text.substr(0, std::min(step, text.size())), Until::More);
      text.remove_prefix(std::min(step, text.size()));
    }
  }
  void pause() { give({}, Until::Pause); }
  void end() { give({}, Until::End); }
  std::string out;

 private:
  void give(std::string_view text, Until until) {
    const auto made = transform_->run(as_bytes(text), room_, until);
    ASSERT_TRUE(made);
    out.append(as_text(ConstBytes(room_).first(*made)));
  }
  std::unique_ptr<Transform> transform_;
  std::vector<std::byte> room_ = std::vector<std::byte>(Transform::kMostOut);
};

TEST_P(Coders, WholeTexts) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1023}, std::size_t{8192},
                                 std::size_t{24576}, std::size_t{1'000'000}}) {
    const std::string text = text_of(size);
    CoderRun run(GetParam());
    run.say(text);
    run.end();
    EXPECT_EQ(decoded(GetParam().name, run.out), text) << size;
    if (size > 100'000) {
      EXPECT_LT(run.out.size(), size / 4);
    }
  }
}

TEST_P(Coders, WhatCannotBeMadeSmallerFitsToo) {
  const std::string noise = noise_of(1'000'000);
  for (const std::size_t step : {Transform::kMostIn, std::size_t{1000}, std::size_t{7}}) {
    CoderRun run(GetParam());
    run.say(noise, step);
    run.end();
    EXPECT_EQ(decoded(GetParam().name, run.out), noise) << step;
    EXPECT_LT(run.out.size(), noise.size() + noise.size() / 50);
  }
}

TEST_P(Coders, AllOfItIsOutAtAPause) {
  const std::string noise = noise_of(30'000), text = text_of(30'000);
  CoderRun run(GetParam());
  std::string said;
  const auto more = [&](std::string_view piece) {
    run.say(piece);
    run.pause();
    said += piece;
    EXPECT_EQ(decoded(GetParam().name, run.out), said) << said.size();
  };
  for (int i = 0; i < 20; ++i) more("event " + std::to_string(i) + "\n");
  more(text);
  more(noise);
  run.pause();
  run.pause();
  more("x");
  run.end();
  EXPECT_EQ(decoded(GetParam().name, run.out), said);
}

TEST_P(Coders, MixedStepsFitTheirRoom) {
  // Small steps that hold back much, then large ones: the most that one call has ever to give.
  std::mt19937 random(7);
  const std::string noise = noise_of(400'000);
  CoderRun run(GetParam());
  std::size_t at = 0;
  while (at < noise.size()) {
    const std::size_t n =
        std::min<std::size_t>(noise.size() - at, random() % 3 == 0 ? Transform::kMostIn : random() % 2000);
    run.say(std::string_view(noise).substr(at, n));
    at += n;
    if (random() % 16 == 0) run.pause();
  }
  run.end();
  EXPECT_EQ(decoded(GetParam().name, run.out), noise);
}

}  // namespace
}  // namespace ferrotunnel::plugin::test
