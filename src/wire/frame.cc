#include "wire/frame.h"

#include <algorithm>
#include <string>

namespace ferrotunnel::wire {
namespace {

constexpr std::array<std::byte, 4> kMagic{std::byte{0x46}, std::byte{0x54}, std::byte{0x55}, std::byte{0x4e}};
constexpr std::uint64_t kDemands = 0xffff'ffff'0000'0000;  // features that must be understood

Error protocol(std::string text) { return {ErrorCode::Protocol, Side::Tunnel, false, std::move(text)}; }

struct Shape {
  std::uint32_t least, most;
  bool on_stream;
};
constexpr std::array<Shape, 8> kShapes{{
    {0, kMaxData, true},                               // DATA
    {kMinOpen, kMaxOpen, true},                        // OPEN
    {4, 4, true},                                      // CREDIT
    {4, 4, true},                                      // RESET
    {8, 8, false},                                     // PING
    {8, 8, false},                                     // PONG
    {kMinGoaway, kMinGoaway + kMaxGoawayText, false},  // GOAWAY
    {kMinControl, kMaxControl, false},                 // CONTROL
}};

}  // namespace

PrefaceBytes encode(const Preface& preface) {
  PrefaceBytes bytes{};
  std::ranges::copy(kMagic, bytes.begin());
  bytes[4] = std::byte{preface.major};
  bytes[5] = std::byte{preface.minor};
  store_be<std::uint64_t>(&bytes[8], preface.features);
  return bytes;
}

bool may_be_preface(ConstBytes bytes) {
  const std::size_t n = std::min(bytes.size(), kMagic.size());
  return std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n), kMagic.begin());
}

Result<Preface> decode_preface(std::span<const std::byte, kPrefaceSize> bytes) {
  if (!may_be_preface(bytes)) return std::unexpected(protocol("the peer does not speak the ferrotunnel protocol"));
  Preface preface;
  preface.major = std::to_integer<std::uint8_t>(bytes[4]);
  preface.minor = std::to_integer<std::uint8_t>(bytes[5]);
  preface.features = load_be<std::uint64_t>(&bytes[8]);
  if (preface.major != 1) {
    return std::unexpected(Error(ErrorCode::Version, Side::Tunnel, false,
                                 "the peer speaks protocol version " + std::to_string(preface.major) +
                                     ", this program version 1: update the older of the two"));
  }
  if ((preface.features & kDemands) != 0)
    return std::unexpected(Error(ErrorCode::Version, Side::Tunnel, false,
                                 "the peer demands a feature that this version does not have: update this program"));
  return preface;
}

std::string_view to_string(FrameType type) {
  constexpr std::array<std::string_view, 8> kNames{"DATA", "OPEN", "CREDIT", "RESET",
                                                   "PING", "PONG", "GOAWAY", "CONTROL"};
  return kNames[static_cast<std::size_t>(type) & 7];
}

void encode_header(const FrameHeader& header, std::byte* to) {
  const std::uint32_t first = (static_cast<std::uint32_t>(header.flags & 0xf) << 28) |
                              (static_cast<std::uint32_t>(header.type) << 24) | (header.length & 0xff'ffff);
  store_be<std::uint32_t>(to, first);
  store_be<std::uint32_t>(to + 4, header.stream);
}

Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderSize> bytes) {
  const auto first = load_be<std::uint32_t>(bytes.data());
  FrameHeader header;
  header.flags = static_cast<std::uint8_t>(first >> 28);
  const std::uint32_t type = (first >> 24) & 0xf;
  header.length = first & 0xff'ffff;
  header.stream = load_be<std::uint32_t>(bytes.data() + 4);
  if (type >= kShapes.size()) return std::unexpected(protocol("unknown frame type " + std::to_string(type)));
  header.type = static_cast<FrameType>(type);
  const Shape& shape = kShapes[type];
  if (header.length < shape.least || header.length > shape.most)
    return std::unexpected(
        protocol(std::string(to_string(header.type)) + " with a length of " + std::to_string(header.length)));
  if (shape.on_stream != (header.stream != 0) || header.stream > kMaxStreamId)
    return std::unexpected(
        protocol(std::string(to_string(header.type)) + " on stream " + std::to_string(header.stream)));
  return header;
}

std::size_t encode_open(const OpenPayload& open, std::span<std::byte, kMaxOpenEncoded> to) {
  store_be<std::uint32_t>(to.data(), open.tunnel);
  to[4] = std::byte{open.kind};
  to[5] = std::byte{open.family};
  store_be<std::uint16_t>(&to[6], open.port);
  const std::size_t n = open.family == 4 ? 4 : open.family == 6 ? 16 : 0;
  std::copy_n(open.address.begin(), n, to.begin() + 8);
  return 8 + n;
}

std::optional<OpenPayload> decode_open(ConstBytes payload) {
  if (payload.size() < kMinOpen) return std::nullopt;
  OpenPayload open;
  open.tunnel = load_be<std::uint32_t>(payload.data());
  open.kind = std::to_integer<std::uint8_t>(payload[4]);
  open.family = std::to_integer<std::uint8_t>(payload[5]);
  open.port = load_be<std::uint16_t>(&payload[6]);
  if (open.kind != 1 && open.kind != 2) return std::nullopt;
  if (open.family != 0 && open.family != 4 && open.family != 6) return std::nullopt;
  const std::size_t n = open.family == 4 ? 4 : open.family == 6 ? 16 : 0;
  if (payload.size() < 8 + n) return std::nullopt;
  std::copy_n(payload.begin() + 8, n, open.address.begin());
  return open;
}

std::string_view to_string(GoawayCode code) {
  constexpr std::array<std::string_view, 8> kNames{"done",      "protocol", "version",      "limit",
                                                   "exhausted", "replaced", "unauthorized", "internal"};
  const auto i = static_cast<std::size_t>(code);
  return i < kNames.size() ? kNames[i] : "unknown";
}

GoawayPayload decode_goaway(ConstBytes payload) {
  return {load_be<std::uint32_t>(payload.data()), load_be<std::uint32_t>(payload.data() + 4),
          as_text(payload.subspan(8))};
}

}  // namespace ferrotunnel::wire
