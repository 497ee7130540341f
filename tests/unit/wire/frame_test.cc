// Headers at every boundary of docs/wire-protocol.md section 2, and payloads cut at each byte.
#include "wire/frame.h"

#include <gtest/gtest.h>

namespace ferrotunnel::wire {
namespace {

struct Bounds {
  FrameType type;
  std::uint32_t least, most;
  bool on_stream;
};
constexpr std::array<Bounds, 8> kBounds{{{FrameType::Data, 0, 262144, true},
                                         {FrameType::Open, 8, 1024, true},
                                         {FrameType::Credit, 4, 4, true},
                                         {FrameType::Reset, 4, 4, true},
                                         {FrameType::Ping, 8, 8, false},
                                         {FrameType::Pong, 8, 8, false},
                                         {FrameType::Goaway, 8, 264, false},
                                         {FrameType::Control, 2, 65536, false}}};

std::array<std::byte, kHeaderSize> encoded(const FrameHeader& header) {
  std::array<std::byte, kHeaderSize> bytes;
  encode_header(header, bytes.data());
  return bytes;
}

TEST(Frame, HeadersComeBackAsTheyWere) {
  for (const Bounds& b : kBounds) {
    for (const std::uint32_t length : {b.least, (b.least + b.most) / 2, b.most}) {
      for (std::uint8_t flags = 0; flags < 16; ++flags) {
        const FrameHeader sent{b.type, flags, length, b.on_stream ? 0x7fff'ffffu : 0u};
        const auto got = decode_header(encoded(sent));
        ASSERT_TRUE(got) << to_string(b.type) << " " << length;
        EXPECT_EQ(got->type, sent.type);
        EXPECT_EQ(got->flags, flags) << "unknown flags are kept, and ignored above";
        EXPECT_EQ(got->length, length);
        EXPECT_EQ(got->stream, sent.stream);
        EXPECT_EQ(got->fin(), (flags & 1) != 0);
      }
    }
  }
}

TEST(Frame, LengthsOutsideTheTableAreRefused) {
  for (const Bounds& b : kBounds) {
    const std::uint32_t stream = b.on_stream ? 2 : 0;
    if (b.least > 0) {
      EXPECT_FALSE(decode_header(encoded({b.type, 0, b.least - 1, stream}))) << to_string(b.type);
    }
    EXPECT_FALSE(decode_header(encoded({b.type, 0, b.most + 1, stream}))) << to_string(b.type);
    EXPECT_FALSE(decode_header(encoded({b.type, 0, 0xff'ffff, stream}))) << to_string(b.type);
  }
}

TEST(Frame, StreamsWhereTheyDoNotBelongAreRefused) {
  for (const Bounds& b : kBounds) {
    const auto got = decode_header(encoded({b.type, 0, b.least, b.on_stream ? 0u : 1u}));
    ASSERT_FALSE(got) << to_string(b.type);
    EXPECT_EQ(got.error().code, ErrorCode::Protocol);
    EXPECT_FALSE(decode_header(encoded({b.type, 0, b.least, 0x8000'0000u}))) << "past the last id";
  }
}

TEST(Frame, UnknownTypesAreRefused) {
  for (unsigned type = 8; type < 16; ++type) {
    std::array<std::byte, kHeaderSize> bytes{};
    bytes[0] = static_cast<std::byte>(type);
    const auto got = decode_header(bytes);
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().context.find(std::to_string(type)), std::string::npos) << got.error().context;
  }
}

TEST(Frame, PrefacesAreChecked) {
  PrefaceBytes good = encode(Preface{1, 7, 0x0000'0000'ffff'ffff});
  const auto read = decode_preface(good);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->minor, 7);
  EXPECT_EQ(read->features, 0xffff'ffffu);
  for (std::size_t i = 0; i < 4; ++i) {
    PrefaceBytes bad = good;
    bad[i] ^= std::byte{1};
    const auto got = decode_preface(bad);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::Protocol);
    for (std::size_t n = 0; n <= kPrefaceSize; ++n) EXPECT_EQ(may_be_preface(ConstBytes(bad).first(n)), n <= i);
  }
  for (std::size_t n = 0; n <= kPrefaceSize; ++n) EXPECT_TRUE(may_be_preface(ConstBytes(good).first(n)));
  good[6] = good[7] = std::byte{0xff};
  EXPECT_TRUE(decode_preface(good)) << "reserved bytes are ignored";
  EXPECT_EQ(decode_preface(encode(Preface{2, 0, 0})).error().code, ErrorCode::Version);
  EXPECT_EQ(decode_preface(encode(Preface{0, 0, 0})).error().code, ErrorCode::Version);
  for (int bit = 32; bit < 64; ++bit)
    EXPECT_EQ(decode_preface(encode(Preface{1, 0, 1ull << bit})).error().code, ErrorCode::Version) << "demand " << bit;
}

TEST(Frame, OpensAreReadOnlyWhole) {
  for (const std::uint8_t family : {0, 4, 6}) {
    OpenPayload open;
    open.tunnel = 0xdead'beef;
    open.kind = 2;
    open.family = family;
    open.port = 65535;
    const std::size_t address = family == 4 ? 4 : family == 6 ? 16 : 0;
    for (std::size_t i = 0; i < address; ++i) open.address[i] = static_cast<std::byte>(i + 1);
    std::array<std::byte, kMaxOpenEncoded> bytes;
    const std::size_t n = encode_open(open, bytes);
    ASSERT_EQ(n, 8 + address);
    for (std::size_t cut = 0; cut < n; ++cut) EXPECT_FALSE(decode_open(ConstBytes(bytes).first(cut))) << cut;
    const auto got = decode_open(ConstBytes(bytes).first(n));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->tunnel, open.tunnel);
    EXPECT_EQ(got->kind, 2);
    EXPECT_EQ(got->port, 65535);
    EXPECT_EQ(got->address, open.address);
    std::vector<std::byte> longer(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    longer.resize(kMaxOpen, std::byte{0x55});
    EXPECT_TRUE(decode_open(longer)) << "room for later fields";
  }
  std::array<std::byte, 24> bytes{};
  for (unsigned kind = 0; kind < 256; ++kind) {
    bytes[4] = static_cast<std::byte>(kind);
    EXPECT_EQ(decode_open(bytes).has_value(), kind == 1 || kind == 2) << kind;
  }
  bytes[4] = std::byte{1};
  for (unsigned family = 0; family < 256; ++family) {
    bytes[5] = static_cast<std::byte>(family);
    EXPECT_EQ(decode_open(bytes).has_value(), family == 0 || family == 4 || family == 6) << family;
  }
}

}  // namespace
}  // namespace ferrotunnel::wire
