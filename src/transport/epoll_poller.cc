#include "transport/epoll_poller.h"

#include <cerrno>
#include <system_error>

namespace ferrotunnel::transport {

EpollPoller::EpollPoller(boost::asio::io_context& io, TurnObserver& turns) : turns_(turns), set_(io) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  set_.assign(fd);
  wait();
}

Result<> EpollPoller::add(int fd, PollHandler& handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &handler;
  if (epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, fd, &event) < 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot watch a connection"));
  return {};
}

void EpollPoller::remove(int fd, PollHandler& handler) {
  epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = at_ + 1; i < count_; ++i) {
    if (events_[static_cast<std::size_t>(i)].data.ptr == &handler)
      events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
  }
}

void EpollPoller::wait() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;  // the io_context is going away
    turn();
    wait();
  });
}

void EpollPoller::turn() {
  for (int round = 0; round < kRounds; ++round) {
    count_ = epoll_wait(set_.native_handle(), events_.data(), kBatch, 0);
    if (count_ <= 0) break;
    turns_.on_turn_begin();
    for (at_ = 0; at_ < count_; ++at_) {
      const epoll_event& event = events_[static_cast<std::size_t>(at_)];
      if (event.data.ptr == nullptr) continue;  // removed by an earlier one of the batch
      std::uint32_t what = 0;
      if ((event.events & EPOLLIN) != 0) what |= kReadable;
      if ((event.events & EPOLLOUT) != 0) what |= kWritable;
      if ((event.events & (EPOLLRDHUP | EPOLLHUP)) != 0) what |= kPeerClosed | kReadable;
      if ((event.events & EPOLLERR) != 0) what |= kFailed | kReadable;
      static_cast<PollHandler*>(event.data.ptr)->on_ready(what);
    }
    const bool full = count_ == kBatch;
    count_ = at_ = 0;
    turns_.on_turn_end();
    if (!full) break;
  }
}

}  // namespace ferrotunnel::transport
