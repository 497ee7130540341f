#include "app/client/direct_links.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "transport/tcp/socket.h"

namespace ferrotunnel::app {

using transport::IoStatus;

// One that waits for its OPEN. It reads no byte behind that, but for what came with the handshake.
class DirectLinks::Warm final : public transport::PollHandler {
 public:
  Warm(DirectLinks& owner, session::Negotiated negotiated)
      : links(owner), stream(std::move(negotiated.stream)), early(std::move(negotiated.early)) {}
  Warm(const Warm&) = delete;
  Warm& operator=(const Warm&) = delete;
  ~Warm() { unwatch(); }

  [[nodiscard]] bool watch() {
    watched = links.shard_.poller().add(stream->fd(), *this).has_value();
    return watched;
  }
  void unwatch() {
    if (watched) links.shard_.poller().remove(stream->fd(), *this);
    watched = false;
  }
  void on_ready(std::uint32_t what) override {
    if ((what & (transport::kReadable | transport::kPeerClosed | transport::kFailed)) != 0) look();
  }

  // May destroy it.
  void look() {
    while (true) {
      if (have.size() == wire::kHeaderSize && !take_header()) return violated();
      if (have.size() == wanted) return take_open();
      const std::size_t missing = wanted - have.size();
      if (!early.empty()) {
        const auto n = static_cast<std::ptrdiff_t>(std::min(missing, early.size()));
        have.insert(have.end(), early.begin(), early.begin() + n);
        early.erase(early.begin(), early.begin() + n);
        continue;
      }
      std::array<std::byte, wire::kMaxOpen> buffer;
      const transport::IoResult got = stream->read(MutBytes(buffer).first(missing));
      if (got.status == IoStatus::WouldBlock)
        return links.shard_.poller().await(stream->fd(), *this, transport::kReadable);
      if (got.status != IoStatus::Ok) {
        ++links.counters_.closed;
        return links.lost(*this);
      }
      have.insert(have.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got.n));
    }
  }

  DirectLinks& links;
  transport::ByteStreamPtr stream;
  std::vector<std::byte> early;  // read with the handshake
  std::vector<std::byte> have;   // of the frame
  std::size_t wanted = wire::kHeaderSize;
  std::list<std::unique_ptr<Warm>>::iterator at;
  bool watched = false;

 private:
  bool take_header() {
    const auto header = wire::decode_header(ConstBytes(have).first<wire::kHeaderSize>());
    if (!header || header->type != wire::FrameType::Open || header->stream != wire::kDirectStream) return false;
    wanted = wire::kHeaderSize + header->length;  // decode_header() knows the bounds
    return wanted > have.size();
  }
  void take_open() {
    const auto open = wire::decode_open(ConstBytes(have).subspan(wire::kHeaderSize));
    if (!open || open->kind != 1) return violated();
    links.opened(*this, *open);
  }
  void violated() {
    ++links.counters_.violations;
    links.forget(*this);
  }
};

DirectLinks::DirectLinks(transport::Shard& shard, session::DialOptions dial, DirectSharePtr share,
                         DirectLinksHost& host)
    : shard_(shard), dial_(std::move(dial)), share_(std::move(share)), host_(host) {}

DirectLinks::~DirectLinks() { share_->give(have()); }

void DirectLinks::want(std::uint32_t part) {
  most_ = std::max<std::size_t>(std::min(part, DirectShare::kMostWarm), have());
  fill();
}

void DirectLinks::fill() {
  if (over_ || armed()) return;
  while (dialling_.size() < kMostDialling && have() < most_ && share_->take()) dial();
  if (dialling_.empty() && have() < most_ && share_->lacks() && share_->full()) shard_.arm(*this, kRoomLook);
}

void DirectLinks::dial() {
  ++counters_.dialled;
  const auto at = dialling_.emplace(dialling_.end());
  *at = std::make_unique<session::Dialer>(
      shard_, dial_, [this, at](Result<session::Dialed> result) { dialled(at, std::move(result)); });
  (*at)->start();
}

void DirectLinks::dialled(Dialers::iterator at, Result<session::Dialed> result) {
  const std::unique_ptr<session::Dialer> done = std::move(*at);
  dialling_.erase(at);
  if (!result) {
    share_->give(1);
    return failed(result.error());
  }
  wait_ = kFirstWait;
  keep(std::move(result->peer));
  fill();
}

void DirectLinks::failed(const Error& why) {
  ++counters_.failed;
  over_ = over_ || why.code == ErrorCode::Unauthorized;
  if (over_ || armed()) return;
  shard_.arm(*this, wait_);
  wait_ = std::min(wait_ * 2, kLongestWait);
}

void DirectLinks::on_deadline() { fill(); }

void DirectLinks::keep(session::Negotiated negotiated) {
  transport::tune_direct(negotiated.stream->fd(), kKeepAlive);
  warm_.push_back(std::make_unique<Warm>(*this, std::move(negotiated)));
  Warm& warm = *warm_.back();
  warm.at = std::prev(warm_.end());
  if (!warm.watch()) return forget(warm);
  warm.look();
}

void DirectLinks::forget(Warm& warm) {
  warm_.erase(warm.at);
  share_->give(1);
  fill();
}

// The server wants fewer, and has not said so yet, or something is wrong: it is not dialled anew at once.
void DirectLinks::lost(Warm& warm) {
  if (!armed()) shard_.arm(*this, kFirstWait);
  forget(warm);
}

void DirectLinks::opened(Warm& warm, const wire::OpenPayload& open) {
  ++counters_.opened;
  warm.unwatch();
  transport::ByteStreamPtr stream = std::move(warm.stream);
  stream->arm_reset();  // a FIN from here on would be the origin's
  std::string early(as_text(warm.early));
  const wire::OpenPayload copy = open;
  share_->give_to_visitor();
  warm_.erase(warm.at);
  fill();
  host_.on_direct_open(std::move(stream), copy, std::move(early));
}

}  // namespace ferrotunnel::app
