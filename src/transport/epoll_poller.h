// Private to transport/: the Linux Poller. See poller.h.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "transport/poller.h"

namespace ferrotunnel::transport {

class EpollPoller final : public Poller {
 public:
  EpollPoller(boost::asio::io_context& io, TurnObserver& turns);
  [[nodiscard]] Result<> add(int fd, PollHandler& handler) override;
  void remove(int fd, PollHandler& handler) override;
  void await(int, PollHandler&, std::uint32_t) override {}

 private:
  void wait();
  void turn();

  static constexpr int kBatch = 256;
  // A busy set is looked at this often before other work of the io_context (timers, coroutines) gets its turn.
  static constexpr int kRounds = 4;

  TurnObserver& turns_;
  boost::asio::posix::stream_descriptor set_;
  std::array<epoll_event, kBatch> events_{};
  int at_ = 0, count_ = 0;  // the batch being dispatched
};

}  // namespace ferrotunnel::transport
