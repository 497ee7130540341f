#include "transport/deadline.h"

#include <algorithm>

namespace ferrotunnel::transport {
namespace {
std::int64_t slot_of(TimePoint at) { return at.time_since_epoch() / DeadlineWheel::kSlot; }
}  // namespace

void DeadlineWheel::arm(Deadline& deadline, TimePoint now, Duration after) {
  deadline.unlink();
  deadline.at_ = now + after;
  if (!running_) next_slot_ = slot_of(now) + 1;
  // The slot after its own: never early. One that is past already has its turn with the next.
  const std::int64_t slot = std::max(slot_of(deadline.at_) + 1, next_slot_);
  slots_[static_cast<std::size_t>(slot) % kSlots].push_back(deadline);
  if (!running_) start();
}

void DeadlineWheel::start() {
  running_ = true;
  timer_.expires_at(TimePoint(kSlot * next_slot_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick(Clock::now());
  });
}

void DeadlineWheel::tick(TimePoint now) {
  const std::int64_t until = slot_of(now);
  // After a long sleep each slot is looked at once.
  next_slot_ = std::max(next_slot_, until - static_cast<std::int64_t>(kSlots) + 1);
  while (next_slot_ <= until) {
    Slot due;
    due.swap(slots_[static_cast<std::size_t>(next_slot_) % kSlots]);
    ++next_slot_;
    while (!due.empty()) {
      Deadline& deadline = due.front();
      due.pop_front();
      if (deadline.at_ <= now) {
        deadline.on_deadline();
      } else {  // of a later round of the wheel
        slots_[static_cast<std::size_t>(slot_of(deadline.at_) + 1) % kSlots].push_back(deadline);
      }
    }
  }
  running_ = false;
  // Running an empty wheel costs ten wakes a second; it stops when it has been found empty.
  if (std::ranges::any_of(slots_, [](const Slot& slot) { return !slot.empty(); })) start();
}

}  // namespace ferrotunnel::transport
