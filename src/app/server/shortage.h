// ShortageLog: when the server says that it is out of descriptors, or about to be, and what it says then. Any thread.
#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/descriptor_budget.h"
#include "base/seldom.h"

namespace ferrotunnel::app {

// due(): it is time for a line.
class ShortageLog : public Seldom {
 public:
  static constexpr Duration kBetween = std::chrono::minutes(1);
  ShortageLog() : Seldom(kBetween) {}
};

// An accept failed with this errno.
[[nodiscard]] std::string starved_text(int error, std::uint64_t limit, const DescriptorBudget& budget);
// Others were turned away so that clients, and the operator, find some.
[[nodiscard]] std::string short_text(std::uint64_t limit, const DescriptorBudget& budget);

}  // namespace ferrotunnel::app
