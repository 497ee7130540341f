// RejectLog: which of one session's rejected registrations are told, and how many were not. Time is handed in. One owner.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace ferrotunnel::app {

class RejectLog {
 public:
  static constexpr std::uint32_t kMost = 10;  // a minute
  static constexpr Duration kMinute = std::chrono::minutes(1);

  // One more was rejected. Nothing: it is not told. Else how many before it were not.
  [[nodiscard]] std::optional<std::uint64_t> add(TimePoint now) {
    if (told_ == 0 || now - began_ >= kMinute) {
      began_ = now;
      told_ = 0;
    }
    if (told_ == kMost) {
      ++silent_;
      return {};
    }
    ++told_;
    return take();
  }
  // How many have not been told of; from now on they have been.
  [[nodiscard]] std::uint64_t take() {
    const std::uint64_t count = silent_;
    silent_ = 0;
    return count;
  }

 private:
  TimePoint began_{};
  std::uint32_t told_ = 0;
  std::uint64_t silent_ = 0;
};

}  // namespace ferrotunnel::app
