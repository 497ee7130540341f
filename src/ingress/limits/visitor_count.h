// VisitorCount: how many visitors' connections the process has, against how many it may have; and why one was not let in.
//
// Shared by every listener of the server, so that descriptors are left for clients who sign in: it takes each from the budget of those, where
// it has one. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "base/descriptor_budget.h"

namespace ferrotunnel::ingress {

enum class Refusal : std::uint8_t {
  Denied,        // its address: allow, deny
  TunnelLimit,   // max_visitors
  AddressLimit,  // max_visitors_per_address
  Rate,          // max_new_visitors_per_second
  ServerLimit,   // max_visitors of the server
  Memory,        // memory_limit
};
inline constexpr std::size_t kRefusals = 6;
using RefusalCounts = std::array<std::uint64_t, kRefusals>;

class VisitorCount;

// One place among them; gives itself back.
class VisitorSlot {
 public:
  VisitorSlot() = default;
  VisitorSlot(VisitorSlot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  VisitorSlot& operator=(VisitorSlot&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~VisitorSlot();
  [[nodiscard]] explicit operator bool() const { return count_ != nullptr; }

 private:
  friend class VisitorCount;
  explicit VisitorSlot(VisitorCount* count) : count_(count) {}
  VisitorCount* count_ = nullptr;
};

class VisitorCount {
 public:
  VisitorCount() = default;
  explicit VisitorCount(DescriptorBudget& budget) : budget_(&budget) {}
  // No slot: there are as many as may be, or no descriptor is left for one.
  [[nodiscard]] VisitorSlot enter() {
    if (now_.fetch_add(1, std::memory_order_relaxed) < max_.load(std::memory_order_relaxed) &&
        (budget_ == nullptr || budget_->take(DescriptorUse::Visitor)))
      return VisitorSlot(this);
    now_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  // For one that was let in before, elsewhere.
  [[nodiscard]] VisitorSlot enter_again() {
    now_.fetch_add(1, std::memory_order_relaxed);
    if (budget_ != nullptr) budget_->take_anyway(DescriptorUse::Visitor);
    return VisitorSlot(this);
  }
  // Nobody is let in now.
  [[nodiscard]] bool full() const {
    return now() >= max() || (budget_ != nullptr && budget_->room(DescriptorUse::Visitor) <= 0);
  }
  // For one in whose place another goes at once: a few more than there may be.
  [[nodiscard]] VisitorSlot enter_beyond() {
    const bool room = now() < std::uint64_t{max()} + kBeyond &&
                      (budget_ == nullptr || budget_->room(DescriptorUse::Visitor) > -std::int64_t{kBeyond});
    return room ? enter_again() : VisitorSlot();
  }
  static constexpr std::uint32_t kBeyond = 8;
  void set_max(std::uint32_t most) { max_.store(most, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t max() const { return max_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t now() const { return now_.load(std::memory_order_relaxed); }

 private:
  friend class VisitorSlot;
  void leave() {
    now_.fetch_sub(1, std::memory_order_relaxed);
    if (budget_ != nullptr) budget_->give(DescriptorUse::Visitor);
  }
  DescriptorBudget* const budget_ = nullptr;
  std::atomic<std::uint32_t> now_{0}, max_{UINT32_MAX};
};

inline VisitorSlot::~VisitorSlot() {
  if (count_ != nullptr) count_->leave();
}

}  // namespace ferrotunnel::ingress
