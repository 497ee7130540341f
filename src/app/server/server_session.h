// ServerSession: one signed-in client at the server: its first link, its tunnels, and their places in the router.
// Owned by its ServerShard; that shard's thread only. It ends when that link does, and its links on other shards with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/server/further_link.h"
#include "app/server/route_hold.h"
#include "app/server/server_shard.h"
#include "app/server/session_book.h"
#include "ingress/tcp/direct_pool.h"
#include "ingress/tcp/tcp_ingress.h"
#include "mux/mux_link.h"
#include "plugin/chain.h"
#include "session/attach_book.h"
#include "session/link_keeper.h"
#include "session/road_meter.h"
#include "wire/control.h"

namespace ferrotunnel::app {

class ServerSession final : private transport::LinkHandler,
                            private ingress::TcpIngressHost,
                            private ingress::DirectPoolHost,
                            private transport::Deadline {
 public:
  ServerSession(ServerShard& shard, route::SessionId id, std::string peer, session::Negotiated negotiated);
  ~ServerSession();

  [[nodiscard]] Result<> start();
  void drain();
  void close(const Error& why);
  void attach(session::Negotiated negotiated);  // a further connection of the client
  void kick();                                  // the client may sign in again
  [[nodiscard]] bool take_descriptor();         // before start(): its link counts from now on
  void refuse(const Error& why);                // instead of start(): the client hears why, and the link ends
  // The grants of the server are others now: ends the session, or takes back what it may not have any more.
  void grants_changed();
  // Somebody of the same grant wants what this one has: it has kProbe to send a byte, or is over. Whoever is alive notices nothing.
  static constexpr Duration kProbe = std::chrono::milliseconds(1500);
  void prove_alive();
  [[nodiscard]] bool has(const std::optional<route::Place>& host, std::uint16_t port) const;  // a tunnel there; 0: none
  // Ends it for the sake of its successor, which waits for `then`.
  void replace(std::function<void()> then);

  [[nodiscard]] const std::string& owner() const { return owner_; }
  [[nodiscard]] const std::string& name() const { return outcome_.session; }
  [[nodiscard]] const std::string& grant_name() const { return outcome_.grant; }
  [[nodiscard]] TunnelCounts* counts(std::uint32_t tunnel);  // none: there is no such tunnel
  void fill_status(ShardStatus& part) const;

  // Links on other shards (server_session_links.cc, link_spread.h).
  void want_link(unsigned shard);  // many visitors come there, and have to move here
  void further_link_leaving(unsigned shard);
  void further_link_gone(unsigned shard);  // whatever it was that ended it
  void further_link_idle(unsigned shard);
  // A visitor that was handed to a shard which has no link any more.
  void take_back(std::uint32_t tunnel, transport::UniqueFd fd, const transport::PeerAddress& peer,
                 ingress::VisitorSlot slot);

 private:
  struct Tunnel {
    std::string name, url, host;  // host: HTTP only
    std::unique_ptr<ingress::TcpIngress> tcp;
    DescriptorHold listener;  // of TCP
    TunnelCountsPtr counts;
    wire::Carry carry = wire::Carry::Auto;
    std::vector<route::Place> places;                         // in the router, of HTTP
    RouteHold route_hold;                                     // of these
    std::optional<route::Place> wanted;                       // of HTTP, where it was not to be had
    plugin::ChainPtr chain;                                   // of its rules
    bool single_use = false;                                  // of HTTP: RouteTarget::single_use
    bool connect = false;                                     // the same
    transport::ClientAuthorityPtr client_ca;                  // the same
    route::OriginSpeech speech = route::OriginSpeech::Http1;  // of HTTP
    std::uint32_t number = 0;
    wire::Limits asked;              // by the client
    ingress::AddressRulesPtr rules;  // of these
    ingress::VisitorGatePtr gate;    // what holds: the server's limits too
  };

  void on_open(transport::Stream& stream, const transport::OpenInfo&) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t code, std::string_view text) override;
  void on_link_closed(const Error& why) override;
  void on_visitor(std::uint32_t tunnel, int change) override;
  void on_refused(std::uint32_t tunnel, ingress::Refusal why) override;
  bool on_spread(std::uint32_t tunnel, transport::UniqueFd& fd, const transport::PeerAddress& peer,
                 ingress::VisitorSlot& slot) override;
  void on_direct_wanted(std::uint32_t want) override;
  void on_direct_unused() override;
  [[nodiscard]] std::int64_t direct_room() const override;
  [[nodiscard]] ingress::VisitorSlot let_in(ingress::VisitorCount&, const transport::PeerAddress& peer) override {
    return shard_.http().let_in(peer);
  }
  void on_starved(int error) override { shard_.server().say_starved(error); }
  void on_deadline() override;  // of the grant

  void on_register(const wire::Register& request);
  [[nodiscard]] Result<> register_http(const wire::Register& request, std::uint32_t number, Tunnel& tunnel);
  [[nodiscard]] Result<> register_tcp(const wire::Register& request, std::uint32_t number, Tunnel& tunnel);
  [[nodiscard]] Result<std::string> pick_host(std::uint32_t number, Tunnel& tunnel, const route::PartPtr& part);
  [[nodiscard]] Result<> claim_all(const wire::Register& request, std::uint32_t number, Tunnel& tunnel);
  enum class Chosen : std::uint8_t { Asked, Random };  // a host: by the client, or by us, so that it is nobody's
  [[nodiscard]] Result<> claim(const route::Place& place, std::uint32_t number, Tunnel& tunnel,
                               Chosen chosen = Chosen::Asked);
  [[nodiscard]] bool reserves(std::string_view host) const;
  [[nodiscard]] Result<std::unique_ptr<ingress::TcpIngress>> listen(std::uint32_t number, std::uint16_t port);
  [[nodiscard]] Result<std::unique_ptr<ingress::TcpIngress>> pick_port(std::uint32_t number);
  void on_unregister(std::uint32_t number);
  void on_update(const wire::Update& request);
  // The limits of the client, the server or the grant are others now.
  void limit(Tunnel& tunnel);
  void limits_changed();
  [[nodiscard]] std::optional<Error> outside_grant(const Tunnel& tunnel) const;
  void withdraw(std::uint32_t number, const Error& why, std::string_view code = wire::kRejectNotAllowed);
  void end_for_good(const Error& why);
  void watch_expiry();
  void contest(const std::optional<route::Place>& host, std::uint16_t port);
  void on_probe_over();
  // Direct links (server_session_direct.cc).
  void open_direct();
  void carry_changed();  // a tunnel, a limit or the road is another now
  void leave_direct();
  void look_at_road();
  [[nodiscard]] bool outlives_its_link() const;
  [[nodiscard]] bool still_used() const;  // by visitors who are not on the first link
  // Links on other shards.
  struct Further {
    enum class State : std::uint8_t { None, Wanted, Up, Leaving } state = State::None;
    LinkLoad load;
    [[nodiscard]] bool lives() const { return state == State::Up || state == State::Leaving; }
    [[nodiscard]] bool wanted() const { return state == State::Wanted || state == State::Up; }
  };
  void open_links();
  void attach_link(session::Negotiated negotiated);
  void tell_links();
  void look_at_load();
  template <class Function>
  void on_further(const Function& function);  // on each shard that has a link, in a moment: function(ServerShard&)
  void end(const Error& why);                 // destroys us
  // Those who may come back find their places free (ServerConfig::host_lease), of those who left in order only the hosts.
  enum class Places : std::uint8_t { Free, Left, Kept };
  void give_up(Tunnel& tunnel, Lease* lease = nullptr, Places places = Places::Free);
  void give_up_all(Places places = Places::Free);
  void reject(const wire::Register& request, const Error& why);
  void say_tunnel(TunnelEvent::Kind kind, const std::string& name, const std::string& url, const Error* why = nullptr);

  ServerShard& shard_;
  const route::SessionId id_;
  const std::string peer_;
  const session::HandshakeOutcome outcome_;
  const std::string transport_;
  const std::string owner_;
  const TimePoint since_;
  // As it stood when the server's grants last changed.
  std::shared_ptr<const session::Grant> grant_;
  const std::shared_ptr<session::GrantUse> use_;
  const int link_fd_;    // the link's, to look at its road
  DescriptorHold hold_;  // of the link
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  std::shared_ptr<session::AttachHome> home_;    // what the client's further connections attach to
  std::unique_ptr<ingress::DirectPool> direct_;  // none: the client does not know of them. Outlives the tunnels
  const std::shared_ptr<SessionBook> book_ = std::make_shared<SessionBook>();
  std::vector<Further> further_;  // by shard; empty: one shard has all, or the client does not know of them
  std::uint32_t links_told_ = 0;  // the client: LinksWanted
  unsigned next_ = 0;             // the shard that is looked at first for the next visitor
  std::uint32_t here_ = 0;        // TCP visitors on this shard
  std::map<std::uint32_t, Tunnel> tunnels_;
  std::uint32_t next_tunnel_ = 1;
  std::function<void()> successor_;
  struct Probe final : transport::Deadline {
    explicit Probe(ServerSession& session) : session_(session) {}
    void on_deadline() override { session_.on_probe_over(); }
    ServerSession& session_;
    TimePoint began{};
  } probe_{*this};
  struct RoadLook final : transport::Deadline {
    explicit RoadLook(ServerSession& session) : session_(session) {}
    void on_deadline() override { session_.look_at_road(); }
    ServerSession& session_;
  } road_look_{*this};
  session::RoadMeter road_;
  std::optional<Error> outlived_;  // the link is gone, by a drain; visitors with direct links finish
  bool told_to_end_ = false;       // by close(): nobody finishes
  bool up_ = false;
  bool leaving_ = false;  // the client has said so, or may not come back
};

template <class Function>
void ServerSession::on_further(const Function& function) {
  for (unsigned at = 0; at < further_.size(); ++at) {
    if (!further_[at].lives()) continue;
    ServerShard& other = shard_.server().shard(at);
    other.shard().post([&other, function] { function(other); });
  }
}

}  // namespace ferrotunnel::app
