#include "byte_path/counted.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace ferrotunnel::test {
namespace {

std::atomic<std::uint64_t> allocations{0}, locks{0}, looks{0};

void* allocate(std::size_t size, std::size_t align) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  size = size == 0 ? 1 : size;
  void* block = align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                    ? std::malloc(size)
                    : std::aligned_alloc(align, (size + align - 1) / align * align);
  return block;
}
void* allocate_or_throw(std::size_t size, std::size_t align = 0) {
  if (void* block = allocate(size, align)) return block;
  throw std::bad_alloc();
}

// The function of that name behind this one. Asked for once: dlsym() takes locks of its own.
template <class Function>
Function* next(std::atomic<Function*>& kept, const char* name) {
  Function* function = kept.load(std::memory_order_acquire);
  if (function == nullptr) {
    function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
    if (function == nullptr) std::abort();
    kept.store(function, std::memory_order_release);
  }
  return function;
}

}  // namespace

Counted counted() {
  return {allocations.load(std::memory_order_relaxed), locks.load(std::memory_order_relaxed),
          looks.load(std::memory_order_relaxed)};
}

}  // namespace ferrotunnel::test

using ferrotunnel::test::allocate;
using ferrotunnel::test::allocate_or_throw;

void* operator new(std::size_t size) { return allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocate_or_throw(size); }
void* operator new(std::size_t size, std::align_val_t align) {
  return allocate_or_throw(size, static_cast<std::size_t>(align));
}
void* operator new[](std::size_t size, std::align_val_t align) {
  return allocate_or_throw(size, static_cast<std::size_t>(align));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { std::free(block); }

// The weak names of AddressSanitizer's own wrappers give way to these.
#define FT_COUNTED_LOCK(name, type)                                   \
  extern "C" int name(type* lock) noexcept {                          \
    static std::atomic<int (*)(type*)> kept{nullptr};                 \
    ferrotunnel::test::locks.fetch_add(1, std::memory_order_relaxed); \
    return ferrotunnel::test::next<int(type*)>(kept, #name)(lock);    \
  }
FT_COUNTED_LOCK(pthread_mutex_lock, pthread_mutex_t)
FT_COUNTED_LOCK(pthread_mutex_trylock, pthread_mutex_t)
FT_COUNTED_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
FT_COUNTED_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)

extern "C" int epoll_wait(int set, epoll_event* events, int most, int timeout) {
  static std::atomic<int (*)(int, epoll_event*, int, int)> kept{nullptr};
  ferrotunnel::test::looks.fetch_add(1, std::memory_order_relaxed);
  return ferrotunnel::test::next<int(int, epoll_event*, int, int)>(kept, "epoll_wait")(set, events, most, timeout);
}
