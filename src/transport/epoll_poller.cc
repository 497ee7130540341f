#include "transport/epoll_poller.h"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

namespace ferrotunnel::transport {

EpollPoller::EpollPoller(boost::asio::io_context& io, TurnObserver& turns) : io_(io), turns_(turns), set_(io) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  set_.assign(fd);
  wait();
}

Result<> EpollPoller::add(int fd, PollHandler& handler) {
  if (fd < 0) return std::unexpected(errno_error(EBADF, Side::Local, "cannot watch a connection"));
  const auto at = static_cast<std::size_t>(fd);
  if (at >= watched_.size()) watched_.resize(at + 1);
  Watched& watched = watched_[at];
  ++watched.added;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = (std::uint64_t{watched.added} << 32) | static_cast<std::uint32_t>(fd);
  const int set = set_.native_handle();
  // One that was removed and is still open is in the set: whoever has it now is told of what stands as if it were new.
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 &&
      (errno != EEXIST || epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) < 0))
    return std::unexpected(errno_error(errno, Side::Local, "cannot watch a connection"));
  watched.handler = &handler;
  return {};
}

void EpollPoller::remove(int fd, PollHandler& handler) {
  const auto at = static_cast<std::size_t>(fd);  // of one that was never added it may be anything
  if (at >= watched_.size()) return;
  Watched& watched = watched_[at];
  if (watched.handler == &handler) watched.handler = nullptr;
}

void EpollPoller::wait() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) on_wake();  // else the io_context is going away
  });
}

void EpollPoller::on_wake() {
  bool any = false;
  for (int round = 0; round < kRounds; ++round) {
    if (!look()) {
      if (round > 0) quiet_ = kQuietBatches;
      break;
    }
    any = true;
    // To look again costs one call; to go back to sleep with something there costs three. A second look that found nothing is not
    // taken again for a while.
    if (quiet_ > 0 && --quiet_ > 0) break;
  }
  if (busy_poll_ > Duration::zero()) {
    const TimePoint now = Clock::now();
    if (any) busy_until_ = now + busy_poll_;
    // By way of the io_context, whose other work goes on meanwhile.
    if (now < busy_until_) return boost::asio::post(io_, [this] { on_wake(); });
  }
  wait();
}

// False: nothing was there.
bool EpollPoller::look() {
  const int count = epoll_wait(set_.native_handle(), events_.data(), kBatch, 0);
  if (count <= 0) return false;
  turns_.on_turn_begin();
  for (int i = 0; i < count; ++i) dispatch(events_[static_cast<std::size_t>(i)]);
  turns_.on_turn_end();
  return true;
}

void EpollPoller::dispatch(const epoll_event& event) {
  const int fd = static_cast<int>(event.data.u64 & UINT32_MAX);
  const Watched watched = watched_[static_cast<std::size_t>(fd)];
  if (watched.added != (event.data.u64 >> 32)) return;  // of a connection that had the number before
  if (watched.handler == nullptr) {
    // Removed, and open still, or it would not be here.
    epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
    return;
  }
  std::uint32_t what = 0;
  if ((event.events & EPOLLIN) != 0) what |= kReadable;
  if ((event.events & EPOLLOUT) != 0) what |= kWritable;
  if ((event.events & (EPOLLRDHUP | EPOLLHUP)) != 0) what |= kPeerClosed | kReadable;
  if ((event.events & EPOLLERR) != 0) what |= kFailed | kReadable;
  watched.handler->on_ready(what);
}

}  // namespace ferrotunnel::transport
