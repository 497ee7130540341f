// What a peer may ask of one link. Each limit has a name, a default and a counter (MuxCounters); docs/wire-protocol.md section 6 says
// what passing it ends. Fixed when the link starts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "wire/limits.h"

namespace ferrotunnel::mux {

struct MuxLimits {
  std::uint32_t max_streams = 65'536;           // open at once, both directions together
  std::uint32_t max_opens_per_second = 50'000;  // by the peer
  std::uint32_t max_empty_per_second = 1'000;   // DATA of 0 bytes without FIN
  std::uint32_t max_tiny_per_second = 500'000;  // DATA of 1-15 bytes without FIN
  std::uint32_t max_pings_per_second = 100;
  std::uint32_t max_credits_per_second = 500'000;
  std::uint32_t max_resets_per_second = 50'000;
  std::uint32_t max_controls_per_second = 2'000;
  // Their bytes, and how many may come at once. What a client says of all its tunnels fits in, and again after a reload.
  std::uint64_t max_control_bytes_per_second = 1u << 20;
  std::uint64_t control_burst = 8u << 20;
  std::uint32_t max_window = 8u << 20;       // the credit of a stream grows to this at most
  std::size_t max_held = 64u << 20;          // bytes of all streams together that wait for a slow local side
  std::size_t max_control_queue = 4u << 20;  // bytes of control frames that wait for the link
  std::uint32_t quantum = 64u << 10;         // bytes of a stream's turn: the largest DATA that is sent
};

// How many streams the links that share it may have opened at once. `used` and `limit` may be changed from any thread; a limit below
// `used` ends nothing.
struct StreamQuota {
  std::atomic<std::uint32_t> used{0};
  std::atomic<std::uint32_t> limit{UINT32_MAX};

  [[nodiscard]] bool take() {
    if (used.fetch_add(1, std::memory_order_relaxed) < limit.load(std::memory_order_relaxed)) return true;
    give_back(1);
    return false;
  }
  void give_back(std::uint32_t n) { used.fetch_sub(n, std::memory_order_relaxed); }
};

struct MuxCounters {
  std::uint64_t streams_opened = 0, streams_accepted = 0, streams_refused = 0;
  std::uint64_t data_frames_in = 0, data_frames_out = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t late_frames = 0;          // for streams that were over
  std::uint64_t flow_control_errors = 0;  // streams ended for DATA past their credit
  std::uint64_t stream_protocol_errors = 0;
  std::uint64_t memory_resets = 0;  // streams ended to make room: the longest stalled, or what found none
  std::uint64_t credits_sent = 0, window_growths = 0;
  std::uint64_t rate_limited = 0;  // links ended by one of the limits a second
};

}  // namespace ferrotunnel::mux
