// Chunked bodies, good and bad, and a way to feed them in pieces with everything that the framer says put into one string.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body.h"

namespace ferrotunnel::http::testing {

using namespace std::string_view_literals;

struct GoodBody {
  std::string_view text;
  std::string_view payload;
};
struct BadBody {
  std::string_view text;
  std::size_t good_bytes;  // before the wrong one
  std::string_view slug;
};

inline const std::vector<GoodBody>& good_bodies() {
  static const std::vector<GoodBody> kVectors = {
      {"0\r\n\r\n", ""},
      {"000\r\n\r\n", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij"},
      {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
      {"7\r\n0\r\n\r\nXY\r\n0\r\n\r\n", "0\r\n\r\nXY"},
      {"1;a\r\nx\r\n0;last\r\n\r\n", "x"},
      {"1;a=b;c=\"d;\\\"\t e\";f\r\nx\r\n0\r\n\r\n", "x"},
      {"1 ; a = b ; c\r\nx\r\n0\r\n\r\n", "x"},
      {"1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"},
      {"1\r\nx\r\n0\r\nGrpc-Status: 0\r\nX-Empty:\r\n\r\n", "x"},
      {"1\r\nx\r\n0\r\nX:  caf\xe9 \t\r\n\r\n", "x"},
      {"0\r\na-name-that-is-longer-than-what-is-kept: 1\r\nMy_Name: 2\r\n\r\n", ""},
  };
  return kVectors;
}

inline const std::vector<BadBody>& bad_bodies() {
  static const std::vector<BadBody> kVectors = {
      // size
      {"\r\n", 0, "chunk-size"},
      {"\n", 0, "chunk-size"},
      {" 5\r\nhello\r\n", 0, "chunk-size"},
      {"+5\r\nhello\r\n", 0, "chunk-size"},
      {"-1\r\n", 0, "chunk-size"},
      {"0x5\r\nhello\r\n", 1, "chunk-size"},
      {"5h\r\nhello\r\n", 1, "chunk-size"},
      {"5\0\r\nhello\r\n"sv, 1, "chunk-size"},
      {"5,5\r\n", 1, "chunk-size"},
      {"g\r\n", 0, "chunk-size"},
      {"00000000000000005\r\nhello\r\n", 16, "chunk-size"},
      {"8000000000000000\r\n", 15, "chunk-size"},
      {"FFFFFFFFFFFFFFFF\r\n", 15, "chunk-size"},
      {"10000000000000005\r\nhello\r\n", 16, "chunk-size"},
      {"5\r\nhello\r\n\r\n", 10, "chunk-size"},
      // line ends
      {"5\nhello\r\n0\r\n\r\n", 1, "chunk-size"},
      {"5\r\rhello", 2, "chunk-end"},
      {"5\rhello", 2, "chunk-end"},
      {"5\r\nhello\n0\r\n\r\n", 8, "chunk-end"},
      {"5\r\nhello0\r\n\r\n", 8, "chunk-end"},
      {"5\r\nhello\rX", 9, "chunk-end"},
      {"5\r\nhelloX\r\n", 8, "chunk-end"},
      {"4\r\nhello\r\n", 7, "chunk-end"},
      {"6\r\nhello\r\n0\r\n\r\n", 9, "chunk-end"},
      // extensions
      {"5 \r\nhello\r\n", 2, "chunk-extension"},
      {"5\t\r\nhello\r\n", 2, "chunk-extension"},
      {"5 x\r\nhello\r\n", 2, "chunk-extension"},
      {"5;\r\nhello\r\n", 2, "chunk-extension"},
      {"5;;a\r\nhello\r\n", 2, "chunk-extension"},
      {"5; \r\nhello\r\n", 3, "chunk-extension"},
      {"5;a \r\nhello\r\n", 4, "chunk-extension"},
      {"5;a=\r\nhello\r\n", 4, "chunk-extension"},
      {"5;=b\r\nhello\r\n", 2, "chunk-extension"},
      {"5;a\nhello\r\n", 3, "chunk-extension"},
      {"5;a=b\nhello\r\n", 5, "chunk-extension"},
      {"5;a=b\rX", 6, "chunk-end"},
      {"5;a=\"b\nc\"\r\nhello\r\n", 6, "chunk-extension"},
      {"5;a=\"b\r\nhello\r\n", 6, "chunk-extension"},
      {"5;a=\"b\\\r\n", 7, "chunk-extension"},
      {"5;a=\"b\"c\r\n", 7, "chunk-extension"},
      {"5;a=b c\r\n", 6, "chunk-extension"},
      {"5;a=b \r\n", 6, "chunk-extension"},
      {"5;a\0\r\n"sv, 3, "chunk-extension"},
      {"5;a=b=c\r\n", 5, "chunk-extension"},
      {"5;a=\x80\r\n", 4, "chunk-extension"},
      // trailers
      {"0\r\n\n", 3, "trailer-field"},
      {"0\r\n\rX", 4, "trailer-field"},
      {"0\r\nX\r\n\r\n", 4, "trailer-field"},
      {"0\r\n: a\r\n\r\n", 3, "trailer-field"},
      {"0\r\nX : a\r\n\r\n", 4, "trailer-field"},
      {"0\r\n X: a\r\n\r\n", 3, "trailer-field"},
      {"0\r\nX: a\r\n b\r\n\r\n", 9, "trailer-field"},
      {"0\r\nX: a\n\r\n", 7, "trailer-field"},
      {"0\r\nX: a\rb\r\n\r\n", 8, "trailer-field"},
      {"0\r\nX: a\0\r\n\r\n"sv, 7, "trailer-field"},
      {"0\r\nGET / HTTP/1.1\r\n\r\n", 6, "trailer-field"},
      {"0\r\nContent-Length: 5\r\n\r\n", 17, "trailer-forbidden"},
      {"0\r\ncontent_length: 5\r\n\r\n", 17, "trailer-forbidden"},
      {"0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", 20, "trailer-forbidden"},
      {"0\r\nHost: x\r\n\r\n", 7, "trailer-forbidden"},
      {"0\r\nOk: 1\r\nConnection: close\r\n\r\n", 20, "trailer-forbidden"},
      {"0\r\nTE: x\r\n\r\n", 5, "trailer-forbidden"},
      {"0\r\nTrailer: x\r\n\r\n", 10, "trailer-forbidden"},
      {"0\r\nUpgrade: x\r\n\r\n", 10, "trailer-forbidden"},
      {"0\r\nExpect: x\r\n\r\n", 9, "trailer-forbidden"},
      {"0\r\nKeep-Alive: x\r\n\r\n", 13, "trailer-forbidden"},
      {"0\r\nAuthorization: x\r\n\r\n", 16, "trailer-forbidden"},
      {"0\r\nCookie: x\r\n\r\n", 9, "trailer-forbidden"},
      {"0\r\nSet-Cookie: x\r\n\r\n", 13, "trailer-forbidden"},
      {"0\r\nContent-Type: x\r\n\r\n", 15, "trailer-forbidden"},
      {"0\r\nContent-Encoding: x\r\n\r\n", 19, "trailer-forbidden"},
      {"0\r\nIf-Match: x\r\n\r\n", 11, "trailer-forbidden"},
      {"0\r\nif_unmodified_since: x\r\n\r\n", 22, "trailer-forbidden"},
      {"0\r\nX-Forwarded-For: x\r\n\r\n", 18, "trailer-forbidden"},
      {"0\r\nx-forwarded-something-long: x\r\n\r\n", 29, "trailer-forbidden"},
      {"0\r\nProxy-Authorization: x\r\n\r\n", 22, "trailer-forbidden"},
  };
  return kVectors;
}

// What a framer says of `text` given in pieces that end at `cuts`: payload, bytes consumed, and how it ended.
inline std::string feed_body(std::string_view text, const std::vector<std::size_t>& cuts,
                             Framing framing = Framing::chunked(), const Limits& limits = {}) {
  BodyFramer framer(framing, limits);
  std::string payload;
  std::size_t consumed = 0;
  std::size_t from = 0;
  std::string end = "more";
  const auto step = [&](std::size_t to) {
    // An exactly sized copy, so that the sanitizer sees a read past the piece.
    const auto copy = std::make_unique<char[]>(to - from);
    text.substr(from, to - from).copy(copy.get(), to - from);
    const auto result = framer.feed({copy.get(), to - from}, [&](std::string_view piece) { payload += piece; });
    consumed += result.consumed;
    from = to;
    if (result.error != BodyError::None) end = slug(result.error);
    if (result.done) end = "done";
    return end == "more";
  };
  bool going = true;
  for (const std::size_t cut : cuts)
    if (going) going = step(cut);
  if (going) step(text.size());
  return end + " " + std::to_string(consumed) + " [" + payload + "]";
}

}  // namespace ferrotunnel::http::testing
