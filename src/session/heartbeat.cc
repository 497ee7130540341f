#include "session/heartbeat.h"

#include <algorithm>

namespace ferrotunnel::session {

void Heartbeat::on_output(bool waiting, std::uint64_t taken, TimePoint at) {
  if (waiting && output_waiting_ && taken == taken_) {
    // Time in which we stood still ourselves (stopped, suspended) is not the peer's.
    stalled_ += std::min(at - output_seen_, 2 * options_.interval);
  } else {
    stalled_ = {};
  }
  output_waiting_ = waiting;
  taken_ = taken;
  output_seen_ = at;
}

Heartbeat::Next Heartbeat::next(TimePoint now) {
  if (dead_) return {now, Action::Dead};
  if (stalled_ >= options_.stall) return {now, Action::Stalled};
  const TimePoint deadline = last_ping_ + (waiting_ ? options_.timeout : options_.interval);
  if (now < deadline) return {deadline, Action::None};
  if (waiting_) {
    // A look that comes this late says that we stood still (stopped, starved, moved to another host), not that the peer is silent.
    // It gets one more PING; the second silence counts.
    const bool late = now - deadline > options_.interval;
    if (!late || excused_) {
      dead_ = true;
      return {now, Action::Dead};
    }
    excused_ = true;
  } else {
    excused_ = false;
  }
  last_ping_ = now;
  waiting_ = true;
  return {now + options_.timeout, Action::SendPing};
}

}  // namespace ferrotunnel::session
