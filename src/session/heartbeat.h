// Heartbeat: when a link sends a PING, and when it is dead.
//
// A PING goes out every interval. Any byte received counts as an answer; the link is dead only when a PING stood for the whole
// timeout with nothing received at all. A peer that talks and does not listen is dead too: output that waited for the whole stall time
// while the peer took none of it. No I/O and no clock of its own: the shell reads what is there, tells on_bytes(), asks
// next(), does it, and comes back at the deadline or earlier. Owner's thread only.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace ferrotunnel::session {

struct HeartbeatOptions {
  Duration interval = std::chrono::seconds(3);
  Duration timeout = std::chrono::seconds(5);
  Duration stall = std::chrono::seconds(15);  // found at the first look after it, so up to an interval later
};

class Heartbeat {
 public:
  enum class Action : std::uint8_t { None, SendPing, Dead, Stalled };
  struct Next {
    TimePoint deadline;  // when to ask again
    Action action = Action::None;
  };

  Heartbeat(HeartbeatOptions options, TimePoint now) : options_(options), last_ping_(now) {}

  // Something was received at `at`. May be told late and more than once: only what came after the last PING counts.
  void on_bytes(TimePoint at) {
    if (at >= last_ping_) waiting_ = false;
  }
  // At each look: whether output waits for the peer, and how much it has taken so far (any count that moves when it takes some).
  void on_output(bool waiting, std::uint64_t taken, TimePoint at);
  // What to do now. SendPing is counted as done. Dead and Stalled are final.
  [[nodiscard]] Next next(TimePoint now);

 private:
  HeartbeatOptions options_;
  TimePoint last_ping_;
  bool waiting_ = false;  // nothing was received since last_ping_
  bool excused_ = false;  // a late look was forgiven once for this silence
  bool dead_ = false;
  TimePoint output_seen_{};
  Duration stalled_{};  // how long output waited and none was taken, as far as we were there to see it
  std::uint64_t taken_ = 0;
  bool output_waiting_ = false;
};

}  // namespace ferrotunnel::session
