#include "ingress/tcp/tcp_ingress.h"

#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::ingress {
namespace {

constexpr std::size_t kLeastRoom = 4096;  // bytes that a visitor has to be able to hold, to be let in

}  // namespace

class TcpIngress::Visitor final : public boost::intrusive::list_base_hook<>,
                                  private transport::RelayOwner,
                                  private ThrottleOwner {
 public:
  Visitor(TcpIngress& owner, transport::ByteStreamPtr socket, VisitorSlot slot, Admission admission)
      : owner_(owner),
        slot_(std::move(slot)),
        admission_(std::move(admission)),
        relay_(owner.shard_, std::move(socket), *this) {}

  // False: there is no stream to be had.
  bool start(const transport::PeerAddress& peer) {
    const VisitorGatePtr& gate = admission_.gate();
    if (gate != nullptr && gate->throttles()) {
      throttle_ = std::make_unique<Throttle>(gate, relay_.handler(), static_cast<ThrottleOwner&>(*this));
    }
    const transport::OpenInfo info{owner_.tunnel_, transport::OpenKind::Raw, peer};
    const auto stream = owner_.link_.open(info, throttle_ ? *throttle_ : relay_.handler());
    if (!stream) return false;
    if (gate != nullptr && gate->idle_timeout() > Duration::zero())
      idle_ = std::make_unique<IdleWatch>(*this, gate->idle_timeout());
    relay_.start(**stream, throttle_.get());
    return true;
  }

 private:
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

  void on_relay_end(transport::Relay& relay, transport::StreamEnd) override { owner_.remove(*this, relay.bytes()); }
  void on_allowance(Way way) override { way == Way::In ? relay_.want_write() : relay_.resume_read(); }
  [[nodiscard]] std::uint64_t moved() const { return relay_.bytes().from_socket + relay_.bytes().to_socket; }
  [[nodiscard]] bool waits() const { return throttle_ && throttle_->waits(); }
  void end_idle() {
    ++owner_.counters_.idle_ended;
    relay_.stop(transport::ResetReason::Idle);
  }

  TcpIngress& owner_;
  const VisitorSlot slot_;
  const Admission admission_;
  std::unique_ptr<Throttle> throttle_;  // before the relay, whose stream may still have it for its handler
  transport::Relay relay_;
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
  listener_ = std::make_unique<transport::Listener>(
      shard_, std::move(*fd), [this](transport::UniqueFd visitor, const transport::SocketAddress& peer) {
        accept(std::move(visitor), transport::to_peer_address(peer));
      });
  return listener_->start();
}

void TcpIngress::stop_accepting() {
  listener_.reset();
  if (proxies_ != nullptr) proxies_->forget(*this);
}

void TcpIngress::accept(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  if (proxies_ == nullptr || !proxies_->trusts(peer)) return on_proxied(std::move(fd), peer);
  VisitorSlot slot;
  if (count_ != nullptr && !(slot = count_->enter())) return refuse(std::move(fd), Refusal::ServerLimit);
  proxies_->take(std::move(fd), peer, *this, std::move(slot));
}

void TcpIngress::on_proxied(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  VisitorSlot slot;
  if (count_ != nullptr && !(slot = count_->enter())) return refuse(std::move(fd), Refusal::ServerLimit);
  if (!shard_.buffers().budget().admits(0, kLeastRoom)) return refuse(std::move(fd), Refusal::Memory);
  Admission admission;
  if (gate_ != nullptr) {
    auto admitted = gate_->admit(peer);
    if (!admitted) return refuse(std::move(fd), admitted.error());
    admission = std::move(*admitted);
  }
  ++counters_.accepted;
  auto visitor = std::make_unique<Visitor>(*this, std::make_unique<transport::TcpStream>(std::move(fd)),
                                           std::move(slot), std::move(admission));
  if (!visitor->start(peer)) {
    ++counters_.refused;
    return;  // an RST: there is nothing to say in an unknown protocol
  }
  ++active_;
  host_.on_visitor(tunnel_, 1);
  visitors_->push_back(*visitor.release());
}

void TcpIngress::refuse(transport::UniqueFd fd, Refusal why) {
  transport::close_with_reset(fd.get());
  fd.reset();
  host_.on_refused(tunnel_, why);
}

void TcpIngress::remove(Visitor& visitor, transport::RelayBytes bytes) {
  --active_;
  counters_.bytes_in += bytes.from_socket;
  counters_.bytes_out += bytes.to_socket;
  host_.on_visitor(tunnel_, -1);
  visitors_->erase(visitors_->iterator_to(visitor));
  delete &visitor;
}

}  // namespace ferrotunnel::ingress
