// Host names as identities: one spelling for routing and authorisation alike (RFC 9110 section 4.2.3, RFC 3986 section 3.2.2).
//
// A host is a name of letters, digits, '-', '_' and '.', labels of 1 to 63 and 253 in all, or an IPv6 literal in brackets. Anything else
// (percent-encoding, userinfo, zones, other alphabets) is no host here. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ferrotunnel::http {

struct Authority {
  std::string_view host;   // as written, a trailing dot and brackets included
  std::uint16_t port = 0;  // 0: none given
};
// "host", "host:port"; nothing where either is wrong. A port is 1 to 65535 in up to five digits; "host:" is wrong.
[[nodiscard]] std::optional<Authority> split_authority(std::string_view text);

// The one spelling: ASCII lower case, no trailing dot, no port, IPv6 as RFC 5952 in brackets. Takes "host" or "host:port".
// False (and `out` empty) where it is no host. `out` keeps its capacity.
[[nodiscard]] bool normalise_host(std::string_view text, std::string& out);

// Whether two authorities are the same place, a missing port being the scheme's.
[[nodiscard]] bool same_authority(std::string_view a, std::string_view b, std::uint16_t default_port);

// "*.example.com" stands for one or more labels under example.com, and not for example.com itself. No other '*' is a wildcard.
[[nodiscard]] bool is_wildcard(std::string_view pattern);  // well-formed: "*." and a name
// Pattern and host are both in the one spelling.
[[nodiscard]] bool wildcard_match(std::string_view pattern, std::string_view host);

}  // namespace ferrotunnel::http
