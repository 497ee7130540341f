// Proofs against values that another program computed (Python's hmac and hashlib, from the text of docs/wire-protocol.md).
#include "session/proof.h"

#include <gtest/gtest.h>

namespace ferrotunnel::session {
namespace {

template <std::size_t N>
std::array<std::byte, N> counting(std::uint8_t from) {
  std::array<std::byte, N> bytes{};
  for (std::size_t i = 0; i < N; ++i) bytes[i] = static_cast<std::byte>(from + i);
  return bytes;
}

Transcript sample(bool tls) {
  Transcript t;
  t.client_preface = t.server_preface = wire::encode(wire::Preface{});
  t.server_nonce = counting<32>(1);
  t.client_nonce = counting<32>(2);
  t.grant = "default";
  t.instance = counting<16>(4);
  if (tls) t.exporter = counting<32>(9);
  return t;
}

std::string hex(ConstBytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    text += "0123456789abcdef"[std::to_integer<int>(b) >> 4];
    text += "0123456789abcdef"[std::to_integer<int>(b) & 15];
  }
  return text;
}

TEST(Proof, KnownValues) {
  const AuthKey key = AuthKey::of(Secret(as_bytes("0123456789abcdef")));
  EXPECT_EQ(hex(make_proof(key, sample(false), Role::Client)),
            "3b7e0a77ce7a7f104c0bd8573a9f974e5e65b587a6c9adeecff03b9bb53e0ef1");
  EXPECT_EQ(hex(make_proof(key, sample(true), Role::Client)),
            "97ccf55515b5c6d60af6e03ba17692bee63479cd9aec6e65ed1dd7f62478716b");
  EXPECT_EQ(hex(make_proof(key, sample(false), Role::Server)),
            "156a5ac16d518c62b194888c6d757598122370d0cde183620d69cbcd7db480ce");
  EXPECT_EQ(hex(make_proof(key, sample(true), Role::Server)),
            "ac1bee63d33ee2e912c08ed86b40997da6371c1ecfab0a0166336deda2ff0b7a");
}

TEST(Proof, EveryPartCounts) {
  const AuthKey key = AuthKey::of(Secret(as_bytes("0123456789abcdef")));
  const Transcript base = sample(true);
  const auto differs = [&](auto change) {
    Transcript t = base;
    change(t);
    return !same_proof(make_proof(key, base, Role::Client), make_proof(key, t, Role::Client));
  };
  const auto flip = [](auto& bytes, std::size_t i) { bytes[i] ^= std::byte{1}; };
  for (std::size_t i = 0; i < wire::kPrefaceSize; ++i) {
    EXPECT_TRUE(differs([&](Transcript& t) { flip(t.client_preface, i); }));
    EXPECT_TRUE(differs([&](Transcript& t) { flip(t.server_preface, i); }));
    EXPECT_TRUE(differs([&](Transcript& t) { flip(t.instance, i); }));
  }
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_TRUE(differs([&](Transcript& t) { flip(t.client_nonce, i); }));
    EXPECT_TRUE(differs([&](Transcript& t) { flip(t.server_nonce, i); }));
    EXPECT_TRUE(differs([&](Transcript& t) { flip(*t.exporter, i); }));
  }
  EXPECT_TRUE(differs([](Transcript& t) { t.grant = "defaulu"; }));
  EXPECT_TRUE(differs([](Transcript& t) { t.exporter.reset(); }));
  EXPECT_FALSE(differs([](Transcript&) {}));
}

TEST(Proof, Compare) {
  wire::Proof a = counting<32>(0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    wire::Proof b = a;
    EXPECT_TRUE(same_proof(a, b));
    b[i] ^= std::byte{0x80};
    EXPECT_FALSE(same_proof(a, b));
  }
}

TEST(Credentials, SecretsAndSources) {
  EXPECT_FALSE(Secret(as_bytes("fifteen bytes..")).valid());
  EXPECT_TRUE(Secret(as_bytes("0123456789abcdef")).valid());
  EXPECT_TRUE(Secret(as_bytes(std::string(64, 's'))).valid());
  EXPECT_FALSE(Secret(as_bytes(std::string(65, 's'))).valid());
  const Secret one = Secret::generate(), two = Secret::generate();
  EXPECT_EQ(one.bytes.size(), kNewSecret);
  EXPECT_NE(one.bytes, two.bytes);

  Secret moved(one);
  Secret to;
  to = std::move(moved);
  EXPECT_EQ(to.bytes, one.bytes);
  to = two;
  EXPECT_EQ(to.bytes, two.bytes);

  EXPECT_NE(AuthKey::random().bytes, AuthKey::random().bytes);
}

}  // namespace
}  // namespace ferrotunnel::session
