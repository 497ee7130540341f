// Hosts, paths and rules of `register` and `update`: as JSON, and what is too much.
#include <gtest/gtest.h>

#include "wire/control.h"
#include "wire/utf8.h"

namespace ferrotunnel::wire {
namespace {

Rule example() {
  return {"basic_auth",
          {{"realm", "a \"b\""}, {"user", "ann:$2b$"}, {"user", "bob:\n"}},
          {"/admin"},
          {"GET", "POST"},
          {"X-A: b"}};
}

TEST(ControlRules, AreWrittenAndRead) {
  Register message;
  message.name = "web";
  message.proto = TunnelProto::Http;
  message.host = "a.test";
  message.hosts = {"b.test", "*.c.test"};
  message.paths = {"/api"};
  message.methods = {"GET"};
  message.headers = {"X-B", "X-C: d"};
  message.single_use = true;
  message.connect = true;
  message.client_ca = "PEM\n";
  message.rules = {example(), {"max_body", {{"bytes", "1"}}, {}, {}, {}}};
  const std::string json = encode(message);
  EXPECT_EQ(
      json,
      R"({"type":"register","req":0,"name":"web","proto":"http","host":"a.test","hosts":["b.test","*.c.test"],)"
      R"("paths":["/api"],"methods":["GET"],"headers":["X-B","X-C: d"],"single_use":true,"connect":true,"client_ca":"PEM\n","rules":[{"do":"basic_auth","with":{"realm":"a \"b\"","user":["ann:$2b$","bob:\n"]},)"
      R"("paths":["/admin"],"methods":["GET","POST"],"headers":["X-A: b"]},{"do":"max_body","with":{"bytes":"1"}}]})");
  const auto back = decode(json);
  ASSERT_TRUE(back) << back.error().context;
  EXPECT_EQ(std::get<Register>(**back), message);
}

TEST(ControlRules, OfAnUpdate) {
  Update message;
  message.tunnel = 3;
  message.rules.emplace();
  EXPECT_EQ(encode(message), R"({"type":"update","tunnel":3,"rules":[]})");
  EXPECT_EQ(std::get<Update>(**decode(encode(message))), message);
  message.rules->push_back(example());
  EXPECT_EQ(std::get<Update>(**decode(encode(message))), message);
}

TEST(ControlRules, OfATcpTunnelAreNotLookedAt) {
  const auto message = decode(R"({"type":"register","req":1,"name":"x","proto":"tcp","port":1,"rules":7})");
  ASSERT_TRUE(message);
  EXPECT_TRUE(std::get<Register>(**message).rules.empty());
}

TEST(ControlRules, WhatIsUtf8) {
  for (const std::string_view good : {"", "a", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(valid_utf8(good)) << good;
  for (const std::string_view wrong :
       {"caf\xe9", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "a\xff"})
    EXPECT_FALSE(valid_utf8(wrong)) << wrong;
}

TEST(ControlRules, WrongOnesAreErrors) {
  const auto error = [](const std::string& rules) {
    const auto message =
        decode(R"({"type":"register","req":1,"name":"x","proto":"http","host":"","rules":)" + rules + "}");
    return message ? std::string() : message.error().context;
  };
  EXPECT_EQ(error("[]"), "");
  for (const std::string rules :
       {"7", "[7]", "[{}]", R"([{"do":""}])", R"([{"do":"a","with":7}])", R"([{"do":"a","with":{"b":7}}])",
        R"([{"do":"a","with":{"b":[["c"]]}}])", R"([{"do":"a","paths":"/a"}])", R"([{"do":"a","methods":[1]}])"})
    EXPECT_NE(error(rules), "") << rules;
  std::string many = R"({"do":"a"})";
  for (std::size_t i = 0; i < kMaxRules; ++i) many += R"(,{"do":"a"})";
  EXPECT_NE(error("[" + many + "]"), "");
  const std::string half = R"({"do":"a","with":{"b":")" + std::string(kMaxRulesBytes / 2, 'x') + R"("}})";
  EXPECT_EQ(error("[" + half + "]"), "");
  EXPECT_NE(error("[" + half + "," + half + "]").find("more than 32768 bytes"), std::string::npos);
}

}  // namespace
}  // namespace ferrotunnel::wire
