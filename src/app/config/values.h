// How durations and sizes are written. Pure functions; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ferrotunnel::app::config {

// "250ms", "30s", "5m", "1h". Nothing where it is none, or more than a year.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// "64K", "10M", "1G" or bytes. Nothing where it is none, or more than fits.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace ferrotunnel::app::config
