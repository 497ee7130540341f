// BusyMeter: whether a thread has been at work for most of the time of late, by the processor time that it used. A thread that has no core to
// itself is not busy in this sense: a second one would have none either.
//
// Sans-I/O; one owner, one thread. Who asks reads the clocks, at most once a kLook.
#pragma once

#include "base/clock.h"

namespace ferrotunnel::transport {

class BusyMeter {
 public:
  static constexpr Duration kLook = std::chrono::milliseconds(50);
  static constexpr Duration kOld = std::chrono::seconds(1);  // a look that long ago says nothing of now
  static constexpr int kBusyPercent = 80;

  [[nodiscard]] bool due(TimePoint now) const { return now - looked_ >= kLook; }
  // `used`: processor time of the thread since it began.
  void look(TimePoint now, Duration used) {
    const Duration passed = now - looked_;
    busy_ = passed <= kOld && (used - used_) * 100 >= passed * kBusyPercent;
    looked_ = now;
    used_ = used;
  }
  [[nodiscard]] bool busy() const { return busy_; }

 private:
  TimePoint looked_{};
  Duration used_{};
  bool busy_ = false;
};

}  // namespace ferrotunnel::transport
