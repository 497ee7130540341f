#include "http/host.h"

#include <gtest/gtest.h>

namespace ferrotunnel::http {
namespace {

std::string normal(std::string_view text) {
  std::string out = "left over";
  return normalise_host(text, out) ? out : "(none)" + out;
}

TEST(Host, Normalise) {
  EXPECT_EQ(normal("Example.COM"), "example.com");
  EXPECT_EQ(normal("example.com."), "example.com");
  EXPECT_EQ(normal("EXAMPLE.com.:8080"), "example.com");
  EXPECT_EQ(normal("127.0.0.1:80"), "127.0.0.1");
  EXPECT_EQ(normal("my_svc-1"), "my_svc-1");
  EXPECT_EQ(normal("xn--caf-dma.example"), "xn--caf-dma.example");
  EXPECT_EQ(normal(std::string(63, 'a') + ".b"), std::string(63, 'a') + ".b");
}

TEST(Host, NormaliseIpv6) {
  EXPECT_EQ(normal("[::1]"), "[::1]");
  EXPECT_EQ(normal("[::]:80"), "[::]");
  EXPECT_EQ(normal("[0:0:0:0:0:0:0:1]"), "[::1]");
  EXPECT_EQ(normal("[2001:DB8:0:0:1:0:0:1]"), "[2001:db8::1:0:0:1]");
  EXPECT_EQ(normal("[2001:db8:0:1:1:1:1:1]"), "[2001:db8:0:1:1:1:1:1]");
  EXPECT_EQ(normal("[2001:0db8::0001]"), "[2001:db8::1]");
  EXPECT_EQ(normal("[1:0:0:2:0:0:0:3]"), "[1:0:0:2::3]");
  EXPECT_EQ(normal("[1::]"), "[1::]");
  EXPECT_EQ(normal("[1:2:3:4:5:6:7::]"), "[1:2:3:4:5:6:7:0]");
  EXPECT_EQ(normal("[::ffff:192.0.2.1]"), "[::ffff:c000:201]");
  EXPECT_EQ(normal("[1:2:3:4:5:6:1.2.3.4]"), "[1:2:3:4:5:6:102:304]");
}

TEST(Host, WhatIsNoHost) {
  for (const std::string_view text : {"",
                                      ".",
                                      "..",
                                      ".a",
                                      "a..b",
                                      "-",
                                      "-a",
                                      "a-",
                                      "b.-a",
                                      "a-.b",
                                      "a b",
                                      "a/b",
                                      "a@b",
                                      "a%20",
                                      "a*",
                                      "*.a",
                                      "a,b",
                                      "a:",
                                      "a:0",
                                      "a:65536",
                                      "a:000080",
                                      "a:8x",
                                      "a:80:80",
                                      ":80",
                                      "caf\xc3\xa9",
                                      "[",
                                      "[]",
                                      "[::1",
                                      "::1",
                                      "[::1]x",
                                      "[::1]:",
                                      "[:1]",
                                      "[1:]",
                                      "[1::2::3]",
                                      "[:::]",
                                      "[12345::]",
                                      "[g::]",
                                      "[1:2:3:4:5:6:7]",
                                      "[1:2:3:4:5:6:7:8:9]",
                                      "[1:2:3:4:5:6:7:8::]",
                                      "[::1.2.3]",
                                      "[::1.2.3.256]",
                                      "[::01.2.3.4]",
                                      "[::1.2.3.4.5]",
                                      "[1.2.3.4]",
                                      "[1:2:3:4:5:6:7:1.2.3.4]",
                                      "[::1%eth0]",
                                      "[v1.a]",
                                      "[::1 ]"})
    EXPECT_EQ(normal(text), "(none)") << text;
  EXPECT_EQ(normal(std::string(64, 'a')), "(none)");
  std::string longest;
  while (longest.size() < 252) longest += "a.";
  longest += 'b';
  ASSERT_EQ(longest.size(), 253u);
  EXPECT_EQ(normal(longest), longest);
  EXPECT_EQ(normal(longest + "."), longest);
  EXPECT_EQ(normal(longest + "b"), "(none)");
}

TEST(Host, SplitAuthority) {
  EXPECT_EQ(split_authority("a:65535")->port, 65535);
  EXPECT_EQ(split_authority("a:00080")->port, 80);
  EXPECT_EQ(split_authority("A.")->host, "A.");
  EXPECT_EQ(split_authority("A.")->port, 0);
  EXPECT_EQ(split_authority("[::1]:8")->host, "[::1]");
  EXPECT_EQ(split_authority("[::1]:8")->port, 8);
}

TEST(Host, SameAuthority) {
  EXPECT_TRUE(same_authority("a", "A.:80", 80));
  EXPECT_TRUE(same_authority("[::1]:443", "[0::1]", 443));
  EXPECT_FALSE(same_authority("a", "a:81", 80));
  EXPECT_FALSE(same_authority("a", "b", 80));
  EXPECT_FALSE(same_authority("", "", 80));
}

TEST(Host, Wildcards) {
  EXPECT_TRUE(wildcard_match("*.example.com", "a.example.com"));
  EXPECT_TRUE(wildcard_match("*.example.com", "a.b.example.com"));
  EXPECT_FALSE(wildcard_match("*.example.com", "example.com"));
  EXPECT_FALSE(wildcard_match("*.example.com", ".example.com"));
  EXPECT_FALSE(wildcard_match("*.example.com", "badexample.com"));
  EXPECT_FALSE(wildcard_match("*.example.com", "a.example.com.evil"));
  EXPECT_FALSE(wildcard_match("example.com", "a.example.com"));
  EXPECT_FALSE(wildcard_match("*", "a"));
  EXPECT_FALSE(wildcard_match("a.*.com", "a.b.com"));
  EXPECT_TRUE(is_wildcard("*.a"));
  EXPECT_FALSE(is_wildcard("*."));
  EXPECT_FALSE(is_wildcard("*.a."));
  EXPECT_FALSE(is_wildcard("*.*.a"));
  EXPECT_FALSE(is_wildcard("*a.b"));
}

}  // namespace
}  // namespace ferrotunnel::http
