#include "session/credentials.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace ferrotunnel::session {
namespace {

void wipe(MutBytes bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace

Secret& Secret::operator=(const Secret& other) {
  Secret copy(other);
  std::swap(bytes, copy.bytes);
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  std::swap(bytes, other.bytes);
  return *this;
}

Secret::~Secret() { wipe(bytes); }

Secret Secret::generate() {
  Secret secret;
  secret.bytes.resize(kNewSecret);
  fill_random(secret.bytes);
  return secret;
}

AuthKey::~AuthKey() { wipe(bytes); }

AuthKey AuthKey::of(const Secret& secret) {
  AuthKey key;
  ::SHA256(reinterpret_cast<const unsigned char*>(secret.bytes.data()), secret.bytes.size(),
           reinterpret_cast<unsigned char*>(key.bytes.data()));
  return key;
}

AuthKey AuthKey::random() {
  AuthKey key;
  fill_random(key.bytes);
  return key;
}

}  // namespace ferrotunnel::session
