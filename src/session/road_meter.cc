#include "session/road_meter.h"

#include <algorithm>

namespace ferrotunnel::session {
namespace {

constexpr std::uint64_t kMillion = 1'000'000;

std::uint32_t share(std::uint64_t part, std::uint64_t whole) {
  if (whole < kLeastRoadSegments || part < kLeastRoadLosses) return 0;
  return static_cast<std::uint32_t>(std::min(part * kMillion / whole, kMillion));
}

}  // namespace

void RoadMeter::look(const transport::RoadCount& count, TimePoint now) {
  transport::RoadCount& oldest = before_[looks_ % kLooks];
  // The first looks compare with the first of all: what the connection did before anybody looked is no rate.
  const transport::RoadCount since = looks_ == 0 ? count : looks_ < kLooks ? before_[0] : oldest;
  oldest = count;
  ++looks_;
  if (count.near()) {
    loss_ppm_ = waiting_ppm_ = 0;
    return;
  }
  loss_ppm_ = share(count.resent - since.resent, count.sent - since.sent);
  waiting_ppm_ = share(count.waited - since.waited, count.received - since.received);
  if (loss_ppm_ >= kLossyPpm || waiting_ppm_ >= kWaitingPpm) lossy_until_ = now + kRoadHold;
}

void RoadMeter::peer_says(std::uint32_t loss_ppm, TimePoint now) {
  const bool lossy = loss_ppm >= kLossyPpm;
  if (lossy || peer_lossy_) lossy_until_ = now + kRoadHold;
  peer_lossy_ = lossy;
}

bool worth_saying(std::uint32_t said, std::uint32_t now) {
  const bool said_lossy = said >= kLossyPpm, lossy = now >= kLossyPpm;
  return said_lossy != lossy || (lossy && (now >= said * 2 || said >= now * 2));
}

}  // namespace ferrotunnel::session
