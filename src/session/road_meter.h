// RoadMeter: whether the road under a link loses so much that its streams wait for each other: what `carry = "auto"` goes by.
//
// Sans-I/O: the owner feeds what the kernel has counted (transport/tcp/road.h) every kRoadLook while there is traffic, and what the other
// end says of its own way. A verdict of "lossy" holds for kRoadHold after the last reason for it. One owner, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "transport/tcp/road.h"

namespace ferrotunnel::session {

inline constexpr Duration kRoadLook = std::chrono::seconds(2);
inline constexpr Duration kRoadHold = std::chrono::seconds(60);
using transport::kLossyPpm;
inline constexpr std::uint32_t kWaitingPpm = 50'000;  // of a million received, so many had to wait for one before them
inline constexpr std::uint64_t kLeastRoadSegments = 200;  // in the looks that count; fewer say nothing
inline constexpr std::uint64_t kLeastRoadLosses =
    2;  // one may be the end of a burst that was asked for again too early

class RoadMeter {
 public:
  static constexpr std::size_t kLooks = 5;  // that count together

  void look(const transport::RoadCount& count, TimePoint now);
  void peer_says(std::uint32_t loss_ppm, TimePoint now);  // stands until it says something else

  [[nodiscard]] std::uint32_t loss_ppm() const { return loss_ppm_; }        // of what we send
  [[nodiscard]] std::uint32_t waiting_ppm() const { return waiting_ppm_; }  // of what we receive
  [[nodiscard]] bool lossy(TimePoint now) const { return peer_lossy_ || now < lossy_until_; }

 private:
  std::array<transport::RoadCount, kLooks> before_{};
  std::size_t looks_ = 0;
  std::uint32_t loss_ppm_ = 0, waiting_ppm_ = 0;
  bool peer_lossy_ = false;
  TimePoint lossy_until_{};
};

// Whether what a client says of its road has changed enough to say it again.
[[nodiscard]] bool worth_saying(std::uint32_t said_ppm, std::uint32_t loss_ppm);

}  // namespace ferrotunnel::session
