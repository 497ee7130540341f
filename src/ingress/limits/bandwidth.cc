#include "ingress/limits/bandwidth.h"

#include <algorithm>
#include <cassert>

namespace ferrotunnel::ingress {
namespace {

// Until the next turn of the wheel.
constexpr Duration kTick = std::chrono::milliseconds(1);
constexpr std::uint64_t kTicksPerSecond = 10;
constexpr std::uint64_t kLeastQuantum = 64;

}  // namespace

BandwidthLane::~BandwidthLane() { assert(line_.empty() && "visitors leave before their tunnel's limits go"); }

void BandwidthLane::set(std::uint64_t rate, std::uint64_t visitor_rate) {
  bucket_.set(rate, bandwidth_burst(rate));
  visitor_rate_ = visitor_rate;
}

bool BandwidthLane::limited() const {
  return bucket_.rate() != 0 || visitor_rate_ != 0 || (grant_ != nullptr && grant_->bucket.rate() != 0);
}

void BandwidthLane::set_own(BandwidthShare& share) const {
  share.own_.set(visitor_rate_, bandwidth_burst(visitor_rate_));
}

void BandwidthLane::leave(BandwidthShare& share) {
  if (share.is_linked()) unlink(share);
  give_back(share, std::exchange(share.allowance_, 0));
}

std::uint64_t BandwidthLane::take(BandwidthShare& share, std::uint64_t most) {
  if (share.allowance_ > 0) {
    const std::uint64_t n = std::min(share.allowance_, most);
    share.allowance_ -= n;
    return n;
  }
  if (share.is_linked()) return 0;
  set_own(share);
  // Whoever waits comes first.
  const std::uint64_t n = line_.empty() && others_waiting() == 0 ? grab(share, most, {}) : 0;
  if (n == 0) wait(share);
  return n;
}

void BandwidthLane::give_back(BandwidthShare& share, std::uint64_t n) {
  if (n == 0) return;
  bucket_.give_back(n);
  share.own_.give_back(n);
  if (grant_ != nullptr) grant_->bucket.give_back(n);
}

void BandwidthLane::wait(BandwidthShare& share) {
  if (share.is_linked() || share.allowance_ > 0) return;
  ++waited_;
  if (line_.empty()) {
    served_ = shard_.now();
    if (grant_ != nullptr) grant_->waiting.fetch_add(1, std::memory_order_relaxed);
  }
  line_.push_back(share);
  if (!Deadline::armed()) shard_.arm(*this, kTick);
}

void BandwidthLane::unlink(BandwidthShare& share) {
  line_.erase(line_.iterator_to(share));
  if (line_.empty() && grant_ != nullptr) grant_->waiting.fetch_sub(1, std::memory_order_relaxed);
}

// A tick's worth of the slowest limit, where that is less than what is worth a frame.
std::uint64_t BandwidthLane::quantum() const {
  std::uint64_t slowest = UINT64_MAX;
  const auto look = [&slowest](std::uint64_t rate) {
    if (rate != 0) slowest = std::min(slowest, rate);
  };
  look(bucket_.rate());
  look(visitor_rate_);
  if (grant_ != nullptr) {
    const std::uint32_t sharing = std::max(1u, grant_->waiting.load(std::memory_order_relaxed));
    look(grant_->bucket.rate() / sharing);
  }
  return std::clamp(slowest / kTicksPerSecond, kLeastQuantum, kQuantum);
}

// Tunnels of the same grant that wait.
std::uint32_t BandwidthLane::others_waiting() const {
  if (grant_ == nullptr || grant_->bucket.rate() == 0) return 0;
  return grant_->waiting.load(std::memory_order_relaxed) - (line_.empty() ? 0 : 1);
}

std::uint64_t BandwidthLane::shared_available(TimePoint now, Duration grace) const {
  const std::uint64_t n = bucket_.available(now, grace);
  if (grant_ == nullptr) return n;
  const std::uint64_t there = grant_->bucket.available(now, grace);
  const std::uint32_t others = others_waiting();
  if (others == 0) return std::min(n, there);
  // An equal part of what has come in since; and what is more than the others' parts, which they have left.
  const double since = std::chrono::duration<double>(std::min(now - served_, kGrace)).count();
  const auto part = static_cast<std::uint64_t>(static_cast<double>(grant_->bucket.rate()) * since / (others + 1));
  const std::uint64_t left = there > part * others ? there - part * others : 0;
  return std::min({n, there, std::max(part, left)});
}

// All three, or nothing.
std::uint64_t BandwidthLane::grab(BandwidthShare& share, std::uint64_t most, Duration grace) {
  const TimePoint now = shard_.now();
  const std::uint64_t wanted = std::min({most, shared_available(now, grace), share.own_.available(now, grace)});
  if (wanted < std::min(most, quantum())) return 0;
  // Of the grant's another shard may have taken some since.
  const std::uint64_t n = grant_ != nullptr ? grant_->bucket.take(now, wanted, grace) : wanted;
  (void)bucket_.take(now, n, grace);
  (void)share.own_.take(now, n, grace);
  return n;
}

void BandwidthLane::on_deadline() {
  const TimePoint now = shard_.now();
  const Duration grace = std::min(now - served_, kGrace);
  std::uint64_t there = shared_available(now, grace);
  bool served = false;
  // Those who come to wait meanwhile have their turn with the next tick.
  for (std::size_t left = line_.size(); left > 0 && !line_.empty() && there >= quantum(); --left) {
    BandwidthShare& share = line_.front();
    set_own(share);
    const std::uint64_t n = grab(share, std::max(there / left, quantum()), grace);
    line_.pop_front();
    if (n == 0) {  // its own limit: it stays
      line_.push_back(share);
      continue;
    }
    there -= std::min(there, n);
    served = true;
    share.allowance_ = n;
    if (line_.empty() && grant_ != nullptr) grant_->waiting.fetch_sub(1, std::memory_order_relaxed);
    share.on_allowance();
  }
  if (served) served_ = now;
  if (!line_.empty()) shard_.arm(*this, kTick);
}

}  // namespace ferrotunnel::ingress
