// Dates of HTTP (RFC 9110 section 5.6.7) as seconds since 1970: written one way, read in the three that there are. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ferrotunnel::origin::files {

// "Sun, 06 Nov 1994 08:49:37 GMT". Years outside 1970 to 9999 become the nearest second inside.
void append_date(std::string& out, std::int64_t seconds);

// `now` tells the century of a year with two digits: one that would be more than 50 years ahead is in the past.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now);

}  // namespace ferrotunnel::origin::files
