#include "allocations.h"

#include <cstdlib>
#include <new>

namespace ferrotunnel::bench {
namespace {
thread_local std::uint64_t counted = 0;
}  // namespace

std::uint64_t allocations() { return counted; }

static void* allocate(std::size_t size, std::size_t align = 0) {
  ++counted;
  size = size == 0 ? 1 : size;
  void* block = align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                    ? std::malloc(size)
                    : std::aligned_alloc(align, (size + align - 1) / align * align);
  if (block == nullptr) std::abort();
  return block;
}

}  // namespace ferrotunnel::bench

using ferrotunnel::bench::allocate;

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t align) { return allocate(size, static_cast<std::size_t>(align)); }
void* operator new[](std::size_t size, std::align_val_t align) {
  return allocate(size, static_cast<std::size_t>(align));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
