// Worker: threads for what would hold a shard up, such as a password's hash; their queue is bounded, and so is what one grant, one tunnel and one
// visitor's network have in it.
//
// Who has jobs waiting takes turns: grants do, of a grant its tunnels, and of a tunnel the networks of its visitors. So what the visitors of one
// grant ask costs those of another the wait for one job a thread at most, and a newcomer at a tunnel waits for one job of each of the others
// there. Threads are made with the first job. stop() drops what waits, lets what runs finish, and refuses everything from then on; whoever owns
// the shards that jobs resume on stops it before these go. Any thread.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "plugin/phases.h"

namespace ferrotunnel::plugin {

// Whose a job is.
struct JobOwner {
  std::string_view grant;    // good during the call
  std::uint64_t tunnel = 0;  // any number of its own
  Network network{};
};

class Worker {
 public:
  // What runs does not count.
  static constexpr std::size_t kMaxQueued = 4096;
  static constexpr std::size_t kMaxQueuedPerGrant = 1024;
  static constexpr std::size_t kMaxQueuedPerTunnel = 512;
  static constexpr std::size_t kMaxQueuedPerNetwork = 16;  // at one tunnel

  using Job = std::function<void()>;
  using JobId = std::uint64_t;
  enum class Refused : std::uint8_t {
    Full,   // there is no room for its tunnel, its grant or anybody, or it was stopped
    Share,  // this network has its share waiting
  };

  explicit Worker(unsigned threads = default_threads());
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // A job that is refused is gone.
  [[nodiscard]] std::expected<JobId, Refused> run(const JobOwner& owner, Job job);
  // Nobody wants it any more. False: it has begun, or is over.
  bool cancel(const JobOwner& owner, JobId id);
  void stop();

  // Half of the machine: shards go on while hashes are made.
  [[nodiscard]] static unsigned default_threads();

 private:
  // A level of the turns: all, a grant, a tunnel, a network.
  struct Lane {
    std::string name;
    std::size_t queued = 0;      // in all below; 0 in the uppermost alone
    std::list<Lane> below = {};  // whose turn it is stands first
    std::map<std::string, std::list<Lane>::iterator, std::less<>> by_name = {};
    std::deque<std::pair<JobId, Job>> jobs = {};  // of the lowest
  };
  static constexpr std::size_t kLevels = 4;
  // From all_ down; null where nothing waits.
  using Path = std::array<Lane*, kLevels>;
  using Names = std::array<std::string, kLevels>;

  [[nodiscard]] static Names names_of(const JobOwner& owner);
  [[nodiscard]] Path find(const Names& names);
  [[nodiscard]] bool have_thread();
  // One job less in each; who has none left goes, and of the others the `turns` that are over go behind.
  static void take_one(const Path& path, bool turns);
  void work();
  [[nodiscard]] Job next();

  const unsigned wanted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Lane all_{};
  JobId last_ = 0;
  std::vector<std::thread> threads_;
  bool stopped_ = false;
};
using WorkerPtr = std::shared_ptr<Worker>;

}  // namespace ferrotunnel::plugin
