#include "ingress/http2/websocket_key.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>

#include "base/random.h"

namespace ferrotunnel::ingress {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string out((size + 2) / 3 * 4 + 1, '\0');
  out.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes, static_cast<int>(size))));
  return out;
}

}  // namespace

WebSocketKey::WebSocketKey() {
  std::array<std::byte, 16> nonce;
  fill_random(nonce);
  text_ = base64(reinterpret_cast<const unsigned char*>(nonce.data()), nonce.size());
}

std::string WebSocketKey::accept() const {
  const std::string both = text_ + std::string(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(both.data(), both.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) return {};
  return base64(digest.data(), size);
}

}  // namespace ferrotunnel::ingress
