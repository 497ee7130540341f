#include "ingress/tcp/tcp_ingress.h"

#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::ingress {

class TcpIngress::Visitor final : public boost::intrusive::list_base_hook<>, private transport::RelayOwner {
 public:
  Visitor(TcpIngress& owner, transport::ByteStreamPtr socket)
      : owner_(owner), relay_(owner.shard_, std::move(socket), *this) {}

  // False: there is no stream to be had.
  bool start(const transport::PeerAddress& peer) {
    const transport::OpenInfo info{owner_.tunnel_, transport::OpenKind::Raw, peer};
    const auto stream = owner_.link_.open(info, relay_.handler());
    if (!stream) return false;
    relay_.start(**stream);
    return true;
  }

 private:
  void on_relay_end(transport::Relay& relay, transport::StreamEnd) override { owner_.remove(*this, relay.bytes()); }

  TcpIngress& owner_;
  transport::Relay relay_;
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
  if (proxies_ != nullptr && proxies_->trusts(peer)) return proxies_->take(std::move(fd), peer, *this);
  on_proxied(std::move(fd), peer);
}

void TcpIngress::on_proxied(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  ++counters_.accepted;
  auto visitor = std::make_unique<Visitor>(*this, std::make_unique<transport::TcpStream>(std::move(fd)));
  if (!visitor->start(peer)) {
    ++counters_.refused;
    return;  // an RST: there is nothing to say in an unknown protocol
  }
  ++active_;
  host_.on_visitor(tunnel_, 1);
  visitors_->push_back(*visitor.release());
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
