// Bodies: framed whole and in pieces they are the same, and a chunked body that is taken means what a plain decoder makes of it.
//
// Input: a byte of flags, a byte that says how long the pieces are, then the body. Flags: bits 0 and 1 choose chunked, length (of 16 times
// bits 3 to 7), until close, none; bit 2 tight limits. Printable bytes do: '@' is chunked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "unit/http/body_vectors.h"

namespace {

using namespace ferrotunnel::http;
using namespace ferrotunnel::http::testing;

constexpr std::size_t kMostPieces = 256;
constexpr Limits kTight{.chunk_line_bytes = 8, .chunk_overhead_bytes = 6, .trailer_bytes = 16};

void check(bool holds) {
  if (!holds) std::abort();
}

Framing framing_of(std::uint8_t flags) {
  switch (flags & 3) {
    case 0: return Framing::chunked();
    case 1: return Framing::of_length(std::uint64_t{16} * (flags >> 3));
    case 2: return Framing::until_close();
    default: return Framing::none();
  }
}

// What a decoder without any strictness reads: it only has to agree on bodies that were found good.
std::string plain_decode(std::string_view text, std::size_t& used) {
  std::string payload;
  std::size_t at = 0;
  const auto line = [&] {
    const std::size_t end = text.find("\r\n", at);
    check(end != std::string_view::npos);
    const std::string_view found = text.substr(at, end - at);
    at = end + 2;
    return found;
  };
  while (const auto length = std::strtoull(std::string(line()).c_str(), nullptr, 16)) {
    check(length <= text.size() - at);
    payload += text.substr(at, length);
    at += length;
    check(line().empty());
  }
  while (!line().empty()) {
  }
  used = at;
  return payload;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Framing framing = framing_of(data[0]);
  const Limits limits = (data[0] & 4) != 0 ? kTight : Limits{};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < text.size() && cuts.size() < kMostPieces; at += data[1] + std::size_t{1})
    cuts.push_back(at);
  const std::string whole = feed_body(text, {}, framing, limits);
  check(feed_body(text, cuts, framing, limits) == whole);
  if (framing.kind == Framing::Kind::Chunked && whole.starts_with("done ")) {
    std::size_t used = 0;
    const std::string payload = plain_decode(text, used);
    check(whole == "done " + std::to_string(used) + " [" + payload + "]");
  }
  return 0;
}
