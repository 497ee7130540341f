// Join tokens: there and back, cut, mistyped, of other versions.
#include "session/join_token.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>

#include "wire/base64.h"

namespace ferrotunnel::session {
namespace {

JoinToken sample() {
  JoinToken token;
  token.addresses = {"eu.example.com:7835", "[2001:db8::1]:7835"};
  token.grant = "default";
  token.secret = Secret(as_bytes("0123456789abcdef0123456789abcdef"));
  token.fingerprint.emplace().fill(std::byte{0xab});
  return token;
}

void expect_same(const JoinToken& a, const JoinToken& b) {
  EXPECT_EQ(a.addresses, b.addresses);
  EXPECT_EQ(a.grant, b.grant);
  EXPECT_EQ(a.secret.bytes, b.secret.bytes);
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_EQ(a.tls, b.tls);
}

std::string token_of(std::vector<std::byte> fields, std::uint8_t version = 1) {
  std::vector<std::byte> all(3);
  all[0] = std::byte{version};
  store_be<std::uint16_t>(&all[1], static_cast<std::uint16_t>(fields.size() + 4));
  all.insert(all.end(), fields.begin(), fields.end());
  std::array<std::byte, 32> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  all.insert(all.end(), digest.begin(), digest.begin() + 4);
  return "ft1_" + wire::base64url_encode(all);
}
void put(std::vector<std::byte>& to, std::uint8_t type, std::string_view value) {
  to.push_back(std::byte{type});
  to.push_back(static_cast<std::byte>(value.size()));
  to.insert(to.end(), as_bytes(value).begin(), as_bytes(value).end());
}

std::string complaint(std::string_view text) {
  const auto decoded = decode_join_token(text);
  EXPECT_FALSE(decoded) << text;
  if (decoded) return {};
  EXPECT_EQ(decoded.error().code, ErrorCode::BadInput);
  EXPECT_EQ(decoded.error().side, Side::Local);
  // A token holds a secret: what is wrong with it is said without repeating it.
  if (text.size() >= 12) EXPECT_EQ(decoded.error().context.find(text.substr(0, 12)), std::string::npos);
  return decoded.error().context;
}

TEST(JoinToken, ThereAndBack) {
  const auto text = encode(sample());
  ASSERT_TRUE(text) << text.error().context;
  EXPECT_TRUE(text->starts_with("ft1_"));
  EXPECT_LT(text->size(), 200u);
  const auto back = decode_join_token(*text);
  ASSERT_TRUE(back) << back.error().context;
  expect_same(*back, sample());
}

TEST(JoinToken, SmallestAndLargest) {
  JoinToken least;
  least.addresses = {"h:1"};
  least.grant = "g";
  least.secret = Secret(as_bytes("0123456789abcdef"));
  least.tls = false;
  auto text = encode(least);
  ASSERT_TRUE(text);
  auto back = decode_join_token(*text);
  ASSERT_TRUE(back);
  expect_same(*back, least);

  JoinToken most = sample();
  most.addresses.assign(8, std::string(249, 'h') + ":65535");
  most.grant = std::string(64, 'g');
  most.secret = Secret(as_bytes(std::string(64, 's')));
  text = encode(most);
  ASSERT_TRUE(text);
  back = decode_join_token(*text);
  ASSERT_TRUE(back);
  expect_same(*back, most);
}

TEST(JoinToken, WhiteSpaceOfATerminalIsSkipped) {
  std::string text = *encode(sample());
  text.insert(80, "\r\n  ");
  text.insert(20, "\t");
  const auto back = decode_join_token(" " + text + "\n");
  ASSERT_TRUE(back);
  expect_same(*back, sample());
}

TEST(JoinToken, CutAnywhereItIsIncomplete) {
  const std::string text = *encode(sample());
  for (std::size_t n = 1; n < text.size(); ++n)
    EXPECT_NE(complaint(text.substr(0, n)).find("incomplete"), std::string::npos) << n;
}

TEST(JoinToken, NoCharacterCanBeWrong) {
  const std::string text = *encode(sample());
  constexpr std::string_view kOthers = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.!\xc3";
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char other : kOthers) {
      if (other == text[i]) continue;
      std::string wrong = text;
      wrong[i] = other;
      EXPECT_FALSE(decode_join_token(wrong)) << i << other;
    }
    EXPECT_FALSE(decode_join_token(text.substr(0, i) + text.substr(i + 1))) << i;    // one missing
    EXPECT_FALSE(decode_join_token(text.substr(0, i) + "A" + text.substr(i))) << i;  // one too many
  }
  EXPECT_NE(complaint(text + "A").find("damaged"), std::string::npos);
  std::string swapped = text;
  std::swap(swapped[50], swapped[51]);
  if (swapped != text) EXPECT_NE(complaint(swapped).find("damaged"), std::string::npos);
}

TEST(JoinToken, SomethingElse) {
  EXPECT_NE(complaint("").find("not a join token"), std::string::npos);
  EXPECT_NE(complaint("hello").find("not a join token"), std::string::npos);
  EXPECT_NE(complaint("ft2_AAAAAAAA").find("update"), std::string::npos);
  EXPECT_NE(complaint("ft1_" + std::string(20'000, 'A')).find("too long"), std::string::npos);
  EXPECT_NE(complaint(token_of({}, 2)).find("version"), std::string::npos);
}

TEST(JoinToken, FieldsOfALaterVersionAreSkipped) {
  std::vector<std::byte> fields;
  put(fields, 99, "later");
  put(fields, 1, "h:1");
  put(fields, 200, "");
  put(fields, 2, "g");
  put(fields, 3, "0123456789abcdef");
  const auto back = decode_join_token(token_of(fields));
  ASSERT_TRUE(back) << back.error().context;
  EXPECT_EQ(back->grant, "g");
  EXPECT_TRUE(back->tls);
  EXPECT_FALSE(back->fingerprint);
}

TEST(JoinToken, WellSealedButWrongInside) {
  const auto with = [](std::string_view address, std::string_view grant, std::string_view secret,
                       std::string_view fingerprint) {
    std::vector<std::byte> fields;
    put(fields, 1, address);
    put(fields, 2, grant);
    put(fields, 3, secret);
    put(fields, 4, fingerprint);
    return token_of(fields);
  };
  const std::string key(32, 'k'), secret(16, 's');
  EXPECT_TRUE(decode_join_token(with("h:1", "g", secret, key)));
  for (const char* address : {"", "h", "h:", ":1", "h:0", "h:65536", "h:x", "h:1x", "h h:1", "a\nb:1", "::1:7", "[:1",
                              "[]:1", "h:-1", "h:+1", "http://h:1"})
    EXPECT_NE(complaint(with(address, "g", secret, key)).find("address"), std::string::npos) << address;
  EXPECT_NE(complaint(with("h:1", "a b", secret, key)).find("grant"), std::string::npos);
  EXPECT_NE(complaint(with("h:1", "g", "short", key)).find("secret"), std::string::npos);
  EXPECT_NE(complaint(with("h:1", "g", secret, "k")).find("fingerprint"), std::string::npos);
  EXPECT_NE(complaint(token_of({})).find("address"), std::string::npos);
  EXPECT_NE(complaint(token_of({std::byte{1}, std::byte{9}, std::byte{'h'}})).find("damaged"),
            std::string::npos);  // longer than it is
  EXPECT_NE(complaint(token_of({std::byte{1}})).find("damaged"), std::string::npos);
}

TEST(JoinToken, WhatCannotBeEncoded) {
  const auto refused = [](auto change) {
    JoinToken token = sample();
    change(token);
    const auto text = encode(token);
    EXPECT_FALSE(text);
    return text ? std::string() : text.error().context;
  };
  EXPECT_NE(refused([](JoinToken& t) { t.addresses.clear(); }).find("1 to 8"), std::string::npos);
  EXPECT_NE(refused([](JoinToken& t) { t.addresses.assign(9, "h:1"); }).find("1 to 8"), std::string::npos);
  EXPECT_NE(refused([](JoinToken& t) { t.addresses[0] = "nowhere"; }).find("nowhere"), std::string::npos);
  EXPECT_NE(refused([](JoinToken& t) { t.grant.clear(); }).find("grant"), std::string::npos);
  EXPECT_NE(refused([](JoinToken& t) { t.secret = Secret(); }).find("secret"), std::string::npos);
  EXPECT_NE(refused([](JoinToken& t) { t.tls = false; }).find("TLS"), std::string::npos);
}

}  // namespace
}  // namespace ferrotunnel::session
