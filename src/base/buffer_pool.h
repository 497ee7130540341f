// BufferPool: blocks of bytes lent while bytes are in hand, and the process's budget that they count against.
//
// A pool belongs to one shard and is not locked; the MemoryBudget is shared by all and only counts. Blocks come in three sizes, so that
// a held keystroke does not cost what a held chunk costs. Freed blocks are kept up to a bound, then given back to malloc.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace ferrotunnel {

// How much memory all buffers of a process may hold, and how many holders (links that hold something for slow readers) share it.
// Any thread. What goes on for as long as its visitor likes (bodies, TCP, what a link holds) stops at the limit for bodies, an eighth below the
// limit: the rest is for heads, whose time is short. One that fills it takes nothing from the others: each holder may hold its share, body
// limit / holders, also when it is full. So it can be passed; nobody is admitted past twice the limit for bodies.
class MemoryBudget {
 public:
  static constexpr std::size_t kDefaultLimit = 256u << 20;

  static constexpr std::size_t kHeadShare = 8;  // an eighth is for heads alone

  explicit MemoryBudget(std::size_t limit = kDefaultLimit) { set_limit(limit); }

  void add(std::size_t n) { used_.fetch_add(n, std::memory_order_relaxed); }
  void sub(std::size_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t body_limit() const { return body_limit_.load(std::memory_order_relaxed); }
  void set_limit(std::size_t limit) {
    limit_.store(limit, std::memory_order_relaxed);
    body_limit_.store(limit - limit / kHeadShare, std::memory_order_relaxed);
  }
  // Past half: windows shrink. Past the limit for bodies: a holder may fill its share, and no more. Past the whole: not even heads.
  [[nodiscard]] bool tight() const { return used() > limit() / 2; }
  [[nodiscard]] bool bodies_full() const { return used() >= body_limit(); }
  [[nodiscard]] bool full() const { return used() >= limit(); }

  // Somebody was ended to make room.
  void count_reset() { resets_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t resets() const { return resets_.load(std::memory_order_relaxed); }

  // A holder counts from its first byte to its last.
  void add_holder() { holders_.fetch_add(1, std::memory_order_relaxed); }
  void sub_holder() { holders_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t holders() const { return holders_.load(std::memory_order_relaxed); }
  // Whether a holder of `mine` bytes (0: it is none yet) may hold n more, once it has given `freed` of those back. A look, not a
  // reservation: others may be let in at the same moment.
  [[nodiscard]] bool admits(std::size_t mine, std::size_t n, std::size_t freed = 0) const {
    const std::size_t in_use = used();
    const std::size_t rest = in_use - std::min(freed, in_use);
    const std::size_t limit = body_limit();
    if (rest < limit) return true;
    return rest / 2 < limit && mine - freed + n <= limit / std::max<std::size_t>(1, holders() + (mine == 0 ? 1 : 0));
  }

 private:
  std::atomic<std::size_t> limit_{0}, body_limit_{0};
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> holders_{0};
  std::atomic<std::uint64_t> resets_{0};
};

class BufferPool;

// A lent block; gives itself back. Moves, never copies.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer gone(std::move(other));
    swap(gone);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { reset(); }

  [[nodiscard]] explicit operator bool() const { return data_ != nullptr; }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] MutBytes bytes() const { return {data_, size_}; }
  void reset();
  void swap(Buffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(size_class_, other.size_class_);
  }

 private:
  friend class BufferPool;
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t size_class_ = 0;
};

class BufferPool {
 public:
  static constexpr std::array<std::uint32_t, 4> kSizes{512, 4096, 16384, 131072};
  // Freed blocks of a size that are kept: enough for a busy shard, nothing to notice in an idle one.
  static constexpr std::array<std::uint32_t, 4> kKept{64, 32, 32, 4};

  explicit BufferPool(MemoryBudget& budget) : budget_(budget) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // A block of the smallest size that holds `least` bytes, or the largest size. Never fails short of the machine's memory:
  // the budget is advice for those who grant credit and admit streams, so that bytes already paid for always find room.
  [[nodiscard]] Buffer borrow(std::size_t least);
  [[nodiscard]] MemoryBudget& budget() const { return budget_; }
  [[nodiscard]] std::size_t lent() const { return lent_; }  // blocks
  // Who wants to hear of blocks that went back to malloc, in bytes, kTellEach or more at a time; it is called by those who give one back, and
  // must not touch the pool.
  static constexpr std::size_t kTellEach = 256u << 10;
  void tell_freed(std::function<void(std::size_t)> freed) { tell_freed_ = std::move(freed); }

 private:
  friend class Buffer;
  void give_back(Buffer& buffer);

  MemoryBudget& budget_;
  std::array<std::vector<std::byte*>, kSizes.size()> free_;
  std::size_t lent_ = 0;
  std::size_t freed_ = 0;  // bytes, not told yet
  std::function<void(std::size_t)> tell_freed_;
};

}  // namespace ferrotunnel
