// CONTROL messages and base64url: every message there and back, every field missing, mistyped and out of its limits.
#include "wire/control.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "wire/base64.h"

namespace ferrotunnel::wire {
namespace {

template <std::size_t N>
std::array<std::byte, N> counting(std::uint8_t from) {
  std::array<std::byte, N> bytes{};
  for (std::size_t i = 0; i < N; ++i) bytes[i] = static_cast<std::byte>(from + i);
  return bytes;
}

std::vector<ControlMessage> samples() {
  return {
      Challenge{counting<32>(1), "ferrotunnel 0.1.0"},
      Auth{"laptop-1.dev_x", counting<32>(2), counting<32>(3), counting<16>(4), "ferrotunnel 0.1.0"},
      Auth{"laptop", counting<32>(2), counting<32>(3), counting<16>(4), "", counting<16>(9)},
      Welcome{counting<32>(5), "s-17", 3000},
      Welcome{counting<32>(5), "s-18", 3000, counting<16>(9)},
      Refused{"unauthorized", "the token was not accepted"},
      Register{7, "web", TunnelProto::Http, "app.example.com", 0},
      Register{0xffff'ffff, "ssh", TunnelProto::Tcp, "", 2222},
      Register{9, "bulk", TunnelProto::Tcp, "", 0, {}, Carry::Direct},
      Register{10, "ssh", TunnelProto::Tcp, "", 0, {}, Carry::Mux},
      Update{3, false, {}, Carry::Mux},
      Update{3, false, {}, Carry::Auto},
      DirectWanted{0},
      DirectWanted{kMaxDirectWanted},
      Auth{"laptop", counting<32>(2), counting<32>(3), counting<16>(4), "", counting<16>(9), AttachAs::Link},
      LinksWanted{0},
      LinksWanted{kMaxLinksWanted},
      Road{1'000'000},
      Registered{7, 1, "http://app.example.com:8080", 0},
      Registered{8, 2, "tcp://:2222", 2222},
      Rejected{9, "host-taken", "app.example.com is held by another session"},
      Unregister{1},
      Withdrawn{7, "not-allowed", "the grant no longer has app.example.com"},
  };
}

Error failure(std::string_view json) {
  auto decoded = decode(json);
  EXPECT_FALSE(decoded) << json;
  if (decoded) return {};
  EXPECT_EQ(decoded.error().code, ErrorCode::Protocol) << json;
  EXPECT_EQ(decoded.error().side, Side::Tunnel);
  EXPECT_FALSE(decoded.error().retry);
  return decoded.error();
}

TEST(Control, EveryMessageThereAndBack) {
  for (const ControlMessage& message : samples()) {
    const std::string json = encode(message);
    const auto decoded = decode(json);
    ASSERT_TRUE(decoded) << json << ": " << decoded.error().context;
    ASSERT_TRUE(*decoded) << json;
    EXPECT_EQ(**decoded, message) << json;
  }
}

TEST(Control, EveryMessageCutAtEachByte) {
  for (const ControlMessage& message : samples()) {
    const std::string json = encode(message);
    for (std::size_t n = 0; n < json.size(); ++n) failure(std::string_view(json).substr(0, n));
  }
}

TEST(Control, EveryFieldMissingOrOfAnotherType) {
  for (const ControlMessage& message : samples()) {
    const std::string json = encode(message);
    // Fields stand as ,"name":value in the order they were written; the type is first.
    std::size_t at = json.find(",\"");
    while (at != std::string::npos) {
      const std::size_t name_end = json.find('"', at + 2);
      const std::string name = json.substr(at + 2, name_end - at - 2);
      const std::size_t value = name_end + 2;
      std::size_t next = json.find(",\"", value);
      if (next == std::string::npos) next = json.size() - 1;
      const std::string without = json.substr(0, at) + json.substr(next);
      const bool optional = name == "attach" || name == "as" || name == "carry" ||
                            (name == "port" && std::holds_alternative<Registered>(message));
      if (optional) {
        EXPECT_TRUE(decode(without)) << without;
      } else {
        EXPECT_NE(failure(without).context.find('"' + name + "\" is missing"), std::string::npos) << without;
      }
      for (const char* other :
           {"null", "true", "[]", "{}", "-1", "1.5", "1e99", "18446744073709551616", "\"\\u0000\""}) {
        const std::string wrong = json.substr(0, value) + other + json.substr(next);
        const auto decoded = decode(wrong);
        const bool is_text = json[value] == '"';
        // Free text may hold any character; how it is shown is another matter.
        if (is_text && other[0] == '"' && decoded) continue;
        EXPECT_NE(failure(wrong).context.find('"' + name + '"'), std::string::npos) << wrong;
      }
      at = json.find(",\"", value);
    }
  }
}

TEST(Control, LimitsOfTextAndNumbers) {
  const auto reg = [](std::size_t host) {
    return R"({"type":"register","req":1,"name":"a","proto":"http","host":")" + std::string(host, 'h') + "\"}";
  };
  EXPECT_TRUE(decode(reg(0)));
  EXPECT_TRUE(decode(reg(253)));
  EXPECT_NE(failure(reg(254)).context.find("\"host\""), std::string::npos);

  const auto port = [](std::string_view n) {
    return R"({"type":"register","req":1,"name":"a","proto":"tcp","port":)" + std::string(n) + "}";
  };
  EXPECT_TRUE(decode(port("0")));
  EXPECT_TRUE(decode(port("65535")));
  failure(port("65536"));
  failure(port("-1"));
  failure(port("4294967297"));

  const auto named = [](std::string_view name) {
    return R"({"type":"register","req":1,"name":")" + std::string(name) + R"(","proto":"tcp","port":1})";
  };
  EXPECT_TRUE(decode(named(std::string(64, 'n'))));
  failure(named(std::string(65, 'n')));
  failure(named(""));
  failure(named("a b"));
  failure(named("a/b"));
  failure(named("\xc3\xa4"));

  failure(R"({"type":"register","req":1,"name":"a","proto":"udp","port":1})");
  failure(R"({"type":"registered","req":1,"tunnel":0,"url":""})");
  failure(R"({"type":"unregister","tunnel":4294967296})");
  const auto welcome = [](std::string_view ms) {
    return R"({"type":"welcome","session":"s","proof":")" + base64url_encode(counting<32>(0)) + R"(","heartbeat_ms":)" +
           std::string(ms) + "}";
  };
  EXPECT_TRUE(decode(welcome("100")));
  EXPECT_TRUE(decode(welcome("600000")));
  failure(welcome("99"));
  failure(welcome("600001"));
}

Limits all_limits() {
  Limits limits{1, 2, 3, 4'000'000'000, kMaxBandwidth, 6, {"192.0.2.0/24", "all"}, {"2001:db8::/32"}};
  return limits;
}

TEST(Control, LimitsThereAndBack) {
  const std::vector<ControlMessage> messages{
      Register{7, "web", TunnelProto::Http, "app.example.com", 0, all_limits()},
      Register{7, "ssh", TunnelProto::Tcp, "", 22, {0, 0, 0, 9, 0, 0, {}, {}}},
      Update{1, true, {}},
      Update{1, false, Limits{}},
      Update{0xffff'ffff, true, all_limits()},
  };
  for (const ControlMessage& message : messages) {
    const std::string json = encode(message);
    const auto decoded = decode(json);
    ASSERT_TRUE(decoded) << json << ": " << decoded.error().context;
    EXPECT_EQ(**decoded, message) << json;
    for (std::size_t n = 0; n < json.size(); ++n) failure(std::string_view(json).substr(0, n));
  }
  // What is no limit is not said; of an update, that there are none any more is.
  EXPECT_EQ(encode(Register{7, "web", TunnelProto::Http, "", 0}).find("limits"), std::string::npos);
  EXPECT_EQ(encode(Update{1, false, Limits{}}), R"({"type":"update","tunnel":1,"limits":{}})");
  EXPECT_EQ(encode(Update{1, true, {}}), R"({"type":"update","tunnel":1,"new_origin":true})");
}

TEST(Control, LimitsOutOfTheirs) {
  const auto update = [](const std::string& inside) {
    return R"({"type":"update","tunnel":1,"limits":{)" + inside + "}}";
  };
  for (const char* field : {"max_visitors", "max_visitors_per_address", "max_new_visitors_per_second", "bandwidth",
                            "visitor_bandwidth", "idle_timeout_ms"}) {
    const std::string key = std::string("\"") + field + "\":";
    EXPECT_TRUE(decode(update(key + "0")));
    for (const char* wrong : {"-1", "1.5", "\"1\"", "null", "[]", "9007199254740992"})
      EXPECT_NE(failure(update(key + wrong)).context.find(field), std::string::npos) << field << wrong;
  }
  EXPECT_TRUE(decode(update("\"bandwidth\":9007199254740991")));
  for (const char* field : {"allow", "deny"}) {
    const auto list = [&](std::size_t count, std::size_t size) {
      std::string text = std::string("\"") + field + "\":[";
      for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "\"" : ",\"") + std::string(size, '1') + "\"";
      return update(text + "]");
    };
    EXPECT_TRUE(decode(list(0, 0)));
    EXPECT_TRUE(decode(list(kMaxNetworks, kMaxNetwork)));
    EXPECT_NE(failure(list(kMaxNetworks + 1, 1)).context.find(field), std::string::npos);
    EXPECT_NE(failure(list(1, kMaxNetwork + 1)).context.find(field), std::string::npos);
    for (const char* wrong : {"{}", "\"all\"", "[1]", "[null]", "[[]]", "null"})
      failure(update(std::string("\"") + field + "\":" + wrong));
  }
  for (const char* wrong : {"null", "[]", "1", "\"\""})
    failure(std::string(R"({"type":"register","req":1,"name":"a","proto":"tcp","port":1,"limits":)") + wrong + "}");
  // Both lists as full as they may be fit into a message.
  Limits full;
  full.allow = full.deny = std::vector<std::string>(kMaxNetworks, std::string(kMaxNetwork, 'f'));
  const std::string largest = encode(Update{1, true, full});
  EXPECT_LE(largest.size(), kMaxControl);
  EXPECT_TRUE(decode(largest));
  EXPECT_TRUE(decode(update("\"of_a_later_version\":[[1]]")));
}

TEST(Control, BytesOfTheWrongLengthOrAlphabet) {
  const auto challenge = [](std::string_view nonce) {
    return R"({"type":"challenge","version":"","nonce":")" + std::string(nonce) + "\"}";
  };
  const std::string good = base64url_encode(counting<32>(0xf0));
  EXPECT_TRUE(decode(challenge(good)));
  failure(challenge(good + "="));
  failure(challenge(good.substr(1)));
  failure(challenge(good + "A"));
  failure(challenge("+" + good.substr(1)));
  failure(challenge("/" + good.substr(1)));
  failure(challenge(" " + good.substr(1)));
}

TEST(Control, UnknownTypesAndFields) {
  const auto unknown = decode(R"({"type":"later","x":1})");
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(*unknown);
  const auto extra = decode(R"({"later":{"a":[1,2,{"b":null}]},"type":"unregister","tunnel":3,"z":"\u00e4"})");
  ASSERT_TRUE(extra && *extra);
  EXPECT_EQ(std::get<Unregister>(**extra).tunnel, 3u);
}

TEST(Control, NotAnObjectWithAType) {
  for (const char* json :
       {"", " ", "[]", "1", "null", "\"type\"", "{}", R"({"type":1})", R"({"type":null})",
        "{\"type\":\"unregister\",\"tunnel\":1}x", "{\"type\":\"unregister\",\"tunnel\":1}{}",
        R"({"type":"unregister","tunnel":1,})", R"({'type':"x"})", "{\"type\":\"\xff\"}", "{\"type\":\"\\ud800\"}",
        R"({"type":"unregister","tunnel":01})", "{\"type\":\"x\",\"a\":NaN}"}) {
    failure(json);
  }
}

TEST(Control, Depth) {
  const auto nested = [](int depth) {
    return R"({"type":"later","x":)" + std::string(static_cast<std::size_t>(depth - 1), '[') +
           std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
  };
  EXPECT_TRUE(decode(nested(8)));
  failure(nested(9));
  failure(nested(60'000 / 2));
}

TEST(Control, Size) {
  const auto padded = [](std::size_t size) {
    std::string json = R"({"type":"later"})";
    json.insert(1, size - json.size(), ' ');
    return json;
  };
  EXPECT_TRUE(decode(padded(65'536)));
  failure(padded(65'537));
}

TEST(Control, WhatIsEncodedIsAlwaysAccepted) {
  const std::string awkward = "\xff\xc3\"\\\n\x01\xe2\x80\xaeok " + std::string(2000, 'x');
  for (const ControlMessage& message :
       {ControlMessage(Refused{"c", awkward}), ControlMessage(Rejected{1, "c", awkward}),
        ControlMessage(Challenge{{}, awkward}), ControlMessage(Welcome{{}, awkward, 3000})}) {
    const std::string json = encode(message);
    EXPECT_LE(json.size(), 4096u);
    ASSERT_TRUE(decode(json)) << json;
  }
  // JSON's own escapes, in a field that is not cleaned.
  const ControlMessage escapes = Registered{1, 1, std::string("a\"b\\c\n\x01\x1f\0d", 11), 0};
  const auto decoded = decode(encode(escapes));
  ASSERT_TRUE(decoded && *decoded);
  EXPECT_EQ(**decoded, escapes);
}

TEST(CleanText, OneLineOfValidUtf8) {
  EXPECT_EQ(clean_text("plain text"), "plain text");
  EXPECT_EQ(clean_text("a\nb\x1b[31mc\x7f"), "a?b?[31mc?");
  EXPECT_EQ(clean_text("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
  EXPECT_EQ(clean_text("\xc2\x9b"
                       "31m"),
            "?31m");  // C1's CSI
  EXPECT_EQ(clean_text("a\xe2\x80\xae"
                       "b"),
            "a?b");                                                  // right-to-left override
  EXPECT_EQ(clean_text("\xc0\xaf\xed\xa0\x80\xf5\x80"), "???????");  // overlong, surrogate, out of range
  EXPECT_EQ(clean_text("\xe2\x82"), "??");
  EXPECT_EQ(clean_text("12345", 3), "123");
  EXPECT_EQ(clean_text("12\xc3\xbc", 3), "12");  // cut between characters
  EXPECT_EQ(clean_text("", 0), "");
}

TEST(ValidName, Table) {
  EXPECT_TRUE(valid_name("A-z.0_9"));
  EXPECT_TRUE(valid_name(std::string(64, 'a')));
  for (const char* name : {"", " ", "a b", "a:b", "a/b", ".", "..", ".a", "-a", "\xc3\xbc", "a\n"})
    EXPECT_FALSE(valid_name(name)) << name;
  EXPECT_FALSE(valid_name(std::string(65, 'a')));
}

TEST(Base64Url, KnownValues) {
  const std::pair<std::string, std::string> table[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"}};
  for (const auto& [bytes, text] : table) {
    EXPECT_EQ(base64url_encode(as_bytes(bytes)), text);
    const auto decoded = base64url_decode(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(as_text(*decoded), bytes);
  }
}

TEST(Base64Url, OnlyOneTextForEachValue) {
  for (const char* text : {"Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm 9v", "Zm9v\n", "+/+/",
                           "Zm\xff"
                           "9",
                           "Zm9vYmF"})
    EXPECT_FALSE(base64url_decode(text)) << text;
  // Every two characters: only those whose stray bits are zero.
  int good = 0;
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const auto decoded = base64url_decode(text);
      if (!decoded) continue;
      ++good;
      EXPECT_EQ(base64url_encode(*decoded), text);
    }
  EXPECT_EQ(good, 256);
}

// What was on the wire before direct links is there still, byte for byte.
TEST(Control, FieldsOfDirectLinksAreLeftOutWhereTheySayNothing) {
  EXPECT_EQ(encode(Auth{"g", {}, {}, {}, ""}).find("attach"), std::string::npos);
  EXPECT_EQ(encode(Auth{"g", {}, {}, {}, "", AttachId{}}).find("\"as\""), std::string::npos);
  EXPECT_EQ(encode(Auth{"g", {}, {}, {}, "", {}, AttachAs::Link}).find("\"as\""), std::string::npos);
  EXPECT_EQ(encode(Welcome{{}, "s", 3000}).find("attach"), std::string::npos);
  EXPECT_EQ(encode(Register{1, "t", TunnelProto::Tcp, "", 0}).find("carry"), std::string::npos);
  EXPECT_EQ(encode(Register{1, "t", TunnelProto::Http, "", 0, {}, Carry::Direct}).find("carry"), std::string::npos);
}

// A server that knows nothing of it is not told; and what a later client means is not taken for HTTP/1.1.
TEST(Control, WhatTheLocalServiceSpeaks) {
  Register http{1, "t", TunnelProto::Http, "a.test", 0};
  EXPECT_EQ(encode(http).find("origin"), std::string::npos);
  http.origin = OriginProto::H2;
  EXPECT_NE(encode(http).find(R"("origin":"h2")"), std::string::npos);
  Register tcp{1, "t", TunnelProto::Tcp, "", 0};
  tcp.origin = OriginProto::H2;
  EXPECT_EQ(encode(tcp).find("origin"), std::string::npos);
  const auto origin = [](std::string_view value) {
    const auto decoded = decode(R"({"type":"register","req":1,"name":"a","proto":"http","host":"","origin":)" +
                                std::string(value) + "}");
    return decoded ? std::optional(std::get<Register>(**decoded).origin) : std::nullopt;
  };
  EXPECT_EQ(origin("\"h1\""), OriginProto::H1);
  EXPECT_EQ(origin("\"h2\""), OriginProto::H2);
  EXPECT_EQ(origin("\"h2s\""), OriginProto::H2Tls);
  EXPECT_EQ(origin("\"h3\""), OriginProto::Other);
  EXPECT_EQ(origin("2"), std::nullopt);
}

TEST(Control, FurtherLinksAndTheirLimits) {
  const auto as = [](std::string_view value) {
    std::string json = encode(Auth{"g", {}, {}, {}, "", AttachId{}});
    json.insert(json.size() - 1, ",\"as\":" + std::string(value));
    const auto decoded = decode(json);
    return decoded ? std::optional(std::get<Auth>(**decoded).as) : std::nullopt;
  };
  EXPECT_EQ(as("\"link\""), AttachAs::Link);
  EXPECT_EQ(as("\"direct\""), AttachAs::Direct);
  EXPECT_EQ(as("\"teleport\""), std::nullopt);
  EXPECT_EQ(as("1"), std::nullopt);
  failure(R"({"type":"links"})");
  failure(R"({"type":"links","want":-1})");
  failure(R"({"type":"links","want":1025})");
}

TEST(Control, DirectLinksAndTheirLimits) {
  const auto carry = [](std::string_view value) {
    const auto decoded =
        decode(R"({"type":"register","req":1,"name":"a","proto":"tcp","port":1,"carry":)" + std::string(value) + "}");
    return decoded ? std::optional(std::get<Register>(**decoded).carry) : std::nullopt;
  };
  EXPECT_EQ(carry("\"direct\""), Carry::Direct);
  EXPECT_EQ(carry("\"mux\""), Carry::Mux);
  EXPECT_EQ(carry("\"auto\""), Carry::Auto);
  EXPECT_EQ(carry("\"teleport\""), Carry::Auto) << "a later version's";
  EXPECT_EQ(carry("1"), std::nullopt);
  failure(R"({"type":"direct"})");
  failure(R"({"type":"direct","want":-1})");
  failure(R"({"type":"direct","want":65537})");
  failure(R"({"type":"road","loss_ppm":1000001})");
  failure(R"({"type":"road","loss_ppm":"much"})");
  failure(
      R"({"type":"welcome","proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","session":"s","heartbeat_ms":3000,)"
      R"("attach":"AAAA"})");
}

}  // namespace
}  // namespace ferrotunnel::wire
