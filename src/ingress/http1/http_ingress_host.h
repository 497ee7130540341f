// What a HttpIngress is told and what it tells: its options, a record of each request, and the interface to the server around it.
//
// Values and an interface; the ingress's shard.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/error_page.h"
#include "http/h2/h2_server.h"
#include "http/limits.h"
#include "ingress/limits/visitor_count.h"
#include "route/router.h"
#include "transport/byte_stream.h"
#include "transport/link.h"
#include "transport/tls/certificate_book.h"

namespace ferrotunnel::ingress {

// What the visitor's connection is, below HTTP.
struct VisitorTls {
  bool on = false;                                 // TLS: the scheme is https
  bool h2 = false;                                 // ALPN chose h2
  std::string name;                                // SNI, in the one spelling; empty: none was sent
  transport::VisitorCertificatePtr certificate{};  // that he has shown; null: none
};

struct OriginPoolOptions {
  std::size_t steady_per_tunnel = 64;     // idle ones that a tunnel keeps for idle_timeout
  std::size_t max_idle_per_tunnel = 512;  // with those that a burst left behind, kept for surplus_timeout
  std::size_t max_idle = 1024;            // of the shard
  Duration idle_timeout = std::chrono::seconds(30);
  Duration surplus_timeout = std::chrono::seconds(2);
  Duration close_timeout = std::chrono::seconds(5);  // from our FIN to the origin's; then it is reset
  // Of services that speak HTTP/2. What one may do, and how many requests share a connection at most (h2.max_streams):
  http::H2Limits h2{};
  std::size_t h2_connections_per_tunnel = 64;    // of a shard; past them requests wait for their turn
  Duration h2_lifetime = std::chrono::hours(1);  // a connection so old takes no more requests
};

// What of HTTP/2 is spoken without TLS.
enum class H2c : std::uint8_t {
  Off,
  Prior,    // by prior knowledge: the connection begins with the preface
  Upgrade,  // and by `Upgrade: h2c`
};

struct HttpIngressOptions {
  http::Limits limits;
  OriginPoolOptions pool;
  Duration head_timeout = std::chrono::seconds(10);        // a request head, from its first byte to its last: 408
  Duration first_byte_timeout = std::chrono::seconds(15);  // a new connection that says nothing: closed
  Duration keep_alive_timeout = std::chrono::seconds(75);  // between requests: closed
  Duration response_timeout = std::chrono::seconds(60);    // from the request's last byte to the response's first: 504
  Duration stall_timeout =
      std::chrono::seconds(60);  // no byte of a body moves either way; not for upgraded connections
  // A visitor whom we wait for moves so many bytes a second, over each window: of a body that he sends (but for gRPC, and once the answer has
  // begun), and of an answer that he reads. 0: no such floor.
  std::uint32_t min_visitor_rate = 240;
  Duration rate_window = std::chrono::seconds(6);
  // Where a visitor has sent his FIN and waits on for his answer: so long without a byte of it. Most who do that have left.
  Duration half_closed_timeout = std::chrono::seconds(10);
  Duration linger_timeout = std::chrono::seconds(2);  // reading on after the last response, so that no RST overtakes it
  std::size_t linger_bytes = 256 * 1024;
  std::size_t max_visitors = 20'000;  // connections of the shard; more are closed at once
  VisitorCount* visitors =
      nullptr;          // those of the server, where they are counted; past its limit newcomers hear 503 and no more
  std::string via;      // how this server calls itself in Via, so that it knows its own requests again; "": no Via
  unsigned shards = 1;  // that share the memory limit
  bool trust_forwarded = false;  // visitors are proxies whose X-Forwarded-* is true
  // By min_visitor_rate, in so long; in one window.
  [[nodiscard]] std::uint64_t least_in(Duration time) const {
    return static_cast<std::uint64_t>(min_visitor_rate * std::chrono::duration<double>(time).count());
  }
  [[nodiscard]] std::uint64_t least_in_window() const { return least_in(rate_window); }
  // Of a socket that takes no more: when it is looked whether its visitor reads, and how much he has to have read. Without a floor, anything.
  [[nodiscard]] Duration reader_window() const { return least_in_window() != 0 ? rate_window : stall_timeout; }
  [[nodiscard]] std::uint64_t least_read() const { return std::max<std::uint64_t>(1, least_in_window()); }
  http::H2Limits h2;
  H2c h2c = H2c::Prior;
  Duration h2_max_age{};  // an HTTP/2 connection so old is told to go (GOAWAY) and finishes; 0: never
  Duration h2_drain_gap = std::chrono::milliseconds(500);  // from "it goes" to "no request any more"
};

// What a server with an HTTPS port does to requests; as the configuration is now.
struct HttpsRules {
  transport::CertificateBookPtr book;  // none: there is no such port
  std::uint16_t port = 0;
  bool redirect = false;  // requests that came without TLS are sent to that port by a 308
  std::string hsts;       // the value of Strict-Transport-Security, in answers over TLS; "": none
};

// One request, when it is over. Views are good during the call only.
struct RequestRecord {
  std::string_view method;      // "" where the head was not understood, as are host and path
  std::string_view host;        // in the one spelling of http/host.h
  std::string_view path;        // without the query
  std::string_view request_id;  // 16 hex digits
  std::uint16_t status = 0;     // the visitor got; 0: none
  std::uint64_t bytes_in = 0;   // of the visitor's, head included
  std::uint64_t bytes_out = 0;  // to the visitor, heads included
  Duration duration{};          // from the whole request head to the last byte given to the kernel
  std::string_view slug;        // what failed, "" nothing; the page's Ferrotunnel-Error where there was one
  http::FaultSide side = http::FaultSide::Server;  // meaningful with a slug
  route::SessionId session = 0;                    // 0: no route was found
  std::uint32_t tunnel = 0;
  std::optional<Refusal> refused;  // by a limit, before anything of it was sent on
  transport::PeerAddress visitor;
  bool upgraded = false;
  bool reused_origin = false;  // went out on a warm connection
  bool retried = false;        // that one was dead, and a second was tried
};

// An HTTP/2 visitor on its way to another shard: the connection, and what its session knows.
struct Http2Parcel {
  transport::ByteStreamPtr stream;
  transport::PeerAddress peer;
  VisitorTls tls;
  std::unique_ptr<http::H2Server> server;
  VisitorSlot slot{};
};

class HttpIngressHost {
 public:
  // The route's link lives on another shard: carry this there and adopt() it. Nothing of the request was sent anywhere. `slot`: its
  // place among the visitors, which goes with it.
  virtual void move_visitor(unsigned shard, transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                            std::string early_bytes, const VisitorTls& tls, VisitorSlot slot) = 0;
  // The same for one that speaks HTTP/2: adopt_http2() it there.
  virtual void move_http2(unsigned shard, Http2Parcel parcel) = 0;
  // One of them is about to be called: a visitor came here for this one, whose link is there.
  virtual void on_move(const route::RouteTarget& /*target*/) {}
  virtual void on_request(const RequestRecord& record) = 0;
  // One was turned away before it could ask for anything.
  virtual void on_turned_away(Refusal why) = 0;
  // There is no place for a newcomer, and none to be had here. True: another shard was asked to end one who is spare; `of`: of this address
  // alone, where it has a family.
  [[nodiscard]] virtual bool make_room(const transport::PeerAddress& /*of*/) { return false; }

 protected:
  ~HttpIngressHost() = default;
};

struct HttpIngressStats {
  std::size_t visitors = 0;       // connections now
  std::size_t upgraded = 0;       // of them
  std::size_t idle_origins = 0;   // warm connections in the pool
  std::uint64_t accepted = 0;     // connections ever
  std::uint64_t refused = 0;      // max_visitors, the server's limit, or no descriptor could be watched
  std::uint64_t moved = 0;        // to another shard
  std::uint64_t requests = 0;     // routed
  std::uint64_t errors = 0;       // answered by a page of ours
  std::uint64_t cut = 0;          // responses that broke off
  std::uint64_t timeouts = 0;     // any of the options'
  std::uint64_t half_closed = 0;  // of them, by half_closed_timeout
  std::uint64_t made_room =
      0;  // connections that were ended for a newcomer, since nothing (whole) was asked on them or nobody there
  std::uint64_t too_slow = 0;   // of them, by min_visitor_rate
  std::uint64_t no_memory = 0;  // refused because the memory limit was reached
  std::uint64_t origins_opened = 0;
  std::uint64_t origins_reused = 0;
  std::uint64_t origins_dropped = 0;  // idle ones that ended, spoke, or grew too old or too many
  std::uint64_t retries = 0;
  std::uint64_t h2_origin_abuse = 0;  // connections to HTTP/2 services, ended because of what these did (H2Limits)
  std::uint64_t redirects = 0;        // to the HTTPS port
  std::uint64_t rule_timeouts = 0;    // a rule had not decided after response_timeout
  std::uint64_t auth_busy = 0;        // passwords that were not checked, since too many waited
  std::uint64_t auth_limited = 0;     // since too many of the same visitor's waited
  std::size_t h2_visitors = 0;        // of visitors, those who speak HTTP/2
  std::uint64_t h2_requests = 0;      // of requests, theirs
  std::uint64_t h2_malformed = 0;     // theirs, answered by RST_STREAM
  std::uint64_t h2_stalled = 0;       // streams and connections whose visitor read nothing for stall_timeout
  std::uint64_t h2_upgrades = 0;      // connections that came by `Upgrade: h2c`
  // Answers whose payload a filter changed; bytes of it before and after.
  std::uint64_t compressed = 0, compressed_in = 0, compressed_out = 0;
  http::H2AbuseCounts h2_abuse{};  // connections ended with ENHANCE_YOUR_CALM, by what they did
};

}  // namespace ferrotunnel::ingress
