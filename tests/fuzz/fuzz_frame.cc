// The decoders of wire/frame.h: whatever they accept, they encode again to the same bytes; whatever they are given, they stay inside it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "wire/frame.h"

using namespace ferrotunnel;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void preface(ConstBytes bytes) {
  bool may_be = true;
  for (std::size_t n = 0; n <= std::min<std::size_t>(bytes.size(), 20); ++n) {
    const bool now = wire::may_be_preface(bytes.first(n));
    check(may_be || !now);  // once it is not, it never is again
    may_be = now;
  }
  if (bytes.size() < wire::kPrefaceSize) return;
  const auto got = wire::decode_preface(bytes.first<wire::kPrefaceSize>());
  if (!got) {
    check(got.error().code == ErrorCode::Protocol || got.error().code == ErrorCode::Version);
    check((got.error().code == ErrorCode::Protocol) == !may_be);
    return;
  }
  check(may_be && got->major == 1 && got->features >> 32 == 0);
  const wire::PrefaceBytes again = wire::encode(*got);
  check(std::equal(again.begin(), again.begin() + 6, bytes.begin()));
  check(std::equal(again.begin() + 8, again.end(), bytes.begin() + 8));
}

void open(ConstBytes payload) {
  const auto got = wire::decode_open(payload);
  if (!got) return;
  check(got->kind == 1 || got->kind == 2);
  std::array<std::byte, wire::kMaxOpenEncoded> again;
  const std::size_t n = wire::encode_open(*got, again);
  check(n >= wire::kMinOpen && n <= payload.size());
  check(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(n), payload.begin()));
  check(wire::decode_open(ConstBytes(again).first(n)).has_value());
  check(!wire::decode_open(ConstBytes(again).first(n - 1)));
}

void goaway(ConstBytes payload) {
  const wire::GoawayPayload got = wire::decode_goaway(payload);
  check(got.text.size() == payload.size() - 8);
  check(got.text.empty() || reinterpret_cast<const std::byte*>(got.text.data()) == payload.data() + 8);
  (void)wire::to_string(static_cast<wire::GoawayCode>(got.code));
}

// As a run of frames, up to the first wrong one.
void frames(ConstBytes bytes) {
  while (bytes.size() >= wire::kHeaderSize) {
    const auto header = wire::decode_header(bytes.first<wire::kHeaderSize>());
    if (!header) {
      check(header.error().code == ErrorCode::Protocol && !header.error().context.empty());
      return;
    }
    std::array<std::byte, wire::kHeaderSize> again;
    wire::encode_header(*header, again.data());
    check(std::ranges::equal(again, bytes.first(wire::kHeaderSize)));
    check(header->length <= wire::kMaxData && header->stream <= wire::kMaxStreamId);
    check(!wire::to_string(header->type).empty());
    bytes = bytes.subspan(wire::kHeaderSize);
    if (bytes.size() < header->length) return;
    // A copy of its own, so that a read past it is seen.
    const std::vector<std::byte> payload(bytes.begin(), bytes.begin() + header->length);
    if (header->type == wire::FrameType::Open) open(payload);
    if (header->type == wire::FrameType::Goaway) goaway(payload);
    bytes = bytes.subspan(header->length);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ConstBytes bytes(reinterpret_cast<const std::byte*>(data), size);
  preface(bytes);
  open(bytes);
  frames(bytes);
  if (bytes.size() > wire::kPrefaceSize) frames(bytes.subspan(wire::kPrefaceSize));
  return 0;
}
