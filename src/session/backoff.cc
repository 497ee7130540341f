#include "session/backoff.h"

#include <algorithm>

namespace ferrotunnel::session {

Backoff::Backoff(BackoffOptions options, JitterRng rng)
    : options_(options), rng_(rng), ceiling_(std::min(options.base, options.cap)) {}

Duration Backoff::next(bool alone) {
  const Duration ceiling = alone && attempts_ == 0 ? std::min(ceiling_, kAlone) : ceiling_;
  const auto most = static_cast<std::uint64_t>(std::max<Duration::rep>(ceiling.count(), 0));
  const std::uint64_t least = attempts_ == 0 ? 0 : most / 2;
  const Duration wait(static_cast<Duration::rep>(least + rng_.below(most - least + 1)));
  ++attempts_;
  // Compared as doubles first: a large factor must not overflow the duration.
  const double grown = static_cast<double>(ceiling_.count()) * options_.factor;
  ceiling_ =
      grown < static_cast<double>(options_.cap.count()) ? Duration(static_cast<Duration::rep>(grown)) : options_.cap;
  return wait;
}

void Backoff::on_link_down(TimePoint now) {
  if (up_since_ && now - *up_since_ >= options_.steady_after) reset();
  up_since_.reset();
}

void Backoff::reset() {
  attempts_ = 0;
  ceiling_ = std::min(options_.base, options_.cap);
}

}  // namespace ferrotunnel::session
