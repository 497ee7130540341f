// ClientImpl: the assembly behind Client: its first shard and thread, the first link to the server, and the local services behind it; and the
// places, on other shards, where further links and direct links are (client_branch.h), made when the server wants the first one.
//
// It dials, signs in, registers its tunnels, and dispatches streams; when the link ends it does all that again after a back-off. Only
// start(), drain(), stop(), wait_failed() and status() are called from outside; all else runs on the shard.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "app/client/client_branch.h"
#include "app/client/direct_links.h"
#include "app/client/options.h"
#include "app/client/plan.h"
#include "app/control_answers.h"
#include "app/control_socket.h"
#include "mux/mux_link.h"
#include "origin/dispatcher.h"
#include "session/dialer.h"
#include "session/link_keeper.h"
#include "session/road_meter.h"
#include "transport/shard.h"

namespace ferrotunnel {

class ClientImpl final : private transport::LinkHandler, private app::DirectLinksHost, private app::ClientBranchHost {
 public:
  using Options = ClientBuilder::Options;

  ClientImpl(Options options, app::ClientPlan plan);
  ~ClientImpl();

  Result<> start();
  bool drain(std::chrono::milliseconds deadline);
  void stop();
  std::optional<Error> wait_failed(std::chrono::milliseconds timeout);
  ClientStatus status() const;
  Result<Reloaded> reload(const ClientConfig& config);

 private:
  struct Tunnel {
    app::PlannedTunnel plan;
    std::uint32_t req = 0;     // what it is called in `register`; never again for another
    std::uint32_t number = 0;  // the server's, while up
    wire::Limits told_limits;  // what the server was told last, over this link
    wire::Carry told_carry = wire::Carry::Auto;
    std::vector<wire::Rule> told_rules;
    std::string url;
    std::string host;          // asked for, or picked by the server
    std::uint16_t port = 0;    // the same
    std::string last_failure;  // told once, until it changes
    int picked_refused = 0;    // what was picked, one time after another
    bool asked = false;        // on this link, and not answered yet
    bool ask_again = false;    // it was refused for a reason that may pass
    std::shared_ptr<app::TunnelVisitors> visitors = std::make_shared<app::TunnelVisitors>();  // over this session

    // What the server picked is asked for again; until it is given up for what the configuration says.
    [[nodiscard]] bool has_picked() const {
      return plan.config.hosts.empty() && (host != plan.config.host || port != plan.config.port);
    }
    void ask_as_configured() {
      host = plan.config.host;
      port = plan.config.port;
      picked_refused = 0;
    }
  };

  // The way up.
  [[nodiscard]] Result<> load_origins();
  void dial();
  void on_dialed(Result<session::Dialed> result);
  void adopt(session::Dialed dialed);
  void adopt_successor();
  [[nodiscard]] bool is_final(const Error& why) const;
  void on_down(const Error& why);
  void stop_shard();
  void add_tunnel(app::PlannedTunnel plan);
  void register_tunnel(Tunnel& tunnel);
  void refuse_h2(Tunnel& tunnel);
  void update(Tunnel& tunnel, bool new_origin);  // tells the server what has changed
  void unregister(Tunnel& tunnel);
  // Whether the server would share it with its rules. It is told where not: nothing is shared without them.
  [[nodiscard]] bool rules_hold(Tunnel& tunnel);
  void apply_tunnels(std::vector<app::PlannedTunnel> wanted);
  // A reload under way.
  struct Change {
    Change(const ClientConfig& c, app::ClientPlan p, std::optional<transport::TlsClientContext> t)
        : config(c), plan(std::move(p)), tls(std::move(t)) {}
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    ~Change() { tell(Error(ErrorCode::Cancelled, Side::Local, true, "the client stops")); }
    void tell(std::optional<Error> outcome) {  // the first one counts
      if (!std::exchange(told, true)) done.set_value(std::move(outcome));
    }
    const ClientConfig config;
    app::ClientPlan plan;
    std::optional<transport::TlsClientContext> tls;
    bool sign_in_anew = false;
    bool told = false;
    std::promise<std::optional<Error>> done;
  };
  void try_change(const std::shared_ptr<Change>& change);
  void apply(Change& change);
  [[nodiscard]] session::DialOptions dial_options(const session::JoinToken& token,
                                                  const std::optional<transport::TlsClientContext>& tls,
                                                  const std::string& server_name) const;
  void open_control();
  [[nodiscard]] Result<boost::json::object> answer(const boost::json::object& question);
  void retry_registering();
  void leave_for_successor();  // the link ends, and that takes its place
  void on_answered();
  void give_up(const Error& why);

  void on_open(transport::Stream& stream, const transport::OpenInfo& info) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t code, std::string_view text) override;
  void on_link_closed(const Error& why) override;
  void on_direct_open(transport::ByteStreamPtr link, const wire::OpenPayload& open, std::string early) override;

  // The local services behind one link. Visitors who have a direct link finish after a drain, when the link is gone.
  struct LinkOrigins final : origin::DispatcherHost {
    explicit LinkOrigins(ClientImpl& c)
        : client(c), dispatcher(c.shard_, origin::DispatcherOptions{c.origin_connect_timeout_}, *this) {}
    void on_origin_failed(std::uint32_t tunnel, const Error& error) override {
      if (!left) client.on_origin_failed(tunnel, error);
    }
    void on_origin_count(std::uint32_t tunnel, int change, transport::RelayBytes) override {
      if (left) return client.on_left_behind();
      client.on_origin_count(tunnel, change);
    }
    void on_direct_end(transport::RelayBytes bytes) override {
      share->visitor_gone();
      client.bytes_in_ += bytes.to_socket;
      client.bytes_out_ += bytes.from_socket;
    }
    ClientImpl& client;
    origin::OriginDispatcher dispatcher;
    bool left = false;
    app::DirectSharePtr share;  // of the session; none: the server knows no direct links
  };
  // Places (client_places.cc). The first five on their threads.
  void on_branch_visitor(bool came, const std::string& tunnel, std::uint64_t now, std::uint64_t total) override;
  void on_branch_origin_failed(std::uint32_t tunnel, const Error& error) override;
  void on_branch_bytes(std::uint64_t in, std::uint64_t out) override;
  void on_branch_link_drained(unsigned place, std::uint64_t session) override;
  void on_branch_over(app::ClientBranch& branch) override;
  void make_places();
  void open_branches();
  void want_links(std::uint32_t links);
  void want_direct(std::uint32_t direct);
  void tell_tunnels();  // to the places: they are others now
  void leave_branches(bool finish);
  void stop_places();
  [[nodiscard]] std::vector<app::ClientPlace*> all_places();
  void settle_places(const std::function<void(app::ClientPlace&)>& function = {});
  template <class Function>
  void on_places(const Function& function);  // on each, in a moment: function(ClientPlace&)
  [[nodiscard]] bool nobody_left() const { return left_.empty() && branches_left_ == 0; }

  void on_origin_failed(std::uint32_t tunnel, const Error& error);
  void on_origin_count(std::uint32_t tunnel, int change);
  void on_left_behind();
  void link_is_down();
  void open_direct(const session::Dialed& dialed);
  void look_at_road();

  void on_registered(const wire::Registered& message);
  void on_rejected(const wire::Rejected& message);
  void on_withdrawn(const wire::Withdrawn& message);
  [[nodiscard]] Tunnel* by_number(std::uint32_t number);
  [[nodiscard]] Tunnel* by_request(std::uint32_t req);
  void end_link();

  // Fixed after construction.
  const Options options_;
  wire::InstanceId instance_{};

  // The shard's, once it runs.
  app::AskedLimits asked_limits_;  // of this session
  session::JoinToken token_;
  std::optional<transport::TlsClientContext> tls_;
  std::string tls_server_name_;

  MemoryBudget budget_;
  app::AskedCounters asked_;
  transport::Shard shard_;
  std::thread thread_;

  // The shard's.
  session::Backoff backoff_;
  boost::asio::steady_timer retry_;     // of the dial
  boost::asio::steady_timer register_;  // of tunnels whose place was taken
  std::unique_ptr<session::Dialer> dialer_;
  std::unique_ptr<session::Dialer> candidate_;  // of a reload
  std::optional<session::Dialed> successor_;    // it stands, and waits for the link before it to be gone
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  std::optional<Error> verdict_;  // why the server ends the link, where it said so
  std::unique_ptr<LinkOrigins> origins_;
  std::list<std::unique_ptr<LinkOrigins>> left_;           // of links that were drained
  std::unique_ptr<app::DirectLinks> direct_;               // none: the server does not know of them
  std::vector<std::unique_ptr<app::ClientPlace>> places_;  // grows only, and only once
  std::optional<app::BranchOptions> branch_options_;  // of this session; none: the server knows no further connections
  bool branches_open_ = false;
  bool links_known_ = false;                // the server may want further links
  bool origins_known_ = false;              // it knows that a service may speak HTTP/2
  bool rules_known_ = false;                // the server, of this link
  std::size_t branches_left_ = 0;           // of sessions that were drained, with visitors who finish
  std::uint32_t highest_tunnel_ = 0;        // number, of this session
  std::vector<std::uint32_t> place_links_;  // how many each place shall keep, as far as this one knows
  std::uint32_t links_wanted_ = 0;          // by the server, as it said last
  struct LinksLook final : transport::Deadline {
    explicit LinksLook(ClientImpl& client) : client_(client) {}
    void on_deadline() override { client_.want_links(client_.links_wanted_); }
    ClientImpl& client_;
  } links_look_{*this};
  struct RoadLook final : transport::Deadline {
    explicit RoadLook(ClientImpl& client) : client_(client) {}
    void on_deadline() override { client_.look_at_road(); }
    ClientImpl& client_;
  } road_look_{*this};
  session::RoadMeter road_;
  std::uint32_t told_loss_ = 0;  // the server
  int link_fd_ = -1;             // the link's, to look at its road
  bool peer_drains_ = false;     // the server said so, of this link
  std::vector<Tunnel> tunnels_;
  std::uint32_t next_req_ = 1;
  std::size_t unanswered_ = 0;  // registrations, of this link
  std::chrono::milliseconds origin_connect_timeout_;
  std::chrono::microseconds busy_poll_;
  Connected connected_;
  unsigned attempt_ = 0;
  std::uint64_t connects_ = 0;
  std::atomic<std::uint64_t> bytes_in_{0}, bytes_out_{0};  // of links that are gone
  bool stopping_ = false, draining_ = false;
  bool given_up_ = false;  // for good, unless a reload signs in

  std::mutex control_socket_mutex_;
  std::unique_ptr<app::ControlSocket> control_socket_;
  app::DrainAnswer drain_answer_;  // the control socket's thread
  ClientConfig config_;            // as it was built or last told; under reload_mutex_
  std::mutex reload_mutex_;        // one reload at a time
  mutable std::mutex control_mutex_;
  mutable std::mutex state_mutex_;
  std::condition_variable state_changed_;
  bool link_down_ = true;        // under state_mutex_
  bool stop_asked_ = false;      // under state_mutex_: a drain under way ends
  std::optional<Error> failed_;  // under state_mutex_
};

template <class Function>
void ClientImpl::on_places(const Function& function) {
  for (const auto& place : places_) place->shard.post([&place = *place, function] { function(place); });
}

}  // namespace ferrotunnel
