#include "transport/tls/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

using Shared = std::shared_ptr<TicketKeys>;

void free_shared(void*, void* shared, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Shared*>(shared); }

int context_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_shared);
  return index;
}

const unsigned char* bytes_of(const std::array<std::byte, 32>& key) {
  return reinterpret_cast<const unsigned char*>(key.data());
}

bool set_mac(EVP_MAC_CTX* mac, const TicketKeys::Key& key) {
  char digest[] = "sha256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(bytes_of(key.mac)),
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// What OpenSSL is answered.
constexpr int kFailed = -1, kFullHandshake = 0, kUse = 1, kUseAndRenew = 2;

int seal(TicketKeys& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  const TicketKeys::KeyPtr key = keys.current();
  std::ranges::copy(key->name, reinterpret_cast<std::byte*>(name));
  fill_random(
      {reinterpret_cast<std::byte*>(iv), static_cast<std::size_t>(EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()))});
  const bool done =
      EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, bytes_of(key->cipher), iv) == 1 && set_mac(mac, *key);
  return done ? kUse : kFailed;
}

int open(TicketKeys& keys, const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
         bool renew) {
  const auto found = keys.find({reinterpret_cast<const std::byte*>(name), TicketKeys::kNameSize});
  if (found.key == nullptr) return kFullHandshake;
  if (!set_mac(mac, *found.key) ||
      EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, bytes_of(found.key->cipher), iv) != 1)
    return kFailed;
  return found.renew || renew ? kUseAndRenew : kUse;
}

// OpenSSL's question for each ticket that is made or shown. In TLS 1.3 a ticket is for one connection, which is to bring the next one.
int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
  const auto* keys = static_cast<const Shared*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_index()));
  if (keys == nullptr) return kFullHandshake;
  return sealing == 1 ? seal(**keys, name, iv, cipher, mac)
                      : open(**keys, name, iv, cipher, mac, SSL_version(ssl) >= TLS1_3_VERSION);
}

}  // namespace

TicketKeys::Key::~Key() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

// A key seals for one kRotation and opens for two: whatever was idle for longer left nothing to open.
void TicketKeys::rotate() {
  const TimePoint now = clock_();
  if (current_ == nullptr || now - current_->made >= kRotation) {
    auto made = std::make_shared<Key>();
    fill_random(made->name);
    fill_random(made->cipher);
    fill_random(made->mac);
    made->made = now;
    previous_ = std::exchange(current_, std::move(made));
  }
  if (previous_ != nullptr && now - previous_->made >= 2 * kRotation) previous_.reset();
}

TicketKeys::KeyPtr TicketKeys::current() {
  const std::lock_guard lock(mutex_);
  rotate();
  return current_;
}

TicketKeys::Found TicketKeys::find(ConstBytes name) {
  const std::lock_guard lock(mutex_);
  rotate();
  for (const KeyPtr& one : {current_, previous_})
    if (one != nullptr && std::ranges::equal(one->name, name)) return {one, one != current_};
  return {};
}

void TicketKeys::install(ssl_ctx_st* context, const std::shared_ptr<TicketKeys>& keys) {
  SSL_CTX_set_ex_data(context, context_index(), new Shared(keys));
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &on_ticket);
}

}  // namespace ferrotunnel::transport
