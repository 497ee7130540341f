// VisitorCount: how many visitors' connections the process has, against how many it may have; and why one was not let in.
//
// Shared by every listener of the server, so that descriptors are left for clients who sign in: it takes each from the budget of those, where
// it has one. Where few are left, an address that has much of them gets no more. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "base/descriptor_budget.h"
#include "ingress/limits/address_counts.h"

namespace ferrotunnel::ingress {

enum class Refusal : std::uint8_t {
  Denied,        // its address: allow, deny
  TunnelLimit,   // max_visitors
  AddressLimit,  // max_visitors_per_address; its part of the server's visitors
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
  VisitorSlot(VisitorSlot&& other) noexcept : count_(std::exchange(other.count_, nullptr)), at_(other.at_) {}
  VisitorSlot& operator=(VisitorSlot&& other) noexcept {
    std::swap(count_, other.count_);
    std::swap(at_, other.at_);
    return *this;
  }
  ~VisitorSlot();
  [[nodiscard]] explicit operator bool() const { return count_ != nullptr; }

 private:
  friend class VisitorCount;
  VisitorSlot(VisitorCount* count, AddressCounts::At at) : count_(count), at_(at) {}
  VisitorCount* count_ = nullptr;
  AddressCounts::At at_;
};

class VisitorCount {
 public:
  static constexpr std::uint32_t kBeyond = 8;
  // The last eighth of all places is not for an address that has more than a quarter of them.
  static constexpr std::uint32_t kLastPart = 8, kAddressPart = 4;

  VisitorCount() = default;
  explicit VisitorCount(DescriptorBudget& budget) : budget_(&budget) {}
  // Of a peer whose address is not known, or is not his own, none is counted.
  [[nodiscard]] VisitorSlot enter(const transport::PeerAddress& peer = {}) {
    // No slot: there are as many as may be, or no descriptor is left for one.
    if (now_.fetch_add(1, std::memory_order_relaxed) < max_.load(std::memory_order_relaxed) &&
        (budget_ == nullptr || budget_->take(DescriptorUse::Visitor)))
      return slot(peer);
    now_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  // Nobody is let in now.
  [[nodiscard]] bool full() const { return room() <= 0; }
  // Nobody of this address is, where another may be.
  [[nodiscard]] bool crowded_by(const transport::PeerAddress& peer) const {
    const std::uint32_t all = line();
    return room() < std::int64_t{all / kLastPart} && addresses_.of(addresses_.at(peer)) > all / kAddressPart;
  }
  // Why one of this address was not let in just now.
  [[nodiscard]] Refusal refusal_of(const transport::PeerAddress& peer) const {
    return crowded_by(peer) ? Refusal::AddressLimit : Refusal::ServerLimit;
  }
  // For one in whose place another goes at once: a few more than there may be, of his address where it has its part.
  [[nodiscard]] VisitorSlot enter_beyond(const transport::PeerAddress& peer = {}) {
    const std::int64_t kept = crowded_by(peer) ? line() / kLastPart : 0;
    if (room() <= kept - (kept > 0 ? std::min<std::int64_t>(kBeyond, kept / 2) : kBeyond)) return {};
    now_.fetch_add(1, std::memory_order_relaxed);
    if (budget_ != nullptr) budget_->take_anyway(DescriptorUse::Visitor);
    return slot(peer);
  }
  void set_max(std::uint32_t most) { max_.store(most, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t max() const { return max_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t now() const { return now_.load(std::memory_order_relaxed); }

 private:
  friend class VisitorSlot;
  [[nodiscard]] VisitorSlot slot(const transport::PeerAddress& peer) {
    const AddressCounts::At at = addresses_.at(peer);
    addresses_.add(at);
    return {this, at};
  }
  void leave(AddressCounts::At at) {
    addresses_.sub(at);
    now_.fetch_sub(1, std::memory_order_relaxed);
    if (budget_ != nullptr) budget_->give(DescriptorUse::Visitor);
  }
  // How many there may be, and how many more now; less than 0: so many too many.
  [[nodiscard]] std::uint32_t line() const {
    return budget_ == nullptr ? max() : std::min(max(), budget_->lines().visitors);
  }
  [[nodiscard]] std::int64_t room() const {
    const std::int64_t places = std::int64_t{max()} - std::int64_t{now()};
    return budget_ == nullptr ? places : std::min(places, budget_->room(DescriptorUse::Visitor));
  }
  DescriptorBudget* const budget_ = nullptr;
  std::atomic<std::uint32_t> now_{0}, max_{UINT32_MAX};
  AddressCounts addresses_;
};

inline VisitorSlot::~VisitorSlot() {
  if (count_ != nullptr) count_->leave(at_);
}

}  // namespace ferrotunnel::ingress
