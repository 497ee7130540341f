// HttpIngress: HTTP/1.1 and HTTP/2 from visitors, by host, to origin connections over links; one per shard.
//
// It owns its visitors' connections and the pool of warm origin connections. A visitor's connection is a state machine without a
// coroutine: idle it holds its socket and no buffer. No body is ever held: what one side does not take is not read from the other.
//
// stop() and the destructor end everything at once and may not be called from inside a callback. The shard's thread only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "ingress/http1/http_ingress_host.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/visitor_connection.h"
#include "ingress/http2/http2_connection.h"

namespace ferrotunnel::ingress {

class HttpIngress final : private VisitorOwner, private Http2Owner {
 public:
  HttpIngress(transport::Shard& shard, route::RouterCache& routes, route::LinkDirectory& links,
              const HttpIngressOptions& options, HttpIngressHost& host);
  ~HttpIngress();

  // Takes a connected visitor. `early_bytes` were already read from it (it came from another shard). `slot`: the place that he was given
  // where he was let in; none: he is let in here.
  void adopt(transport::ByteStreamPtr visitor, const transport::PeerAddress& peer, std::string_view early_bytes = {},
             const VisitorTls& tls = {}, VisitorSlot slot = {});

  void adopt_http2(Http2Parcel parcel);

  // Finishes what runs, with `Connection: close`; closes what is idle. Upgraded connections run on until stop(). Done when
  // stats().visitors is 0.
  void drain();
  // The same for all but those who have just come: what they connected for may be on its way. drain() is to follow.
  void begin_drain() { drain_idle(false); }
  // Visitors whose next request has begun to arrive, or may have.
  [[nodiscard]] std::size_t reading() const;
  void stop();
  // The session is over: its warm connections are dropped. Requests in flight hear it from their streams.
  void forget_session(route::SessionId session) { context_.pool.forget_session(session); }

  // Another service is behind the tunnel: new requests go to new connections.
  void forget_tunnel(const TunnelKey& tunnel) { context_.pool.forget_tunnel(tunnel); }

  // The limits of a tunnel, for requests that come from now on; none: it has no limits (any more).
  void set_gate(const TunnelKey& tunnel, VisitorGatePtr gate);
  // For requests that come from now on.
  void set_https(HttpsRules rules) { context_.https = std::move(rules); }
  void set_pages(http::PageTemplatesPtr pages) { context_.pages = std::move(pages); }
  // A place for a newcomer, where the server counts them: another one's who is spare, where there is no other; where few are left and his
  // address has much of them, one's of his address. `peer`: with no family where it is not known yet.
  [[nodiscard]] VisitorSlot let_in(const transport::PeerAddress& peer);
  // Ends one who is spare; of this address, where it has a family. False: there is none.
  bool make_room(const transport::PeerAddress& of = {}) {
    const bool made = of.family != 0 ? context_.spares.end_oldest(of) : context_.spares.end_oldest();
    if (made) ++context_.stats.made_room;
    return made;
  }
  [[nodiscard]] SpareVisitors& spares() { return context_.spares; }
  // Any thread.
  [[nodiscard]] std::size_t spare() const { return context_.spares.count(); }
  [[nodiscard]] bool has_most_spare(const transport::PeerAddress& from) const { return context_.spares.has_most(from); }
  // Says that the server is full, and closes; nothing is spent on it.
  void turn_away(transport::ByteStream& visitor, Refusal why);

  // Of this tunnel, which are being answered or were upgraded.
  [[nodiscard]] std::size_t requests_now(const TunnelKey& tunnel) const { return context_.pool.used(tunnel); }
  // Of every tunnel that has any.
  [[nodiscard]] std::vector<std::pair<TunnelKey, std::size_t>> requests_now() const { return context_.pool.used(); }

  [[nodiscard]] HttpIngressStats stats() const;

 private:
  void drain_idle(bool fresh);
  void on_visitor_over(VisitorConnection& visitor) override;
  void on_http2(VisitorConnection& visitor) override;
  void on_http2_over(Http2Connection& connection) override;
  // False: it is closed.
  bool add_http2(Http2Parcel parcel, std::string_view early_bytes, bool upgrades = false);

  using Visitors = boost::intrusive::list<VisitorConnection, boost::intrusive::base_hook<VisitorHook>,
                                          boost::intrusive::constant_time_size<false>>;

  IngressContext context_;
  Visitors visitors_;
  boost::intrusive::list<Http2Connection, boost::intrusive::base_hook<Http2Hook>,
                         boost::intrusive::constant_time_size<false>>
      http2_;
};

}  // namespace ferrotunnel::ingress
