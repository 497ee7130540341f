// BufferPool: blocks of bytes lent while bytes are in hand, and the process's budget that they count against.
//
// A pool belongs to one shard and is not locked; the MemoryBudget is shared by all and only counts. Blocks come in three sizes, so that
// a held keystroke does not cost what a held chunk costs. Freed blocks are kept up to a bound, then given back to malloc.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace ferrotunnel {

// How much memory all buffers of a process may hold. Any thread.
class MemoryBudget {
 public:
  static constexpr std::size_t kDefaultLimit = 256u << 20;

  explicit MemoryBudget(std::size_t limit = kDefaultLimit) : limit_(limit) {}

  void add(std::size_t n) { used_.fetch_add(n, std::memory_order_relaxed); }
  void sub(std::size_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  // Past half: nobody's window grows. Past the whole: no new holders, no credit for what is held.
  [[nodiscard]] bool tight() const { return used() > limit_ / 2; }
  [[nodiscard]] bool full() const { return used() >= limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
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

 private:
  friend class Buffer;
  void give_back(Buffer& buffer);

  MemoryBudget& budget_;
  std::array<std::vector<std::byte*>, kSizes.size()> free_;
  std::size_t lent_ = 0;
};

}  // namespace ferrotunnel
