// Times that come from outside, before they are reckoned with. Any thread.
#pragma once

#include <algorithm>
#include <chrono>

namespace ferrotunnel::app {

// No option is longer, so that no sum of a time and an option runs over.
inline constexpr std::chrono::milliseconds kMostTime = std::chrono::hours(24 * 365);

// What a caller is ready to wait: "for ever" is a year.
inline std::chrono::milliseconds patience_of(std::chrono::milliseconds asked) {
  return std::clamp(asked, std::chrono::milliseconds::zero(), kMostTime);
}

}  // namespace ferrotunnel::app
