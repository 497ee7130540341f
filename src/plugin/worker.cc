#include "plugin/worker.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace ferrotunnel::plugin {

Worker::Worker(unsigned threads) : wanted_(std::max(threads, 1u)) {}

Worker::~Worker() { stop(); }

unsigned Worker::default_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u); }

Worker::Names Worker::names_of(const JobOwner& owner) {
  return {"", std::string(owner.grant), std::to_string(owner.tunnel),
          std::to_string(owner.network.first) + '/' + std::to_string(owner.network.second)};
}

Worker::Path Worker::find(const Names& names) {
  Path path{&all_};
  for (std::size_t i = 1; i < kLevels; ++i) {
    const auto found = path[i - 1]->by_name.find(names[i]);
    if (found == path[i - 1]->by_name.end()) break;
    path[i] = &*found->second;
  }
  return path;
}

bool Worker::have_thread() {
  if (threads_.size() == wanted_) return true;
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    return !threads_.empty();
  }
  return true;
}

std::expected<Worker::JobId, Worker::Refused> Worker::run(const JobOwner& owner, Job job) {
  constexpr std::array<std::size_t, kLevels> kMost = {kMaxQueued, kMaxQueuedPerGrant, kMaxQueuedPerTunnel,
                                                      kMaxQueuedPerNetwork};
  const Names names = names_of(owner);
  JobId id = 0;
  {
    const std::lock_guard lock(mutex_);
    Path path = find(names);
    for (std::size_t i = kLevels; i-- > 0;)
      if (path[i] != nullptr && path[i]->queued >= kMost[i])
        return std::unexpected(i == kLevels - 1 ? Refused::Share : Refused::Full);
    if (stopped_ || !have_thread()) return std::unexpected(Refused::Full);
    for (std::size_t i = 1; i < kLevels; ++i) {
      if (path[i] != nullptr) continue;
      Lane& above = *path[i - 1];
      const auto lane = above.below.insert(above.below.end(), Lane{.name = names[i]});
      above.by_name.emplace(names[i], lane);
      path[i] = &*lane;
    }
    id = ++last_;
    path.back()->jobs.emplace_back(id, std::move(job));
    for (Lane* lane : path) ++lane->queued;
  }
  changed_.notify_one();
  return id;
}

bool Worker::cancel(const JobOwner& owner, JobId id) {
  const Names names = names_of(owner);
  Job dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  const Path path = find(names);
  if (path.back() == nullptr) return false;
  auto& jobs = path.back()->jobs;
  const auto job = std::ranges::find(jobs, id, &std::pair<JobId, Job>::first);
  if (job == jobs.end()) return false;
  dropped = std::move(job->second);
  jobs.erase(job);
  take_one(path, false);
  return true;
}

void Worker::take_one(const Path& path, bool turns) {
  --path.front()->queued;
  for (std::size_t i = kLevels - 1; i > 0; --i) {
    Lane& above = *path[i - 1];
    const auto found = above.by_name.find(path[i]->name);
    const auto lane = found->second;
    if (--lane->queued == 0) {
      above.by_name.erase(found);
      above.below.erase(lane);
    } else if (turns) {
      above.below.splice(above.below.end(), above.below, lane);
    }
  }
}

void Worker::stop() {
  std::vector<std::thread> threads;
  Lane dropped;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
    std::swap(dropped, all_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

// Under the lock, with one there.
Worker::Job Worker::next() {
  Path path{&all_};
  for (std::size_t i = 1; i < kLevels; ++i) path[i] = &path[i - 1]->below.front();
  auto& jobs = path.back()->jobs;
  Job job = std::move(jobs.front().second);
  jobs.pop_front();
  take_one(path, true);
  return job;
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || all_.queued > 0; });
    if (stopped_) return;
    Job job = next();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace ferrotunnel::plugin
