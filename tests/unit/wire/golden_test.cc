// The worked example of docs/wire-protocol.md section 7: what this code writes is what the document says, byte for byte.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::wire {
namespace {

std::vector<std::byte> hex(std::string_view text) {
  std::vector<std::byte> bytes;
  std::string digits;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::byte>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

std::vector<std::byte> frame(FrameHeader header, ConstBytes payload) {
  header.length = static_cast<std::uint32_t>(payload.size());
  std::vector<std::byte> bytes(kHeaderSize);
  encode_header(header, bytes.data());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

template <class T>
std::vector<std::byte> be(T value) {
  std::vector<std::byte> bytes(sizeof value);
  store_be(bytes.data(), value);
  return bytes;
}

TEST(WireGolden, Preface) {
  const PrefaceBytes bytes = encode(Preface{});
  EXPECT_EQ(std::vector(bytes.begin(), bytes.end()), hex("46 54 55 4e 01 00 00 00  00 00 00 00 00 00 00 00"));
}

TEST(WireGolden, OpenAndDataWithFin) {
  OpenPayload open;
  open.tunnel = 1;
  open.kind = 1;
  open.family = 4;
  open.port = 50000;
  open.address = {std::byte{192}, std::byte{0}, std::byte{2}, std::byte{7}};
  std::array<std::byte, kMaxOpenEncoded> payload;
  const std::size_t n = encode_open(open, payload);
  EXPECT_EQ(frame({FrameType::Open, 0, 0, 2}, ConstBytes(payload).first(n)),
            hex("01 00 00 0c 00 00 00 02  00 00 00 01 01 04 c3 50 c0 00 02 07"));
  EXPECT_EQ(frame({FrameType::Data, kFlagFin, 0, 2}, as_bytes("hi")), hex("10 00 00 02 00 00 00 02  68 69"));
  EXPECT_EQ(frame({FrameType::Data, kFlagFin, 0, 2}, as_bytes("yo")), hex("10 00 00 02 00 00 00 02  79 6f"));
}

TEST(WireGolden, TheRest) {
  EXPECT_EQ(frame({FrameType::Credit, 0, 0, 2}, be<std::uint32_t>(32768)), hex("02 00 00 04 00 00 00 02  00 00 80 00"));
  EXPECT_EQ(frame({FrameType::Reset, 0, 0, 4}, be<std::uint32_t>(2)), hex("03 00 00 04 00 00 00 04  00 00 00 02"));
  const auto opaque = be<std::uint64_t>(0x0102030405060708);
  EXPECT_EQ(frame({FrameType::Ping, 0, 0, 0}, opaque), hex("04 00 00 08 00 00 00 00  01 02 03 04 05 06 07 08"));
  EXPECT_EQ(frame({FrameType::Pong, 0, 0, 0}, opaque), hex("05 00 00 08 00 00 00 00  01 02 03 04 05 06 07 08"));
  const auto goaway = hex("00 00 00 02 00 00 00 00 62 79 65");
  EXPECT_EQ(frame({FrameType::Goaway, 0, 0, 0}, goaway),
            hex("06 00 00 0b 00 00 00 00  00 00 00 02 00 00 00 00 62 79 65"));
  const GoawayPayload read = decode_goaway(goaway);
  EXPECT_EQ(read.last_stream, 2u);
  EXPECT_EQ(read.code, 0u);
  EXPECT_EQ(read.text, "bye");
}

// Section 4, "Limits".
TEST(WireGolden, Limits) {
  Register request{1, "web", TunnelProto::Tcp, "", 2222};
  request.limits.max_visitors = 100;
  request.limits.bandwidth = 1'000'000;
  request.limits.allow = {"192.0.2.0/24"};
  const std::string_view text =
      R"({"type":"register","req":1,"name":"web","proto":"tcp","port":2222,"limits":{"max_visitors":100,"bandwidth":1000000,"allow":["192.0.2.0/24"]}})";
  EXPECT_EQ(encode(request), text);
  EXPECT_EQ(**decode(text), ControlMessage(request));
  EXPECT_EQ(encode(Update{1, false, Limits{}}), R"({"type":"update","tunnel":1,"limits":{}})");
}

// Section 8.
TEST(WireGolden, DirectLinks) {
  EXPECT_EQ(encode(DirectWanted{4}), R"({"type":"direct","want":4})");
  EXPECT_EQ(encode(Road{9800}), R"({"type":"road","loss_ppm":9800})");
  EXPECT_EQ(kDirectStream, 2u);
  EXPECT_EQ(encode(Preface{.features = kFeatureDirect})[15], std::byte{1});
}

// Section 9.
TEST(WireGolden, FurtherLinks) {
  EXPECT_EQ(encode(LinksWanted{3}), R"({"type":"links","want":3})");
  EXPECT_EQ(encode(Preface{.features = kFeatureLinks})[15], std::byte{2});
}

}  // namespace
}  // namespace ferrotunnel::wire
