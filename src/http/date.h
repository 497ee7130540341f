// Dates of HTTP (RFC 9110 section 5.6.7) as seconds since 1970: written one way, read in the three that there are. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ferrotunnel::http {

// "Sun, 06 Nov 1994 08:49:37 GMT". Years outside 1970 to 9999 become the nearest second inside.
void append_date(std::string& out, std::int64_t seconds);

// `now` tells the century of a year with two digits: one that would be more than 50 years ahead is in the past.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now);

// The date of this second, for every message of it: written once. Owner's thread.
class DateOfNow {
 public:
  // Good until it is asked in another second.
  [[nodiscard]] std::string_view at(std::int64_t seconds) {
    if (seconds != seconds_ || text_.empty()) {
      text_.clear();
      append_date(text_, seconds_ = seconds);
    }
    return text_;
  }

 private:
  std::int64_t seconds_ = 0;
  std::string text_;
};

}  // namespace ferrotunnel::http
