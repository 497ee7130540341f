#include "transport/shard.h"

#include <ctime>

namespace ferrotunnel::transport {

Shard::Shard(unsigned index, MemoryBudget& budget, bool portable_poller)
    : index_(index),
      work_(io_.get_executor()),
      buffers_(budget),
      poller_(make_poller(io_, *this, portable_poller)),
      deadlines_(io_),
      trim_(io_) {}

Shard::~Shard() = default;

MutBytes Shard::read_buffer() {
  if (!read_buffer_) read_buffer_ = std::make_unique_for_overwrite<std::byte[]>(kReadBuffer);
  return {read_buffer_.get(), kReadBuffer};
}

bool Shard::busy() {
  const TimePoint now = this->now();
  timespec used{};
  if (busy_.due(now) && ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0)
    busy_.look(now, std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec));
  return busy_.busy();
}

void Shard::trim_later() {
  trimming_ = true;
  trim_.expires_after(kPipeTrim);
  trim_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    trimming_ = false;
    if (pipes_.trim()) trim_later();
  });
}

void Shard::run() { io_.run(); }
void Shard::stop() {
  io_.stop();
  poller_->on_posted();
}

void Shard::at_turn_end(TurnTask& task) {
  if (task.scheduled()) return;
  end_tasks_.push_back(task);
  if (!in_turn_) ask_for_turn();
}

void Shard::next_turn(TurnTask& task) {
  if (task.scheduled()) return;
  next_tasks_.push_back(task);
  ask_for_turn();
}

// Not post(): the poller need not hurry back to the io_context for it, since it runs such tasks itself.
void Shard::ask_for_turn() {
  if (turn_asked_ || in_poller_) return;
  turn_asked_ = true;
  boost::asio::post(io_, [this] {
    turn_asked_ = false;
    run_next();
  });
}

void Shard::run_next() {
  on_turn_begin();
  run_tasks(next_tasks_);
  on_turn_end();
}

void Shard::in_poller(bool now) {
  in_poller_ = now;
  if (!now && has_next()) ask_for_turn();
}

void Shard::on_turn_begin() {
  in_turn_ = true;
  now_ = Clock::now();
}

void Shard::on_turn_end() {
  // What the tasks schedule for the end of the turn runs too, but not without end: the rest waits for a turn of its own.
  for (int round = 0; round < 4 && !end_tasks_.empty(); ++round) run_tasks(end_tasks_);
  in_turn_ = false;
  if (!end_tasks_.empty()) ask_for_turn();
}

void Shard::run_tasks(TurnTasks& tasks) {
  TurnTasks now;
  now.swap(tasks);
  while (!now.empty()) {
    TurnTask& task = now.front();
    now.pop_front();
    task.run_turn();
  }
}

}  // namespace ferrotunnel::transport
