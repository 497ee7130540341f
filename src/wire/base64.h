// base64url without padding (RFC 4648 section 5), as CONTROL messages and join tokens carry bytes.
//
// Decoding is strict, so that every value has exactly one text: no padding, no other alphabet, no white space, no stray bits at the
// end. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace ferrotunnel::wire {

[[nodiscard]] constexpr std::size_t base64url_size(std::size_t bytes) { return (bytes * 4 + 2) / 3; }

[[nodiscard]] std::string base64url_encode(ConstBytes bytes);
[[nodiscard]] std::optional<std::vector<std::byte>> base64url_decode(std::string_view text);
// Decodes text that holds exactly into.size() bytes; false leaves `into` in an unspecified state.
[[nodiscard]] bool base64url_decode_exact(std::string_view text, MutBytes into);

}  // namespace ferrotunnel::wire
