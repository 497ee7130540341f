// Private to transport/: the portable Poller, on Asio's waits. See poller.h. It costs an allocation and a queue a wait; it
// stands for systems without epoll, and in the tests beside the Linux one.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>

#include "transport/poller.h"

namespace ferrotunnel::transport {

class AsioPoller final : public Poller {
 public:
  AsioPoller(boost::asio::io_context& io, TurnObserver& turns) : io_(io), turns_(turns) {}
  ~AsioPoller() override;
  [[nodiscard]] Result<> add(int fd, PollHandler& handler) override;
  void remove(int fd, PollHandler& handler) override;
  void await(int fd, PollHandler& handler, std::uint32_t what) override;

 private:
  struct Watch {
    Watch(boost::asio::io_context& io, PollHandler& h) : descriptor(io), handler(&h) {}
    boost::asio::posix::stream_descriptor descriptor;
    PollHandler* handler;  // none once removed
    std::uint32_t waiting = 0;
  };
  using WatchPtr = std::shared_ptr<Watch>;
  void wait(const WatchPtr& watch, std::uint32_t what);

  boost::asio::io_context& io_;
  TurnObserver& turns_;
  boost::unordered_flat_map<int, WatchPtr> watches_;
};

}  // namespace ferrotunnel::transport
