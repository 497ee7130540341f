#include "ingress/tls/visitor_handshakes.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string>
#include <utility>

#include "http/date.h"
#include "http/error_page.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::ingress {

using transport::kReadable;
using transport::kWritable;
using transport::PeerAddress;
using transport::TlsProgress;
using transport::TlsStream;
using transport::UniqueFd;

namespace {

constexpr std::size_t kMostRead = 64 * 1024;  // of a plain request is read away

ssize_t receive(int fd, MutBytes into, int flags) {
  ssize_t n;
  do n = ::recv(fd, into.data(), into.size(), flags);
  while (n < 0 && errno == EINTR);
  return n;
}
bool would_block(ssize_t n) { return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK); }

// A TLS record begins with its type, 20 to 23; a request with its method.
bool begins_request(std::byte first) {
  const auto c = static_cast<char>(first);
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

std::string plain_http_page() {
  http::ErrorPage page;
  page.status = 400;
  page.side = http::FaultSide::Visitor;
  page.slug = "plain-http";
  page.sentence = "This port speaks HTTPS, and the request came without TLS. Ask for https:// instead of http://.";
  http::DateOfNow date;
  page.date = date.at(std::time(nullptr));
  return http::make_error_response(page);
}

}  // namespace

class VisitorHandshakes::Handshake final : public Hook,
                                           private SpareVisitor,
                                           private transport::PollHandler,
                                           private transport::Deadline {
 public:
  Handshake(VisitorHandshakes& owner, UniqueFd fd, const PeerAddress& peer, transport::CertificateBookPtr book,
            VisitorSlot slot)
      : SpareVisitor(owner.spares_, peer),
        owner_(owner),
        fd_(std::move(fd)),
        peer_(peer),
        book_(std::move(book)),
        slot_(std::move(slot)) {}
  ~Handshake() {
    unwatch();
    if (charged_) budget().sub(kMemory);
  }

  // May destroy it.
  void start() {
    if (!owner_.shard_.poller().add(fd_.get(), *this)) return owner_.end(*this, &Counters::failed);
    watched_ = true;
    owner_.shard_.arm(*this, owner_.options_.handshake_timeout);
    be_spare(true);
    step();
  }

 private:
  using Counters = VisitorHandshakeCounters;
  enum class State : std::uint8_t { Peeking, Shaking, Lingering };

  void on_ready(std::uint32_t) override { step(); }
  // Whatever has come: he has asked for nothing yet.
  [[nodiscard]] bool end_spare() override {
    owner_.end(*this, &Counters::crowded_out);
    return true;
  }
  void on_deadline() override {
    if (state_ == State::Lingering) return owner_.remove(*this);
    owner_.end(*this, &Counters::timed_out);
  }

  // Each may destroy it.
  void step() {
    switch (state_) {
      case State::Peeking: return peek();
      case State::Shaking: return shake();
      case State::Lingering: return linger();
    }
  }

  void peek() {
    std::array<std::byte, 1> first{};
    const ssize_t n = receive(fd_.get(), first, MSG_PEEK);
    if (would_block(n)) return wait(kReadable);
    if (n <= 0) return owner_.end(*this, &Counters::failed);
    if (begins_request(first[0])) return say_plain();
    const int number = fd_.get();
    auto stream = TlsStream::accept(fd_.release(), book_->context(), owner_.guard_);
    if (!stream) {
      owner_.shard_.poller().remove(number, *this);  // it is closed
      watched_ = false;
      return owner_.end(*this, &Counters::failed);
    }
    stream_ = std::move(*stream);
    budget().add(kMemory);
    charged_ = true;
    state_ = State::Shaking;
    shake();
  }

  void shake() {
    const auto progress = stream_->handshake();
    if (!progress) return owner_.end(*this, &Counters::failed);
    if (*progress == TlsProgress::WantRead) return wait(kReadable);
    if (*progress == TlsProgress::WantWrite) return wait(kWritable);
    unwatch();
    VisitorTls tls;
    tls.on = true;
    tls.h2 = stream_->alpn() == "h2";
    tls.name = stream_->asked_name();
    tls.certificate = stream_->shown_certificate();
    ++owner_.counters_.done;
    if (stream_->resumed()) ++owner_.counters_.resumed;
    SecuredVisitors& to = owner_.to_;
    transport::ByteStreamPtr stream = std::move(stream_);
    const PeerAddress peer = peer_;
    VisitorSlot slot = std::move(slot_);
    owner_.remove(*this);
    to.on_secured(std::move(stream), peer, tls, std::move(slot));
  }

  void say_plain() {
    ++owner_.counters_.plain_http;
    const std::string page = plain_http_page();
    (void)::send(fd_.get(), page.data(), page.size(), MSG_NOSIGNAL);  // a socket that is new has room for it
    ::shutdown(fd_.get(), SHUT_WR);
    state_ = State::Lingering;
    owner_.shard_.arm(*this, owner_.options_.linger_timeout);
    linger();
  }

  // A close with unread bytes in the socket sends an RST, which may reach the visitor before he has read the page.
  void linger() {
    while (lingered_ < kMostRead) {
      const ssize_t n = receive(fd_.get(), owner_.shard_.read_buffer(), 0);
      if (would_block(n)) return wait(kReadable);
      if (n <= 0) break;
      lingered_ += static_cast<std::size_t>(n);
    }
    owner_.remove(*this);
  }

  [[nodiscard]] MemoryBudget& budget() const { return owner_.shard_.buffers().budget(); }
  void wait(std::uint32_t what) { owner_.shard_.poller().await(socket(), *this, what); }
  [[nodiscard]] int socket() const { return stream_ ? stream_->fd() : fd_.get(); }
  void unwatch() {
    if (watched_) owner_.shard_.poller().remove(socket(), *this);
    watched_ = false;
  }

  VisitorHandshakes& owner_;
  UniqueFd fd_;
  const PeerAddress peer_;
  const transport::CertificateBookPtr book_;
  VisitorSlot slot_;
  std::unique_ptr<TlsStream> stream_;  // has the socket, once the first byte is there
  State state_ = State::Peeking;
  bool watched_ = false;
  bool charged_ = false;
  std::size_t lingered_ = 0;
};

VisitorHandshakes::VisitorHandshakes(transport::Shard& shard, const VisitorHandshakeOptions& options,
                                     SecuredVisitors& to, SpareVisitors& spares, transport::NameGuard* guard)
    : shard_(shard), options_(options), to_(to), spares_(spares), guard_(guard), all_(std::make_unique<Handshakes>()) {}

VisitorHandshakes::~VisitorHandshakes() { stop(); }

std::size_t VisitorHandshakes::waiting() const { return all_->size(); }

void VisitorHandshakes::take(UniqueFd fd, const PeerAddress& peer, transport::CertificateBookPtr book,
                             VisitorSlot slot) {
  if (crowded()) end(all_->front(), &VisitorHandshakeCounters::crowded_out);
  auto* handshake = new Handshake(*this, std::move(fd), peer, std::move(book), std::move(slot));
  all_->push_back(*handshake);
  handshake->start();
}

// As long as no more than that is used, theirs is within it, however they are spread over the shards.
bool VisitorHandshakes::crowded() const {
  if (all_->size() >= options_.max_handshakes) return true;
  const MemoryBudget& budget = shard_.buffers().budget();
  const std::size_t part = budget.limit() / kMemoryPart;
  return budget.used() + kMemory > part && all_->size() >= std::max(part / options_.shards / kMemory, kLeast);
}

void VisitorHandshakes::stop() {
  while (!all_->empty()) remove(all_->front());
}

void VisitorHandshakes::end(Handshake& handshake, std::uint64_t VisitorHandshakeCounters::* why) {
  ++(counters_.*why);
  remove(handshake);
}

void VisitorHandshakes::remove(Handshake& handshake) {
  all_->erase(all_->iterator_to(handshake));
  delete &handshake;
}

}  // namespace ferrotunnel::ingress
