#include "wire/base64.h"

#include <array>
#include <cstdint>

namespace ferrotunnel::wire {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNotADigit = 0xff;

constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNotADigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return digits;
}();

}  // namespace

std::string base64url_encode(ConstBytes bytes) {
  std::string text;
  text.reserve(base64url_size(bytes.size()));
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::byte byte : bytes) {
    bits = (bits << 8) | std::to_integer<std::uint32_t>(byte);
    for (held += 8; held >= 6; held -= 6) text += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) text += kAlphabet[(bits << (6 - held)) & 63];
  return text;
}

bool base64url_decode_exact(std::string_view text, MutBytes into) {
  if (text.size() != base64url_size(into.size())) return false;
  std::uint32_t bits = 0;
  int held = 0;
  std::size_t at = 0;
  for (const char c : text) {
    const std::uint8_t digit = kDigits[static_cast<std::uint8_t>(c)];
    if (digit == kNotADigit) return false;
    bits = (bits << 6) | digit;
    held += 6;
    if (held >= 8) {
      held -= 8;
      into[at++] = static_cast<std::byte>(bits >> held);
    }
  }
  // Bits that no byte came of must be zero, else two texts would mean the same bytes.
  return (bits & ((1u << held) - 1)) == 0;
}

std::optional<std::vector<std::byte>> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;  // no number of bytes makes such a length
  std::vector<std::byte> bytes(text.size() * 3 / 4);
  if (!base64url_decode_exact(text, bytes)) return std::nullopt;
  return bytes;
}

}  // namespace ferrotunnel::wire
