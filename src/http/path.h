// Paths as identities: one spelling for what rules and routes match and for what the origin gets (RFC 3986 section 6.2.2).
//
// Where a path decides anything, the request goes on with the spelling that was decided upon, or is refused: what an origin could read as
// another path (an encoded slash, "..;", a backslash) is no path here. Runs of slashes become one, as origins that merge them read them.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ferrotunnel::http {

enum class PathFault : std::uint8_t {
  None,
  Escape,        // '%' without two hex digits
  EncodedSlash,  // %2F or %5C
  Control,       // %00 and the like
  Backslash,
  Parameter,  // ";x", ".;x" or "..;x" as a segment: some origins walk up there
};
[[nodiscard]] std::string_view sentence(PathFault fault);

// `path` is that of a request without its query; "" is "/". Unreserved characters are decoded, the other escapes in upper case; "." and ".."
// are resolved, and never above the root. `out` (which keeps its capacity) is "" after a fault.
[[nodiscard]] PathFault normalise_path(std::string_view path, std::string& out);

// The same of a request's head, whose path and query lie in `storage` afterwards (and nowhere after a fault). "*" stays, and so does
// CONNECT's, which is none.
[[nodiscard]] PathFault normalise_path(RequestHead& head, std::string& storage);

// A prefix in the one spelling for path_prefix(): "" for "/", else "/a/b" without a slash at its end. Nothing: it does not begin with '/', or is
// no path, or has a ';'.
[[nodiscard]] std::optional<std::string> normalise_prefix(std::string_view prefix);

// How much of `path` the prefix is, whole segments only: "/api" is 4 of "/api/x" and of "/api;v=1", and nothing of "/apis". Parameters of
// segments (";v=1") count to the segment before them. Both in the one spelling; "" is
// nothing of every path, and of "*".
[[nodiscard]] std::optional<std::size_t> path_prefix(std::string_view path, std::string_view prefix);

}  // namespace ferrotunnel::http
