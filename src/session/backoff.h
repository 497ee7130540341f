// Backoff: how long a dialer waits before it tries again. Exponential with jitter, so that the clients of a server that restarted do not
// come back in step. Time and randomness are handed in; owner's thread only.
//
// The first wait is even from 0, which spreads those who lost their server at the same moment; the later ones are of the upper half of their
// range: between those the tries of many are spread evenly, where waits from 0 on would crowd. With these figures 500 clients come back with a
// peak under three times their mean however long the server was away, and within the cap (bench/trust/reconnect.py).
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "base/random.h"

namespace ferrotunnel::session {

struct BackoffOptions {
  Duration base = std::chrono::seconds(1);
  double factor = 1.25;
  Duration cap = std::chrono::seconds(4);
  // A link that lived this long proves the server well: the count starts anew. One that dies sooner does not, else a server that
  // accepts and drops would be hammered.
  Duration steady_after = std::chrono::seconds(10);
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}, JitterRng rng = JitterRng::from_system());

  // The wait before the next attempt: at most min(cap, base * factor^attempts), evenly from 0 for the first, from half of that for others.
  // `alone`: the link fell silent rather than was ended, so that others of the same server are not in step with it; then the first wait is
  // short (kAlone).
  [[nodiscard]] Duration next(bool alone = false);
  static constexpr Duration kAlone = std::chrono::milliseconds(100);

  void on_link_up(TimePoint now) { up_since_ = now; }
  void on_link_down(TimePoint now);
  void reset();

  [[nodiscard]] unsigned attempts() const { return attempts_; }  // since the count started
  [[nodiscard]] Duration ceiling() const { return ceiling_; }    // the most that next() would say now

 private:
  BackoffOptions options_;
  JitterRng rng_;
  Duration ceiling_;
  unsigned attempts_ = 0;
  std::optional<TimePoint> up_since_;
};

}  // namespace ferrotunnel::session
