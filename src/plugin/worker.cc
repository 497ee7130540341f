#include "plugin/worker.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace ferrotunnel::plugin {

Worker::Worker(unsigned threads) : wanted_(std::max(threads, 1u)) {}

Worker::~Worker() { stop(); }

unsigned Worker::default_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u); }

bool Worker::run(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || queue_.size() >= kMaxQueued) return false;
    if (threads_.size() < wanted_) {
      try {
        threads_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        if (threads_.empty()) return false;
      }
    }
    queue_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Worker::stop() {
  std::vector<std::thread> threads;
  std::deque<std::function<void()>> dropped;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
    dropped.swap(queue_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (stopped_) return;
    std::function<void()> job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace ferrotunnel::plugin
