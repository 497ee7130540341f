// PROXY headers: the specification's examples, cut and broken everywhere, and what is written is read again.
#include "transport/tcp/proxy_protocol.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {
namespace {

using State = ProxyHeaderParser::State;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}
PeerAddress peer(const char* ip, std::uint16_t port) { return to_peer_address(*parse_ip(ip, port)); }
std::string show(const PeerAddress& address) { return to_string(address) + " " + std::to_string(address.port); }

// "192.0.2.1 1 > 192.0.2.2 2", "own" for a header that names nobody, "more", or "invalid".
struct Reading {
  std::string text;
  std::size_t consumed = 0;
};
Reading read(std::string_view input, std::size_t piece = std::string::npos) {
  ProxyHeaderParser parser;
  Reading reading{"more", 0};
  while (!input.empty()) {
    const std::string_view part = input.substr(0, piece);
    const auto step = parser.feed(as_bytes(part));
    reading.consumed += step.consumed;
    EXPECT_LE(step.consumed, part.size());
    if (step.state == State::Invalid) {
      EXPECT_FALSE(parser.reason().empty());
      return {"invalid", 0};
    }
    if (step.state == State::Done) {
      const ProxyHeader& header = parser.header();
      reading.text = header.named ? show(header.source) + " > " + show(header.destination) : "own";
      return reading;
    }
    EXPECT_EQ(step.consumed, part.size());
    input.remove_prefix(part.size());
  }
  return reading;
}
std::string written(ProxyVersion version, const PeerAddress& from, const PeerAddress& to) {
  std::array<std::byte, kMaxProxyV1> buffer{};
  const std::size_t n =
      version == ProxyVersion::V1 ? write_proxy_v1(from, to, buffer) : write_proxy_v2(from, to, buffer);
  return std::string(as_text(ConstBytes(buffer).first(n)));
}

// PROXY over TCP and IPv4, 192.0.2.1:4660 to 192.0.2.2:443, with `tlvs` behind the addresses.
std::string v2(const std::string& tlvs, int command = 0x21, int family = 0x11) {
  const auto length = static_cast<int>(12 + tlvs.size());
  return kSignature + bytes({command, family, length >> 8, length & 0xff}) +
         bytes({192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0x01, 0xbb}) + tlvs;
}
const std::string kV2Means = "192.0.2.1 4660 > 192.0.2.2 443";

struct Golden {
  std::string header, means;
};
const std::vector<Golden>& goldens() {
  static const std::vector<Golden> all = {
      {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255 65535 > 255.255.255.255 65535"},
      {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1 56324 > 192.168.0.11 443"},
      {"PROXY TCP4 0.0.0.0 10.0.0.1 0 1\r\n", "0.0.0.0 0 > 10.0.0.1 1"},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 > ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"},
      {"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", "2001:db8::1 1 > ::1 2"},
      {"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n", "192.0.2.1 1 > 2001:db8::2 2"},
      {"PROXY UNKNOWN\r\n", "own"},
      {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "own"},
      {v2(""), kV2Means},
      {v2(bytes({0x04, 0, 3, 9, 9, 9, 0x02, 0, 1, 'h', 0x04, 0, 0})), kV2Means},
      {kSignature + bytes({0x21, 0x21, 0, 36}) + bytes({0x20, 0x01, 0x0d, 0xb8}) + std::string(11, '\0') + "\1" +
           std::string(15, '\0') + "\1" + bytes({0, 80, 0xff, 0xff}),
       "2001:db8::1 80 > ::1 65535"},
      {kSignature + bytes({0x20, 0x00, 0, 0}), "own"},
      {kSignature + bytes({0x20, 0x11, 0, 2, 1, 2}), "own"},                      // LOCAL: the rest is not looked at
      {kSignature + bytes({0x21, 0x00, 0, 3, 1, 2, 3}), "own"},                   // UNSPEC
      {v2("", 0x21, 0x12), "own"},                                                // UDP
      {kSignature + bytes({0x21, 0x31, 0, 216}) + std::string(216, 'u'), "own"},  // unix
  };
  return all;
}

// ---- reading ------------------------------------------------------------------------------------------------------

TEST(ProxyHeader, GoldenHeadersWholeCutAndWithBytesBehind) {
  for (const auto& [header, means] : goldens()) {
    SCOPED_TRACE(header);
    EXPECT_EQ(read(header).text, means);
    const Reading followed = read(header + "GET / HTTP/1.1\r\n" + std::string(1000, 'x'));
    EXPECT_EQ(followed.text, means);
    EXPECT_EQ(followed.consumed, header.size());
    for (std::size_t piece = 1; piece < header.size(); ++piece) {
      EXPECT_EQ(read(header.substr(0, piece)).text, "more") << piece;
      const Reading cut = read(header + "PROXY and more", piece);
      EXPECT_EQ(cut.text, means) << piece;
      EXPECT_EQ(cut.consumed, header.size()) << piece;
    }
  }
}

TEST(ProxyHeader, WhatIsNoHeaderIsRefusedAtItsFirstByteThatIsNot) {
  for (const char* text : {"G", "GET / HTTP/1.1\r\n", "PROXx", "proxy ", "\r\n\r\nX", "\x16\x03\x01"})
    EXPECT_EQ(read(text).text, "invalid") << text;
}

TEST(ProxyHeader, V1IsStrict) {
  for (const char* line : {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx",
                           "PROXY \r\n",
                           "PROXY  TCP4\r\n",
                           "PROXY TCP4\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
                           "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
                           "PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 0xc0.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
                           "PROXY TCP4 ::1 ::1 1 2\r\n",
                           "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
                           "PROXY TCP6 1::2::3 ::1 1 2\r\n",
                           "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY UNKNOWNX\r\n",
                           "PROXY unknown\r\n"})
    EXPECT_EQ(read(line).text, "invalid") << line;
  EXPECT_EQ(read(std::string("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", 38)).text, "invalid");
}

TEST(ProxyHeader, V1HasAtMost107Bytes) {
  const std::string start = "PROXY UNKNOWN ";
  const std::string longest = start + std::string(kMaxProxyV1 - 2 - start.size(), 'f');
  EXPECT_EQ(read(longest + "\r\n").text, "own");
  EXPECT_EQ(read(longest + "\r\n", 1).text, "own");
  EXPECT_EQ(read(longest).text, "more");
  EXPECT_EQ(read(longest + "\r").text, "more");
  EXPECT_EQ(read(longest + "f").text, "more");
  EXPECT_EQ(read(longest + "f\r").text, "invalid");
  EXPECT_EQ(read(longest + "f\r\n").text, "invalid");
  EXPECT_EQ(read(longest + "ff").text, "invalid");
  EXPECT_EQ(read(longest + std::string(4096, 'f')).text, "invalid");
}

// What is read from a changed header is what is written there: nothing is read in two ways.
TEST(ProxyHeader, EveryByteOfAV1HeaderChangedToEveryOther) {
  const std::string good = "PROXY TCP4 192.0.2.1 198.51.100.20 4660 443\r\n";
  int taken = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = good;
      changed[at] = static_cast<char>(value);
      ProxyHeaderParser parser;
      const auto step = parser.feed(as_bytes(changed));
      if (step.state != State::Done) continue;
      ++taken;
      ASSERT_TRUE(parser.header().named);
      EXPECT_EQ(written(ProxyVersion::V1, parser.header().source, parser.header().destination), changed);
    }
  }
  EXPECT_GT(taken, 100);
}

TEST(ProxyHeader, V2Limits) {
  const auto of_length = [](std::size_t length) {
    const std::size_t padding = length - 12 - 3;
    return v2(bytes({0x04, static_cast<int>(padding >> 8), static_cast<int>(padding & 0xff)}) +
              std::string(padding, 'p'));
  };
  EXPECT_EQ(read(of_length(kMaxProxyV2Rest)).text, kV2Means);
  EXPECT_EQ(read(of_length(kMaxProxyV2Rest), 1).text, kV2Means);
  EXPECT_EQ(read(of_length(kMaxProxyV2Rest + 1)).text, "invalid");
  // It is refused as soon as the length is there.
  EXPECT_EQ(read(kSignature + bytes({0x21, 0x11, 0xff, 0xff})).text, "invalid");
  EXPECT_EQ(read(kSignature + bytes({0x20, 0x00, 0x02, 0x19})).text, "invalid");
}

TEST(ProxyHeader, V2ThatIsWrong) {
  EXPECT_EQ(read(v2("", 0x11)).text, "invalid");        // a version
  EXPECT_EQ(read(v2("", 0x22)).text, "invalid");        // a command
  EXPECT_EQ(read(v2("", 0x21, 0x41)).text, "invalid");  // a family
  EXPECT_EQ(read(v2("", 0x21, 0x10)).text, "invalid");  // a protocol
  EXPECT_EQ(read(v2("", 0x21, 0x21)).text, "invalid");  // too short for its addresses
  EXPECT_EQ(read(v2(bytes({0x04}))).text, "invalid");
  EXPECT_EQ(read(v2(bytes({0x04, 0}))).text, "invalid");
  EXPECT_EQ(read(v2(bytes({0x04, 0, 1}))).text, "invalid");
  EXPECT_EQ(read(v2(bytes({0x04, 0, 0, 0x04, 0, 2, 7}))).text, "invalid");
  EXPECT_EQ(read(v2(bytes({0x03, 0, 3, 1, 2, 3}))).text, "invalid");
}

TEST(ProxyHeader, ACrc32cIsChecked) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  const std::string behind = bytes({0x04, 0, 1, 5});
  std::string header = v2(bytes({0x03, 0, 4, 0, 0, 0, 0}) + behind);
  const std::uint32_t sum = crc32c(as_bytes(header));
  for (int i = 0; i < 4; ++i) header[31 + i] = static_cast<char>(sum >> (24 - 8 * i));
  EXPECT_EQ(read(header).text, kV2Means);
  for (std::size_t at = 0; at < header.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = header;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      // A changed type of the TLV hides the sum; LOCAL is not looked into; a longer header is not all there.
      const std::string means = read(changed).text;
      if (at == 28 || at == 12 || at == 13 || at == 14 || at == 15) continue;
      EXPECT_EQ(means, "invalid") << at << " " << bit;
    }
  }
}

// ---- writing ------------------------------------------------------------------------------------------------------

TEST(ProxyHeader, WrittenBytes) {
  const PeerAddress v4 = peer("192.0.2.1", 4660), other4 = peer("192.0.2.2", 443);
  const PeerAddress v6 = peer("2001:db8::1", 80), other6 = peer("::1", 65535);
  EXPECT_EQ(written(ProxyVersion::V1, v4, other4), "PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, v6, other6), "PROXY TCP6 2001:db8::1 ::1 80 65535\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, v6, other4), "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 80 443\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, v4, other6), "PROXY TCP6 ::ffff:192.0.2.1 ::1 4660 65535\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, {}, other4), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, v4, {}), "PROXY TCP4 192.0.2.1 0.0.0.0 4660 0\r\n");
  EXPECT_EQ(written(ProxyVersion::V1, v6, {}), "PROXY TCP6 2001:db8::1 :: 80 0\r\n");
  EXPECT_EQ(written(ProxyVersion::V2, v4, other4), v2(""));
  EXPECT_EQ(written(ProxyVersion::V2, {}, other4), kSignature + bytes({0x20, 0x00, 0, 0}));
}

TEST(ProxyHeader, WhatIsWrittenIsReadAgain) {
  const PeerAddress all[] = {peer("192.0.2.1", 1), peer("255.255.255.255", 65535), peer("2001:db8::1", 2),
                             peer("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535), peer("::", 0)};
  for (const ProxyVersion version : {ProxyVersion::V1, ProxyVersion::V2}) {
    for (const PeerAddress& from : all) {
      for (const PeerAddress& to : all) {
        const std::string header = written(version, from, to);
        EXPECT_EQ(read(header + "x").text, show(from) + " > " + show(to));
        EXPECT_EQ(read(header + "x").consumed, header.size());
      }
    }
  }
}

}  // namespace
}  // namespace ferrotunnel::transport
