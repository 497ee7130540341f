#include "transport/asio_poller.h"

#ifdef __linux__
#include "transport/epoll_poller.h"
#endif

namespace ferrotunnel::transport {

using Descriptor = boost::asio::posix::stream_descriptor;

AsioPoller::~AsioPoller() {
  for (auto& [fd, watch] : watches_) {
    watch->handler = nullptr;
    watch->descriptor.release();
  }
}

Result<> AsioPoller::add(int fd, PollHandler& handler) {
  const auto watch = std::make_shared<Watch>(io_, fd, handler);
  watches_[fd] = watch;
  wait(watch, kReadable);
  wait(watch, kWritable);
  return {};
}

void AsioPoller::remove(int fd, PollHandler& handler) {
  const auto found = watches_.find(fd);
  if (found == watches_.end() || found->second->handler != &handler) return;
  found->second->handler = nullptr;
  found->second->descriptor.release();  // the descriptor is its owner's to close
  watches_.erase(found);
}

void AsioPoller::await(int fd, PollHandler& handler, std::uint32_t what) {
  const auto found = watches_.find(fd);
  if (found == watches_.end() || found->second->handler != &handler) return;
  if ((what & kReadable) != 0) wait(found->second, kReadable);
  if ((what & kWritable) != 0) wait(found->second, kWritable);
}

void AsioPoller::wait(const WatchPtr& watch, std::uint32_t what) {
  if ((watch->waiting & what) != 0) return;
  watch->waiting |= what;
  watch->descriptor.async_wait(what == kReadable ? Descriptor::wait_read : Descriptor::wait_write,
                               [this, watch, what](const boost::system::error_code& error) {
                                 watch->waiting &= ~what;
                                 if (error || watch->handler == nullptr) return;
                                 turns_.on_turn_begin();
                                 // A wait cannot tell a FIN from bytes: the handler reads until it knows.
                                 watch->handler->on_ready(what == kReadable ? kReadable | kPeerClosed : what);
                                 turns_.on_turn_end();
                               });
}

std::unique_ptr<Poller> make_poller(boost::asio::io_context& io, TurnObserver& turns, bool portable) {
#ifdef __linux__
  if (!portable) return std::make_unique<EpollPoller>(io, turns);
#endif
  (void)portable;
  return std::make_unique<AsioPoller>(io, turns);
}

}  // namespace ferrotunnel::transport
