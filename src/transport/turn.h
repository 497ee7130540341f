// Turns: what a shard does between two looks at readiness, and tasks tied to them.
//
// A task is an intrusive member of whoever it belongs to: scheduling allocates nothing, scheduling twice is once, and a task
// that dies is unscheduled. The shard's thread only.
#pragma once

#include <boost/intrusive/list.hpp>

namespace ferrotunnel::transport {

class TurnTask : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  TurnTask() = default;
  TurnTask(const TurnTask&) = delete;
  TurnTask& operator=(const TurnTask&) = delete;

  virtual void run_turn() = 0;  // may destroy the task
  [[nodiscard]] bool scheduled() const { return is_linked(); }

 protected:
  ~TurnTask() = default;
};

using TurnTasks = boost::intrusive::list<TurnTask, boost::intrusive::constant_time_size<false>>;

}  // namespace ferrotunnel::transport
