// Worker: threads for what would hold a shard up, such as a password's hash; their queue is bounded, and so is what one visitor's network has in it.
//
// Networks that have jobs waiting take turns, so that a newcomer waits for one job of each of the others at most. Threads are made with the
// first job. stop() drops what waits, lets what runs finish, and refuses everything from then on; whoever owns the shards that jobs resume on
// stops it before these go. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "plugin/phases.h"

namespace ferrotunnel::plugin {

class Worker {
 public:
  static constexpr std::size_t kMaxQueued = 1024;
  static constexpr std::size_t kMaxQueuedPerNetwork = 16;  // what runs does not count

  using Job = std::function<void()>;
  using JobId = std::uint64_t;
  enum class Refused : std::uint8_t {
    Full,   // there is no room, or it was stopped
    Share,  // this network has its share waiting
  };

  explicit Worker(unsigned threads = default_threads());
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // A job that is refused is gone.
  [[nodiscard]] std::expected<JobId, Refused> run(const Network& network, Job job);
  // Nobody wants it any more. False: it has begun, or is over.
  bool cancel(const Network& network, JobId id);
  void stop();

  // Half of the machine: shards go on while hashes are made.
  [[nodiscard]] static unsigned default_threads();

 private:
  struct Lane {
    Network network;
    std::deque<std::pair<JobId, Job>> jobs;  // never empty
  };
  using Lanes = std::list<Lane>;

  void work();
  [[nodiscard]] Job next();

  const unsigned wanted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Lanes lanes_;  // whose turn it is stands first
  std::map<Network, Lanes::iterator> by_network_;
  std::size_t queued_ = 0;
  JobId last_ = 0;
  std::vector<std::thread> threads_;
  bool stopped_ = false;
};
using WorkerPtr = std::shared_ptr<Worker>;

}  // namespace ferrotunnel::plugin
