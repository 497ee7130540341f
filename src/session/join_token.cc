#include "session/join_token.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "wire/base64.h"
#include "wire/control.h"

namespace ferrotunnel::session {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHead = 3;  // version, size
constexpr std::size_t kChecksum = 4;
constexpr std::size_t kMaxToken = 8192;  // characters; eight long addresses need less than 3,000

enum class Field : std::uint8_t { Address = 1, Grant = 2, Secret = 3, Fingerprint = 4, Tls = 5 };

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

std::array<std::byte, kChecksum> checksum(ConstBytes over) {
  std::array<std::byte, 32> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(over.data()), over.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  std::array<std::byte, kChecksum> sum{};
  std::copy_n(digest.begin(), sum.size(), sum.begin());
  return sum;
}

Result<> check(const JoinToken& token) {
  if (token.addresses.empty() || token.addresses.size() > kMaxJoinAddresses)
    return std::unexpected(
        bad("a join token holds 1 to 8 server addresses, this one " + std::to_string(token.addresses.size())));
  for (const std::string& address : token.addresses)
    if (!valid_join_address(address))
      return std::unexpected(
          bad("the join token's server address \"" + wire::clean_text(address) + "\" is not host:port"));
  if (!wire::valid_name(token.grant))
    return std::unexpected(bad("the join token's grant \"" + wire::clean_text(token.grant) +
                               "\" is not 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)"));
  if (!token.secret.valid()) return std::unexpected(bad("the join token's secret is not 16 to 64 bytes long"));
  if (!token.tls && token.fingerprint)
    return std::unexpected(bad("the join token has a key fingerprint although TLS is off"));
  return {};
}

void put(std::vector<std::byte>& to, Field field, ConstBytes value) {
  to.push_back(static_cast<std::byte>(field));
  to.push_back(static_cast<std::byte>(value.size()));
  to.insert(to.end(), value.begin(), value.end());
}

constexpr std::string_view kDamaged =
    "the join token is damaged: a character is wrong, missing or too many. Copy it again from where the server printed "
    "it.";
constexpr std::string_view kIncomplete = "the join token is incomplete: its end is missing. Copy it again, all of it.";

// The fields between head and checksum, which is known to be right: what is wrong here was made so.
Result<JoinToken> read_fields(ConstBytes fields) {
  JoinToken token;
  while (!fields.empty()) {
    if (fields.size() < 2 || fields.size() - 2 < std::to_integer<std::size_t>(fields[1]))
      return std::unexpected(bad(std::string(kDamaged)));
    const auto field = static_cast<Field>(fields[0]);
    const ConstBytes value = fields.subspan(2, std::to_integer<std::size_t>(fields[1]));
    fields = fields.subspan(2 + value.size());
    switch (field) {
      case Field::Address: token.addresses.emplace_back(as_text(value)); break;
      case Field::Grant: token.grant = as_text(value); break;
      case Field::Secret: token.secret = Secret(value); break;
      case Field::Fingerprint:
        if (value.size() != transport::Fingerprint().size())
          return std::unexpected(bad("the join token's key fingerprint is not 32 bytes long"));
        std::ranges::copy(value, token.fingerprint.emplace().begin());
        break;
      case Field::Tls: token.tls = value.empty() || value[0] != std::byte{0}; break;
      default: break;  // of a later version
    }
  }
  if (auto checked = check(token); !checked) return std::unexpected(std::move(checked.error()));
  return token;
}

}  // namespace

bool valid_join_address(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (address.size() > kMaxJoinAddress || colon == std::string_view::npos || colon == 0) return false;
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  unsigned number = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (ec != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) return false;
  const bool bracketed = host.front() == '[';
  if (bracketed) {
    if (host.size() < 4 || host.back() != ']') return false;
    host = host.substr(1, host.size() - 2);
  }
  return std::ranges::all_of(host, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
           c == '_' || (bracketed && (c == ':' || c == '%'));
  });
}

Result<std::string> encode(const JoinToken& token) {
  if (auto checked = check(token); !checked) return std::unexpected(std::move(checked.error()));
  Secret bytes;  // holds the secret too, so it is wiped like one
  std::vector<std::byte>& out = bytes.bytes;
  out.reserve(kHead + token.addresses.size() * (2 + kMaxJoinAddress) + 256);  // no copy is left behind by growing
  out.resize(kHead);
  for (const std::string& address : token.addresses) put(out, Field::Address, as_bytes(address));
  put(out, Field::Grant, as_bytes(token.grant));
  put(out, Field::Secret, token.secret.bytes);
  if (token.fingerprint) put(out, Field::Fingerprint, *token.fingerprint);
  constexpr std::array<std::byte, 1> kOff{};
  if (!token.tls) put(out, Field::Tls, kOff);
  out[0] = std::byte{kVersion};
  store_be<std::uint16_t>(&out[1], static_cast<std::uint16_t>(out.size() - kHead + kChecksum));
  const auto sum = checksum(out);
  out.insert(out.end(), sum.begin(), sum.end());
  return std::string(kJoinTokenPrefix) + wire::base64url_encode(out);
}

Result<JoinToken> decode_join_token(std::string_view given) {
  std::string text;
  text.reserve(std::min(given.size(), kMaxToken));
  for (const char c : given) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (text.size() == kMaxToken) return std::unexpected(bad("the join token is too long to be one"));
    text += c;
  }
  if (!text.starts_with(kJoinTokenPrefix)) {
    if (text.starts_with("ft") && text.find('_') != std::string::npos && text.find('_') <= 4)
      return std::unexpected(
          bad("the join token's kind is not known to this version: it should begin with ft1_. If the server is newer, "
              "update this program."));
    if (kJoinTokenPrefix.starts_with(text) && !text.empty()) return std::unexpected(bad(std::string(kIncomplete)));
    return std::unexpected(bad("this is not a join token: one begins with ft1_ (the server prints it when it starts)"));
  }
  const std::string_view body = std::string_view(text).substr(kJoinTokenPrefix.size());

  // The head alone says how long the token should be, so that a cut is told apart however little is left behind it.
  std::array<std::byte, kHead> head{};
  constexpr std::size_t kHeadText = wire::base64url_size(kHead);
  if (body.size() < kHeadText) return std::unexpected(bad(std::string(kIncomplete)));
  if (!wire::base64url_decode_exact(body.substr(0, kHeadText), head))
    return std::unexpected(bad(std::string(kDamaged)));
  if (std::to_integer<std::uint8_t>(head[0]) != kVersion)
    return std::unexpected(bad(
        "the join token is of another version (or its beginning is damaged): copy it again, or update this program"));
  const std::size_t whole = kHead + load_be<std::uint16_t>(&head[1]);
  if (body.size() < wire::base64url_size(whole)) return std::unexpected(bad(std::string(kIncomplete)));

  Secret bytes;
  if (auto decoded = wire::base64url_decode(body)) bytes.bytes.swap(*decoded);
  const ConstBytes all(bytes.bytes);
  if (all.size() != whole || whole < kHead + kChecksum) return std::unexpected(bad(std::string(kDamaged)));
  const ConstBytes covered = all.first(whole - kChecksum);
  if (!std::ranges::equal(checksum(covered), all.subspan(covered.size())))
    return std::unexpected(bad(std::string(kDamaged)));
  return read_fields(covered.subspan(kHead));
}

}  // namespace ferrotunnel::session
