#include "app/cli/time_text.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace ferrotunnel::cli {
namespace {

std::string printed(const char* format, auto... values) {
  std::array<char, 64> text{};
  const int n = std::snprintf(text.data(), text.size(), format, values...);
  return {text.data(), n < 0 ? 0 : std::min(static_cast<std::size_t>(n), text.size() - 1)};
}

}  // namespace

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  // Lines come by the thousand a second: what they have in common is made once for each thread.
  thread_local std::time_t last = -1;
  thread_local std::string date;
  if (seconds != last) {
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    date = printed("%04d-%02d-%02dT%02d:%02d:%02d.", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                   utc.tm_min, utc.tm_sec);
    last = seconds;
  }
  const auto digits = static_cast<unsigned>(ms % 1000);
  std::string text = date;
  for (const unsigned place : {100u, 10u, 1u}) text += static_cast<char>('0' + digits / place % 10);
  text += 'Z';
  return text;
}

std::string clock_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return printed("%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

std::string duration_text(std::chrono::microseconds time) {
  const auto us = static_cast<double>(time.count());
  if (time.count() == 0) return "0 s";
  if (us < 10'000) return printed("%.1f ms", us / 1e3);
  if (us < 1e6) return printed("%.0f ms", us / 1e3);
  if (us < 100e6) return printed("%.1f s", us / 1e6);
  return printed("%.0f min", us / 60e6);
}

std::string amount_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  double amount = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  while (amount >= 999.5 && unit + 1 < kUnits.size()) {
    amount /= 1000;
    ++unit;
  }
  return printed(amount < 9.95 ? "%.1f " : "%.0f ", amount) + std::string(kUnits[unit]);
}

}  // namespace ferrotunnel::cli
