// Grant: which hosts and ports it covers, and how that is said.
#include "session/grant.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace ferrotunnel::session {
namespace {

Grant with_hosts(std::vector<std::string> hosts) {
  Grant grant;
  grant.hosts = std::move(hosts);
  return grant;
}

TEST(GrantTest, Hosts) {
  struct Case {
    std::vector<std::string> granted;
    std::string_view host;
    bool allowed;
  };
  const Case cases[] = {
      {{"*"}, "anything.example.org", true},
      {{"*"}, "*.example.org", true},
      {{}, "a.example.com", false},
      {{"a.example.com"}, "a.example.com", true},
      {{"a.example.com"}, "b.a.example.com", false},
      {{"a.example.com"}, "*.a.example.com", false},
      {{"*.example.com"}, "a.example.com", true},
      {{"*.example.com"}, "b.a.example.com", true},
      {{"*.example.com"}, "example.com", false},
      {{"*.example.com"}, "badexample.com", false},
      {{"*.example.com"}, ".example.com", false},
      // A wildcard is granted where all that it stands for is.
      {{"*.example.com"}, "*.example.com", true},
      {{"*.example.com"}, "*.dev.example.com", true},
      {{"*.dev.example.com"}, "*.example.com", false},
      {{"*.example.com"}, "*.badexample.com", false},
      {{"a.example.org", "*.example.com"}, "c.example.com", true},
      {{"[::1]"}, "[::1]", true},
  };
  for (const Case& one : cases) {
    std::string granted;
    for (const std::string& host : one.granted) granted += host + " ";
    EXPECT_EQ(with_hosts(one.granted).allows_host(one.host), one.allowed) << granted << "<- " << one.host;
  }
}

TEST(GrantTest, WhatIsGrantedWithinAWildcard) {
  const auto within = [](std::vector<std::string> granted, std::string_view host) {
    return with_hosts(std::move(granted)).allows_host_within(host, "*.example.com");
  };
  EXPECT_TRUE(within({"a.example.com"}, "a.example.com"));
  EXPECT_TRUE(within({"*", "*.a.example.com"}, "b.a.example.com"));
  EXPECT_TRUE(within({"*.a.example.com"}, "*.a.example.com"));
  EXPECT_FALSE(within({"*"}, "a.example.com"));
  EXPECT_FALSE(within({"*.example.com"}, "a.example.com")) << "it is the whole, which another has";
  EXPECT_FALSE(within({"*.com"}, "a.example.com"));
  EXPECT_FALSE(within({"b.example.com", "*.b.example.com"}, "a.example.com"));
  EXPECT_TRUE(with_hosts({"*.com"}).allows_host_within("*.example.com", "*"));
  EXPECT_FALSE(with_hosts({"*"}).allows_host_within("*.example.com", "*"));
}

TEST(GrantTest, Ports) {
  Grant grant;
  EXPECT_FALSE(grant.allows_port(1023)) << "what needs root is granted in so many words";
  EXPECT_TRUE(grant.allows_port(1024) && grant.allows_port(65535));
  grant.ports = {{2222, 2222}, {3000, 3010}};
  for (const int port : {2222, 3000, 3005, 3010})
    EXPECT_TRUE(grant.allows_port(static_cast<std::uint16_t>(port))) << port;
  for (const int port : {0, 22, 2221, 2223, 2999, 3011}) {
    EXPECT_FALSE(grant.allows_port(static_cast<std::uint16_t>(port))) << port;
  }
  grant.ports.clear();
  EXPECT_FALSE(grant.allows_port(2222));
}

TEST(GrantTest, Expiry) {
  Grant grant;
  const Grant::Time now{std::chrono::seconds(1'000'000)};
  EXPECT_FALSE(grant.expired(now));
  grant.expires = now;
  EXPECT_TRUE(grant.expired(now));
  EXPECT_FALSE(grant.expired(now - std::chrono::seconds(1)));
}

TEST(GrantTest, ItKnowsWhatWasProved) {
  const Secret one(as_bytes("the first secret of two")), two(as_bytes("the second secret, newer"));
  Grant grant;
  grant.secrets = {one, two};
  EXPECT_TRUE(grant.knows(AuthKey::of(one)) && grant.knows(AuthKey::of(two)));
  grant.secrets = {two};
  EXPECT_FALSE(grant.knows(AuthKey::of(one)));
  EXPECT_TRUE(grant.knows(AuthKey::of(two)));
}

TEST(GrantTest, PortRanges) {
  EXPECT_EQ(parse_port_range("2222"), (PortRange{2222, 2222}));
  EXPECT_EQ(parse_port_range("3000-3010"), (PortRange{3000, 3010}));
  EXPECT_EQ(parse_port_range("1-65535"), (PortRange{1, 65535}));
  EXPECT_EQ(parse_port_range("7-7"), (PortRange{7, 7}));
  for (const char* wrong : {"", "-", "0", "0-5", "65536", "1-65536", "5-4", "a", "1-", "-1", "1-2-3", "1 ", " 1", "+1",
                            "1--2", "99999999999"})
    EXPECT_EQ(parse_port_range(wrong), std::nullopt) << wrong;
}

TEST(GrantTest, InWords) {
  Grant grant;
  EXPECT_EQ(hosts_text(grant), "*");
  EXPECT_EQ(ports_text(grant), "1024-65535");
  grant.hosts = {"*.example.com", "app.example.org"};
  grant.ports = {{2222, 2222}, {3000, 3010}};
  EXPECT_EQ(hosts_text(grant), "*.example.com, app.example.org");
  EXPECT_EQ(ports_text(grant), "2222, 3000-3010");
  grant.hosts.clear();
  grant.ports.clear();
  EXPECT_EQ(hosts_text(grant) + ports_text(grant), "nonenone");
}

}  // namespace
}  // namespace ferrotunnel::session
