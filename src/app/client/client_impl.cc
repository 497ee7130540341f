#include "app/client/client_impl.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <system_error>

#include "app/status_json.h"
#include "app/times.h"
#include "base/descriptor_budget.h"
#include "base/random.h"
#include "ferrotunnel/version.h"
#include "transport/tcp/road.h"
#include "wire/base64.h"

namespace ferrotunnel {

namespace {

// A tunnel whose host or port is taken is asked for again this often: its holder may be our own earlier self.
constexpr auto kRegisterAgain = std::chrono::seconds(1);
// So often, one after another, is a host or a port refused that the server picked, before any other will do: a lease's time, which it may be kept for.
constexpr int kPickedRefusals = 30;

bool worth_another_try(std::string_view code) {
  return code == wire::kRejectHostTaken || code == wire::kRejectPortInUse || code == wire::kRejectPortTaken;
}

std::chrono::microseconds to_us(Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d); }

}  // namespace

ClientImpl::ClientImpl(Options options, app::ClientPlan plan)
    : options_(std::move(options)),
      token_(std::move(plan.token)),
      tls_server_name_(options_.tls_server_name),
      budget_(options_.memory_limit),
      shard_(0, budget_),
      backoff_(options_.backoff),
      retry_(shard_.io()),
      register_(shard_.io()),
      origin_connect_timeout_(options_.origin_connect_timeout),
      busy_poll_(options_.busy_poll),
      config_(options_) {
  fill_random(instance_);
  shard_.poller().set_busy_poll(options_.busy_poll);
  for (app::PlannedTunnel& tunnel : plan.tunnels) add_tunnel(std::move(tunnel));
}

ClientImpl::~ClientImpl() { stop(); }

// ---- from outside -------------------------------------------------------------------------------------------------

Result<> ClientImpl::start() {
  const std::lock_guard lock(control_mutex_);
  if (thread_.joinable() || stopping_)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this client was started before"));
  auto tls = app::load_client_tls(options_, token_);
  if (!tls) return std::unexpected(tls.error());
  if (auto loaded = load_origins(); !loaded) return std::unexpected(loaded.error());
  tls_ = std::move(*tls);
  {
    const std::lock_guard state(state_mutex_);
    stop_asked_ = false;  // by a stop() before there was anything to stop
  }
  try {
    thread_ = std::thread([this] { shard_.run(); });
  } catch (const std::system_error& error) {
    return std::unexpected(errno_error(error.code().value(), Side::Local, "cannot start a thread"));
  }
  shard_.post([this] { dial(); });
  open_control();
  return {};
}

// Before the thread runs.
Result<> ClientImpl::load_origins() {
  std::vector<app::PlannedTunnel> plans;
  plans.reserve(tunnels_.size());
  for (Tunnel& tunnel : tunnels_) plans.push_back(tunnel.plan);
  if (auto loaded = app::load_origin_tls(plans); !loaded) return loaded;
  for (std::size_t i = 0; i < plans.size(); ++i) tunnels_[i].plan = std::move(plans[i]);
  return {};
}

// A client works without it.
void ClientImpl::open_control() {
  if (options_.control_socket.empty()) return;
  auto control = app::ControlSocket::open(
      options_.control_socket,
      [this](const boost::json::object& question) -> Result<boost::json::object> { return answer(question); });
  if (!control) {
    if (options_.on_error) shard_.post([this, error = control.error()] { options_.on_error(error); });
    return;
  }
  const std::lock_guard lock(control_socket_mutex_);
  control_socket_ = std::move(*control);
}

Result<boost::json::object> ClientImpl::answer(const boost::json::object& question) {
  const boost::json::value* asked = question.if_contains("do");
  const std::string what = asked != nullptr && asked->is_string() ? std::string(asked->get_string()) : std::string();
  if (what == "status") {
    auto told = app::status_json(status());
    told["pid"] = ::getpid();
    return told;
  }
  if (what == "drain") return drain_answer_.answer(question, options_.on_drain_asked);
  if (what == "reload") return app::answer_reload(options_.on_reload_asked);
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this client does not know what '" + what + "' is"));
}

// ---- reload -------------------------------------------------------------------------------------------------------

Result<Reloaded> ClientImpl::reload(const ClientConfig& wanted) {
  auto plan = app::plan_client(wanted);
  if (!plan) return std::unexpected(plan.error());
  auto tls = app::load_client_tls(wanted, plan->token);
  if (!tls) return std::unexpected(tls.error());
  if (auto loaded = app::load_origin_tls(plan->tunnels); !loaded) return std::unexpected(loaded.error());
  const std::lock_guard one_at_a_time(reload_mutex_);
  Reloaded told;
  ClientConfig config = wanted;
  if (config.control_socket != options_.control_socket) told.needs_restart.emplace_back("client.control_socket");
  config.control_socket = options_.control_socket;
  if (config.threads != options_.threads) told.needs_restart.emplace_back("client.threads");
  config.threads = options_.threads;
  const auto way = [](const ClientConfig& c) {
    return std::tie(c.join, c.servers, c.grant, c.secret, c.tls, c.tls_ca, c.tls_certificate, c.tls_key,
                    c.tls_server_name, c.tls_skip_verify);
  };
  auto change = std::make_shared<Change>(config, std::move(*plan), std::move(*tls));
  change->sign_in_anew = way(config) != way(config_);
  auto done = change->done.get_future();
  {
    const std::lock_guard lock(control_mutex_);
    if (!thread_.joinable())
      return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this client does not run"));
    shard_.post([this, change = std::move(change)] { try_change(change); });
  }
  if (auto failed = done.get()) return std::unexpected(*failed);
  config_ = std::move(config);
  // Who comes from now on finds the new services on every shard.
  const std::lock_guard lock(control_mutex_);
  if (thread_.joinable()) settle_places();
  return told;
}

// Where it is another server, or another way to sign in, that has to work before anything is given up.
void ClientImpl::try_change(const std::shared_ptr<Change>& change) {
  if (stopping_ || draining_) return;
  if (!change->sign_in_anew && !given_up_) {
    apply(*change);
    return change->tell({});
  }
  session::DialOptions dial = dial_options(change->plan.token, change->tls, change->config.tls_server_name);
  candidate_ = std::make_unique<session::Dialer>(shard_, std::move(dial), [this, change](auto result) {
    const std::unique_ptr<session::Dialer> over = std::move(candidate_);
    if (!result || stopping_ || draining_) {
      Error why = result ? Error(ErrorCode::Cancelled, Side::Local, true, "the client stops") : result.error();
      why.context += " (with the configuration that is new; the one before stays in force)";
      return change->tell(std::move(why));
    }
    given_up_ = false;
    {
      const std::lock_guard state(state_mutex_);
      failed_.reset();
    }
    retry_.cancel();
    dialer_.reset();
    successor_ = std::move(*result);  // from here on nothing new is said over the link before
    apply(*change);
    change->tell({});
    if (!link_) return adopt_successor();
    if (unanswered_ == 0) return leave_for_successor();
    // What the server is giving right now has to be given back, too.
    register_.expires_after(kRegisterAgain);
    register_.async_wait([this](const boost::system::error_code& error) {
      if (!error) leave_for_successor();
    });
  });
  candidate_->start();
}

void ClientImpl::adopt_successor() {
  session::Dialed next = std::move(*successor_);
  successor_.reset();
  adopt(std::move(next));
}

// For good, as far as its grant is concerned: nothing is to be kept for that, its hosts neither.
void ClientImpl::leave_for_successor() {
  if (!link_ || !successor_) return;
  for (Tunnel& tunnel : tunnels_) unregister(tunnel);
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the client signs in with another configuration");
  link_->close(Error(ErrorCode::Cancelled, Side::Local, true, "the configuration has changed"));
}

void ClientImpl::on_answered() {
  if (unanswered_ == 0) return;
  --unanswered_;
  if (unanswered_ == 0) leave_for_successor();
}

void ClientImpl::apply(Change& change) {
  budget_.set_limit(change.config.memory_limit);
  shard_.poller().set_busy_poll(change.config.busy_poll);
  origin_connect_timeout_ = change.config.origin_connect_timeout;
  if (branch_options_) branch_options_->connect_deadline = origin_connect_timeout_;
  busy_poll_ = change.config.busy_poll;
  on_places([busy_poll = busy_poll_, deadline = origin_connect_timeout_](app::ClientPlace& place) {
    place.shard.poller().set_busy_poll(busy_poll);
    if (place.branch) place.branch->set_connect_deadline(deadline);
  });
  if (origins_) origins_->dispatcher.set_connect_deadline(origin_connect_timeout_);
  tls_ = std::move(change.tls);  // for the next dial, also where only what is in the files has changed
  tls_server_name_ = change.config.tls_server_name;
  token_ = std::move(change.plan.token);
  apply_tunnels(std::move(change.plan.tunnels));
}

// What is the same stays. Places are given up before others are asked for: a host may move from one tunnel to another.
void ClientImpl::apply_tunnels(std::vector<app::PlannedTunnel> wanted) {
  const auto place = [](const TunnelConfig& c) {
    const bool single_use = c.kind == TunnelConfig::Kind::Http && c.proxy_protocol != ProxyProtocol::Off;
    return std::tuple_cat(std::tie(c.kind, c.name, c.host, c.port, c.hosts, c.paths, c.methods, c.headers),
                          std::tuple(single_use, c.connect));
  };
  std::vector<Tunnel> gone;
  gone.swap(tunnels_);
  for (app::PlannedTunnel& plan : wanted) {
    const auto same = std::ranges::find_if(gone, [&](const Tunnel& one) {
      return place(one.plan.config) == place(plan.config) && one.plan.target->h2 == plan.target->h2 &&
             one.plan.client_ca == plan.client_ca &&
             (!plan.target->h2 || one.plan.target->secure == plan.target->secure);
    });
    if (same == gone.end()) {
      add_tunnel(std::move(plan));
      continue;
    }
    Tunnel& kept = tunnels_.emplace_back(std::move(*same));
    gone.erase(same);
    const bool new_origin = kept.plan.config.to != plan.config.to ||
                            kept.plan.config.proxy_protocol != plan.config.proxy_protocol ||
                            kept.plan.config.origin_tls != plan.config.origin_tls;
    kept.plan = std::move(plan);
    update(kept, new_origin);
  }
  for (Tunnel& tunnel : gone) unregister(tunnel);
  // New ones, and those that were refused or taken back: what stood in their way may be gone.
  for (Tunnel& tunnel : tunnels_) {
    if (tunnel.number != 0 || tunnel.asked) continue;
    tunnel.last_failure.clear();  // a second refusal is told as well
    register_tunnel(tunnel);
  }
  tell_tunnels();
}

// Before it is up there is nothing to tell: on_registered() comes back.
void ClientImpl::update(Tunnel& tunnel, bool new_origin) {
  if (!link_ || successor_ || tunnel.number == 0) return;
  if (!rules_hold(tunnel)) {
    unregister(tunnel);
    tunnel.number = 0;
    return tell_tunnels();
  }
  wire::Update update;
  update.tunnel = tunnel.number;
  update.new_origin = new_origin;
  if (tunnel.told_limits != tunnel.plan.limits) update.limits = tunnel.plan.limits;
  tunnel.told_limits = tunnel.plan.limits;
  if (tunnel.told_carry != tunnel.plan.carry) update.carry = tunnel.plan.carry;
  tunnel.told_carry = tunnel.plan.carry;
  if (tunnel.told_rules != tunnel.plan.rules) update.rules = tunnel.plan.rules;
  tunnel.told_rules = tunnel.plan.rules;
  if (update.new_origin || update.limits || update.carry || update.rules) link_->send_control(wire::encode(update));
}

void ClientImpl::add_tunnel(app::PlannedTunnel plan) {
  Tunnel& tunnel = tunnels_.emplace_back();
  tunnel.plan = std::move(plan);
  tunnel.ask_as_configured();
  tunnel.req = next_req_++;
}

void ClientImpl::unregister(Tunnel& tunnel) {
  if (link_ && tunnel.number != 0) link_->send_control(wire::encode(wire::Unregister{tunnel.number}));
}

bool ClientImpl::drain(std::chrono::milliseconds deadline) {
  bool finished = true;
  {
    std::unique_lock lock(control_mutex_);
    if (thread_.joinable()) {
      shard_.post([this] {
        draining_ = true;
        retry_.cancel();
        dialer_.reset();
        if (direct_) direct_->want(0);
        on_places([](app::ClientPlace& place) {
          if (place.branch) place.branch->drain("the client is draining");
        });
        if (link_) link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the client is draining");
      });
      // The wait locks nobody out: status() shows how it goes, stop() cuts it short.
      lock.unlock();
      std::unique_lock state(state_mutex_);
      state_changed_.wait_for(state, app::patience_of(deadline), [this] { return link_down_ || stop_asked_; });
      finished = link_down_ && !stop_asked_;
    }
  }
  stop();
  return finished;
}

void ClientImpl::stop() {
  stop_shard();
  // Last, so that whoever waits for the end by asking learns of it when it has come; and without the lock that its answers take.
  std::unique_ptr<app::ControlSocket> control;
  {
    const std::lock_guard lock(control_socket_mutex_);
    control = std::move(control_socket_);
  }
  control.reset();
}

void ClientImpl::stop_shard() {
  {
    const std::lock_guard state(state_mutex_);
    stop_asked_ = true;
    state_changed_.notify_all();
  }
  const std::lock_guard lock(control_mutex_);
  if (!thread_.joinable()) return;
  shard_.post([this] {
    stopping_ = true;
    retry_.cancel();
    register_.cancel();
    dialer_.reset();
    candidate_.reset();
    successor_.reset();
    if (!link_) return shard_.stop();
    link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the client stops");
    link_->close(Error(ErrorCode::Cancelled, Side::Local, true, "the client stops"));  // on_link_closed() ends the loop
  });
  thread_.join();
  stop_places();
  keeper_.reset();
  direct_.reset();
  origins_.reset();
  left_.clear();
  link_.reset();
}

std::optional<Error> ClientImpl::wait_failed(std::chrono::milliseconds timeout) {
  std::unique_lock state(state_mutex_);
  state_changed_.wait_for(state, app::patience_of(timeout), [this] { return failed_.has_value(); });
  return failed_;
}

ClientStatus ClientImpl::status() const {
  const std::lock_guard lock(control_mutex_);
  ClientStatus status;
  if (!thread_.joinable()) return status;
  std::promise<void> done;
  auto* self = const_cast<ClientImpl*>(this);  // only to post; what runs there reads
  self->shard_.post([this, &status, &done] {
    status.connects = connects_;
    status.memory_resets = budget_.resets();
    status.direct_limited = asked_.direct_limited.load(std::memory_order_relaxed);
    status.links_limited = asked_.links_limited.load(std::memory_order_relaxed);
    status.bytes_in = bytes_in_;
    status.bytes_out = bytes_out_;
    if (link_) {
      const transport::LinkStatus link = link_->status();
      status.connected = true;
      status.links = 1;
      status.address = connected_.address;
      status.session = connected_.session;
      status.transport = connected_.transport;
      status.rtt = to_us(link.rtt);
      status.bytes_in += link.bytes_in;
      status.bytes_out += link.bytes_out;
    }
    const auto add_direct = [&status](const LinkOrigins& origins) {
      const transport::RelayBytes direct = origins.dispatcher.direct_bytes();
      status.bytes_in += direct.to_socket;
      status.bytes_out += direct.from_socket;
    };
    if (origins_) add_direct(*origins_);
    for (const auto& left : left_) add_direct(*left);
    for (const Tunnel& tunnel : tunnels_) {
      status.visitors_now += tunnel.visitors->now.load(std::memory_order_relaxed);
      status.visitors += tunnel.visitors->total.load(std::memory_order_relaxed);
      status.tunnels.push_back({tunnel.plan.config.name, tunnel.url, tunnel.plan.target->text, tunnel.number != 0});
    }
    done.set_value();
  });
  // The loop may end by itself (stop() is locked out, a client that gave up keeps its loop).
  done.get_future().wait();
  self->settle_places([&status](app::ClientPlace& place) {
    if (place.branch) {
      status.links += place.branch->links();
      place.branch->add_bytes(status.bytes_in, status.bytes_out);
    }
    for (const auto& left : place.left) left->add_bytes(status.bytes_in, status.bytes_out);
  });
  return status;
}

// ---- the way up ---------------------------------------------------------------------------------------------------

session::DialOptions ClientImpl::dial_options(const session::JoinToken& token,
                                              const std::optional<transport::TlsClientContext>& tls,
                                              const std::string& server_name) const {
  session::DialOptions dial;
  dial.addresses = token.addresses;
  dial.tls = tls;
  dial.server_name = server_name;
  dial.handshake.grant = token.grant;
  dial.handshake.key = session::AuthKey::of(token.secret);
  dial.handshake.instance = instance_;
  dial.handshake.version = std::string(version());
  dial.handshake.features = wire::kFeaturesOfAttach | wire::kFeatureOrigin | wire::kFeatureRules;
  return dial;
}

void ClientImpl::dial() {
  // A retry that had fired already when a reload brought another link.
  if (stopping_ || draining_ || link_ || dialer_) return;
  ++attempt_;
  session::DialOptions dial = dial_options(token_, tls_, tls_server_name_);
  // An address that takes connections and is not our server (a proxy whose other side is down) must not keep us from the rest.
  std::ranges::rotate(dial.addresses, dial.addresses.begin() + (attempt_ - 1) % dial.addresses.size());
  if (options_.on_connecting) options_.on_connecting({attempt_, dial.addresses.front()});
  dialer_ = std::make_unique<session::Dialer>(shard_, std::move(dial),
                                              [this](Result<session::Dialed> result) { on_dialed(std::move(result)); });
  dialer_->start();
}

void ClientImpl::on_dialed(Result<session::Dialed> result) {
  const std::unique_ptr<session::Dialer> over = std::move(dialer_);
  if (stopping_ || draining_) return;
  if (!result) return on_down(result.error());
  adopt(std::move(*result));
}

void ClientImpl::adopt(session::Dialed dialed) {
  link_fd_ = dialed.peer.stream->fd();
  origins_known_ = (dialed.peer.outcome.features & wire::kFeatureOrigin) != 0;
  road_ = {};
  told_loss_ = 0;
  peer_drains_ = false;
  link_ = std::make_unique<mux::MuxLink>(shard_, std::move(dialed.peer.stream), mux::Role::Client, options_.mux,
                                         static_cast<transport::LinkHandler&>(*this), dialed.peer.early);
  if (auto started = link_->start(); !started) {
    link_.reset();
    return on_down(started.error());
  }
  {
    const std::lock_guard state(state_mutex_);
    link_down_ = false;
  }
  origins_ = std::make_unique<LinkOrigins>(*this);
  rules_known_ = (dialed.peer.outcome.features & wire::kFeatureRules) != 0;
  open_direct(dialed);
  session::HeartbeatOptions heartbeat = options_.heartbeat;
  heartbeat.interval = std::chrono::milliseconds(dialed.peer.outcome.heartbeat_ms);
  keeper_ = std::make_unique<session::LinkKeeper>(shard_, *link_, heartbeat, [this](std::string_view what) {
    link_->close(Error(ErrorCode::Timeout, Side::Tunnel, true, "the server " + std::string(what)));
  });
  backoff_.on_link_up(shard_.now());
  attempt_ = 0;
  ++connects_;
  connected_ = {
      dialed.address, dialed.peer.outcome.session, dialed.peer.transport, dialed.peer.outcome.peer_version, {}};
  if (options_.on_connected) options_.on_connected(connected_);
  for (Tunnel& tunnel : tunnels_) register_tunnel(tunnel);
}

void ClientImpl::register_tunnel(Tunnel& tunnel) {
  if (!link_ || successor_ || draining_ || !rules_hold(tunnel)) return;
  // It would be spoken to in HTTP/1.1, and nobody would know why nothing works.
  if (tunnel.plan.target->h2 && !origins_known_) return refuse_h2(tunnel);
  tunnel.asked = true;
  tunnel.ask_again = false;
  wire::Register request = app::register_of(tunnel.plan);
  request.req = tunnel.req;
  request.host = tunnel.host;
  request.port = tunnel.port;
  tunnel.told_limits = tunnel.plan.limits;
  tunnel.told_carry = tunnel.plan.carry;
  tunnel.told_rules = tunnel.plan.rules;
  ++unanswered_;
  link_->send_control(wire::encode(request));
}

void ClientImpl::refuse_h2(Tunnel& tunnel) {
  const std::string text = "this server is older than HTTP/2 to local services: share " + tunnel.plan.target->text +
                           " as http:// or https://";
  if (std::exchange(tunnel.last_failure, text) == text || !options_.on_tunnel_failed) return;
  options_.on_tunnel_failed({tunnel.plan.config.name, Error(ErrorCode::Version, Side::Tunnel, false, text)});
}

bool ClientImpl::rules_hold(Tunnel& tunnel) {
  if (rules_known_ || !tunnel.plan.needs_rules()) return true;
  static constexpr std::string_view kText =
      "the server is older than this client and knows no rules, and no more hosts or paths of a tunnel: it would share "
      "this one without them. "
      "Update the server, or leave them out.";
  if (tunnel.last_failure == kText) return false;
  tunnel.last_failure = kText;
  if (options_.on_tunnel_failed)
    options_.on_tunnel_failed(
        {tunnel.plan.config.name, Error(ErrorCode::Refused, Side::Tunnel, false, std::string(kText))});
  return false;
}

// Before the first success a mistake ends it: somebody stands there to mend it. After that only a verdict of the server's own does, or
// a key that is not its own; whatever else is said on the way (a proxy's 503, half a restart) passes.
bool ClientImpl::is_final(const Error& why) const {
  if (why.retry || connects_ == 0) return !why.retry;
  return why.code == ErrorCode::Unauthorized || why.code == ErrorCode::PinMismatch || why.code == ErrorCode::Version;
}

void ClientImpl::on_down(const Error& why) {
  backoff_.on_link_down(shard_.now());
  const bool for_good = is_final(why) || (options_.fail_fast && connects_ == 0);
  const auto wait = for_good ? Duration::zero() : backoff_.next(why.code == ErrorCode::Timeout);
  if (options_.on_disconnected) {
    Disconnected event{why, std::chrono::duration_cast<std::chrono::milliseconds>(wait)};
    event.why.retry = !for_good;
    options_.on_disconnected(event);
  }
  if (for_good) return give_up(why);
  retry_.expires_after(wait);
  retry_.async_wait([this](const boost::system::error_code& error) {
    if (!error) dial();
  });
}

void ClientImpl::give_up(const Error& why) {
  given_up_ = true;
  const std::lock_guard state(state_mutex_);
  failed_ = why;
  state_changed_.notify_all();
}

// ---- what the link says -------------------------------------------------------------------------------------------

ClientImpl::Tunnel* ClientImpl::by_number(std::uint32_t number) {
  for (Tunnel& tunnel : tunnels_) {
    if (tunnel.number == number) return &tunnel;
  }
  return nullptr;
}

ClientImpl::Tunnel* ClientImpl::by_request(std::uint32_t req) {
  const auto found = std::ranges::find(tunnels_, req, &Tunnel::req);
  return found == tunnels_.end() ? nullptr : &*found;
}

void ClientImpl::on_open(transport::Stream& stream, const transport::OpenInfo& info) {
  Tunnel* tunnel = info.tunnel == 0 ? nullptr : by_number(info.tunnel);
  if (tunnel == nullptr) return stream.reset(transport::ResetReason::NoTunnel);
  origins_->dispatcher.dispatch(stream, info.tunnel, tunnel->plan.target, info.visitor);
}

void ClientImpl::on_control(std::string_view json) {
  auto message = wire::decode(json);
  if (!message) return link_->close(message.error());
  if (!*message) return;
  if (const auto* registered = std::get_if<wire::Registered>(&**message)) on_registered(*registered);
  if (const auto* rejected = std::get_if<wire::Rejected>(&**message)) on_rejected(*rejected);
  if (const auto* wanted = std::get_if<wire::DirectWanted>(&**message); wanted != nullptr && direct_ && !draining_)
    want_direct(wanted->want);
  if (const auto* wanted = std::get_if<wire::LinksWanted>(&**message)) want_links(wanted->want);
  if (const auto* withdrawn = std::get_if<wire::Withdrawn>(&**message)) on_withdrawn(*withdrawn);
}

void ClientImpl::on_registered(const wire::Registered& message) {
  Tunnel* found = by_request(message.req);
  highest_tunnel_ = std::max(highest_tunnel_, message.tunnel);
  if (found == nullptr || successor_) {  // a reload has given it up since it was asked for
    tell_tunnels();
    link_->send_control(wire::encode(wire::Unregister{message.tunnel}));
    return on_answered();
  }
  on_answered();
  Tunnel& tunnel = *found;
  tunnel.asked = false;
  tunnel.ask_again = false;
  tunnel.number = message.tunnel;
  tell_tunnels();
  tunnel.url = message.url;
  tunnel.last_failure.clear();
  tunnel.picked_refused = 0;
  update(tunnel, false);  // a reload may have come in between
  // What the server picked is asked for again after a reconnect, so that addresses that were handed out stay good.
  if (tunnel.plan.proto() == wire::TunnelProto::Tcp) {
    tunnel.port = message.port;
  } else if (tunnel.host.empty()) {
    std::string_view host = message.url;
    if (const auto at = host.find("://"); at != std::string_view::npos) host.remove_prefix(at + 3);
    tunnel.host = host.substr(0, host.find_first_of(":/"));
  }
  if (options_.on_tunnel_up)
    options_.on_tunnel_up({tunnel.plan.config.name, tunnel.url, tunnel.plan.target->text, tunnel.port});
}

void ClientImpl::on_rejected(const wire::Rejected& message) {
  Tunnel* found = by_request(message.req);
  on_answered();
  if (found == nullptr || successor_) return;
  Tunnel& tunnel = *found;
  tunnel.asked = false;
  if (tunnel.number != 0) return;  // it is up: a server that contradicts itself
  const bool again = worth_another_try(message.code);
  if (again && tunnel.has_picked() && ++tunnel.picked_refused >= kPickedRefusals) tunnel.ask_as_configured();
  tunnel.ask_again = again;
  if (again) {
    register_.expires_after(kRegisterAgain);
    register_.async_wait([this](const boost::system::error_code& error) {
      if (!error) retry_registering();
    });
  }
  if (tunnel.last_failure == message.text) return;
  tunnel.last_failure = message.text;
  if (options_.on_tunnel_failed) {
    const auto code = again                                ? ErrorCode::AddressInUse
                      : message.code == wire::kRejectLimit ? ErrorCode::Limit
                                                           : ErrorCode::Refused;
    options_.on_tunnel_failed({tunnel.plan.config.name, Error(code, Side::Tunnel, again, message.text)});
  }
}

// It had the tunnel and its grant no longer allows it. After the next sign-in, or a reload, it asks again.
void ClientImpl::on_withdrawn(const wire::Withdrawn& message) {
  Tunnel* tunnel = by_number(message.tunnel);
  if (tunnel == nullptr) return;
  tunnel->number = 0;
  tell_tunnels();
  tunnel->last_failure = message.text;
  if (options_.on_tunnel_failed)
    options_.on_tunnel_failed({tunnel->plan.config.name, Error(ErrorCode::Refused, Side::Tunnel, false, message.text)});
}

void ClientImpl::retry_registering() {
  if (!link_) return;
  for (Tunnel& tunnel : tunnels_) {
    if (tunnel.number == 0 && tunnel.ask_again) register_tunnel(tunnel);
  }
}

void ClientImpl::on_goaway(std::uint32_t code, std::string_view text) {
  const auto said = static_cast<wire::GoawayCode>(code);
  peer_drains_ = said == wire::GoawayCode::Done || said == wire::GoawayCode::Exhausted;
  if (said == wire::GoawayCode::Unauthorized) {
    verdict_ =
        Error(ErrorCode::Unauthorized, Side::Tunnel, false, "the server ended the session: " + wire::clean_text(text));
  } else if (said == wire::GoawayCode::Limit) {
    verdict_ = Error(ErrorCode::Limit, Side::Tunnel, true, "the server says: " + wire::clean_text(text));
  }
}

void ClientImpl::on_link_closed(const Error& reason) {
  // A copy: the one we were given dies with the link.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Error why = verdict_.value_or(reason);
  verdict_.reset();
  const transport::LinkStatus last = link_->status();
  bytes_in_ += last.bytes_in;
  bytes_out_ += last.bytes_out;
  end_link();
  // The branches tell of their visitors first.
  if (stopping_ && branches_left_ == 0) return shard_.stop();
  if (stopping_) return;
  if (draining_) return;
  if (successor_) return adopt_successor();
  on_down(why);
}

void ClientImpl::end_link() {
  register_.cancel();
  unanswered_ = 0;
  keeper_.reset();
  road_look_.disarm();
  direct_.reset();
  const bool finish = (draining_ || peer_drains_) && !stopping_ && !successor_;
  leave_branches(finish);
  if (finish && origins_->dispatcher.direct() > 0) {
    origins_->left = true;
    left_.push_back(std::move(origins_));
  }
  origins_.reset();
  link_.reset();
  for (Tunnel& tunnel : tunnels_) {
    tunnel.number = 0;
    tunnel.asked = tunnel.ask_again = false;
    const std::uint64_t total = tunnel.visitors->total.load(std::memory_order_relaxed);
    tunnel.visitors = std::make_shared<app::TunnelVisitors>();
    tunnel.visitors->total.store(total, std::memory_order_relaxed);
  }
  if (nobody_left()) link_is_down();
}

void ClientImpl::link_is_down() {
  const std::lock_guard state(state_mutex_);
  link_down_ = true;
  state_changed_.notify_all();
}

// Not here and now: we are inside what would be destroyed.
void ClientImpl::on_left_behind() {
  shard_.post([this] {
    std::erase_if(left_, [](const auto& left) { return left->dispatcher.active() == 0; });
    if (nobody_left() && !link_) link_is_down();
  });
}

void ClientImpl::on_origin_failed(std::uint32_t number, const Error& error) {
  if (!options_.on_error) return;
  Error told = error;
  if (const Tunnel* tunnel = by_number(number)) {
    told.context += ". The tunnel " + tunnel->plan.config.name + " is up; visitors get an error until ";
    told.context += error.code == ErrorCode::Tls || error.code == ErrorCode::Protocol ? "that is mended"
                    : error.code == ErrorCode::Limit
                        ? "some are free: raise the limit (ulimit -n, or LimitNOFILE= of its "
                          "service), or let fewer in at once (max_visitors)"
                        : "its service runs: is it started?";
  }
  options_.on_error(told);
}

void ClientImpl::on_origin_count(std::uint32_t number, int change) {
  if (change > 0 && direct_ && !road_look_.armed()) shard_.arm(road_look_, session::kRoadLook);
  Tunnel* tunnel = by_number(number);
  if (tunnel == nullptr) return;
  const auto [now, total] = tunnel->visitors->count(change);
  if (options_.on_visitor) options_.on_visitor({change > 0, tunnel->plan.config.name, now, total});
}

// ---- direct links -------------------------------------------------------------------------------------------------

// To the very address that was reached: another one of the name may be another server.
void ClientImpl::open_direct(const session::Dialed& dialed) {
  branch_options_.reset();
  if (!dialed.peer.outcome.attach) return;
  session::DialOptions dial = dial_options(token_, tls_, tls_server_name_.empty() ? dialed.host : tls_server_name_);
  dial.addresses = {dialed.address};
  dial.handshake.attach = dialed.peer.outcome.attach;
  session::HeartbeatOptions heartbeat = options_.heartbeat;
  heartbeat.interval = std::chrono::milliseconds(dialed.peer.outcome.heartbeat_ms);
  asked_limits_ = app::asked_limits(options_.max_direct, options_.max_links, descriptor_limit());
  origins_->share = std::make_shared<app::DirectShare>(asked_limits_.direct, asked_);
  branch_options_ =
      app::BranchOptions{dial, options_.mux, heartbeat, origin_connect_timeout_, connects_, origins_->share};
  links_known_ = (dialed.peer.outcome.features & wire::kFeatureLinks) != 0;
  if ((dialed.peer.outcome.features & wire::kFeatureDirect) == 0) return;
  direct_ = std::make_unique<app::DirectLinks>(shard_, std::move(dial), branch_options_->direct,
                                               static_cast<app::DirectLinksHost&>(*this));
}

void ClientImpl::on_direct_open(transport::ByteStreamPtr link, const wire::OpenPayload& open, std::string early) {
  const Tunnel* tunnel = open.tunnel == 0 ? nullptr : by_number(open.tunnel);
  const app::DirectSharePtr share = origins_->share;
  if (tunnel == nullptr || tunnel->plan.proto() != wire::TunnelProto::Tcp) {
    share->visitor_gone();
    return link->abort();
  }
  const std::uint64_t before = origins_->dispatcher.counters().opened;
  origins_->dispatcher.dispatch(std::move(link), std::move(early), open.tunnel, tunnel->plan.target,
                                {open.family, open.port, open.address});
  if (origins_->dispatcher.counters().opened == before) share->visitor_gone();  // it was not taken
}

// While somebody is there whom it may concern.
void ClientImpl::look_at_road() {
  if (!link_) return;
  if (const auto count = transport::read_road(link_fd_)) road_.look(*count, shard_.now());
  if (session::worth_saying(told_loss_, road_.loss_ppm())) {
    told_loss_ = road_.loss_ppm();
    link_->send_control(wire::encode(wire::Road{told_loss_}));
  }
  if (origins_->dispatcher.active() > 0 || told_loss_ > 0) shard_.arm(road_look_, session::kRoadLook);
}

}  // namespace ferrotunnel
