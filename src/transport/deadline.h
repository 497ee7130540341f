// Deadlines: many short timers that rarely fire (connects, idle connections), on one Asio timer a shard.
//
// A hashed wheel of 100 ms slots: arming and disarming cost a list operation. A deadline fires up to one slot late, never early.
// Intrusive: one that dies is disarmed. The shard's thread only.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include "base/clock.h"

namespace ferrotunnel::transport {

class Deadline : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  virtual void on_deadline() = 0;  // may destroy it, may arm it again
  [[nodiscard]] bool armed() const { return is_linked(); }
  void disarm() { unlink(); }

 protected:
  ~Deadline() = default;

 private:
  friend class DeadlineWheel;
  TimePoint at_{};
};

class DeadlineWheel {
 public:
  static constexpr Duration kSlot = std::chrono::milliseconds(100);
  static constexpr std::size_t kSlots = 512;

  explicit DeadlineWheel(boost::asio::io_context& io) : timer_(io) {}
  // Arms it anew at now + after.
  void arm(Deadline& deadline, TimePoint now, Duration after);

 private:
  using Slot = boost::intrusive::list<Deadline, boost::intrusive::constant_time_size<false>>;
  void start();
  void tick(TimePoint now);

  boost::asio::steady_timer timer_;
  std::array<Slot, kSlots> slots_;
  std::int64_t next_slot_ = 0;  // the first one not yet looked at
  bool running_ = false;
};

}  // namespace ferrotunnel::transport
