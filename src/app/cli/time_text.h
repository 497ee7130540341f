// Times and amounts as text. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ferrotunnel::cli {

[[nodiscard]] std::string rfc3339(std::chrono::system_clock::time_point time);     // "2026-01-31T12:00:00.123Z"
[[nodiscard]] std::string clock_text(std::chrono::system_clock::time_point time);  // local "12:00:00"
[[nodiscard]] std::string duration_text(std::chrono::microseconds time);  // "0.4 ms", "12 ms", "1.5 s", "2 min"
[[nodiscard]] std::string amount_text(std::uint64_t bytes);               // "512 B", "1.2 MB"

}  // namespace ferrotunnel::cli
