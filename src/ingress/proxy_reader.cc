#include "ingress/proxy_reader.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "transport/tcp/proxy_protocol.h"

namespace ferrotunnel::ingress {

using transport::PeerAddress;
using transport::ProxyHeaderParser;
using transport::UniqueFd;

namespace {

ssize_t receive(int fd, MutBytes into, int flags) {
  ssize_t n;
  do n = ::recv(fd, into.data(), into.size(), flags);
  while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

class ProxyReader::Waiter final : public Hook, private transport::PollHandler, private transport::Deadline {
 public:
  Waiter(ProxyReader& owner, UniqueFd fd, const PeerAddress& peer, ProxiedVisitors& visitors, VisitorSlot slot)
      : to(visitors), owner_(owner), fd_(std::move(fd)), peer_(peer), slot_(std::move(slot)) {}
  ~Waiter() { unwatch(); }

  // Mostly the header is there already, whole. May destroy it.
  void start() {
    if (!read_on()) return;
    if (!owner_.shard_.poller().add(fd_.get(), *this)) return owner_.refuse(*this);
    watched_ = true;
    owner_.shard_.arm(*this, owner_.options_.proxy_header_timeout);
  }

  ProxiedVisitors& to;

 private:
  void on_ready(std::uint32_t) override {
    if (read_on()) owner_.shard_.poller().await(fd_.get(), *this, transport::kReadable);
  }
  void on_deadline() override { owner_.refuse(*this); }

  // Whether it still waits; else it is destroyed.
  [[nodiscard]] bool read_on() {
    while (true) {
      std::array<std::byte, transport::kMaxProxyHeader> bytes{};
      const ssize_t n = receive(fd_.get(), bytes, MSG_PEEK);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
      const auto seen = MutBytes(bytes).first(n > 0 ? static_cast<std::size_t>(n) : 0);
      const ProxyHeaderParser::Step step = parser_.feed(seen);
      // The peer's end, or what is no header, or bytes that were there a moment ago and are not: nothing to talk to.
      if (n <= 0 || step.state == ProxyHeaderParser::State::Invalid ||
          receive(fd_.get(), seen.first(step.consumed), 0) != static_cast<ssize_t>(step.consumed)) {
        owner_.refuse(*this);
        return false;
      }
      if (step.state == ProxyHeaderParser::State::Done) {
        hand_on();
        return false;
      }
    }
  }

  void hand_on() {
    unwatch();
    const transport::ProxyHeader& header = parser_.header();
    const PeerAddress visitor = header.named ? header.source : peer_;
    UniqueFd fd = std::move(fd_);
    ProxiedVisitors& visitors = to;
    ++owner_.counters_.accepted;
    owner_.remove(*this);
    visitors.on_proxied(std::move(fd), visitor);
  }

  void unwatch() {
    if (watched_) {
      owner_.shard_.poller().remove(fd_.get(), *this);
      owner_.shard_.poller().leave(fd_.get());  // for whichever shard he goes to
    }
    watched_ = false;
  }

  ProxyReader& owner_;
  UniqueFd fd_;
  const PeerAddress peer_;
  VisitorSlot slot_;
  ProxyHeaderParser parser_;
  bool watched_ = false;
};

ProxyReader::ProxyReader(transport::Shard& shard, transport::IpSet trusted, const ProxyReaderOptions& options)
    : shard_(shard), trusted_(std::move(trusted)), options_(options), waiting_(std::make_unique<Waiters>()) {}

ProxyReader::~ProxyReader() {
  while (!waiting_->empty()) remove(waiting_->front());
}

std::size_t ProxyReader::waiting() const { return waiting_->size(); }

void ProxyReader::take(UniqueFd fd, const PeerAddress& peer, ProxiedVisitors& to, VisitorSlot slot) {
  if (waiting_->size() >= options_.max_waiting_headers) refuse(waiting_->front());
  auto* waiter = new Waiter(*this, std::move(fd), peer, to, std::move(slot));
  waiting_->push_back(*waiter);
  waiter->start();
}

void ProxyReader::forget(ProxiedVisitors& to) {
  for (auto at = waiting_->begin(); at != waiting_->end();) {
    Waiter& waiter = *at++;
    if (&waiter.to == &to) remove(waiter);
  }
}

void ProxyReader::refuse(Waiter& waiter) {
  ++counters_.refused;
  remove(waiter);
}

void ProxyReader::remove(Waiter& waiter) {
  waiting_->erase(waiting_->iterator_to(waiter));
  delete &waiter;
}

}  // namespace ferrotunnel::ingress
