#include "transport/tcp/listener.h"

#include <fcntl.h>

#include <cerrno>

namespace ferrotunnel::transport {

Listener::Listener(Shard& shard, UniqueFd fd, OnAccept on_accept)
    : shard_(shard), fd_(std::move(fd)), on_accept_(std::move(on_accept)) {}

Listener::~Listener() {
  if (alive_ != nullptr) *alive_ = false;
  if (watched_) shard_.poller().remove(fd_.get(), *this);
}

Result<> Listener::start() {
  auto added = shard_.poller().add(fd_.get(), *this);
  watched_ = added.has_value();
  return added;
}

void Listener::on_ready(std::uint32_t) {
  if (!Deadline::armed()) run_turn();
}

UniqueFd Listener::accept_one(SocketAddress& peer) {
  peer.length = sizeof peer.storage;
#ifdef __linux__
  return UniqueFd(
      ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
#else
  UniqueFd fd(::accept(fd_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length));
  if (fd) {
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    set_nodelay(fd.get());
  }
  return fd;
#endif
}

void Listener::take_waiting() {
  for (int i = 0; i < kMostWaiting; ++i) {
    SocketAddress peer;
    UniqueFd fd = accept_one(peer);
    if (!fd && errno != EINTR && errno != ECONNABORTED) return;
    if (fd) on_accept_(std::move(fd), peer);
  }
}

void Listener::run_turn() {
  bool alive = true;
  alive_ = &alive;
  for (int i = 0; i < kBatch; ++i) {
    SocketAddress peer;
    UniqueFd fd = accept_one(peer);
    if (fd) {
      on_accept_(std::move(fd), peer);
      if (!alive) return;
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN || errno == EHOSTUNREACH ||
        errno == ENETUNREACH)
      continue;
    alive_ = nullptr;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      shard_.poller().await(fd_.get(), *this, kReadable);
    } else {
      const int error = errno;
      ++failures_;
      shard_.arm(*this, kPause);
      if (starved_) starved_(error);
    }
    return;
  }
  alive_ = nullptr;
  shard_.next_turn(*this);  // more may wait; others first
}

}  // namespace ferrotunnel::transport
