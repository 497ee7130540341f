// AddressCounts: about how many visitors each address has, over all threads: never too few, and too many only for one that shares both its cells.
//
// Two rows of counters. An address has a cell in each, by a hash whose key is the process's own, so that nobody picks whom he shares with;
// it has no more than the lower of the two says. No lock, and no memory that visitors could fill. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "transport/network.h"

namespace ferrotunnel::ingress {

class AddressCounts {
 public:
  static constexpr std::size_t kCells = 4096;  // of a row
  // Where one is counted. The default: nowhere.
  struct At {
    std::uint16_t first = kCells, second = kCells;
    [[nodiscard]] bool counted() const { return first < kCells; }
  };

  AddressCounts() : key_(JitterRng::from_system().next()) {}
  // An IPv4 address, or an IPv6 /64; nowhere for one that is not known.
  [[nodiscard]] At at(const transport::PeerAddress& peer) const {
    if (peer.family != 4 && peer.family != 6) return {};
    const auto [family, bytes] = transport::network_of(peer);
    const std::uint64_t hash = JitterRng(JitterRng(key_ ^ bytes).next() + family).next();
    return {static_cast<std::uint16_t>(hash % kCells), static_cast<std::uint16_t>((hash >> 32) % kCells)};
  }
  void add(At at) {
    if (!at.counted()) return;
    first_[at.first].fetch_add(1, std::memory_order_relaxed);
    second_[at.second].fetch_add(1, std::memory_order_relaxed);
  }
  void sub(At at) {
    if (!at.counted()) return;
    first_[at.first].fetch_sub(1, std::memory_order_relaxed);
    second_[at.second].fetch_sub(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t of(At at) const {
    if (!at.counted()) return 0;
    return std::min(first_[at.first].load(std::memory_order_relaxed),
                    second_[at.second].load(std::memory_order_relaxed));
  }

 private:
  using Row = std::array<std::atomic<std::uint32_t>, kCells>;
  const std::uint64_t key_;
  Row first_{}, second_{};
};

}  // namespace ferrotunnel::ingress
