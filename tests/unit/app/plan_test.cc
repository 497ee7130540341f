// plan_client(): what is too much for one message to the server is a mistake here, not the end of the link there.
#include "app/client/plan.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "app/rules.h"
#include "unit/transport/tls_fixture.h"

namespace ferrotunnel::app {
namespace {

ClientConfig config_of(TunnelConfig tunnel) {
  ClientConfig config;
  config.servers = {"localhost"};
  config.grant = "laptop";
  config.secret = "0123456789abcdef";
  tunnel.name = "web";
  if (tunnel.to.empty()) tunnel.to = "80";
  config.tunnels = {std::move(tunnel)};
  return config;
}
// Nothing: the server takes what it hears of it.
std::string mistake(const TunnelConfig& tunnel) {
  const auto plan = plan_client(config_of(tunnel));
  if (!plan) {
    EXPECT_EQ(plan.error().code, ErrorCode::BadInput);
    EXPECT_TRUE(plan.error().context.starts_with("the tunnel web")) << plan.error().context;
    return plan.error().context;
  }
  wire::Register message = register_of(plan->tunnels[0]);
  const auto heard = wire::decode(wire::encode(message));
  EXPECT_TRUE(heard) << heard.error().context;
  if (heard) EXPECT_EQ(std::get<wire::Register>(**heard), message);
  return "";
}
TunnelConfig with(TunnelRule rule) {
  TunnelConfig tunnel;
  tunnel.rules = {std::move(rule)};
  return tunnel;
}
std::vector<std::string> many(std::size_t count, const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(text + std::to_string(i));
  return all;
}

TEST(Plan, WhatARuleIsForIsAsMuchAsAServerTakes) {
  TunnelRule rule = rules::redirect("/new");
  for (const auto& [what, list] :
       {std::pair{"paths", &rule.paths}, std::pair{"methods", &rule.methods}, std::pair{"headers", &rule.headers}}) {
    const std::string word = what, text = word == "paths" ? "/a" : "a";
    *list = many(64, text);
    EXPECT_EQ(mistake(with(rule)), "") << what;
    *list = many(65, text);
    EXPECT_EQ(mistake(with(rule)), "the tunnel web: rule 1 (redirect): it has 65 " + word + ", and may have 64");
    const std::size_t most = word == "methods" ? 64 : 1024;
    *list = {text + std::string(most - text.size(), 'b')};
    EXPECT_EQ(mistake(with(rule)), "") << what;
    list->front() += 'b';
    EXPECT_EQ(mistake(with(rule)), "the tunnel web: rule 1 (redirect): one of its " + word + " has more than " +
                                       std::to_string(most) + " bytes");
    list->clear();
  }
}

TEST(Plan, WhatARuleSaysIsAsMuchAsAServerTakes) {
  EXPECT_EQ(mistake(with(rules::set_response_headers(many(256, "X: ")))), "");
  EXPECT_EQ(mistake(with(rules::set_response_headers(many(257, "X: ")))),
            "the tunnel web: rule 1 (response_headers): it has 257 values, and may have 256");
  EXPECT_EQ(mistake(with(rules::set_response_headers({"X: caf\xc3\xa9"}))), "");
  EXPECT_EQ(mistake(with(rules::set_response_headers({"X: caf\xe9"}))),
            "the tunnel web: rule 1 (response_headers): set: 'X: caf?' is not UTF-8");
  TunnelRule rule = rules::redirect("/new");
  rule.headers = {"X: caf\xe9"};
  EXPECT_EQ(mistake(with(rule)), "the tunnel web: rule 1 (redirect): one of its headers is not UTF-8");
}

TEST(Plan, WhatATunnelAsksForIsAsMuchAsAServerTakes) {
  TunnelConfig tunnel;
  tunnel.headers = {"X: caf\xe9"};
  EXPECT_TRUE(mistake(tunnel).contains("not UTF-8"));
  tunnel.headers.clear();
  std::string name;
  while (name.size() < 252) name += std::string(62, 'a') + ".";
  tunnel.host = name + "a";
  ASSERT_EQ(tunnel.host.size(), 253u);
  EXPECT_EQ(mistake(tunnel), "");
  // All of it together: quotes are two bytes each in JSON.
  tunnel.host = "a.test";
  for (int i = 0; i < 16; ++i) tunnel.rules.push_back(rules::set_response_headers({"X: " + std::string(2'000, '"')}));
  EXPECT_EQ(mistake(tunnel), "");
  for (int i = 0; i < 64; ++i) tunnel.paths.push_back("/" + std::to_string(i) + std::string(800, 'p'));
  EXPECT_TRUE(mistake(tunnel).contains("one message to the server holds")) << mistake(tunnel);
}

// The server picks the host, and from then on it is asked for by name.
TEST(Plan, ThereIsRoomForAHostThatTheServerPicks) {
  TunnelConfig tunnel;
  tunnel.rules.push_back(rules::set_response_headers({"X: " + std::string(30'000, '"')}));
  std::size_t fits = 0, named = 0;
  for (int i = 0; i < 64 && fits == 0; ++i) {
    tunnel.paths.push_back("/" + std::to_string(100 + i) + std::string(88, 'p'));
    tunnel.host = "a.test";
    if (mistake(tunnel).empty()) named = tunnel.paths.size();
    tunnel.host.clear();
    if (!mistake(tunnel).empty()) fits = tunnel.paths.size();
  }
  EXPECT_GE(named, fits) << "with a short name there is room for more";
  EXPECT_GT(fits, 0u);
}

TEST(Plan, AUrlThatTheServerCouldNotTellOf) {
  TunnelConfig tunnel;
  tunnel.host = "a.test";
  tunnel.paths = {"/" + std::string(1024 - 1 - 6 - 14, 'p')};
  EXPECT_EQ(mistake(tunnel), "");
  tunnel.paths[0] += 'p';
  EXPECT_EQ(mistake(tunnel), "the tunnel web: its host and its first path make a URL of more than 1024 bytes");
  tunnel.paths.insert(tunnel.paths.begin(), "/short");
  EXPECT_EQ(mistake(tunnel), "") << "it tells of the first one";
  tunnel.host = "word";  // a name under the server's domain, however long that is
  tunnel.paths = {"/" + std::string(800, 'p')};
  EXPECT_NE(mistake(tunnel), "");
  tunnel.hosts = {"a.test"};
  tunnel.host = "";
  EXPECT_EQ(mistake(tunnel), "");
}

TEST(Plan, AuthoritiesAreAPartOfTheMessage) {
  const transport::test::TestCa ca("ca");
  const transport::test::TemporaryDirectory directory;
  std::ostringstream pem;
  pem << std::ifstream(ca.file()).rdbuf();
  std::ofstream file(directory / "ca.pem");
  for (int i = 0; i < 16; ++i) file << pem.str();
  file.close();
  TunnelConfig tunnel;
  tunnel.host = "a.test";
  tunnel.client_ca = (directory / "ca.pem").string();
  tunnel.rules.push_back(rules::set_response_headers({"X: " + std::string(27'000, '"')}));
  for (const bool fits : {true, false}) {
    auto plan = plan_client(config_of(tunnel));
    ASSERT_TRUE(plan) << plan.error().context;
    const auto loaded = load_origin_tls(plan->tunnels);
    ASSERT_EQ(loaded.has_value(), fits);
    if (!fits) EXPECT_TRUE(loaded.error().context.contains("authorities")) << loaded.error().context;
    for (const std::string name : {"A: ", "B: ", "C: ", "D: "})
      tunnel.headers.push_back(name + std::string(1'000, '"'));
  }
}

TEST(Plan, SettingsOfOneNameStandTogether) {
  const std::vector<TunnelRule> apart{
      TunnelRule{"response_headers"}.with("set", "A: 1").with("add", "B: 2").with("set", "C: 3").with("add", "D: 4")};
  const auto wire = to_wire(apart, "localhost");
  ASSERT_TRUE(wire) << wire.error().context;
  const std::vector<std::pair<std::string, std::string>> together{
      {"set", "A: 1"}, {"set", "C: 3"}, {"add", "B: 2"}, {"add", "D: 4"}};
  EXPECT_EQ((*wire)[0].settings, together);
  EXPECT_EQ(mistake(with(apart[0])), "");
}

}  // namespace
}  // namespace ferrotunnel::app
