// Credentials: the secret that a grant's two ends share, the key made of it, and who looks it up.
//
// Secrets are wiped when they die and never printed. The key that proofs are made with is the SHA-256 of the secret, taken once
// when the secret is loaded, so that looking one up and proving costs the same whatever the secret's length. Values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace ferrotunnel::session {

inline constexpr std::size_t kMinSecret = 16;  // bytes
inline constexpr std::size_t kMaxSecret = 64;
inline constexpr std::size_t kNewSecret = 32;

// Bytes that are wiped on destruction.
struct Secret {
  Secret() = default;
  explicit Secret(ConstBytes from) : bytes(from.begin(), from.end()) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) = default;  // a moved-from vector owns nothing to wipe
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  [[nodiscard]] static Secret generate();  // kNewSecret random bytes
  [[nodiscard]] bool valid() const { return bytes.size() >= kMinSecret && bytes.size() <= kMaxSecret; }

  std::vector<std::byte> bytes;
};

// What HMAC is keyed with. Wiped on destruction.
struct AuthKey {
  AuthKey() = default;
  AuthKey(const AuthKey&) = default;
  AuthKey& operator=(const AuthKey&) = default;
  ~AuthKey();

  [[nodiscard]] static AuthKey of(const Secret& secret);
  [[nodiscard]] static AuthKey random();

  std::array<std::byte, 32> bytes{};
};

// Where a server finds the keys of its grants. Called on the shard that does the handshake: an implementation shared by shards
// is an immutable snapshot or locks for itself.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  [[nodiscard]] virtual std::optional<AuthKey> find(std::string_view grant) const = 0;
};

// Keys held in memory. Fixed once shared.
class MemorySecrets final : public SecretSource {
 public:
  void add(std::string grant, const Secret& secret) { keys_.insert_or_assign(std::move(grant), AuthKey::of(secret)); }
  [[nodiscard]] std::optional<AuthKey> find(std::string_view grant) const override;

 private:
  std::map<std::string, AuthKey, std::less<>> keys_;
};

}  // namespace ferrotunnel::session
