#include "ingress/tcp/tcp_ingress.h"

#include <array>
#include <optional>
#include <string>

#include "transport/tcp/tcp_stream.h"
#include "wire/frame.h"

namespace ferrotunnel::ingress {
namespace {

constexpr std::size_t kLeastRoom = 4096;        // bytes that a visitor has to be able to hold, to be let in
constexpr std::size_t kFirstBytes = 16 * 1024;  // of a visitor, that ride with OPEN on a direct link
constexpr std::size_t kMostOpen = wire::kHeaderSize + wire::kMaxOpenEncoded;
static_assert(kFirstBytes + kMostOpen <= transport::PairRelay::kMaxHead);

}  // namespace

// A visitor: over the link as one of its streams, over a direct link, or waiting for one of these.
class TcpIngress::Visitor final : public boost::intrusive::list_base_hook<>,
                                  private transport::RelayOwner,
                                  private transport::PairRelayOwner,
                                  private ThrottleOwner {
 public:
  enum class Begun : std::uint8_t { Yes, NoStream, Gone };

  Visitor(TcpIngress& owner, VisitorSlot slot, Admission admission)
      : owner_(owner), slot_(std::move(slot)), admission_(std::move(admission)) {}
  ~Visitor() {
    if (waiting_) waiting_->socket->abort();
  }

  Begun start(transport::ByteStreamPtr socket, const transport::PeerAddress& peer) {
    if (!owner_.goes_direct(admission_)) return start_stream(std::move(socket), peer, {});
    std::string early;
    switch (start_direct(socket, peer, early, true)) {
      case Direct::Begun: return Begun::Yes;
      case Direct::VisitorGone: return Begun::Gone;
      case Direct::NoLink: break;
    }
    if (owner_.carry_ == wire::Carry::Direct) {
      waiting_ = std::make_unique<Waiting>(*this, std::move(socket), peer, std::move(early));
      if (owner_.pool_->wait(*waiting_)) return Begun::Yes;
      const std::unique_ptr<Waiting> none = std::move(waiting_);
      socket = std::move(none->socket);
      early = std::move(none->early);
    }
    owner_.pool_->count_missed();
    return start_stream(std::move(socket), peer, std::move(early));
  }

  [[nodiscard]] const transport::PairRelay* direct() const { return direct_ ? &direct_->relay : nullptr; }

 private:
  enum class Direct : std::uint8_t { Begun, NoLink, VisitorGone };
  // Over a direct link.
  struct Pair {
    Pair(Visitor& visitor, DirectUse u, transport::ByteStreamPtr socket, transport::ByteStreamPtr link)
        : use(std::move(u)), relay(visitor.owner_.shard_, std::move(socket), std::move(link), visitor) {}
    DirectUse use;
    transport::PairRelay relay;
    std::uint64_t early = 0;  // bytes of his that went before the relay began
  };
  struct Waiting final : DirectWaiter {
    Waiting(Visitor& v, transport::ByteStreamPtr s, const transport::PeerAddress& p, std::string e)
        : visitor(v), socket(std::move(s)), peer(p), early(std::move(e)) {}
    void on_direct_turn() override { visitor.on_direct_turn(); }
    Visitor& visitor;
    transport::ByteStreamPtr socket;
    const transport::PeerAddress peer;
    std::string early;
  };

  // Looks now and then whether any byte has passed since; costs the bytes nothing.
  class IdleWatch final : private transport::Deadline {
   public:
    static constexpr int kLooks = 4;  // in a timeout: it ends within a quarter of it
    IdleWatch(Visitor& visitor, Duration timeout) : visitor_(visitor), timeout_(timeout), since_(now()) { arm(); }

   private:
    void on_deadline() override {
      const std::uint64_t moved = visitor_.moved();
      if (moved != seen_) since_ = now();
      seen_ = moved;
      // One that waits for its turn at the bandwidth is not idle.
      if (now() - since_ < timeout_ || visitor_.waits()) return arm();
      visitor_.end_idle();
    }
    void arm() { visitor_.owner_.shard_.arm(*this, timeout_ / kLooks); }
    [[nodiscard]] TimePoint now() const { return visitor_.owner_.shard_.now(); }

    Visitor& visitor_;
    const Duration timeout_;
    TimePoint since_;
    std::uint64_t seen_ = 0;
  };

  // `early`: what was read of the visitor for a direct link that could not be had.
  Begun start_stream(transport::ByteStreamPtr socket, const transport::PeerAddress& peer, std::string early) {
    relay_.emplace(owner_.shard_, std::move(socket), static_cast<transport::RelayOwner&>(*this), std::move(early));
    const VisitorGatePtr& gate = admission_.gate();
    if (gate != nullptr && gate->throttles()) {
      throttle_ = std::make_unique<Throttle>(gate, relay_->handler(), static_cast<ThrottleOwner&>(*this));
    }
    const transport::OpenInfo info{owner_.tunnel_, transport::OpenKind::Raw, peer};
    const auto stream = owner_.link_.open(info, throttle_ ? *throttle_ : relay_->handler());
    if (!stream) return Begun::NoStream;
    watch_idle();
    relay_->start(**stream, throttle_.get());
    return Begun::Yes;
  }

  // OPEN and what the visitor has said go out in one write. A link that breaks by that is no harm: the next one has its turn, since nothing
  // of the visitor has reached anybody.
  Direct start_direct(transport::ByteStreamPtr& socket, const transport::PeerAddress& peer, std::string& early,
                      bool asks) {
    DirectLink link = owner_.pool_->take(asks);
    if (!link.stream) return Direct::NoLink;
    ConstBytes said = as_bytes(early);
    if (said.empty()) {
      const MutBytes room = owner_.shard_.read_buffer().first(kFirstBytes);
      const transport::IoResult got = socket->read(room);
      if (got.status == transport::IoStatus::Error) {
        owner_.pool_->put_back(std::move(link));
        return Direct::VisitorGone;
      }
      if (got.status == transport::IoStatus::Ok) said = room.first(got.n);
    }
    std::array<std::byte, kMostOpen> open{};
    const std::size_t size = encode_open(peer, open);
    for (; link.stream; link = owner_.pool_->take(false)) {
      const iovec pieces[] = {{open.data(), size}, {const_cast<std::byte*>(said.data()), said.size()}};
      const transport::IoResult wrote = link.stream->write({pieces, said.empty() ? 1U : 2U});
      if (wrote.status == transport::IoStatus::Error) continue;
      run_direct(std::move(link), std::move(socket), ConstBytes(open).first(size), said, wrote.n);
      return Direct::Begun;
    }
    if (early.empty()) early = as_text(said);
    return Direct::NoLink;
  }

  void run_direct(DirectLink link, transport::ByteStreamPtr socket, ConstBytes open, ConstBytes said,
                  std::size_t written) {
    direct_ = std::make_unique<Pair>(*this, std::move(link.use), std::move(socket), std::move(link.stream));
    direct_->early = said.size();
    watch_idle();
    if (written == open.size() + said.size()) return direct_->relay.start();
    std::string rest(as_text(open.subspan(std::min(written, open.size()))));
    rest.append(as_text(said.subspan(written > open.size() ? written - open.size() : 0)));
    direct_->relay.start({}, as_bytes(rest));
  }

  std::size_t encode_open(const transport::PeerAddress& peer, std::span<std::byte, kMostOpen> into) const {
    const wire::OpenPayload payload{owner_.tunnel_, static_cast<std::uint8_t>(transport::OpenKind::Raw), peer.family,
                                    peer.port, peer.bytes};
    const std::size_t n = wire::encode_open(payload, into.subspan<wire::kHeaderSize>());
    wire::encode_header(
        {.type = wire::FrameType::Open, .length = static_cast<std::uint32_t>(n), .stream = wire::kDirectStream},
        into.data());
    return wire::kHeaderSize + n;
  }

  // A link for who waited, or none in time.
  void on_direct_turn() {
    const std::unique_ptr<Waiting> waited = std::move(waiting_);
    const Direct begun = start_direct(waited->socket, waited->peer, waited->early, false);
    if (begun == Direct::Begun) return;
    if (begun == Direct::NoLink) {
      owner_.pool_->count_missed();
      if (start_stream(std::move(waited->socket), waited->peer, std::move(waited->early)) == Begun::Yes) return;
      ++owner_.counters_.refused;
    }
    relay_.reset();
    owner_.remove(*this);
  }

  void watch_idle() {
    const VisitorGatePtr& gate = admission_.gate();
    if (gate != nullptr && gate->idle_timeout() > Duration::zero())
      idle_ = std::make_unique<IdleWatch>(*this, gate->idle_timeout());
  }

  void on_relay_end(transport::Relay&, transport::StreamEnd) override { owner_.remove(*this); }
  void on_pair_end(transport::PairRelay&, transport::StreamEnd) override { owner_.remove(*this); }
  void on_allowance(Way way) override { way == Way::In ? relay_->want_write() : relay_->resume_read(); }
  [[nodiscard]] std::uint64_t moved() const { return bytes().from_socket + bytes().to_socket; }
  [[nodiscard]] bool waits() const { return throttle_ && throttle_->waits(); }
  void end_idle() {
    ++owner_.counters_.idle_ended;
    if (direct_) return direct_->relay.stop(transport::ResetReason::Idle);
    relay_->stop(transport::ResetReason::Idle);
  }

 public:
  [[nodiscard]] transport::RelayBytes bytes() const {
    if (relay_) return relay_->bytes();
    if (!direct_) return {};
    const transport::PairBytes pair = direct_->relay.bytes();
    return {pair.from_first + direct_->early, pair.to_first};
  }

 private:
  TcpIngress& owner_;
  const VisitorSlot slot_;
  const Admission admission_;
  std::unique_ptr<Throttle> throttle_;  // before the relay, whose stream may still have it for its handler
  std::optional<transport::Relay> relay_;
  std::unique_ptr<Pair> direct_;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<IdleWatch> idle_;
};

TcpIngress::TcpIngress(transport::Shard& shard, transport::Link& link, std::uint32_t tunnel, TcpIngressHost& host)
    : shard_(shard), link_(link), tunnel_(tunnel), host_(host), visitors_(std::make_unique<Visitors>()) {}

TcpIngress::~TcpIngress() {
  stop_accepting();
  visitors_->clear_and_dispose([](Visitor* visitor) { delete visitor; });
}

Result<> TcpIngress::listen(const transport::SocketAddress& address) {
  auto fd = transport::listen_on(address, false);
  if (!fd) return std::unexpected(fd.error());
  const auto local = transport::local_address(fd->get());
  if (!local) return std::unexpected(local.error());
  port_ = local->port();
  transport::close_with_reset(fd->get());  // visitors inherit it: what is not over is no end for them, whoever dies
  listener_ = std::make_unique<transport::Listener>(
      shard_, std::move(*fd), [this](transport::UniqueFd visitor, const transport::SocketAddress& peer) {
        accept(std::move(visitor), transport::to_peer_address(peer));
      });
  listener_->on_starved([this](int error) { host_.on_starved(error); });
  return listener_->start();
}

void TcpIngress::stop_accepting() {
  listener_.reset();
  if (proxies_ != nullptr) proxies_->forget(*this);
}

void TcpIngress::accept(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  if (proxies_ == nullptr || !proxies_->trusts(peer)) return on_proxied(std::move(fd), peer);
  VisitorSlot slot;
  if (count_ != nullptr && !(slot = host_.let_in(*count_, {}))) return refuse(std::move(fd), Refusal::ServerLimit);
  proxies_->take(std::move(fd), peer, *this, std::move(slot));
}

void TcpIngress::on_proxied(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  VisitorSlot slot;
  if (count_ != nullptr && !(slot = host_.let_in(*count_, peer)))
    return refuse(std::move(fd), count_->refusal_of(peer));
  if (!shard_.buffers().budget().admits(0, kLeastRoom)) return refuse(std::move(fd), Refusal::Memory);
  const bool anywhere = (gate_ == nullptr || gate_->open()) && !goes_direct({});
  if (anywhere && host_.on_spread(tunnel_, fd, peer, slot)) {
    ++counters_.spread;
    return;
  }
  let_in(std::move(fd), peer, std::move(slot));
}

void TcpIngress::let_in(transport::UniqueFd fd, const transport::PeerAddress& peer, VisitorSlot slot) {
  Admission admission;
  if (gate_ != nullptr) {
    auto admitted = gate_->admit(peer);
    if (!admitted) return refuse(std::move(fd), admitted.error());
    admission = std::move(*admitted);
  }
  ++counters_.accepted;
  auto visitor = std::make_unique<Visitor>(*this, std::move(slot), std::move(admission));
  switch (visitor->start(std::make_unique<transport::TcpStream>(std::move(fd), true), peer)) {
    case Visitor::Begun::Yes: break;
    case Visitor::Begun::NoStream:
      ++counters_.refused;
      return;  // an RST: there is nothing to say in an unknown protocol
    case Visitor::Begun::Gone: return;
  }
  ++active_;
  host_.on_visitor(tunnel_, 1);
  visitors_->push_back(*visitor.release());
}

void TcpIngress::refuse(transport::UniqueFd fd, Refusal why) {
  fd.reset();  // an RST, see listen()
  host_.on_refused(tunnel_, why);
}

// Not those of a tunnel with a bandwidth limit, which stands between a stream and its relay.
bool TcpIngress::goes_direct(const Admission& admission) const {
  if (pool_ == nullptr || carry_ == wire::Carry::Mux) return false;
  if (admission.gate() != nullptr && admission.gate()->throttles()) return false;
  return carry_ == wire::Carry::Direct || pool_->road_lossy();
}

transport::RelayBytes TcpIngress::direct_bytes() const {
  transport::RelayBytes sum;
  for (const Visitor& visitor : *visitors_) {
    if (visitor.direct() == nullptr) continue;
    sum.from_socket += visitor.bytes().from_socket;
    sum.to_socket += visitor.bytes().to_socket;
  }
  return sum;
}

void TcpIngress::remove(Visitor& visitor) {
  const transport::RelayBytes bytes = visitor.bytes();
  if (visitor.direct() != nullptr) pool_->count_bytes(bytes.from_socket, bytes.to_socket);
  --active_;
  counters_.bytes_in += bytes.from_socket;
  counters_.bytes_out += bytes.to_socket;
  host_.on_visitor(tunnel_, -1);
  visitors_->erase(visitors_->iterator_to(visitor));
  delete &visitor;
}

}  // namespace ferrotunnel::ingress
