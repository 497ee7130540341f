#include "base/buffer_pool.h"

#include <cassert>
#include <utility>

namespace ferrotunnel {

void Buffer::reset() {
  if (pool_ != nullptr) pool_->give_back(*this);
}

BufferPool::~BufferPool() {
  assert(lent_ == 0 && "a buffer outlives its pool");
  for (auto& blocks : free_)
    for (std::byte* block : blocks) delete[] block;
}

Buffer BufferPool::borrow(std::size_t least) {
  std::uint32_t size_class = 0;
  while (size_class + 1 < kSizes.size() && kSizes[size_class] < least) ++size_class;
  Buffer buffer;
  auto& blocks = free_[size_class];
  if (blocks.empty()) {
    buffer.data_ = new std::byte[kSizes[size_class]];
  } else {
    buffer.data_ = blocks.back();
    blocks.pop_back();
  }
  buffer.pool_ = this;
  buffer.size_ = kSizes[size_class];
  buffer.size_class_ = size_class;
  budget_.add(buffer.size_);
  ++lent_;
  return buffer;
}

void BufferPool::give_back(Buffer& buffer) {
  auto& blocks = free_[buffer.size_class_];
  if (blocks.size() < kKept[buffer.size_class_]) {
    blocks.push_back(buffer.data_);
  } else {
    delete[] buffer.data_;
    freed_ += buffer.size_;
  }
  budget_.sub(buffer.size_);
  --lent_;
  buffer.pool_ = nullptr;
  buffer.data_ = nullptr;
  buffer.size_ = 0;
  if (freed_ >= kTellEach && tell_freed_) tell_freed_(std::exchange(freed_, 0));
}

}  // namespace ferrotunnel
