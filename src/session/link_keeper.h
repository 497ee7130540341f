// LinkKeeper: the heartbeat of one link: asks it to PING, and says when it is dead. See heartbeat.h for the rules.
// Owned by the session beside its link; the link's shard only.
#pragma once

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "session/heartbeat.h"
#include "transport/deadline.h"
#include "transport/link.h"
#include "transport/shard.h"

namespace ferrotunnel::session {

class LinkKeeper final : private transport::Deadline {
 public:
  // What the peer did wrong, to go behind its name: "does not answer any more".
  using OnDead = std::function<void(std::string_view what)>;

  // on_dead may destroy the keeper. A first PING goes out at once: credit grows by what it measures.
  LinkKeeper(transport::Shard& shard, transport::Link& link, HeartbeatOptions options, OnDead on_dead)
      : shard_(shard),
        link_(link),
        interval_(options.interval),
        heartbeat_(options, shard.now()),
        on_dead_(std::move(on_dead)) {
    link_.ping();
    shard_.arm(*this, options.interval);
  }

 private:
  void on_deadline() override {
    const transport::LinkStatus status = link_.status();
    if (status.last_received != seen_) {
      seen_ = status.last_received;
      heartbeat_.on_bytes(seen_);
    }
    const TimePoint now = shard_.now();
    heartbeat_.on_output(status.output_waiting, status.output_taken, now);
    const Heartbeat::Next next = heartbeat_.next(now);
    if (next.action == Heartbeat::Action::Dead || next.action == Heartbeat::Action::Stalled) {
      const OnDead on_dead = std::move(on_dead_);  // it may destroy us
      return on_dead(next.action == Heartbeat::Action::Dead ? "does not answer any more" : "reads nothing any more");
    }
    if (next.action == Heartbeat::Action::SendPing) link_.ping();
    // An answer is not told, it is looked for: at least once an interval, so that the next PING is not late.
    shard_.arm(*this, std::min(next.deadline - now, interval_));
  }

  transport::Shard& shard_;
  transport::Link& link_;
  const Duration interval_;
  Heartbeat heartbeat_;
  TimePoint seen_{};
  OnDead on_dead_;
};

}  // namespace ferrotunnel::session
