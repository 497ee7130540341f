#include "ingress/tcp/direct_pool.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

using transport::IoStatus;

// One that waits for a visitor: silent, or over.
class DirectPool::Warm final : public transport::PollHandler {
 public:
  Warm(DirectPool& owner, transport::ByteStreamPtr s, DirectPlace p)
      : pool(owner), stream(std::move(s)), place(std::move(p)) {}
  Warm(const Warm&) = delete;
  Warm& operator=(const Warm&) = delete;
  ~Warm() { unwatch(); }
  [[nodiscard]] bool watch() {
    watched = pool.shard_.poller().add(stream->fd(), *this).has_value();
    return watched;
  }
  void unwatch() {
    if (watched) pool.shard_.poller().remove(stream->fd(), *this);
    watched = false;
  }
  void on_ready(std::uint32_t what) override {
    if ((what & (transport::kReadable | transport::kPeerClosed | transport::kFailed)) == 0) return;
    std::array<std::byte, 1> byte;
    switch (stream->read(byte).status) {
      case IoStatus::WouldBlock: return pool.shard_.poller().await(stream->fd(), *this, transport::kReadable);
      case IoStatus::Ok: ++pool.counters_.spoke; break;
      case IoStatus::Eof:
      case IoStatus::Error: ++pool.counters_.lost; break;
    }
    pool.drop(*this);
  }

  DirectPool& pool;
  transport::ByteStreamPtr stream;
  DirectPlace place;
  WarmLinks::iterator at;
  bool watched = false;
};

DirectUse::~DirectUse() {
  place_.reset();  // the client may be told of the room at once
  if (pool_ != nullptr) pool_->released();
}

void DirectWaiter::on_deadline() {
  DirectWaiterHook::unlink();
  pool_->vain_ = true;
  on_direct_turn();
}

DirectPool::DirectPool(transport::Shard& shard, DirectPoolHost& host, std::uint32_t most,
                       std::shared_ptr<mux::StreamQuota> quota)
    : shard_(shard), host_(host), quota_(std::move(quota)), most_(most) {}

DirectPool::~DirectPool() { close(); }

void DirectPool::close() {
  closed_ = true;
  needed_ = false;
  transport::Deadline::disarm();
  tell_.disarm();
  warm_.clear();
  serve();
}

void DirectPool::set_most(std::uint32_t most) {
  most_ = most;
  while (!warm_.empty() && warm_.size() + in_use_ > most_) warm_.pop_front();
  reckon();
}

void DirectPool::set_needed(bool needed) {
  if (needed_ == needed || closed_) return;
  needed_ = needed;
  if (!needed_) warm_.clear();
  reckon();
}

void DirectPool::add(transport::ByteStreamPtr stream, DirectPlace place, bool spoke) {
  ++counters_.attached;
  vain_ = false;
  if (spoke) ++counters_.spoke;
  // Told to keep some, and told otherwise since.
  if (spoke || !needed_ || warm_.size() + in_use_ >= most_) return;
  transport::tune_direct(stream->fd(), kKeepAlive);
  keep(std::move(stream), std::move(place));
}

void DirectPool::put_back(DirectLink link) {
  DirectPlace place = link.use.place_;
  link.use = {};
  if (needed_) keep(std::move(link.stream), std::move(place));
}

void DirectPool::keep(transport::ByteStreamPtr stream, DirectPlace place) {
  auto warm = std::make_unique<Warm>(*this, std::move(stream), std::move(place));
  if (!warm->watch()) return;
  warm_.push_back(std::move(warm));
  warm_.back()->at = std::prev(warm_.end());
  serve();
}

DirectLink DirectPool::take(bool asks) {
  if (asks) ask();
  if (warm_.empty() || closed_ || (quota_ != nullptr && !quota_->take())) return {};
  Warm& warm = *warm_.back();
  warm.unwatch();
  DirectLink link{std::move(warm.stream), DirectUse(*this, std::move(warm.place))};
  warm_.pop_back();
  ++in_use_;
  ++counters_.taken;
  reckon();
  return link;
}

bool DirectPool::wait(DirectWaiter& waiter) {
  if (closed_ || !needed_) return false;
  // None can come before somebody leaves; or fewer than are waited for; or none comes.
  if (const std::uint32_t most = want(); vain_ || most == 0 || (most < would() && waiters_.size() >= most)) {
    ++counters_.limited;
    return false;
  }
  if (waiters_.size() >= kMostWaiting) {
    ++counters_.queue_full;
    return false;
  }
  ++counters_.waited;
  waiter.pool_ = this;
  waiters_.push_back(waiter);
  shard_.arm(waiter, kPatience);
  return true;
}

// Whoever waits longest first. Once it is closed nobody waits any more.
void DirectPool::serve() {
  while (!waiters_.empty() && (closed_ || !warm_.empty())) {
    DirectWaiter& first = waiters_.front();
    waiters_.pop_front();
    first.transport::Deadline::disarm();
    first.on_direct_turn();
  }
}

void DirectPool::drop(Warm& warm) {
  warm_.erase(warm.at);
  reckon();
}

void DirectPool::released() {
  --in_use_;
  if (quota_ != nullptr) quota_->give_back(1);
  reckon();
  if (in_use_ == 0) host_.on_direct_unused();
}

// ---- how many -----------------------------------------------------------------------------------------------------

void DirectPool::ask() {
  ++asked_;
  lately_ = std::max(lately_, asked_);
  if (!closed_ && !transport::Deadline::armed()) shard_.arm(*this, kLook);
  reckon();
}

std::uint32_t DirectPool::want() const {
  const std::int64_t room =
      std::min<std::int64_t>(host_.direct_room(), most_) + static_cast<std::int64_t>(warm_.size());
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(room, 0, would()));
}

std::uint32_t DirectPool::would() const {
  if (!needed_ || closed_) return 0;
  const auto room = most_ > in_use_ ? static_cast<std::uint32_t>(most_ - in_use_) : 0;
  return std::min(std::clamp(lately_, kLeastWarm, kMostWarm), room);
}

void DirectPool::run_turn() {
  const bool limited = needed_ && want() < std::clamp(lately_, kLeastWarm, kMostWarm);
  if (limited && !limited_) ++counters_.limited;
  limited_ = limited;
  // Whoever gives descriptors back says nothing to those who want some.
  if (want() < would() && !transport::Deadline::armed()) shard_.arm(*this, kLook);
  if (!tell_.armed()) tell();
}

void DirectPool::tell() {
  const std::uint32_t wanted = want();
  if (wanted == told_ || closed_) return;
  told_ = wanted;
  shard_.arm(tell_, kTell);
  host_.on_direct_wanted(wanted);
}

void DirectPool::on_deadline() {
  lately_ = std::max(asked_, lately_ - (lately_ + 3) / 4);
  asked_ = 0;
  if (lately_ > 0) shard_.arm(*this, kLook);
  while (warm_.size() > want()) warm_.pop_front();
  reckon();
}

}  // namespace ferrotunnel::ingress
