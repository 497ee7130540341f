// Private to transport/: the Linux Poller. See poller.h.
//
// A descriptor is put into the set when it is added and never taken out by a call: closing it does that, and one that is removed but stays
// open is taken out when it next has something to say. So events carry the descriptor and how often it was added, not a handler's address.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <vector>

#include "transport/poller.h"

namespace ferrotunnel::transport {

class EpollPoller final : public Poller {
 public:
  EpollPoller(boost::asio::io_context& io, TurnObserver& turns);
  [[nodiscard]] Result<> add(int fd, PollHandler& handler) override;
  void remove(int fd, PollHandler& handler) override;
  void await(int, PollHandler&, std::uint32_t) override {}

  void set_busy_poll(Duration time) override { busy_poll_ = time; }

 private:
  void wait();
  void on_wake();
  [[nodiscard]] bool look();
  void dispatch(const epoll_event& event);

  static constexpr int kBatch = 256;
  // A busy set is looked at this often before other work of the io_context (timers, coroutines) gets its turn.
  static constexpr int kRounds = 8;
  // A set that was found quiet behind a batch is trusted to be so for this many batches.
  static constexpr int kQuietBatches = 8;

  struct Watched {
    PollHandler* handler = nullptr;  // none: free, or removed
    std::uint32_t added = 0;         // how often, with this number
  };

  boost::asio::io_context& io_;
  TurnObserver& turns_;
  boost::asio::posix::stream_descriptor set_;
  std::vector<Watched> watched_;  // by descriptor
  std::array<epoll_event, kBatch> events_{};
  int quiet_ = 0;  // batches behind which no second look is taken
  Duration busy_poll_{};
  TimePoint busy_until_{};
};

}  // namespace ferrotunnel::transport
