// DescriptorBudget: what of a process's descriptors its connections may take, so that some are left for whoever matters more.
//
// Each use has a line: it gets none once all uses together have as many as that. Visitors stop before clients do, and data connections,
// without which visitors are served too, long before visitors: so a client can still sign in, and an operator still ask, while a crowd has
// the rest. Nor may one grant of several have all that is for clients: from the last quarter of their line it gets some only while it has less
// than a quarter of it (kGrantShare). Counted, not measured: what the process has besides (`own`) is taken off once, at the start. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace ferrotunnel {

enum class DescriptorUse : std::uint8_t {
  Visitor,
  Data,       // a connection that a client opened for one visitor: it waits for him, or has him
  Client,     // a client's link: the first, or a further one
  Port,       // where a TCP tunnel listens
  Handshake,  // of a connection that has not signed in yet
};
inline constexpr std::size_t kDescriptorUses = 5;

// Of all uses together.
struct DescriptorLines {
  std::uint32_t visitors = UINT32_MAX, data = UINT32_MAX, clients = UINT32_MAX;
  friend bool operator==(const DescriptorLines&, const DescriptorLines&) = default;
};

// What is never given away: for files that are read, and the control socket. A sixteenth, where that is fewer; but some.
inline constexpr std::uint64_t kDescriptorsKept = 16, kLeastDescriptorsKept = 8;
// How many are kept from visitors where a process may have `all`, whatever it has open: 64, or an eighth where that is more; and never
// more than half.
[[nodiscard]] std::uint64_t descriptor_reserve(std::uint64_t all);
// `own`: descriptors that are in other use. UINT64_MAX is no limit.
[[nodiscard]] DescriptorLines descriptor_lines(std::uint64_t all, std::uint64_t own);

// One in so many of `clients`: the last of them are for grants that have fewer than as many.
inline constexpr std::uint32_t kGrantShare = 4;

// Of the process, now (RLIMIT_NOFILE). UINT64_MAX: as many as it likes.
[[nodiscard]] std::uint64_t descriptor_limit();
[[nodiscard]] std::uint64_t descriptors_in_use();  // nearly: those of other threads come and go meanwhile

class DescriptorBudget {
 public:
  void set(const DescriptorLines& lines);
  // False: there are as many as may be.
  [[nodiscard]] bool take(DescriptorUse use);
  // For a grant that has so many already.
  [[nodiscard]] bool take_for(DescriptorUse use, std::uint32_t has);
  // There are several grants, which leave each other some.
  void share(bool several) { several_.store(several, std::memory_order_relaxed); }
  void take_anyway(DescriptorUse use);  // it is there already, for another use or on another thread
  void give(DescriptorUse use);
  // More of them that there is room for; less than 0: so many too many, since others came.
  [[nodiscard]] std::int64_t room(DescriptorUse use) const;

  [[nodiscard]] std::uint32_t now() const { return now_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t now(DescriptorUse use) const { return of(use).now.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t refused(DescriptorUse use) const {
    return of(use).refused.load(std::memory_order_relaxed);
  }
  // Of these: since their grant had its share.
  [[nodiscard]] std::uint64_t refused_share() const { return refused_share_.load(std::memory_order_relaxed); }
  [[nodiscard]] DescriptorLines lines() const;

 private:
  struct Use {
    std::atomic<std::uint32_t> now{0}, line{UINT32_MAX};
    std::atomic<std::uint64_t> refused{0};
  };
  [[nodiscard]] Use& of(DescriptorUse use) { return uses_[static_cast<std::size_t>(use)]; }
  [[nodiscard]] const Use& of(DescriptorUse use) const { return uses_[static_cast<std::size_t>(use)]; }
  std::atomic<std::uint32_t> now_{0};
  std::atomic<bool> several_{false};
  std::atomic<std::uint64_t> refused_share_{0};
  std::array<Use, kDescriptorUses> uses_;
};

// One descriptor's place; gives itself back. The budget outlives it.
class DescriptorHold {
 public:
  DescriptorHold() = default;
  DescriptorHold(DescriptorHold&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), use_(other.use_) {}
  DescriptorHold& operator=(DescriptorHold&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(use_, other.use_);
    return *this;
  }
  ~DescriptorHold() { release(); }
  // None: take() said no.
  [[nodiscard]] static DescriptorHold take(DescriptorBudget& budget, DescriptorUse use) {
    return budget.take(use) ? DescriptorHold(budget, use) : DescriptorHold();
  }
  [[nodiscard]] static DescriptorHold take_for(DescriptorBudget& budget, DescriptorUse use, std::uint32_t has) {
    return budget.take_for(use, has) ? DescriptorHold(budget, use) : DescriptorHold();
  }
  [[nodiscard]] static DescriptorHold take_anyway(DescriptorBudget& budget, DescriptorUse use) {
    budget.take_anyway(use);
    return DescriptorHold(budget, use);
  }
  void release() {
    if (DescriptorBudget* budget = std::exchange(budget_, nullptr)) budget->give(use_);
  }
  [[nodiscard]] explicit operator bool() const { return budget_ != nullptr; }

 private:
  DescriptorHold(DescriptorBudget& budget, DescriptorUse use) : budget_(&budget), use_(use) {}
  DescriptorBudget* budget_ = nullptr;
  DescriptorUse use_{};
};

}  // namespace ferrotunnel
