#include "http/h2/h2_frame_room.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ferrotunnel::http {
namespace {

// The largest frame that it makes, with its head and padding, is a little more than 16 KiB, and nothing else that it asks for is near that.
constexpr std::size_t kPages = std::size_t{5} * 4096;
constexpr std::size_t kLeast = std::size_t{16} * 1024;

}  // namespace

H2FrameRoom::H2FrameRoom() : allocator_{this, allocate, release, allocate_zeroed, resize} {
  void* pages = ::mmap(nullptr, kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages != MAP_FAILED) pages_ = pages;
}

H2FrameRoom::~H2FrameRoom() {
  if (pages_ != nullptr) ::munmap(pages_, kPages);
}

void H2FrameRoom::rest() {
  if (lent_) ::madvise(pages_, kPages, MADV_DONTNEED);
}

void* H2FrameRoom::lend(std::size_t size) {
  if (pages_ == nullptr || lent_ || size < kLeast || size > kPages) return nullptr;
  lent_ = true;
  return pages_;
}

void* H2FrameRoom::allocate(std::size_t size, void* self) {
  void* lent = static_cast<H2FrameRoom*>(self)->lend(size);
  return lent != nullptr ? lent : std::malloc(size);
}

void H2FrameRoom::release(void* block, void* self) {
  auto& room = *static_cast<H2FrameRoom*>(self);
  if (block == nullptr || block != room.pages_) return std::free(block);
  room.lent_ = false;
}

void* H2FrameRoom::allocate_zeroed(std::size_t count, std::size_t size, void* /*self*/) {
  return std::calloc(count, size);
}

void* H2FrameRoom::resize(void* block, std::size_t size, void* self) {
  auto& room = *static_cast<H2FrameRoom*>(self);
  if (block == nullptr) return allocate(size, self);
  if (block != room.pages_) return std::realloc(block, size);
  if (size <= kPages) return block;
  void* larger = std::malloc(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, std::min(size, kPages));
  room.lent_ = false;
  return larger;
}

}  // namespace ferrotunnel::http
