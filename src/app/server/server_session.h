// ServerSession: one signed-in client at the server: its link, its tunnels, and their places in the router.
// Owned by its ServerShard; that shard's thread only. It ends when its link does.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "app/server/server_shard.h"
#include "ingress/tcp/direct_pool.h"
#include "ingress/tcp/tcp_ingress.h"
#include "mux/mux_link.h"
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
  void refuse(const Error& why);                // instead of start(): the client hears why, and the link ends
  // The grants of the server are others now: ends the session, or takes back what it may not have any more.
  void grants_changed();
  // Somebody of the same grant wants what this one has: it has kProbe to send a byte, or is over. Whoever is alive notices nothing.
  static constexpr Duration kProbe = std::chrono::milliseconds(1500);
  void prove_alive();
  [[nodiscard]] bool has(std::string_view host, std::uint16_t port) const;  // a tunnel there; "" and 0 are none
  // Ends it for the sake of its successor, which waits for `then`.
  void replace(std::function<void()> then);

  [[nodiscard]] const std::string& owner() const { return owner_; }
  [[nodiscard]] const std::string& name() const { return outcome_.session; }
  [[nodiscard]] const std::string& grant_name() const { return outcome_.grant; }
  void count_request(std::uint32_t tunnel);
  void count_refused(std::uint32_t tunnel, ingress::Refusal why);
  [[nodiscard]] std::string tunnel_name(std::uint32_t tunnel) const;
  void fill_status(ServerStatus& status) const;

 private:
  struct Tunnel {
    std::string name, url, host;  // host: HTTP only
    std::unique_ptr<ingress::TcpIngress> tcp;
    std::uint64_t now = 0, total = 0;
    wire::Carry carry = wire::Carry::Auto;
    std::uint32_t number = 0;
    wire::Limits asked;              // by the client
    ingress::AddressRulesPtr rules;  // of these
    ingress::VisitorGatePtr gate;    // what holds: the server's limits too
    ingress::RefusalCounts refused{};
  };

  void on_open(transport::Stream& stream, const transport::OpenInfo&) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t code, std::string_view text) override;
  void on_link_closed(const Error& why) override;
  void on_visitor(std::uint32_t tunnel, int change) override;
  void on_refused(std::uint32_t tunnel, ingress::Refusal why) override;
  void on_direct_wanted(std::uint32_t want) override;
  void on_direct_unused() override;
  void on_deadline() override;  // of the grant

  void on_register(const wire::Register& request);
  [[nodiscard]] Result<> register_http(const wire::Register& request, std::uint32_t number, Tunnel& tunnel);
  [[nodiscard]] Result<> register_tcp(const wire::Register& request, std::uint32_t number, Tunnel& tunnel);
  [[nodiscard]] Result<std::string> pick_host(std::uint32_t number);
  [[nodiscard]] Result<> claim(const std::string& host, std::uint32_t number);
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
  void contest(const std::string& host, std::uint16_t port);
  void on_probe_over();
  // Direct links (server_session_direct.cc).
  void open_direct();
  void carry_changed();  // a tunnel, a limit or the road is another now
  void leave_direct();
  void look_at_road();
  [[nodiscard]] bool outlives_its_link() const;
  void end(const Error& why);  // destroys us
  void give_up(Tunnel& tunnel, Lease* lease = nullptr);
  // Those who may come back find their places free (ServerConfig::host_lease).
  enum class Places : std::uint8_t { Free, Kept };
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
  const int link_fd_;  // the link's, to look at its road
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  std::shared_ptr<session::AttachHome> home_;    // what the client's further connections attach to
  std::unique_ptr<ingress::DirectPool> direct_;  // none: the client does not know of them. Outlives the tunnels
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

}  // namespace ferrotunnel::app
