#include "plugin/worker.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace ferrotunnel::plugin {

Worker::Worker(unsigned threads) : wanted_(std::max(threads, 1u)) {}

Worker::~Worker() { stop(); }

unsigned Worker::default_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u); }

std::expected<Worker::JobId, Worker::Refused> Worker::run(const Network& network, Job job) {
  JobId id = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_network_.find(network);
    if (found != by_network_.end() && found->second->jobs.size() >= kMaxQueuedPerNetwork)
      return std::unexpected(Refused::Share);
    if (stopped_ || queued_ >= kMaxQueued) return std::unexpected(Refused::Full);
    if (threads_.size() < wanted_) {
      try {
        threads_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        if (threads_.empty()) return std::unexpected(Refused::Full);
      }
    }
    id = ++last_;
    const auto lane = found != by_network_.end()
                          ? found->second
                          : by_network_.emplace(network, lanes_.insert(lanes_.end(), Lane{network, {}})).first->second;
    lane->jobs.emplace_back(id, std::move(job));
    ++queued_;
  }
  changed_.notify_one();
  return id;
}

bool Worker::cancel(const Network& network, JobId id) {
  Job dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  const auto found = by_network_.find(network);
  if (found == by_network_.end()) return false;
  auto& jobs = found->second->jobs;
  const auto job = std::ranges::find(jobs, id, &std::pair<JobId, Job>::first);
  if (job == jobs.end()) return false;
  dropped = std::move(job->second);
  jobs.erase(job);
  --queued_;
  if (jobs.empty()) {
    lanes_.erase(found->second);
    by_network_.erase(found);
  }
  return true;
}

void Worker::stop() {
  std::vector<std::thread> threads;
  Lanes dropped;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
    dropped.swap(lanes_);
    by_network_.clear();
    queued_ = 0;
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

// Under the lock, with one there. Its network goes behind the others.
Worker::Job Worker::next() {
  const auto lane = lanes_.begin();
  Job job = std::move(lane->jobs.front().second);
  lane->jobs.pop_front();
  --queued_;
  if (lane->jobs.empty()) {
    by_network_.erase(lane->network);
    lanes_.erase(lane);
  } else {
    lanes_.splice(lanes_.end(), lanes_, lane);
  }
  return job;
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || queued_ > 0; });
    if (stopped_) return;
    Job job = next();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace ferrotunnel::plugin
