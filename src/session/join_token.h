// JoinToken: everything a client needs to reach its server and be trusted, in one string that a person can paste.
//
// "ft1_" and base64url of: version (1), u16 size of what follows, fields (u8 type, u8 length, value; unknown types are skipped),
// and a checksum (the first 4 bytes of SHA-256 over everything before it). Size and checksum tell a token that was cut from one
// that was mistyped; they protect nothing. It holds a secret: never log it. Values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "session/credentials.h"
#include "transport/tls/fingerprint.h"

namespace ferrotunnel::session {

inline constexpr std::string_view kJoinTokenPrefix = "ft1_";
inline constexpr std::size_t kMaxJoinAddresses = 8;
inline constexpr std::size_t kMaxJoinAddress = 255;  // bytes of "host:port"

struct JoinToken {
  std::vector<std::string> addresses;  // "host:port", "[2001:db8::1]:port"; to be tried in this order
  std::string grant;
  Secret secret;
  std::optional<transport::Fingerprint> fingerprint;  // of the server's key; nothing: verify by CA
  bool tls = true;
};

// host:port, where an IPv6 address stands in brackets. What the host means is found out when it is dialled.
[[nodiscard]] bool valid_join_address(std::string_view address);

// Errors: BadInput, naming the field.
[[nodiscard]] Result<std::string> encode(const JoinToken& token);
// White space anywhere in the text is skipped: terminals wrap. Errors: BadInput, with what to do.
[[nodiscard]] Result<JoinToken> decode_join_token(std::string_view text);

}  // namespace ferrotunnel::session
