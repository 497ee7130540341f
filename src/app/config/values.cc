#include "app/config/values.h"

#include <charconv>
#include <limits>

namespace ferrotunnel::app::config {
namespace {

struct Counted {
  std::uint64_t number = 0;
  std::string_view unit;
};
std::optional<Counted> split(std::string_view text) {
  Counted counted;
  const char* end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(text.data(), end, counted.number);
  if (failed != std::errc()) return std::nullopt;
  counted.unit = text.substr(static_cast<std::size_t>(at - text.data()));
  return counted;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::uint64_t kMost = 10ull * 366 * 24 * 3'600'000;
  const auto counted = split(text);
  if (!counted) return std::nullopt;
  std::uint64_t unit = 0;
  if (counted->unit == "ms") unit = 1;
  if (counted->unit == "s") unit = 1'000;
  if (counted->unit == "m") unit = 60'000;
  if (counted->unit == "h") unit = 3'600'000;
  if (counted->unit == "d") unit = 86'400'000;
  if (unit == 0 || counted->number > kMost / unit) return std::nullopt;
  return std::chrono::milliseconds(counted->number * unit);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto counted = split(text);
  if (!counted) return std::nullopt;
  unsigned shift = 0;
  if (counted->unit == "K" || counted->unit == "k") shift = 10;
  if (counted->unit == "M" || counted->unit == "m") shift = 20;
  if (counted->unit == "G" || counted->unit == "g") shift = 30;
  if (shift == 0 && !counted->unit.empty()) return std::nullopt;
  if (counted->number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return counted->number << shift;
}

}  // namespace ferrotunnel::app::config
