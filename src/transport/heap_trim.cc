#include "transport/heap_trim.h"

namespace ferrotunnel::transport {

HeapTrim::HeapTrim(Shard& shard, std::function<bool()> trim, Duration delay)
    : shard_(shard), trim_(std::move(trim)), delay_(delay) {
  shard_.buffers().tell_freed([this](std::size_t bytes) { freed(bytes); });
}

HeapTrim::~HeapTrim() { shard_.buffers().tell_freed({}); }

void HeapTrim::freed(std::uint64_t bytes) {
  bytes_ += bytes;
  if (bytes_ >= kAfter && !armed()) shard_.arm(*this, delay_);
}

void HeapTrim::on_deadline() {
  if (trim_()) {
    bytes_ = 0;
  } else {
    shard_.arm(*this, delay_);
  }
}

}  // namespace ferrotunnel::transport
