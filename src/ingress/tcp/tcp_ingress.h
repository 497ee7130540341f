// TcpIngress: the public port of one TCP tunnel: each visitor becomes a stream of the session's link, and a relay; or gets a direct link to
// himself, where the tunnel's `carry` says so and one is to be had.
//
// It lives on the link's shard. That of a session's first link listens; where the session has links on other shards, visitors without a limit
// are handed to one there as soon as they are accepted (TcpIngressHost::on_spread), so that none crosses threads later. Owned by the server's session, and destroyed
// with it or when the tunnel is given up; visitors that are connected end then.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>

#include "ingress/limits/throttle.h"
#include "ingress/limits/visitor_count.h"
#include "ingress/limits/visitor_gate.h"
#include "ingress/proxy_reader.h"
#include "ingress/tcp/direct_pool.h"
#include "transport/link.h"
#include "transport/pair_relay.h"
#include "transport/relay.h"
#include "transport/shard.h"
#include "transport/tcp/listener.h"

namespace ferrotunnel::ingress {

struct TcpIngressCounters {
  std::uint64_t accepted = 0;                 // visitors
  std::uint64_t spread = 0;                   // let in, and handed to another shard: not among the others
  std::uint64_t refused = 0;                  // of them, closed at once for want of a stream
  std::uint64_t idle_ended = 0;               // of them, ended by the tunnel's idle_timeout
  std::uint64_t bytes_in = 0, bytes_out = 0;  // from and to visitors that are gone
};

class TcpIngressHost {
 public:
  virtual void on_visitor(std::uint32_t tunnel, int change) = 0;   // +1 came, -1 went
  virtual void on_refused(std::uint32_t tunnel, Refusal why) = 0;  // a limit closed one at once
  // One was let in that any link of the session may carry. True: another shard's does, and it is gone from here.
  virtual bool on_spread(std::uint32_t /*tunnel*/, transport::UniqueFd& /*visitor*/,
                         const transport::PeerAddress& /*peer*/, VisitorSlot& /*slot*/) {
    return false;
  }
  // A place for a newcomer, or none. `peer`: with no family where it is not known yet.
  [[nodiscard]] virtual VisitorSlot let_in(VisitorCount& count, const transport::PeerAddress& peer) {
    return count.crowded_by(peer) ? VisitorSlot() : count.enter(peer);
  }
  virtual void on_starved(int /*error*/) {}  // an accept failed with this errno, for want of descriptors or memory

 protected:
  ~TcpIngressHost() = default;
};

class TcpIngress final : private ProxiedVisitors {
 public:
  TcpIngress(transport::Shard& shard, transport::Link& link, std::uint32_t tunnel, TcpIngressHost& host);
  TcpIngress(const TcpIngress&) = delete;
  TcpIngress& operator=(const TcpIngress&) = delete;
  ~TcpIngress();

  // Before listen(): visitors from addresses that it trusts say first who they are. It outlives the ingress.
  void read_proxy_headers(ProxyReader* reader) { proxies_ = reader; }
  // In the turn of listen(), before anybody can come: the tunnel's limits, and the count that each visitor needs a place in, which
  // outlives the ingress. Either may be none.
  void limit(VisitorGatePtr gate, VisitorCount* count) {
    gate_ = std::move(gate);
    count_ = count;
  }
  // Of visitors that come from now on. `pool`, of the session's direct links, outlives the ingress; none: all go over the link.
  void carry(wire::Carry carry, DirectPool* pool) {
    carry_ = carry;
    pool_ = pool;
  }
  // Of visitors that come from now on; after listen().
  void keep_alive(Duration silence) {
    if (listener_) listener_->keep_alive(silence);
  }
  // Binds and accepts. Port 0: the system picks; port() tells. Errors: AddressInUse, Io.
  [[nodiscard]] Result<> listen(const transport::SocketAddress& address);
  void stop_accepting();
  // A visitor that was let in by another shard's. It is not handed on.
  void adopt(transport::UniqueFd fd, const transport::PeerAddress& peer, VisitorSlot slot) {
    let_in(std::move(fd), peer, std::move(slot));
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint64_t accepts_failed() const { return listener_ ? listener_->failures() : 0; }
  [[nodiscard]] std::size_t active() const { return active_; }
  // Of visitors who have a direct link now, and are not among the counters yet.
  [[nodiscard]] transport::RelayBytes direct_bytes() const;
  [[nodiscard]] const TcpIngressCounters& counters() const { return counters_; }

 private:
  class Visitor;
  using Visitors = boost::intrusive::list<Visitor, boost::intrusive::constant_time_size<false>>;
  void accept(transport::UniqueFd fd, const transport::PeerAddress& peer);
  void on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) override;
  void let_in(transport::UniqueFd fd, const transport::PeerAddress& peer, VisitorSlot slot);
  void refuse(transport::UniqueFd fd, Refusal why);
  [[nodiscard]] bool goes_direct(const Admission& admission) const;
  void remove(Visitor& visitor);

  transport::Shard& shard_;
  transport::Link& link_;
  const std::uint32_t tunnel_;
  TcpIngressHost& host_;
  ProxyReader* proxies_ = nullptr;
  VisitorGatePtr gate_;
  VisitorCount* count_ = nullptr;
  wire::Carry carry_ = wire::Carry::Auto;
  DirectPool* pool_ = nullptr;
  std::unique_ptr<transport::Listener> listener_;
  std::unique_ptr<Visitors> visitors_;
  TcpIngressCounters counters_;
  std::size_t active_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace ferrotunnel::ingress
