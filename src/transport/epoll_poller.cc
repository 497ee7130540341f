#include "transport/epoll_poller.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

namespace ferrotunnel::transport {
namespace {
constexpr std::uint64_t kOwn = UINT64_MAX;  // no connection's
}

EpollPoller::EpollPoller(boost::asio::io_context& io, TurnObserver& turns) : io_(io), turns_(turns), set_(io) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  set_.assign(fd);
  alarm_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  for (const int own : {alarm_.get(), timer_.get()}) {
    // Edge-triggered and never read: each write and each expiry is an edge.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kOwn;
    if (own < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, own, &event) < 0)
      throw std::system_error(errno, std::generic_category(), "a descriptor to wake up by");
  }
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
  if (watched.handler != &handler) return;
  watched.handler = nullptr;
  watched.removed = batch_;
}

void EpollPoller::leave(int fd) {
  if (static_cast<std::size_t>(fd) < watched_.size()) epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

void EpollPoller::wait() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) on_wake();  // else the io_context is going away
  });
}

void EpollPoller::on_wake() {
  const TimePoint now = Clock::now();
  turns_.in_poller(true);
  stay(now);
  turns_.in_poller(false);
  // By way of the io_context, whose other work goes on meanwhile.
  if (busy_poll_ > Duration::zero() && Clock::now() < busy_until_) return boost::asio::post(io_, [this] { on_wake(); });
  wait();
}

// Turns, for as long as there is something to do, or may be soon: one event that followed on another within kStay is taken as a sign.
void EpollPoller::stay(TimePoint now) {
  const TimePoint until = now + kStay;
  const bool often = now - last_event_ < kStay;
  // A timeout of each sleep would cost more than the sleeps save: on a virtual machine setting a timer is a trip to the host.
  if (often) {
    const itimerspec limit{{0, 0}, {0, std::chrono::nanoseconds(kStay).count()}};
    ::timerfd_settime(timer_.get(), 0, &limit, nullptr);
  }
  while (true) {
    const bool spin = now < busy_until_;
    const bool next = turns_.has_next();
    const int count = look(often && !spin && !next);
    now = Clock::now();
    if (count > 0) {
      last_event_ = now;
      busy_until_ = now + busy_poll_;
    }
    if (now >= until || turns_.has_posted()) return;
    // What waited before this look: the ready descriptors had their turn first.
    if (next) {
      turns_.run_next();
    } else if (count == 0 && !spin && !turns_.has_next()) {
      return;
    }
  }
}

// How many connections were ready. `sleep`: until one is, or something is posted, or kStay is over.
int EpollPoller::look(bool sleep) {
  if (sleep) {
    // Before has_posted(), as on_posted() looks at it behind the post: one of the two sees the other.
    asleep_.store(true);
    sleep = !turns_.has_posted();
  }
  const int count = epoll_wait(set_.native_handle(), events_.data(), kBatch, sleep ? -1 : 0);
  asleep_.store(false, std::memory_order_relaxed);
  if (count <= 0 || (count == 1 && events_[0].data.u64 == kOwn)) return 0;
  ++batch_;
  turns_.on_turn_begin();
  for (int i = 0; i < count; ++i) dispatch(events_[static_cast<std::size_t>(i)]);
  turns_.on_turn_end();
  return count;
}

void EpollPoller::on_posted() {
  if (asleep_.load()) (void)eventfd_write(alarm_.get(), 1);
}

void EpollPoller::dispatch(const epoll_event& event) {
  if (event.data.u64 == kOwn) return;
  const int fd = static_cast<int>(event.data.u64 & UINT32_MAX);
  const Watched watched = watched_[static_cast<std::size_t>(fd)];
  if (watched.added != (event.data.u64 >> 32)) return;  // of a connection that had the number before
  if (watched.handler == nullptr) {
    // Removed while this batch was at hand: it may be closed, and its number another thread's. Else it is open still, or it would not be here.
    if (watched.removed != batch_) epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
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
