// FailureThrottle: how many times an address may fail to sign in before nobody listens to it for a while.
//
// kFailures within kWindow; then silence until the window that began with the first of them is over. IPv6 counts by /64, since that is what one
// subscriber holds. It remembers kAddresses at most and forgets the one that failed longest ago: whoever has that many addresses is not
// stopped by this, but does not grow it either. One for a server, locked inside; any thread. Time is the caller's.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <mutex>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/clock.h"
#include "transport/link.h"

namespace ferrotunnel::session {

class FailureThrottle {
 public:
  static constexpr std::uint32_t kFailures = 10;
  static constexpr Duration kWindow = std::chrono::minutes(1);
  static constexpr std::size_t kAddresses = 16'384;

  // Whether this address may try. A refusal costs no answer: close.
  [[nodiscard]] bool admits(const transport::PeerAddress& address, TimePoint now);
  // It failed: a wrong token, or bytes that are no handshake. True: that was the last for now (worth a line in the log).
  bool failed(const transport::PeerAddress& address, TimePoint now);

  [[nodiscard]] std::size_t addresses() const;
  [[nodiscard]] std::uint64_t refused() const;

 private:
  using Key = std::array<std::byte, 9>;  // family, and 4 or 8 bytes
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Entry {
    Key key;
    TimePoint began;
    std::uint32_t failures = 0;
  };
  [[nodiscard]] static Key key_of(const transport::PeerAddress& address);

  mutable std::mutex mutex_;
  std::list<Entry> by_age_;  // the latest failure last
  boost::unordered_flat_map<Key, std::list<Entry>::iterator, KeyHash> entries_;
  std::uint64_t refused_ = 0;
};

}  // namespace ferrotunnel::session
