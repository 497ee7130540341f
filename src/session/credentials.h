// Credentials: the secret that a grant's two ends share, the key made of it, and who looks it up.
//
// Secrets are wiped when they die and never printed. The key that proofs are made with is the SHA-256 of the secret, taken once
// when the secret is loaded, so that looking one up and proving costs the same whatever the secret's length. Values; any thread.
#pragma once

#include <array>
#include <cstddef>
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

// What may prove a grant: up to two keys, so that a secret can be changed while clients move over. There is always as much to compare
// with, so that one secret, two, and an unknown grant cost the same.
struct GrantKeys {
  static constexpr std::size_t kMost = 2;
  std::array<AuthKey, kMost> keys{};  // those from `count` on prove nothing
  std::size_t count = 0;              // 0: no such grant
};

// Where a server finds its grants. Called on the shard that does the handshake: an implementation locks for itself.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  [[nodiscard]] virtual GrantKeys keys(std::string_view grant) const = 0;
  // Asked once the client has proved the grant: whether it may have a session now. Errors are told to the client: Unauthorized (for
  // good: expired), Limit (passes).
  [[nodiscard]] virtual Result<> admits(std::string_view /*grant*/) const { return {}; }
};

}  // namespace ferrotunnel::session
