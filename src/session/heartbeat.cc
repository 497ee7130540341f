#include "session/heartbeat.h"

namespace ferrotunnel::session {

Heartbeat::Next Heartbeat::next(TimePoint now) {
  if (dead_) return {now, Action::Dead};
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
