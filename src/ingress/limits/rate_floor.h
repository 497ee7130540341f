// RateFloor: how slow a visitor may be while it is he whom we wait for: so many bytes in each window of waiting. Who is slower holds a connection of
// the local service's for next to nothing, which is what slow-body and slow-read attacks do.
//
// Time in which nobody waits for him does not count. Sans-I/O; one owner, one thread.
#pragma once

#include <cstdint>
#include <utility>

#include "base/clock.h"

namespace ferrotunnel::ingress {

class RateFloor {
 public:
  // `total`: bytes that he has moved so far. While it waits already nothing changes.
  void wait(TimePoint now, std::uint64_t total) {
    if (waiting_) return;
    waiting_ = known_ = true;
    begin(now, total);
  }
  // The same where the total costs a system call: the first window ends with nothing but that, and the second one judges.
  void wait(TimePoint now) {
    if (waiting_) return;
    waiting_ = true;
    known_ = false;
    since_ = now;
  }
  void go() { waiting_ = false; }
  [[nodiscard]] bool waiting() const { return waiting_; }
  // Until the window ends, and too_slow() is to be asked; only while waiting.
  [[nodiscard]] Duration left(TimePoint now, Duration window) const { return since_ + window - now; }
  // At a window's end: whether less came in it than `least` bytes. Else the next one begins.
  [[nodiscard]] bool too_slow(TimePoint now, std::uint64_t total, std::uint64_t least) {
    if (std::exchange(known_, true) && total < base_ + least) return true;
    begin(now, total);
    return false;
  }

 private:
  void begin(TimePoint now, std::uint64_t total) {
    since_ = now;
    base_ = total;
  }
  bool waiting_ = false, known_ = false;
  TimePoint since_{};
  std::uint64_t base_ = 0;
};

}  // namespace ferrotunnel::ingress
