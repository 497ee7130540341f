// DirectPool: the warm direct links of one session (docs/wire-protocol.md section 8): connections of its client that wait for a visitor each.
//
// The client keeps as many as it is told: what visitors asked for lately and a few more, within the limit; none while no tunnel may use them.
// One that its client closed, or that speaks before it is asked, is dropped. What is too many is closed here, never there, so that no
// visitor is given one that is being closed.
//
// Owned by the server's session, which it does not outlive; whoever took a link goes before the pool does. The session's shard only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "mux/limits.h"
#include "transport/byte_stream.h"
#include "transport/deadline.h"
#include "transport/poller.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

struct DirectCounters {
  std::uint64_t attached = 0;  // warm links that came
  std::uint64_t taken = 0;     // by visitors
  std::uint64_t missed = 0;    // visitors who found none, and went over the mux
  std::uint64_t waited = 0;    // who had to wait for one
  std::uint64_t queue_full = 0;
  std::uint64_t lost = 0;                     // that the client closed, or that broke
  std::uint64_t spoke = 0;                    // that said something before they were asked
  std::uint64_t limited = 0;                  // times that the limit stood in the way of more
  std::uint64_t bytes_in = 0, bytes_out = 0;  // from and to visitors, of links that ended
};

class DirectPool;

class DirectPoolHost {
 public:
  virtual void on_direct_wanted(std::uint32_t want) = 0;  // tell the client
  virtual void on_direct_unused() = 0;  // the last visitor on a direct link went; the pool may not die in it
  // How many more the server has descriptors for; less than 0: so many too many.
  [[nodiscard]] virtual std::int64_t direct_room() const { return INT64_MAX; }

 protected:
  ~DirectPoolHost() = default;
};

// The place of a connection among those of its session; gives itself back.
using DirectPlace = std::shared_ptr<const void>;

// A visitor's hold on the link that he took.
class DirectUse {
 public:
  DirectUse() = default;
  DirectUse(DirectPool& pool, DirectPlace place) : pool_(&pool), place_(std::move(place)) {}
  DirectUse(DirectUse&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), place_(std::move(other.place_)) {}
  DirectUse& operator=(DirectUse&& other) noexcept {
    std::swap(pool_, other.pool_);
    place_.swap(other.place_);
    return *this;
  }
  ~DirectUse();
  [[nodiscard]] DirectPool* pool() const { return pool_; }

 private:
  friend class DirectPool;
  DirectPool* pool_ = nullptr;
  DirectPlace place_;
};

struct DirectLink {
  transport::ByteStreamPtr stream;  // none: there is none to be had
  DirectUse use;
};

// Somebody who waits for a warm link.
struct DirectWaiterTag;
using DirectWaiterHook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>,
                                                          boost::intrusive::tag<DirectWaiterTag>>;
class DirectWaiter : public DirectWaiterHook, private transport::Deadline {
 public:
  // There is one, or waiting is over: take() tells. May destroy the waiter.
  virtual void on_direct_turn() = 0;

 protected:
  ~DirectWaiter() = default;

 private:
  friend class DirectPool;
  void on_deadline() override;
  DirectPool* pool_ = nullptr;  // while it waits
};

class DirectPool final : private transport::TurnTask, private transport::Deadline {
  struct Tell final : transport::Deadline {
    explicit Tell(DirectPool& p) : pool(p) {}
    void on_deadline() override { pool.tell(); }
    DirectPool& pool;
  };

 public:
  static constexpr std::uint32_t kLeastWarm = 4;
  static constexpr std::uint32_t kMostWarm = 32;  // however many visitors come: a new one is there in two round trips
  static constexpr Duration kTell =
      std::chrono::milliseconds(100);                             // between two times that the client is told how many
  static constexpr Duration kPatience = std::chrono::seconds(1);  // of a visitor who waits for one
  static constexpr std::size_t kMostWaiting = 1024;
  static constexpr Duration kLook =
      std::chrono::seconds(1);  // at what was asked for; it is forgotten by a quarter each
  static constexpr Duration kKeepAlive = std::chrono::seconds(15);

  // `most`: links of the session at once, warm and in use. `quota`: of the grant's visitors; may be none.
  DirectPool(transport::Shard& shard, DirectPoolHost& host, std::uint32_t most,
             std::shared_ptr<mux::StreamQuota> quota);
  DirectPool(const DirectPool&) = delete;
  DirectPool& operator=(const DirectPool&) = delete;
  ~DirectPool();

  void set_most(std::uint32_t most);
  // Whether any tunnel may use one; and whether those that leave it to the road would, now.
  void set_needed(bool needed);
  void set_road_lossy(bool lossy) { road_lossy_ = lossy; }
  [[nodiscard]] bool road_lossy() const { return road_lossy_; }

  // A connection behind its handshake, which nobody watches. `spoke`: it came with bytes, and is dropped.
  void add(transport::ByteStreamPtr stream, DirectPlace place, bool spoke = false);
  // One that is warm, if there is one. `asks`: this counts as demand; not when the same visitor asks again.
  [[nodiscard]] DirectLink take(bool asks = true);
  // Nothing was said on it: it is as warm as before.
  void put_back(DirectLink link);
  // False: too many wait already.
  [[nodiscard]] bool wait(DirectWaiter& waiter);
  void count_missed() { ++counters_.missed; }
  void count_bytes(std::uint64_t in, std::uint64_t out) {
    counters_.bytes_in += in;
    counters_.bytes_out += out;
  }
  // The link is gone, or no newcomer may come: warm links are closed, nobody is told anything any more.
  void close();

  [[nodiscard]] std::size_t warm() const { return warm_.size(); }
  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t wanted() const { return told_; }
  [[nodiscard]] const DirectCounters& counters() const { return counters_; }

 private:
  friend class DirectUse;
  friend class DirectWaiter;
  class Warm;
  using WarmLinks = std::list<std::unique_ptr<Warm>>;  // the one that came last is taken first
  void run_turn() override;
  void on_deadline() override;
  void keep(transport::ByteStreamPtr stream, DirectPlace place);
  void drop(Warm& warm);
  void serve();
  void ask();
  void tell();
  void released();
  void reckon() {
    if (!closed_) shard_.at_turn_end(*this);
  }
  [[nodiscard]] std::uint32_t want() const;
  [[nodiscard]] std::uint32_t would() const;  // if the server had descriptors for all

  transport::Shard& shard_;
  DirectPoolHost& host_;
  const std::shared_ptr<mux::StreamQuota> quota_;
  std::uint32_t most_;
  WarmLinks warm_;
  boost::intrusive::list<DirectWaiter, boost::intrusive::base_hook<DirectWaiterHook>,
                         boost::intrusive::constant_time_size<false>>
      waiters_;
  std::size_t in_use_ = 0;
  std::uint32_t asked_ = 0, lately_ = 0;  // in this look, and what is remembered of those before
  std::uint32_t told_ = 0;
  Tell tell_{*this};      // armed: it was told a moment ago
  bool limited_ = false;  // fewer than would do
  bool vain_ = false;     // somebody waited in vain, and none came since: the client opens no more, or cannot
  bool needed_ = false, road_lossy_ = false, closed_ = false;
  DirectCounters counters_;
};

}  // namespace ferrotunnel::ingress
