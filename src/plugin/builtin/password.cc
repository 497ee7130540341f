#include "plugin/builtin/password.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/random.h"

namespace ferrotunnel::plugin {
namespace {

constexpr std::size_t kBcryptSize = 60;
constexpr unsigned long kNewCost = 10;

std::unexpected<Error> bad(std::string why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(why)));
}

bool all_of_hash(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c == '.' || c == '/' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

// The result of crypt, or "" where it refuses.
std::string crypted(std::string_view password, const std::string& setting) {
  const auto data = std::make_unique<crypt_data>();
  std::string phrase(password);
  const char* hash = ::crypt_rn(phrase.c_str(), setting.c_str(), data.get(), sizeof *data);
  std::string out = hash != nullptr ? hash : "";
  OPENSSL_cleanse(phrase.data(), phrase.size());
  OPENSSL_cleanse(data.get(), sizeof *data);
  return out;
}

Result<> check_bcrypt(std::string_view hash) {
  const bool right = hash.size() == kBcryptSize && hash[4] >= '0' && hash[4] <= '9' && hash[5] >= '0' &&
                     hash[5] <= '9' && hash[6] == '$' && all_of_hash(hash.substr(7));
  if (!right) return bad("the bcrypt hash is not whole: it has 60 characters, $2b$10$…");
  const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
  if (cost < 4 || cost > kMaxBcryptCost)
    return bad("the bcrypt hash has cost " + std::to_string(cost) + "; 4 to " + std::to_string(kMaxBcryptCost) +
               " are taken, since the server pays for each try: make another, `htpasswd -nB -C " +
               std::to_string(kMaxBcryptCost) + " NAME` (package apache2-utils)");
  return {};
}

// libxcrypt's costs 1 to 5.
Result<> check_yescrypt(std::string_view hash) {
  constexpr std::array<std::string_view, 5> kParameters = {"j75", "j85", "j7T", "j8T", "j9T"};
  const std::size_t first = hash.find('$', 3);
  const std::size_t second = first == std::string_view::npos ? first : hash.find('$', first + 1);
  const bool right = second != std::string_view::npos && second > first + 1 && hash.size() - second - 1 == 43 &&
                     second - first - 1 <= 86 && all_of_hash(hash.substr(first + 1, second - first - 1)) &&
                     all_of_hash(hash.substr(second + 1));
  if (!right) return bad("the yescrypt hash is not whole: $y$j9T$SALT$HASH");
  if (std::ranges::find(kParameters, hash.substr(3, first - 3)) == kParameters.end())
    return bad("the yescrypt hash has a cost above 5, or one that is not known");
  return {};
}

}  // namespace

Result<> check_hash(std::string_view hash) {
  if (hash.starts_with("$2a$") || hash.starts_with("$2b$") || hash.starts_with("$2y$")) return check_bcrypt(hash);
  if (hash.starts_with("$y$")) return check_yescrypt(hash);
  return bad(
      "a password's hash is bcrypt ($2b$…) or yescrypt ($y$…): `htpasswd -nB NAME` (package apache2-utils) or "
      "`mkpasswd -m yescrypt` (package whois) make one");
}

bool password_matches(std::string_view password, const std::string& hash) {
  if (password.size() > kMaxPassword || password.contains('\0')) return false;
  const std::string made = crypted(password, hash);
  return made.size() == hash.size() && CRYPTO_memcmp(made.data(), hash.data(), hash.size()) == 0;
}

Result<std::string> hash_password(std::string_view password) {
  if (password.empty() || password.size() > kMaxPassword || password.contains('\0'))
    return bad("a password has 1 to " + std::to_string(kMaxPassword) + " bytes, and no NUL");
  std::array<std::byte, 16> random{};
  fill_random(random);
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  const char* made =
      ::crypt_gensalt_rn("$2b$", kNewCost, reinterpret_cast<const char*>(random.data()),
                         static_cast<int>(random.size()), setting.data(), static_cast<int>(setting.size()));
  std::string hash = made != nullptr ? crypted(password, made) : std::string();
  if (!check_hash(hash))
    return std::unexpected(Error(ErrorCode::Internal, Side::Local, false, "libcrypt has no bcrypt"));
  return hash;
}

}  // namespace ferrotunnel::plugin
