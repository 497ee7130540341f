#include "app/client/client_impl.h"

#include <algorithm>
#include <future>
#include <system_error>

#include "base/random.h"
#include "ferrotunnel/version.h"
#include "wire/base64.h"

namespace ferrotunnel {

namespace {

// A tunnel whose host or port is taken is asked for again this often: its holder may be our own earlier self.
constexpr auto kRegisterAgain = std::chrono::seconds(1);

bool worth_another_try(std::string_view code) {
  return code == wire::kRejectHostTaken || code == wire::kRejectPortInUse || code == wire::kRejectPortTaken;
}

std::chrono::microseconds to_us(Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d); }

}  // namespace

ClientImpl::ClientImpl(Options options)
    : options_(std::move(options)),
      key_(session::AuthKey::of(options_.token.secret)),
      budget_(options_.memory_limit),
      shard_(0, budget_),
      backoff_(options_.backoff),
      retry_(shard_.io()),
      register_(shard_.io()) {
  fill_random(instance_);
  for (const Options::Tunnel& tunnel : options_.tunnels) tunnels_.push_back({tunnel, 0, {}, 0, {}, 0, 0});
}

ClientImpl::~ClientImpl() { stop(); }

// ---- from outside -------------------------------------------------------------------------------------------------

Result<> ClientImpl::start() {
  const std::lock_guard lock(control_mutex_);
  if (thread_.joinable() || stopping_)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this client was started before"));
  if (options_.token.tls) {
    transport::TlsClientOptions tls;
    if (options_.tls_ca.empty()) {
      tls.pin = options_.token.fingerprint;
    } else {
      tls.ca = options_.tls_ca;
    }
    if (!options_.tls_certificate.empty()) {
      auto identity = transport::TlsIdentity::load(options_.tls_certificate, options_.tls_key);
      if (!identity) return std::unexpected(identity.error());
      tls.identity = std::move(*identity);
    }
    auto context = transport::TlsClientContext::make(tls);
    if (!context) return std::unexpected(context.error());
    tls_ = std::move(*context);
  }
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
  return {};
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
        if (link_) link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the client is draining");
      });
      // The wait locks nobody out: status() shows how it goes, stop() cuts it short.
      lock.unlock();
      std::unique_lock state(state_mutex_);
      state_changed_.wait_for(state, deadline, [this] { return link_down_ || stop_asked_; });
      finished = link_down_ && !stop_asked_;
    }
  }
  stop();
  return finished;
}

void ClientImpl::stop() {
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
    if (!link_) return shard_.stop();
    link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the client stops");
    link_->close(Error(ErrorCode::Cancelled, Side::Local, true, "the client stops"));  // on_link_closed() ends the loop
  });
  thread_.join();
  keeper_.reset();
  origins_.reset();
  link_.reset();
}

std::optional<Error> ClientImpl::wait_failed(std::chrono::milliseconds timeout) {
  std::unique_lock state(state_mutex_);
  state_changed_.wait_for(state, timeout, [this] { return failed_.has_value(); });
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
    status.bytes_in = bytes_in_;
    status.bytes_out = bytes_out_;
    if (link_) {
      const transport::LinkStatus link = link_->status();
      status.connected = true;
      status.address = connected_.address;
      status.session = connected_.session;
      status.transport = connected_.transport;
      status.rtt = to_us(link.rtt);
      status.bytes_in += link.bytes_in;
      status.bytes_out += link.bytes_out;
    }
    for (const Tunnel& tunnel : tunnels_) {
      status.visitors_now += tunnel.now;
      status.visitors += tunnel.total;
      status.tunnels.push_back({tunnel.options.name, tunnel.url, tunnel.options.target->text, tunnel.number != 0});
    }
    done.set_value();
  });
  // The loop may end by itself (stop() is locked out, a client that gave up keeps its loop).
  done.get_future().wait();
  return status;
}

// ---- the way up ---------------------------------------------------------------------------------------------------

void ClientImpl::dial() {
  if (stopping_ || draining_) return;
  ++attempt_;
  session::DialOptions dial;
  dial.addresses = options_.token.addresses;
  // An address that takes connections and is not our server (a proxy whose other side is down) must not keep us from the rest.
  std::ranges::rotate(dial.addresses, dial.addresses.begin() + (attempt_ - 1) % dial.addresses.size());
  if (options_.on_connecting) options_.on_connecting({attempt_, dial.addresses.front()});
  dial.tls = tls_;
  dial.handshake.grant = options_.token.grant;
  dial.handshake.key = key_;
  dial.handshake.instance = instance_;
  dial.handshake.version = std::string(version());
  dialer_ = std::make_unique<session::Dialer>(shard_, std::move(dial),
                                              [this](Result<session::Dialed> result) { on_dialed(std::move(result)); });
  dialer_->start();
}

void ClientImpl::on_dialed(Result<session::Dialed> result) {
  const std::unique_ptr<session::Dialer> over = std::move(dialer_);
  if (stopping_ || draining_) return;
  if (!result) return on_down(result.error());
  link_ = std::make_unique<mux::MuxLink>(shard_, std::move(result->peer.stream), mux::Role::Client, options_.mux,
                                         static_cast<transport::LinkHandler&>(*this), result->peer.early);
  if (auto started = link_->start(); !started) {
    link_.reset();
    return on_down(started.error());
  }
  {
    const std::lock_guard state(state_mutex_);
    link_down_ = false;
  }
  origins_ = std::make_unique<origin::OriginDispatcher>(
      shard_, origin::DispatcherOptions{options_.origin_connect_timeout}, static_cast<origin::DispatcherHost&>(*this));
  session::HeartbeatOptions heartbeat = options_.heartbeat;
  heartbeat.interval = std::chrono::milliseconds(result->peer.outcome.heartbeat_ms);
  keeper_ = std::make_unique<session::LinkKeeper>(shard_, *link_, heartbeat, [this](std::string_view what) {
    link_->close(Error(ErrorCode::Timeout, Side::Tunnel, true, "the server " + std::string(what)));
  });
  backoff_.on_link_up(shard_.now());
  attempt_ = 0;
  ++connects_;
  connected_ = {
      result->address, result->peer.outcome.session, result->peer.transport, result->peer.outcome.peer_version, {}};
  if (options_.on_connected) options_.on_connected(connected_);
  for (std::size_t i = 0; i < tunnels_.size(); ++i) register_tunnel(i);
}

void ClientImpl::register_tunnel(std::size_t index) {
  const Tunnel& tunnel = tunnels_[index];
  wire::Register request;
  request.req = static_cast<std::uint32_t>(index + 1);
  request.name = tunnel.options.name;
  request.proto = tunnel.options.proto;
  request.host = tunnel.options.host;
  request.port = tunnel.options.port;
  link_->send_control(wire::encode(request));
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
  const auto wait = for_good ? Duration::zero() : backoff_.next();
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

void ClientImpl::on_open(transport::Stream& stream, const transport::OpenInfo& info) {
  Tunnel* tunnel = info.tunnel == 0 ? nullptr : by_number(info.tunnel);
  if (tunnel == nullptr) return stream.reset(transport::ResetReason::NoTunnel);
  origins_->dispatch(stream, info.tunnel, tunnel->options.target, info.visitor);
}

void ClientImpl::on_control(std::string_view json) {
  auto message = wire::decode(json);
  if (!message) return link_->close(message.error());
  if (!*message) return;
  if (const auto* registered = std::get_if<wire::Registered>(&**message)) on_registered(*registered);
  if (const auto* rejected = std::get_if<wire::Rejected>(&**message)) on_rejected(*rejected);
  if (const auto* withdrawn = std::get_if<wire::Withdrawn>(&**message)) on_withdrawn(*withdrawn);
}

void ClientImpl::on_registered(const wire::Registered& message) {
  if (message.req == 0 || message.req > tunnels_.size()) return;
  Tunnel& tunnel = tunnels_[message.req - 1];
  tunnel.number = message.tunnel;
  tunnel.url = message.url;
  tunnel.port = message.port;
  tunnel.last_failure.clear();
  tunnel.ask_again = false;
  // What the server picked is asked for again after a reconnect, so that addresses that were handed out stay good.
  if (tunnel.options.proto == wire::TunnelProto::Tcp) {
    tunnel.options.port = message.port;
  } else if (tunnel.options.host.empty()) {
    std::string_view host = message.url;
    if (const auto at = host.find("://"); at != std::string_view::npos) host.remove_prefix(at + 3);
    tunnel.options.host = host.substr(0, host.find_first_of(":/"));
  }
  if (options_.on_tunnel_up)
    options_.on_tunnel_up({tunnel.options.name, tunnel.url, tunnel.options.target->text, tunnel.port});
}

void ClientImpl::on_rejected(const wire::Rejected& message) {
  if (message.req == 0 || message.req > tunnels_.size()) return;
  Tunnel& tunnel = tunnels_[message.req - 1];
  if (tunnel.number != 0) return;  // it was asked for twice and is up
  const bool again = worth_another_try(message.code);
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
    options_.on_tunnel_failed({tunnel.options.name, Error(code, Side::Tunnel, again, message.text)});
  }
}

// It had the tunnel and its grant no longer allows it. After the next sign-in it asks again.
void ClientImpl::on_withdrawn(const wire::Withdrawn& message) {
  Tunnel* tunnel = by_number(message.tunnel);
  if (tunnel == nullptr) return;
  tunnel->number = 0;
  tunnel->last_failure = message.text;
  if (options_.on_tunnel_failed)
    options_.on_tunnel_failed({tunnel->options.name, Error(ErrorCode::Refused, Side::Tunnel, false, message.text)});
}

void ClientImpl::retry_registering() {
  if (!link_) return;
  for (std::size_t i = 0; i < tunnels_.size(); ++i) {
    if (tunnels_[i].number == 0 && tunnels_[i].ask_again) register_tunnel(i);
  }
}

void ClientImpl::on_goaway(std::uint32_t code, std::string_view text) {
  const auto said = static_cast<wire::GoawayCode>(code);
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
  if (stopping_) return shard_.stop();
  if (draining_) return;
  on_down(why);
}

void ClientImpl::end_link() {
  register_.cancel();
  keeper_.reset();
  origins_.reset();
  link_.reset();
  for (Tunnel& tunnel : tunnels_) {
    tunnel.number = 0;
    tunnel.ask_again = false;
    tunnel.now = 0;
  }
  const std::lock_guard state(state_mutex_);
  link_down_ = true;
  state_changed_.notify_all();
}

void ClientImpl::on_origin_failed(std::uint32_t number, const Error& error) {
  if (!options_.on_error) return;
  Error told = error;
  if (const Tunnel* tunnel = by_number(number)) {
    told.context +=
        ". The tunnel " + tunnel->options.name + " is up; visitors get an error until its service runs: is it started?";
  }
  options_.on_error(told);
}

void ClientImpl::on_origin_count(std::uint32_t number, int change, transport::RelayBytes) {
  Tunnel* tunnel = by_number(number);
  if (tunnel == nullptr) return;
  if (change > 0) {
    ++tunnel->now;
    ++tunnel->total;
  } else if (tunnel->now > 0) {
    --tunnel->now;
  }
  if (options_.on_visitor) options_.on_visitor({change > 0, tunnel->options.name, tunnel->now, tunnel->total});
}

}  // namespace ferrotunnel
