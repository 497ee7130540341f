// VisitorCount: how many visitors' connections the process has, against how many it may have; and why one was not let in.
//
// Shared by every listener of the server, so that descriptors are left for clients who sign in. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

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
  // No slot: there are as many as may be.
  [[nodiscard]] VisitorSlot enter() {
    if (now_.fetch_add(1, std::memory_order_relaxed) < max_.load(std::memory_order_relaxed)) return VisitorSlot(this);
    now_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  // For one that was let in before, elsewhere.
  [[nodiscard]] VisitorSlot enter_again() {
    now_.fetch_add(1, std::memory_order_relaxed);
    return VisitorSlot(this);
  }
  void set_max(std::uint32_t most) { max_.store(most, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t max() const { return max_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t now() const { return now_.load(std::memory_order_relaxed); }

 private:
  friend class VisitorSlot;
  std::atomic<std::uint32_t> now_{0}, max_{UINT32_MAX};
};

inline VisitorSlot::~VisitorSlot() {
  if (count_ != nullptr) count_->now_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace ferrotunnel::ingress
