// ByteQueue: bytes of one stream that wait, in blocks of the shard's pool. It allocates nothing of its own, and holds no block while empty.
//
// Bounded: kMost bytes always find room. Its owner's shard.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/buffer_pool.h"

namespace ferrotunnel::ingress {

class ByteQueue {
 public:
  static constexpr std::size_t kBlock = 16'384;
  static constexpr std::size_t kMost = 5 * kBlock;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // False: there is no room for all; nothing was taken.
  [[nodiscard]] bool push(BufferPool& pool, ConstBytes bytes) {
    if (size_ + bytes.size() > kMost) return false;
    while (!bytes.empty()) {
      if (blocks_ == 0 || end_ == at(blocks_ - 1).size()) {
        assert(blocks_ < slots_.size());
        // What comes behind something is likely to go on.
        at(blocks_) = pool.borrow(blocks_ == 0 ? std::min(bytes.size(), kBlock) : kBlock);
        ++blocks_;
        end_ = 0;
      }
      const Buffer& last = at(blocks_ - 1);
      const std::size_t n = std::min<std::size_t>(bytes.size(), last.size() - end_);
      std::memcpy(last.data() + end_, bytes.data(), n);
      end_ += static_cast<std::uint32_t>(n);
      size_ += static_cast<std::uint32_t>(n);
      bytes = bytes.subspan(n);
    }
    return true;
  }

  // The first of them; into.size() is at most size().
  void pop(MutBytes into) {
    assert(into.size() <= size_);
    while (!into.empty()) {
      const Buffer& first = at(0);
      const std::size_t here = (blocks_ == 1 ? end_ : first.size()) - begin_;
      const std::size_t n = std::min(here, into.size());
      std::memcpy(into.data(), first.data() + begin_, n);
      into = into.subspan(n);
      begin_ += static_cast<std::uint32_t>(n);
      size_ -= static_cast<std::uint32_t>(n);
      if (n == here) drop_first();
    }
  }

  void clear() {
    while (blocks_ > 0) drop_first();
    size_ = 0;
  }

 private:
  // The first and the last block may be nearly empty, and the first may be a small one.
  static constexpr std::size_t kSlots = kMost / kBlock + 3;

  [[nodiscard]] Buffer& at(std::size_t i) { return slots_[(first_ + i) % kSlots]; }
  void drop_first() {
    at(0).reset();
    first_ = static_cast<std::uint8_t>((first_ + 1) % kSlots);
    --blocks_;
    begin_ = 0;
    if (blocks_ == 0) end_ = 0;
  }

  std::array<Buffer, kSlots> slots_;
  std::uint32_t begin_ = 0;  // in the first
  std::uint32_t end_ = 0;    // in the last
  std::uint32_t size_ = 0;
  std::uint8_t first_ = 0, blocks_ = 0;
};

}  // namespace ferrotunnel::ingress
