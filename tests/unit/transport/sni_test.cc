// SNI: what is read from a ClientHello, how names are spelled, and which of several stands for one.
#include "transport/tls/sni.h"

#include <gtest/gtest.h>

namespace ferrotunnel::transport {
namespace {

using namespace std::string_literals;

std::string entry(const std::string& name, char type = 0) {
  std::string text(1, type);
  text += static_cast<char>(name.size() >> 8);
  text += static_cast<char>(name.size() & 0xff);
  return text + name;
}
std::string extension(const std::string& entries) {
  std::string text;
  text += static_cast<char>(entries.size() >> 8);
  text += static_cast<char>(entries.size() & 0xff);
  return text + entries;
}
std::string spelled(std::string_view name) {
  std::string out = "before";
  const bool good = normalise_name(name, out);
  EXPECT_EQ(good, !out.empty()) << name;
  return out;
}

TEST(Sni, TheNameOfAnExtension) {
  EXPECT_EQ(sni_host_name(extension(entry("app.example.com"))), "app.example.com");
  EXPECT_EQ(sni_host_name(""), "");
  EXPECT_EQ(sni_host_name(extension(entry("x", 1))), "") << "a name of a kind that nobody knows";
}

TEST(Sni, WhatIsMalformed) {
  const std::string good = extension(entry("app.example.com"));
  for (std::size_t n = 1; n < good.size(); ++n) EXPECT_FALSE(sni_host_name(good.substr(0, n))) << n;
  EXPECT_FALSE(sni_host_name(good + "x"));
  EXPECT_FALSE(sni_host_name(extension(entry("a") + entry("b")))) << "two names";
  EXPECT_FALSE(sni_host_name(extension(entry(""))));
  EXPECT_FALSE(sni_host_name("\x00\x00"s));
  EXPECT_FALSE(sni_host_name("\xff\xff\x00"s));
}

TEST(Sni, TheOneSpelling) {
  EXPECT_EQ(spelled("App.Example.COM"), "app.example.com");
  EXPECT_EQ(spelled("app.example.com."), "app.example.com");
  EXPECT_EQ(spelled("localhost"), "localhost");
  EXPECT_EQ(spelled("_a-b.c0"), "_a-b.c0");
  EXPECT_EQ(spelled(std::string(63, 'a') + ".b"), std::string(63, 'a') + ".b");
  for (const std::string& wrong :
       {""s, "."s, ".."s, "a..b"s, ".a"s, "-a.b"s, "a-.b"s, "a.b-"s, "a b"s, "a\0b"s, "ä.de"s, "*.a"s, "[::1]"s, "a:1"s,
        "a/b"s, std::string(64, 'a'), std::string(254, 'a')})
    EXPECT_EQ(spelled(wrong), "") << wrong;
  std::string longest;
  while (longest.size() < 252) longest += "a.";
  EXPECT_EQ(spelled(longest + "a"), longest + "a");
  EXPECT_EQ(spelled(longest + "aa"), "");
}

TEST(NameTable, ExactBeforeWildcardOfOneLabel) {
  NameTable names;
  EXPECT_EQ(names.claim("*.Example.com", 1), 1u);
  EXPECT_EQ(names.claim("app.example.com", 2), 2u);
  EXPECT_EQ(names.claim("example.com", 3), 3u);
  EXPECT_EQ(names.claim("*.deep.example.com", 4), 4u);
  EXPECT_EQ(names.size(), 4u);
  EXPECT_EQ(names.find("app.example.com"), 2u);
  EXPECT_EQ(names.find("other.example.com"), 1u);
  EXPECT_EQ(names.find("deep.example.com"), 1u);
  EXPECT_EQ(names.find("example.com"), 3u);
  EXPECT_EQ(names.find("x.deep.example.com"), 4u);
  EXPECT_EQ(names.find("x.y.example.com"), std::nullopt);
  EXPECT_EQ(names.find("xexample.com"), std::nullopt);
  EXPECT_EQ(names.find("com"), std::nullopt);
  EXPECT_EQ(names.find(""), std::nullopt);
  EXPECT_EQ(names.find(".example.com"), std::nullopt);
}

TEST(NameTable, TheFirstClaimStays) {
  NameTable names;
  EXPECT_EQ(names.claim("a.test", 1), 1u);
  EXPECT_EQ(names.claim("A.TEST.", 2), 1u);
  EXPECT_EQ(names.find("a.test"), 1u);
  for (const char* wrong : {"", "*", "*.", "*.*.a", "a*.test", "x.*.test", "**.test", "*.-a"})
    EXPECT_EQ(names.claim(wrong, 3), std::nullopt) << wrong;
  EXPECT_EQ(names.size(), 1u);
}

}  // namespace
}  // namespace ferrotunnel::transport
