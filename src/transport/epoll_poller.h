// Private to transport/: the Linux Poller. See poller.h.
//
// A descriptor is put into the set when it is added and not taken out by remove(): closing it does that, and one that is removed but stays
// open is taken out when it next has something to say. So events carry the descriptor and how often it was added, not a handler's address.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <vector>

#include "transport/poller.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

class EpollPoller final : public Poller {
 public:
  EpollPoller(boost::asio::io_context& io, TurnObserver& turns);
  [[nodiscard]] Result<> add(int fd, PollHandler& handler) override;
  void remove(int fd, PollHandler& handler) override;
  void leave(int fd) override;
  void await(int, PollHandler&, std::uint32_t) override {}

  void set_busy_poll(Duration time) override { busy_poll_ = time; }
  void on_posted() override;

 private:
  void wait();
  void on_wake();
  void stay(TimePoint now);
  [[nodiscard]] int look(bool sleep);
  void dispatch(const epoll_event& event);

  static constexpr int kBatch = 256;
  // While there is traffic the thread sleeps in this set, not in the io_context's: one call in place of three. It goes back to the
  // io_context, for its timers and the like, as often as this, and at once for what was posted.
  static constexpr Duration kStay = std::chrono::milliseconds(10);

  struct Watched {
    PollHandler* handler = nullptr;  // none: free, or removed
    std::uint32_t added = 0;         // how often, with this number
    std::uint32_t removed = 0;       // in which batch
  };

  boost::asio::io_context& io_;
  TurnObserver& turns_;
  boost::asio::posix::stream_descriptor set_;
  std::vector<Watched> watched_;  // by descriptor
  std::array<epoll_event, kBatch> events_{};
  std::uint32_t batch_ = 0;
  UniqueFd alarm_, timer_;  // in the set: what is posted ends the sleep, and so does kStay
  std::atomic<bool> asleep_{false};
  TimePoint last_event_{};
  Duration busy_poll_{};
  TimePoint busy_until_{};
};

}  // namespace ferrotunnel::transport
