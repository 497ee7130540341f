// Shard: one thread, one io_context, and what the connections that live on it share: readiness, buffers, deadlines, turns.
//
// A connection lives and dies on one shard; other threads reach it only by post(). Control paths run as coroutines on io();
// the byte path runs from the Poller. run() is called by the shard's thread; the rest, but for post() and stop(), by that thread only
// (or before run()).
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>

#include "base/buffer_pool.h"
#include "base/clock.h"
#include "transport/busy_meter.h"
#include "transport/deadline.h"
#include "transport/pipe.h"
#include "transport/poller.h"
#include "transport/turn.h"

namespace ferrotunnel::transport {

class Shard final : private TurnObserver {
 public:
  // What is read from a link goes through one buffer a shard: it is parsed and passed on before the next read.
  static constexpr std::size_t kReadBuffer = 128 * 1024;
  static constexpr Duration kPipeTrim = std::chrono::seconds(5);  // a pipe that is not needed for so long is closed

  Shard(unsigned index, MemoryBudget& budget, bool portable_poller = false);
  ~Shard();

  [[nodiscard]] unsigned index() const { return index_; }
  [[nodiscard]] boost::asio::io_context& io() { return io_; }
  [[nodiscard]] Poller& poller() { return *poller_; }
  [[nodiscard]] BufferPool& buffers() { return buffers_; }
  [[nodiscard]] PipePool& pipes() {
    if (!trimming_) trim_later();
    return pipes_;
  }
  [[nodiscard]] MutBytes read_buffer();
  // The time at the start of the turn; the clock's own outside of one.
  [[nodiscard]] TimePoint now() const { return in_turn_ ? now_ : Clock::now(); }

  // Runs the task once, at the end of this turn (or of the next, when called from elsewhere).
  void at_turn_end(TurnTask& task);
  // Runs the task once, after the other ready descriptors had their turn.
  void next_turn(TurnTask& task);
  // Whether its thread is (busy_meter.h). The thread's own calls only.
  [[nodiscard]] bool busy();
  void arm(Deadline& deadline, Duration after) { deadlines_.arm(deadline, now(), after); }

  // Any thread.
  template <class Function>
  void post(Function&& function) {
    posted_.fetch_add(1);
    boost::asio::post(io_, [this, run = std::forward<Function>(function)]() mutable {
      posted_.fetch_sub(1);
      run();
    });
    poller_->on_posted();
  }
  void run();
  void stop();

 private:
  void on_turn_begin() override;
  void on_turn_end() override;
  [[nodiscard]] bool has_next() const override { return !next_tasks_.empty() || !end_tasks_.empty(); }
  void run_next() override;
  [[nodiscard]] bool has_posted() const override { return posted_.load() > 0; }
  void in_poller(bool now) override;
  void run_tasks(TurnTasks& tasks);
  void ask_for_turn();
  void trim_later();

  const unsigned index_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  BufferPool buffers_;
  PipePool pipes_;
  std::unique_ptr<Poller> poller_;
  DeadlineWheel deadlines_;
  boost::asio::steady_timer trim_;
  bool trimming_ = false;
  std::unique_ptr<std::byte[]> read_buffer_;
  TurnTasks end_tasks_, next_tasks_;
  TimePoint now_{};
  bool in_turn_ = false;
  bool turn_asked_ = false;
  bool in_poller_ = false;
  BusyMeter busy_;
  std::atomic<int> posted_{0};  // and not run yet
};

}  // namespace ferrotunnel::transport
