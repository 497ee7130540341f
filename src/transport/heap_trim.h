// HeapTrim: asks for the memory back that the allocator keeps after a burst.
//
// What was freed between pieces that live on is no use to anybody else: a few small ones that came with the burst hold megabytes of
// free blocks, until the allocator is told to give the pages back (malloc_trim(3)). So what a shard's buffers give back is counted, with
// what others say they freed; once it is enough to matter, that is done, seldom. Nothing runs where nothing is freed.
// The shard's thread only.
#pragma once

#include <cstdint>
#include <functional>

#include "transport/shard.h"

namespace ferrotunnel::transport {

class HeapTrim final : private Deadline {
 public:
  static constexpr std::uint64_t kAfter = std::uint64_t{1} << 20;  // bytes that were freed
  static constexpr Duration kDelay = std::chrono::seconds(5);      // from then on, so that the burst is over

  // `trim` has it done; where it says false, not now, it is asked again after the delay. The shard outlives this.
  HeapTrim(Shard& shard, std::function<bool()> trim, Duration delay = kDelay);
  HeapTrim(const HeapTrim&) = delete;
  HeapTrim& operator=(const HeapTrim&) = delete;
  ~HeapTrim();

  // So much went back to the allocator, or is about to, besides the shard's buffers.
  void freed(std::uint64_t bytes);

 private:
  void on_deadline() override;

  Shard& shard_;
  const std::function<bool()> trim_;
  const Duration delay_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ferrotunnel::transport
