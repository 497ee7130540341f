// How often the program has allocated, has taken a lock and has looked at readiness since it began. counted.cc stands under operator new, the
// locks of pthread and epoll_wait(), in this test program alone; whatever calls them is counted, the standard library and Asio too.
#pragma once

#include <cstdint>

namespace ferrotunnel::test {

struct Counted {
  std::uint64_t allocations = 0;
  std::uint64_t locks = 0;
  std::uint64_t looks = 0;

  friend Counted operator-(const Counted& a, const Counted& b) {
    return {a.allocations - b.allocations, a.locks - b.locks, a.looks - b.looks};
  }
};
[[nodiscard]] Counted counted();

}  // namespace ferrotunnel::test
