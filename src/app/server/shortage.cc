#include "app/server/shortage.h"

#include <cerrno>
#include <system_error>

namespace ferrotunnel::app {
namespace {

std::string uses_text(const DescriptorBudget& budget) {
  const auto count = [&](DescriptorUse use) { return std::to_string(budget.now(use)); };
  return "visitors " + count(DescriptorUse::Visitor) + ", direct links " + count(DescriptorUse::Data) +
         ", clients' links " + count(DescriptorUse::Client) + ", TCP ports " + count(DescriptorUse::Port) +
         ", signing in " + count(DescriptorUse::Handshake);
}

constexpr std::string_view kRaise =
    "Raise its limit (ulimit -n, or LimitNOFILE= of its service), or let fewer in (max_visitors, max_direct)";

}  // namespace

std::string starved_text(int error, std::uint64_t limit, const DescriptorBudget& budget) {
  if (error == EMFILE) {
    return "out of descriptors: this process may have " + std::to_string(limit) + ", and all are in use (" +
           uses_text(budget) + "). Newcomers wait until some are free. " + std::string(kRaise);
  }
  if (error == ENFILE) {
    return "out of descriptors: this machine has no more (fs.file-max, fs.nr_open). Newcomers wait until some are free "
           "(" +
           uses_text(budget) + ")";
  }
  return "newcomers wait, since the system cannot take another connection: " + std::generic_category().message(error) +
         " (" + uses_text(budget) + ")";
}

std::string short_text(std::uint64_t limit, const DescriptorBudget& budget) {
  return "descriptors run short: this process may have " + std::to_string(limit) + ", and " +
         std::to_string(budget.now()) + " are in use by connections (" + uses_text(budget) +
         "). Some are turned away, so that the rest is there for clients who sign in. " + std::string(kRaise);
}

}  // namespace ferrotunnel::app
