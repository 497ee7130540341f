// ServerShard: everything of a server that lives on one shard: its share of the listeners, the handshakes under way, the sessions
// whose links are here, and the HTTP ingress. That shard's thread only, but for the constructor, run() and post().
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "app/server/https_listener.h"
#include "app/server/join_crowd.h"
#include "app/server/live.h"
#include "app/server/server_impl.h"
#include "ingress/http1/http_ingress.h"
#include "ingress/proxy_reader.h"
#include "route/link_directory.h"
#include "session/negotiation.h"
#include "transport/heap_trim.h"
#include "transport/shard.h"
#include "transport/tcp/listener.h"

namespace ferrotunnel::app {

class ServerSession;
class FurtherLink;
struct FurtherLinkStart;
// TCP visitors that are on a further link, or on their way to it.
using LinkLoad = std::shared_ptr<std::atomic<std::uint32_t>>;

// A shard's part of a ServerStatus.
struct ShardStatus {
  ServerStatus status;
  std::vector<ingress::TunnelKey> keys;  // of status.tunnels
  // What it has of sessions on other shards, by their id; and of their tunnels: HTTP requests now.
  std::vector<SessionStatus> further;
  std::vector<std::pair<ingress::TunnelKey, std::size_t>> requests;
};

// Places that a lost session had, or that a session let go of.
struct Lease {
  // What a client lets go of stays its grant's for a moment, so that a reload loses nothing to whoever waits for it.
  static constexpr Duration kLetGo = std::chrono::seconds(5);
  route::SessionId session = 0;  // of what was let go: a number that no session has
  std::string grant;
  std::shared_ptr<session::GrantUse> use;
  std::vector<route::Place> hosts;
  std::vector<std::uint16_t> ports;
  Duration most = Duration::max();  // besides ServerConfig::host_lease
  std::uint64_t bytes = 0;          // GrantUse::kept_bytes
  std::atomic<std::uint64_t> session::GrantUse::* held = &session::GrantUse::leases;  // each place takes one
};

class ServerShard final : private ingress::HttpIngressHost, private ingress::ProxiedVisitors {
 public:
  // So many visitors of a session that had to move within a second make the shard ask for a link of it.
  static constexpr std::uint32_t kHotMoves = 8;

  ServerShard(ServerImpl& server, unsigned index, MemoryBudget& budget, LivePtr live);
  ~ServerShard();

  [[nodiscard]] transport::Shard& shard() { return shard_; }
  [[nodiscard]] ServerImpl& server() { return server_; }
  [[nodiscard]] const ServerLive& live() const { return *live_; }
  void set_live(LivePtr live);
  [[nodiscard]] route::LinkDirectory& links() { return links_; }
  [[nodiscard]] ingress::HttpIngress& http() { return http_; }
  [[nodiscard]] ingress::ProxyReader& proxies() { return proxies_; }
  [[nodiscard]] route::RouterCache& routes() { return routes_; }

  // Before run(), from the starting thread. `http` and `https` may be none.
  [[nodiscard]] Result<> listen(transport::UniqueFd control, transport::UniqueFd http, transport::UniqueFd https);
  void run() { shard_.run(); }

  void stop_accepting();
  // The two halves of a drain: nobody new is let in, and HTTP visitors finish what runs; then GOAWAY to each session.
  void turn_newcomers_away();
  [[nodiscard]] std::size_t requests_being_read() const { return http_.reading() + (https_ ? https_->waiting() : 0); }
  [[nodiscard]] std::size_t http2_visitors() const { return http_.stats().h2_visitors; }
  void drain();
  void close_all(const Error& why);
  // A session's client signed in again elsewhere: ends it, then posts `then`.
  void replace(route::SessionId session, std::function<void()> then);
  // What a session had that was lost, or let go of, stays its grant's for the lease, which ends here; sooner where the grant is gone, or allows it no more.
  void keep(Lease lease);
  // So much of what tunnels said has gone, or is about to: the system gets its memory back.
  void freed(std::uint64_t bytes) { trim_.freed(bytes); }
  void remove(route::SessionId session);                    // the session is over: destroys it
  [[nodiscard]] std::size_t kick(const std::string& name);  // ends sessions of that id or grant: how many
  // Sessions of this grant, but for `asking`, that have a tunnel there show that they are alive, or end.
  void probe(const std::string& grant, route::SessionId asking, const std::optional<route::Place>& host,
             std::uint16_t port);
  void grants_changed();  // each session looks at its grant anew
  void fill_status(ShardStatus& part) const;

  // Links of sessions that live on other shards (further_link.h).
  void add_further(FurtherLinkStart start);
  [[nodiscard]] FurtherLink* find_further(route::SessionId session);
  [[nodiscard]] std::size_t further() const { return further_.size(); }
  void remove_further(route::SessionId session);  // it is over: destroys it
  // A visitor that the session's shard hands on; he goes back where there is no link for him.
  void adopt_visitor(route::SessionId session, unsigned home, std::uint32_t tunnel, transport::UniqueFd fd,
                     const transport::PeerAddress& peer, ingress::VisitorSlot slot, const LinkLoad& load);

  void count_refused(ingress::Refusal why) {
    server_.counters.visitors_refused[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed);
    if (why == ingress::Refusal::ServerLimit && server_.descriptors.room(DescriptorUse::Visitor) <= 0)
      server_.say_short();
  }
  // Of tunnels that are gone.
  struct Past {
    std::uint64_t idle_ended = 0, throttled = 0, accepts_failed = 0;
  };
  [[nodiscard]] Past& past() { return past_; }

  // A tunnel's requests are counted at the session that owns it, which may be on another shard.
  [[nodiscard]] ServerSession* find(route::SessionId session);

 private:
  // The lease ends when it dies: on time, or with the shard.
  class LeaseEnd final : private transport::Deadline {
   public:
    LeaseEnd(ServerShard& shard, Lease lease) : shard_(shard), lease_(std::move(lease)), began_(shard.shard_.now()) {}
    LeaseEnd(const LeaseEnd&) = delete;
    LeaseEnd& operator=(const LeaseEnd&) = delete;
    ~LeaseEnd();
    // So long since it began. False: that is over.
    [[nodiscard]] bool last(Duration time);
    // Lets go of what the grant may not have any more. False: nothing is left.
    [[nodiscard]] bool obey(const session::GrantBook& grants);
    std::list<LeaseEnd>::iterator at;

   private:
    void on_deadline() override { shard_.leases_.erase(at); }
    void let_go(const route::Place& host);
    void let_go(std::uint16_t port);
    ServerShard& shard_;
    Lease lease_;
    const TimePoint began_;
  };
  void accept_client(transport::UniqueFd fd, const transport::SocketAddress& peer);
  void negotiated(JoinCrowd::At at, const transport::SocketAddress& peer, route::SessionId id,
                  Result<session::Negotiated> result);
  // A further connection of a session, which may be on another shard.
  void attach(session::Negotiated negotiated);
  void sign_in_failed(const transport::SocketAddress& peer, const Error& why);
  void refuse(ServerSession& session, const Error& why);
  void admit(route::SessionId id, const std::string& peer, session::Negotiated negotiated);

  [[nodiscard]] std::unique_ptr<transport::Listener> listener(transport::UniqueFd fd,
                                                              transport::Listener::OnAccept on_accept);
  void apply_https();
  void accept_visitor(transport::UniqueFd fd, const transport::PeerAddress& peer);
  void on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) override;
  void move_http2(unsigned shard, ingress::Http2Parcel parcel) override;
  void move_visitor(unsigned shard, transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                    std::string early, const ingress::VisitorTls& tls, ingress::VisitorSlot slot) override;
  void on_move(const route::RouteTarget& target) override;
  void on_request(const ingress::RequestRecord& record) override;
  void on_turned_away(ingress::Refusal why) override { count_refused(why); }
  [[nodiscard]] bool make_room(const transport::PeerAddress& of) override;

  ServerImpl& server_;
  LivePtr live_;
  transport::Shard shard_;
  transport::HeapTrim trim_{shard_, [this] { return server_.trim_heap(); }};
  std::list<LeaseEnd> leases_;
  route::RouterCache routes_;
  route::LinkDirectory links_;
  ingress::HttpIngress http_;
  std::atomic<std::size_t> room_asked_{0};  // by other shards, of http_: to end so many who are spare
  ingress::ProxyReader proxies_;
  std::unique_ptr<transport::Listener> control_listener_, http_listener_;
  std::unique_ptr<HttpsListener> https_;  // none: there is no HTTPS port
  JoinCrowd joining_;
  Past past_;
  std::unordered_map<route::SessionId, std::unique_ptr<ServerSession>> sessions_;
  std::unordered_map<route::SessionId, std::unique_ptr<FurtherLink>> further_;
  // HTTP visitors that moved away, by the session that they came for, in the second that began then.
  std::unordered_map<route::SessionId, std::uint32_t> moved_;
  TimePoint moved_since_{};
};

}  // namespace ferrotunnel::app
