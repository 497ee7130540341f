// ServerImpl: the assembly behind Server: shards, listeners, who is signed in, and which host is whose.
//
// Each shard's part is a ServerShard (server_shard.h). What is here is either fixed after start(), or locked, or atomic; none of it
// is on the byte path.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "app/control_answers.h"
#include "app/control_socket.h"
#include "app/server/live.h"
#include "app/server/options.h"
#include "app/server/plan.h"
#include "app/server/shortage.h"
#include "base/buffer_pool.h"
#include "base/descriptor_budget.h"
#include "base/seldom.h"
#include "ingress/limits/visitor_count.h"
#include "plugin/worker.h"
#include "route/port_keeper.h"
#include "route/router.h"
#include "session/attach_book.h"
#include "session/failure_throttle.h"
#include "session/grant_book.h"
#include "session/join_token.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel {

namespace app {
class ServerShard;
}

class ServerImpl {
 public:
  using Options = ServerBuilder::Options;

  ServerImpl(Options options, app::ServerPlan plan);
  ~ServerImpl();

  Result<ServerReady> start();
  bool drain(std::chrono::milliseconds deadline);
  void stop();
  ServerStatus status() const;
  Result<> set_grants(const std::vector<GrantOptions>& grants);
  Result<Reloaded> reload(const ServerConfig& config);
  Result<> reload_grants();                   // those of the state directory have changed
  std::size_t kick(const std::string& name);  // ends sessions of that id, or of that grant: how many

  // For the shards. Any thread.
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const session::GrantBook& grants() const { return grants_; }
  [[nodiscard]] session::FailureThrottle& throttle() { return throttle_; }
  [[nodiscard]] session::AttachBook& attachable() { return attachable_; }
  [[nodiscard]] route::Router& router() { return router_; }
  [[nodiscard]] route::PortKeeper& ports() { return ports_; }
  [[nodiscard]] const plugin::WorkerPtr& worker() const { return worker_; }  // for rules
  [[nodiscard]] app::ServerShard& shard(unsigned index) { return *shards_[index]; }
  [[nodiscard]] unsigned threads_wanted() const;  // how many shards there will be
  [[nodiscard]] unsigned shards() const { return static_cast<unsigned>(shards_.size()); }  // fixed once they run
  [[nodiscard]] const std::string& via() const { return via_; }  // how this server calls itself in Via
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }
  [[nodiscard]] std::uint16_t https_port() const { return https_port_; }  // 0: there is none
  [[nodiscard]] const transport::SocketAddress& tcp_listen() const { return tcp_listen_; }
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

  // A client signed in; where it was signed in before, that session has to go first. Errors: Limit (max_sessions of the grant).
  struct Place {
    route::SessionId session = 0;
    unsigned shard = 0;
  };
  [[nodiscard]] Result<std::optional<Place>> enter(const std::string& owner, const std::string& grant, Place place);
  void leave(const std::string& owner, route::SessionId session);
  // On every shard, in a moment (ServerShard::probe).
  void probe(const std::string& grant, route::SessionId asking, const std::optional<route::Place>& host,
             std::uint16_t port);
  [[nodiscard]] route::SessionId next_session_id() { return next_session_.fetch_add(1, std::memory_order_relaxed); }

  struct Counters {
    std::atomic<std::uint64_t> sign_ins{0}, refused{0}, failed{0}, tunnels_rejected{0}, over_tunnel_bytes{0};
    std::array<std::atomic<std::uint64_t>, ingress::kRefusals> visitors_refused{};
  } counters;
  DescriptorBudget descriptors;
  ingress::VisitorCount visitors{descriptors};

  // In the log, once a minute each: an accept failed with this errno; somebody was turned away to keep descriptors for others.
  void say_starved(int error);
  void say_short();
  void say_uncertified(const std::string& tunnel, const std::string& host) const;
  // The allocator gives back what it does not need, on a thread where that may take a moment. One does for all shards: false, where
  // the last was a moment ago.
  [[nodiscard]] bool trim_heap();

 private:
  [[nodiscard]] Result<> load_grants();
  [[nodiscard]] Result<> reload_grants_locked();
  [[nodiscard]] Result<> make_listeners();
  [[nodiscard]] Result<app::LivePtr> make_live(const ServerConfig& config, const app::ServerPlan& plan);
  [[nodiscard]] Result<transport::CertificateBookPtr> load_certificates(const ServerConfig& config);
  [[nodiscard]] std::vector<std::string> join_addresses() const;
  [[nodiscard]] session::JoinToken make_token() const;
  [[nodiscard]] session::JoinToken make_token(const session::Grant& grant) const;
  void say_shadowed(const std::string& grant, bool same_name) const;
  [[nodiscard]] Result<boost::json::object> answer_token(const std::string& name) const;
  [[nodiscard]] Result<boost::json::object> answer_may_store(const std::string& name) const;
  [[nodiscard]] bool uses_state() const;
  void set_descriptor_lines();
  void write_server(const session::JoinToken& token);
  void open_control();
  [[nodiscard]] Result<boost::json::object> answer(const boost::json::object& question);
  void stop_shards();
  void let_requests_in(TimePoint until);
  void let_answers_out(TimePoint until);
  void settle_shards() const;
  void wait_for_further_links(TimePoint until) const;
  template <class Function>
  void on_each_shard(const Function& function) const;  // runs it there and waits

  const Options options_;
  MemoryBudget budget_;
  std::vector<GrantOptions> configured_;  // what it was built with, or told since; under control_mutex_ once started
  session::GrantBook grants_;
  session::FailureThrottle throttle_;
  session::AttachBook attachable_{descriptors};
  app::ServerPlan plan_;  // until start()
  app::LivePtr live_;     // under control_mutex_; each shard has it too
  bool state_made_ = false;
  std::string state_dir_;
  plugin::WorkerPtr worker_;  // from start() on; stopped before the shards go
  route::Router router_;
  route::PortKeeper ports_;
  const std::string via_;
  const std::shared_ptr<transport::TicketKeys> ticket_keys_ = std::make_shared<transport::TicketKeys>();
  transport::SocketAddress listen_, http_listen_, https_listen_, tcp_listen_;
  std::uint16_t http_port_ = 0, https_port_ = 0;
  TimePoint started_at_{};
  app::ShortageLog starved_, short_;
  Seldom trims_;
  std::atomic<bool> draining_{false};
  std::atomic<route::SessionId> next_session_{1};

  std::vector<std::unique_ptr<app::ServerShard>> shards_;
  std::vector<std::thread> threads_;
  bool started_ = false;
  std::mutex control_socket_mutex_;
  std::unique_ptr<app::ControlSocket> control_socket_;
  app::DrainAnswer drain_answer_;     // the control socket's thread
  mutable std::mutex control_mutex_;  // start, drain, stop and status, one at a time

  std::mutex owners_mutex_;
  std::condition_variable owners_changed_;
  struct Owner {
    Place place;
    std::shared_ptr<session::GrantUse> use;  // holds one of its sessions
  };
  std::unordered_map<std::string, Owner> owners_;
  bool stopping_ = false;  // a drain under way ends
};

}  // namespace ferrotunnel
