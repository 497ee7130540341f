// ConfigErrors: what is wrong with a file and those that it includes, collected while they are read; and where things stand in them.
//
// Values; one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ferrotunnel/config.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxErrors = 1'000;  // reported of one load; the rest is counted in the last of them

struct Place {
  std::uint32_t file = 0;  // which of ConfigErrors::file_name()
  std::uint32_t line = 0, column = 0;
  auto operator<=>(const Place&) const = default;
};

class ConfigErrors {
 public:
  std::uint32_t add_file(std::string name);
  [[nodiscard]] const std::string& file_name(std::uint32_t file) const { return files_[file]; }
  [[nodiscard]] std::string text_of(Place place) const;  // "server.toml:14"

  // May quote what stands in the file; not a secret.
  void add(Place place, std::string_view text);
  [[nodiscard]] bool empty() const { return errors_.empty(); }
  [[nodiscard]] std::size_t count() const { return errors_.size() + more_; }
  // Lines that could not be read were left out: what is missing may have stood there, so that it is missing is no mistake.
  void leave_out() { left_out_ = true; }
  [[nodiscard]] bool left_out() const { return left_out_; }

  [[nodiscard]] std::vector<ConfigError> sorted() const;

 private:
  struct One {
    Place place;
    std::string text;
  };
  std::vector<std::string> files_;
  std::vector<One> errors_;
  std::size_t more_ = 0;  // past kMaxErrors
  bool left_out_ = false;
};

// The nearest of some names to what was written, if one is near enough to be meant. (The command's flags have their own, in cli/commands.h,
// which sees no room; both measure alike.)
class NearestName {
 public:
  explicit NearestName(std::string_view written) : written_(written) {}
  void offer(std::string_view name);
  [[nodiscard]] std::string_view best() const { return best_; }  // empty: none is near

 private:
  std::string_view written_, best_;
  std::size_t distance_ = static_cast<std::size_t>(-1);
};

}  // namespace ferrotunnel::app::config
