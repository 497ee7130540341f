// Lists of IP networks: what is in, what is not, and what is said of one that is wrong.
#include "transport/tcp/ip_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {
namespace {

PeerAddress peer(const std::string& ip) { return to_peer_address(*parse_ip(ip, 1)); }
IpSet set_of(const std::vector<std::string>& networks) {
  auto set = IpSet::parse(networks);
  EXPECT_TRUE(set) << (set ? "" : set.error().context);
  return set ? std::move(*set) : IpSet();
}
std::string wrong(const std::string& network) {
  const auto set = IpSet::parse(std::vector<std::string>{network});
  EXPECT_FALSE(set) << network;
  if (set) return "";
  EXPECT_EQ(set.error().code, ErrorCode::BadInput);
  return set.error().context;
}

TEST(IpSet, NetworksAndAddressesOfBothFamilies) {
  const IpSet set = set_of({"192.0.2.0/24", "10.0.0.1", "2001:db8::/32", "::1", "0.0.0.0/8"});
  for (const char* in : {"192.0.2.0", "192.0.2.255", "10.0.0.1", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                         "::1", "0.255.255.255"})
    EXPECT_TRUE(set.contains(peer(in))) << in;
  for (const char* out : {"192.0.1.255", "192.0.3.0", "10.0.0.0", "10.0.0.2",
                          "2001:db7:ffff::", "2001:db9::", "::", "::2", "1.0.0.0", "255.255.255.255"})
    EXPECT_FALSE(set.contains(peer(out))) << out;
  EXPECT_FALSE(set.contains({}));
}

TEST(IpSet, EveryPrefixLengthEndsWhereItShould) {
  for (unsigned prefix = 0; prefix <= 128; ++prefix) {
    PeerAddress first{6, 0, {}}, last{6, 0, {}};
    for (unsigned bit = 0; bit < 128; ++bit) {
      const auto mask = static_cast<std::byte>(0x80 >> bit % 8);
      if (bit < prefix && bit % 3 == 0) {
        first.bytes[bit / 8] |= mask;
        last.bytes[bit / 8] |= mask;
      }
      if (bit >= prefix) last.bytes[bit / 8] |= mask;
    }
    const IpSet set = set_of({to_string(first) + "/" + std::to_string(prefix)});
    EXPECT_TRUE(set.contains(first)) << prefix;
    EXPECT_TRUE(set.contains(last)) << prefix;
    if (prefix == 0) continue;
    PeerAddress outside = first;
    outside.bytes[(prefix - 1) / 8] ^= static_cast<std::byte>(0x80 >> (prefix - 1) % 8);
    EXPECT_FALSE(set.contains(outside)) << prefix;
  }
}

TEST(IpSet, AllIsEveryAddressThatIsKnown) {
  const IpSet set = set_of({"all"});
  for (const char* ip : {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
    EXPECT_TRUE(set.contains(peer(ip))) << ip;
  EXPECT_FALSE(set.contains({}));
  EXPECT_FALSE(IpSet().contains(peer("127.0.0.1")));
  EXPECT_TRUE(set_of({}).empty());
}

TEST(IpSet, AMappedAddressIsTheIPv4One) {
  PeerAddress mapped{6, 0, {}};
  mapped.bytes[10] = mapped.bytes[11] = std::byte{0xff};
  mapped.bytes[12] = std::byte{192};
  mapped.bytes[14] = std::byte{2};
  mapped.bytes[15] = std::byte{7};
  EXPECT_TRUE(set_of({"192.0.2.0/24"}).contains(mapped));
  EXPECT_TRUE(set_of({"::ffff:192.0.2.0/120"}).contains(peer("192.0.2.200")));
  EXPECT_FALSE(set_of({"::ffff:192.0.2.0/120"}).contains(peer("192.0.3.0")));
  EXPECT_TRUE(set_of({"::ffff:0:0/96"}).contains(peer("255.255.255.255")));
  // The families are apart otherwise.
  EXPECT_FALSE(set_of({"::/0"}).contains(peer("192.0.2.1")));
  EXPECT_FALSE(set_of({"::/0"}).contains(mapped));
  EXPECT_FALSE(set_of({"0.0.0.0/0"}).contains(peer("::1")));
}

TEST(IpSet, RangesThatOverlapAreJoined) {
  const IpSet set = set_of({"10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "192.0.2.1", "10.255.255.255"});
  EXPECT_EQ(set.ranges(), 2u);
  EXPECT_TRUE(set.contains(peer("10.1.2.3")));
  EXPECT_TRUE(set.contains(peer("10.2.0.0")));
}

TEST(IpSet, ThousandsOfThem) {
  std::mt19937 random(7);
  std::vector<std::string> networks;
  std::vector<std::uint32_t> firsts;
  for (int i = 0; i < 5000; ++i) {
    const std::uint32_t first = static_cast<std::uint32_t>(random()) & 0xffffff00u;
    firsts.push_back(first);
    networks.push_back(std::to_string(first >> 24) + "." + std::to_string(first >> 16 & 255) + "." +
                       std::to_string(first >> 8 & 255) + ".0/24");
  }
  const IpSet set = set_of(networks);
  const auto contains = [&set](std::uint32_t ip) {
    PeerAddress address{4, 0, {}};
    for (int i = 0; i < 4; ++i) address.bytes[static_cast<std::size_t>(i)] = static_cast<std::byte>(ip >> (24 - 8 * i));
    return set.contains(address);
  };
  std::ranges::sort(firsts);
  for (int i = 0; i < 20'000; ++i) {
    const auto ip = static_cast<std::uint32_t>(random());
    EXPECT_EQ(contains(ip), std::ranges::binary_search(firsts, ip & 0xffffff00u)) << ip;
  }
  for (const std::uint32_t first : firsts) EXPECT_TRUE(contains(first) && contains(first + 255));
}

TEST(IpSet, WhatIsWrongIsSaid) {
  EXPECT_EQ(wrong("192.0.2.7/24"),
            "'192.0.2.7/24' is not an IP network: its address has bits set behind the first 24; the network is "
            "192.0.2.0/24, the one address 192.0.2.7");
  EXPECT_NE(wrong("2001:db8::1/32").find("2001:db8::/32"), std::string::npos);
  EXPECT_NE(wrong("10.0.0.0/33").find("a number from 0 to 32"), std::string::npos);
  EXPECT_NE(wrong("2001:db8::/129").find("a number from 0 to 128"), std::string::npos);
  for (const char* text : {"",
                           "*",
                           "loopback",
                           "ALL",
                           "localhost",
                           "10.0.0",
                           "10.0.0.01",
                           "10.0.0.1 ",
                           " 10.0.0.1",
                           "[::1]",
                           "fe80::1%eth0",
                           "1.2.3.4:80",
                           "10.0.0.0/",
                           "10.0.0.0/08",
                           "10.0.0.0/-1",
                           "10.0.0.0/8/8",
                           "10.0.0.0/255.0.0.0",
                           "/8",
                           "::ffff:0:0/95",
                           "all/0"})
    EXPECT_NE(wrong(text).find("is not an IP network"), std::string::npos) << text;
  EXPECT_LT(wrong(std::string(100'000, '1')).size(), 400u);
}

}  // namespace
}  // namespace ferrotunnel::transport
