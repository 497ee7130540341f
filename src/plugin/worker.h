// Worker: threads for what would hold a shard up, such as a password's hash; their queue is bounded.
//
// Threads are made with the first job. stop() drops what waits, lets what runs finish, and refuses everything from then on; whoever owns the
// shards that jobs resume on stops it before these go. Any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ferrotunnel::plugin {

class Worker {
 public:
  static constexpr std::size_t kMaxQueued = 256;

  explicit Worker(unsigned threads = default_threads());
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // False: the queue is full, or it was stopped; the job is gone.
  [[nodiscard]] bool run(std::function<void()> job);
  void stop();

  // Half of the machine: shards go on while hashes are made.
  [[nodiscard]] static unsigned default_threads();

 private:
  void work();

  const unsigned wanted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  bool stopped_ = false;
};
using WorkerPtr = std::shared_ptr<Worker>;

}  // namespace ferrotunnel::plugin
