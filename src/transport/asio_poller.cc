#include "transport/asio_poller.h"

#include <poll.h>

#ifdef __linux__
#include "transport/epoll_poller.h"
#endif

namespace ferrotunnel::transport {

using Descriptor = boost::asio::posix::stream_descriptor;

namespace {

// A wait says that something is there, not what.
std::uint32_t failure_of(int fd) {
  pollfd look{fd, 0, 0};
  if (::poll(&look, 1, 0) <= 0) return 0;
  return (look.revents & POLLERR) != 0 ? kFailed | kPeerClosed | kReadable : 0;
}

}  // namespace

AsioPoller::~AsioPoller() {
  for (auto& [fd, watch] : watches_) {
    watch->handler = nullptr;
    watch->descriptor.release();
  }
}

Result<> AsioPoller::add(int fd, PollHandler& handler) {
  const auto watch = std::make_shared<Watch>(io_, handler);
  boost::system::error_code error;
  watch->descriptor.assign(fd, error);
  if (error) return std::unexpected(errno_error(error.value(), Side::Local, "cannot watch a connection"));
  watches_[fd] = watch;
  wait(watch, kReadable);
  wait(watch, kWritable);
  wait(watch, kFailed);
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
  const auto type = what == kReadable   ? Descriptor::wait_read
                    : what == kWritable ? Descriptor::wait_write
                                        : Descriptor::wait_error;
  watch->descriptor.async_wait(type, [this, watch, what](const boost::system::error_code& error) {
    watch->waiting &= ~what;
    if (error || watch->handler == nullptr) return;
    // A wait cannot tell a FIN from bytes: the handler reads until it knows.
    std::uint32_t seen = failure_of(watch->descriptor.native_handle());
    if (what == kReadable) seen |= kReadable | kPeerClosed;
    if (what == kWritable) seen |= kWritable;
    if (seen == 0) return;  // both ends closed in order
    turns_.on_turn_begin();
    watch->handler->on_ready(seen);
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
