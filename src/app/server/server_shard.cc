#include "app/server/server_shard.h"

#include <algorithm>
#include <iterator>

#include "app/server/further_link.h"
#include "app/server/http_status.h"
#include "app/server/server_session.h"
#include "base/random.h"
#include "ferrotunnel/version.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::app {

namespace {

ingress::HttpIngressOptions http_options(ServerImpl& server) {
  ingress::HttpIngressOptions options;
  options.visitors = &server.visitors;
  options.shards = server.threads_wanted();
  options.via = server.via();
  options.min_visitor_rate = server.options().min_visitor_rate;
  const H2c h2c = server.options().h2c;
  options.h2c = h2c == H2c::Off ? ingress::H2c::Off : h2c == H2c::Upgrade ? ingress::H2c::Upgrade : ingress::H2c::Prior;
  options.max_visitors = SIZE_MAX;  // that one counts for all shards
  return options;
}

}  // namespace

ServerShard::ServerShard(ServerImpl& server, unsigned index, MemoryBudget& budget, LivePtr live)
    : server_(server),
      live_(std::move(live)),
      shard_(index, budget),
      routes_(server.router()),
      http_(shard_, routes_, links_, http_options(server), *this),
      proxies_(shard_, live_->trusted_proxies, server.options().proxies),
      joining_(join_limits(server.options().max_handshakes, server.options().max_handshakes_per_address,
                           descriptor_limit(), server.threads_wanted()),
               server.descriptors) {
  shard_.poller().set_busy_poll(live_->config.busy_poll);
  http_.set_pages(live_->pages);
}

void ServerShard::set_live(LivePtr live) {
  live_ = std::move(live);
  proxies_.trust(live_->trusted_proxies);
  shard_.poller().set_busy_poll(live_->config.busy_poll);
  if (http_listener_) http_listener_->keep_alive(live_->config.tcp_keepalive);
  if (https_) https_->keep_alive(live_->config.tcp_keepalive);
  apply_https();
  http_.set_pages(live_->pages);
  std::erase_if(leases_, [this](LeaseEnd& lease) { return !lease.last(live_->config.host_lease); });
}

ServerShard::~ServerShard() {
  // The thread is gone: what is left is ended here, visitors before the links that carry them.
  control_listener_.reset();
  http_listener_.reset();
  https_.reset();
  joining_.clear();
  http_.stop();
  further_.clear();
  sessions_.clear();
}

// As the configuration is now, and once the port is known.
void ServerShard::apply_https() {
  ingress::HttpsRules rules;
  rules.book = live_->https;
  rules.port = server_.https_port();
  rules.redirect = live_->config.https_redirect;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(live_->config.hsts);
  if (age.count() > 0) rules.hsts = "max-age=" + std::to_string(age.count());
  http_.set_https(std::move(rules));
}

Result<> ServerShard::listen(transport::UniqueFd control, transport::UniqueFd http, transport::UniqueFd https) {
  control_listener_ = listener(
      std::move(control),
      [this](transport::UniqueFd fd, const transport::SocketAddress& peer) { accept_client(std::move(fd), peer); });
  if (auto started = control_listener_->start(); !started) return started;
  if (https) {
    https_ = std::make_unique<HttpsListener>(*this, std::move(https));
    if (auto started = https_->start(); !started) return started;
    apply_https();
  }
  if (!http) return {};
  http_listener_ = listener(std::move(http), [this](transport::UniqueFd fd, const transport::SocketAddress& peer) {
    accept_visitor(std::move(fd), transport::to_peer_address(peer));
  });
  http_listener_->keep_alive(live_->config.tcp_keepalive);
  return http_listener_->start();
}

std::unique_ptr<transport::Listener> ServerShard::listener(transport::UniqueFd fd,
                                                           transport::Listener::OnAccept on_accept) {
  auto made = std::make_unique<transport::Listener>(shard_, std::move(fd), std::move(on_accept));
  made->on_starved([this](int error) { server_.say_starved(error); });
  return made;
}

// ---- signing in ---------------------------------------------------------------------------------------------------

void ServerShard::accept_client(transport::UniqueFd fd, const transport::SocketAddress& peer) {
  // Before anything is spent on it.
  if (!server_.throttle().admits(transport::to_peer_address(peer), shard_.now())) return;
  const auto place = joining_.add(transport::to_peer_address(peer));
  if (!place) return server_.say_short();
  const JoinCrowd::At at = *place;
  transport::tune_link(fd.get());
  const route::SessionId id = server_.next_session_id();
  auto make = [this, id](std::optional<session::ExporterKey> exporter) -> std::unique_ptr<session::HandshakeBase> {
    session::ServerHandshakeOptions options;
    options.version = std::string(version());
    options.session = "s" + std::to_string(id);
    options.heartbeat_ms = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(server_.options().heartbeat.interval).count());
    options.exporter = exporter;
    if (live_->config.max_direct != 0) options.features |= wire::kFeatureDirect;
    if (server_.shards() > 1) options.features |= wire::kFeatureLinks;
    options.features |= wire::kFeatureOrigin;
    options.features |= wire::kFeatureRules;
    if ((options.features & wire::kFeaturesOfAttach) != 0) {
      options.attachable = &server_.attachable();
      fill_random(options.attach.emplace());
    }
    return std::make_unique<session::ServerHandshake>(std::move(options), server_.grants());
  };
  auto done = [this, at, id, peer](Result<session::Negotiated> result) { negotiated(at, peer, id, std::move(result)); };
  if (live_->tls) {
    auto tls = transport::TlsStream::accept(fd.release(), *live_->tls);
    if (!tls) {
      joining_.remove(at);
      server_.counters.failed.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    at->negotiation = std::make_unique<session::Negotiation>(shard_, std::move(*tls), std::move(make),
                                                             session::kHandshakeDeadline, std::move(done));
  } else {
    at->negotiation =
        std::make_unique<session::Negotiation>(shard_, std::make_unique<transport::TcpStream>(std::move(fd)),
                                               std::move(make), session::kHandshakeDeadline, std::move(done));
  }
  at->negotiation->start();
}

void ServerShard::negotiated(JoinCrowd::At at, const transport::SocketAddress& peer, route::SessionId id,
                             Result<session::Negotiated> result) {
  const std::unique_ptr<session::Negotiation> over = std::move(at->negotiation);
  joining_.remove(at);
  if (!result && over->place_refused()) return;  // by a session, not by us
  if (!result) return sign_in_failed(peer, result.error());
  if (server_.draining()) return;
  if (result->outcome.place) return attach(std::move(*result));
  admit(id, peer.text(), std::move(*result));
}

void ServerShard::attach(session::Negotiated negotiated) {
  const session::AttachHome& home = negotiated.outcome.place->home();
  ServerShard& other = server_.shard(home.shard);
  if (&other != this) shard_.poller().leave(negotiated.stream->fd());
  auto hand_over = [&other, id = home.session, negotiated = std::move(negotiated)]() mutable {
    if (ServerSession* session = other.find(id)) session->attach(std::move(negotiated));
  };
  if (&other == this) return hand_over();
  other.shard().post(std::move(hand_over));
}

void ServerShard::sign_in_failed(const transport::SocketAddress& peer, const Error& why) {
  const bool unauthorized = why.code == ErrorCode::Unauthorized;
  auto& counter = unauthorized ? server_.counters.refused : server_.counters.failed;
  counter.fetch_add(1, std::memory_order_relaxed);
  const auto say = [this](std::string text) {
    if (server_.options().on_error)
      server_.options().on_error(Error(ErrorCode::Unauthorized, Side::Tunnel, false, std::move(text)));
  };
  // Whoever says nothing, or something else, is a scanner and not worth a line.
  if (unauthorized) say("a client at " + peer.text() + " was refused: " + why.context);
  // Who was cut off or too slow has tried nothing.
  if (!unauthorized && why.code != ErrorCode::Protocol) return;
  if (server_.throttle().failed(transport::to_peer_address(peer), shard_.now())) {
    say(peer.ip_text() + " failed to sign in " + std::to_string(session::FailureThrottle::kFailures) +
        " times in a minute: it is not listened to until that minute is over");
  }
}

void ServerShard::admit(route::SessionId id, const std::string& peer, session::Negotiated negotiated) {
  auto session = std::make_unique<ServerSession>(*this, id, peer, std::move(negotiated));
  ServerSession* raw = session.get();
  sessions_.emplace(id, std::move(session));
  const auto begin = [this, raw, id] {
    if (find(id) == nullptr) return;  // ended while it waited for its predecessor to go
    server_.counters.sign_ins.fetch_add(1, std::memory_order_relaxed);
    if (auto started = raw->start(); !started) {
      if (server_.options().on_error) server_.options().on_error(started.error());
      server_.leave(raw->owner(), id);
      sessions_.erase(id);
    }
  };
  if (!raw->take_descriptor()) {
    server_.say_short();
    return refuse(
        *raw,
        Error(ErrorCode::Limit, Side::Tunnel, true,
              "the server has no descriptor left for another client, or the grant its share of them: its operator "
              "raises its limit (ulimit -n, LimitNOFILE=)"));
  }
  const auto entered = server_.enter(raw->owner(), raw->grant_name(), {id, shard_.index()});
  if (!entered) return refuse(*raw, entered.error());
  const auto earlier = *entered;
  if (!earlier) return begin();
  ServerShard& other = server_.shard(earlier->shard);
  other.shard().post([this, &other, session_id = earlier->session, begin] {
    other.replace(session_id, [this, begin] { shard_.post(begin); });
  });
}

// Proved, and yet there is no room: it hears why, and tries again later.
void ServerShard::refuse(ServerSession& session, const Error& why) {
  server_.counters.refused.fetch_add(1, std::memory_order_relaxed);
  if (server_.options().on_error) server_.options().on_error(why);
  session.refuse(why);
}

void ServerShard::grants_changed() {
  std::erase_if(leases_, [this](LeaseEnd& lease) { return !lease.obey(server_.grants()); });
  for (auto& [id, session] : sessions_) session->grants_changed();
}

std::size_t ServerShard::kick(const std::string& name) {
  std::size_t kicked = 0;
  for (auto& [id, session] : sessions_) {
    if (session->name() != name && session->grant_name() != name) continue;
    session->kick();
    ++kicked;
  }
  return kicked;
}

void ServerShard::probe(const std::string& grant, route::SessionId asking, const std::optional<route::Place>& host,
                        std::uint16_t port) {
  for (auto& [id, session] : sessions_) {
    if (id != asking && session->grant_name() == grant && session->has(host, port)) session->prove_alive();
  }
}

void ServerShard::replace(route::SessionId session, std::function<void()> then) {
  ServerSession* found = find(session);
  if (found == nullptr) return then();
  found->replace(std::move(then));
}

ServerSession* ServerShard::find(route::SessionId session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void ServerShard::keep(Lease lease) {
  if (lease.hosts.empty() && lease.ports.empty())
    return session::GrantUse::give_back(lease.use->kept_bytes, lease.bytes);
  LeaseEnd& end = leases_.emplace_back(*this, std::move(lease));
  end.at = std::prev(leases_.end());
  if (!end.last(live_->config.host_lease)) leases_.pop_back();
}

ServerShard::LeaseEnd::~LeaseEnd() {
  for (const route::Place& host : lease_.hosts) let_go(host);
  for (const std::uint16_t port : lease_.ports) let_go(port);
  session::GrantUse::give_back(lease_.use->kept_bytes, lease_.bytes);
  shard_.freed(lease_.bytes);
}

bool ServerShard::LeaseEnd::last(Duration time) {
  const Duration left = began_ + std::min(time, lease_.most) - shard_.shard_.now();
  if (left <= Duration::zero()) return false;
  shard_.shard_.arm(*this, left);
  return true;
}

bool ServerShard::LeaseEnd::obey(const session::GrantBook& grants) {
  const auto grant = grants.find(lease_.grant);
  // One of the same name that was made since is another.
  if (grant == nullptr || grants.use(lease_.grant) != lease_.use) return false;
  const auto outside = [this](const auto& place, bool allowed) {
    if (!allowed) let_go(place);
    return !allowed;
  };
  std::erase_if(lease_.hosts,
                [&](const route::Place& place) { return outside(place, grant->allows_host(place.host)); });
  std::erase_if(lease_.ports, [&](std::uint16_t port) { return outside(port, grant->allows_port(port)); });
  return !lease_.hosts.empty() || !lease_.ports.empty();
}

void ServerShard::LeaseEnd::let_go(const route::Place& host) {
  shard_.server_.router().release(host, lease_.session);
  session::GrantUse::give_back(*lease_.use.*lease_.held);
}
void ServerShard::LeaseEnd::let_go(std::uint16_t port) {
  shard_.server_.ports().release(port, lease_.session);
  session::GrantUse::give_back(*lease_.use.*lease_.held);
}

void ServerShard::remove(route::SessionId session) { sessions_.erase(session); }

// ---- links of sessions on other shards ----------------------------------------------------------------------------

void ServerShard::add_further(FurtherLinkStart start) {
  const route::SessionId id = start.session;
  ServerShard& home = server_.shard(start.home);
  auto link = std::make_unique<FurtherLink>(*this, std::move(start));
  if (link->start()) {
    further_.insert_or_assign(id, std::move(link));
    return;
  }
  home.shard().post([&home, id, at = shard_.index()] {
    if (ServerSession* session = home.find(id)) session->further_link_gone(at);
  });
}

FurtherLink* ServerShard::find_further(route::SessionId session) {
  const auto found = further_.find(session);
  return found == further_.end() ? nullptr : found->second.get();
}

void ServerShard::remove_further(route::SessionId session) { further_.erase(session); }

void ServerShard::adopt_visitor(route::SessionId id, unsigned home, std::uint32_t tunnel, transport::UniqueFd fd,
                                const transport::PeerAddress& peer, ingress::VisitorSlot slot, const LinkLoad& load) {
  if (FurtherLink* link = find_further(id); link != nullptr && link->adopt(tunnel, fd, peer, slot, load)) return;
  load->fetch_sub(1, std::memory_order_relaxed);
  ServerShard& other = server_.shard(home);
  other.shard().post([&other, id, tunnel, fd = std::move(fd), peer, slot = std::move(slot)]() mutable {
    if (ServerSession* session = other.find(id))
      return session->take_back(tunnel, std::move(fd), peer, std::move(slot));
    transport::close_with_reset(fd.get());
  });
}

void ServerShard::on_move(const route::RouteTarget& target) {
  if (target.pinned) return;
  const TimePoint now = shard_.now();
  if (now - moved_since_ > std::chrono::seconds(1)) {
    moved_.clear();
    moved_since_ = now;
  }
  if (++moved_[target.session] != kHotMoves) return;
  ServerShard& home = server_.shard(target.shard);
  home.shard().post([&home, id = target.session, at = shard_.index()] {
    if (ServerSession* session = home.find(id)) session->want_link(at);
  });
}

// ---- ending -------------------------------------------------------------------------------------------------------

void ServerShard::stop_accepting() {
  control_listener_.reset();
  http_listener_.reset();
  if (https_) https_->stop_accepting();
  proxies_.forget(*this);
  joining_.clear();
}

void ServerShard::turn_newcomers_away() {
  // Whoever is connected already is let in: a listener that closes resets those that it has not accepted.
  if (http_listener_) http_listener_->take_waiting();
  if (https_) https_->take_waiting();
  stop_accepting();
  http_.begin_drain();
}

void ServerShard::drain() {
  if (https_) https_->end_handshakes();
  http_.drain();
  for (auto& [id, link] : further_) link->drain("the server is draining");
  for (auto& [id, session] : sessions_) session->drain();
}

void ServerShard::close_all(const Error& why) {
  stop_accepting();
  if (https_) https_->end_handshakes();
  http_.stop();
  for (auto& [id, link] : further_) link->close(why);
  for (auto& [id, session] : sessions_) session->close(why);
}

// ---- HTTP ---------------------------------------------------------------------------------------------------------

void ServerShard::accept_visitor(transport::UniqueFd fd, const transport::PeerAddress& peer) {
  if (!proxies_.trusts(peer)) return on_proxied(std::move(fd), peer);
  auto slot = http_.let_in({});  // who he is comes with the header
  if (slot) return proxies_.take(std::move(fd), peer, *this, std::move(slot));
  transport::TcpStream visitor(std::move(fd));
  http_.turn_away(visitor, ingress::Refusal::ServerLimit);
}

void ServerShard::on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) {
  http_.adopt(std::make_unique<transport::TcpStream>(std::move(fd)), visitor);
}

bool ServerShard::make_room(const transport::PeerAddress& of) {
  for (unsigned i = 0; i < server_.shards(); ++i) {
    ServerShard& other = server_.shard(i);
    if (&other == this || other.http_.spare() <= other.room_asked_.load(std::memory_order_relaxed)) continue;
    if (of.family != 0 && !other.http_.has_most_spare(of)) continue;
    other.room_asked_.fetch_add(1, std::memory_order_relaxed);
    other.shard().post([&other, of] {
      other.room_asked_.fetch_sub(1, std::memory_order_relaxed);
      other.http_.make_room(of);
    });
    return true;
  }
  return false;
}

void ServerShard::move_visitor(unsigned to, transport::ByteStreamPtr visitor, const transport::PeerAddress& peer,
                               std::string early, const ingress::VisitorTls& tls, ingress::VisitorSlot slot) {
  ServerShard& other = server_.shard(to);
  shard_.poller().leave(visitor->fd());
  // A std::function's target has to be copyable; a posted handler only movable.
  other.shard().post(
      [&other, visitor = std::move(visitor), peer, early = std::move(early), tls, slot = std::move(slot)]() mutable {
        other.http_.adopt(std::move(visitor), peer, std::move(early), tls, std::move(slot));
      });
}

void ServerShard::move_http2(unsigned to, ingress::Http2Parcel parcel) {
  ServerShard& other = server_.shard(to);
  shard_.poller().leave(parcel.stream->fd());
  other.shard().post([&other, parcel = std::move(parcel)]() mutable { other.http_.adopt_http2(std::move(parcel)); });
}

void ServerShard::on_request(const ingress::RequestRecord& record) {
  // The session is here, or a link of it.
  TunnelCounts* tunnel = nullptr;
  if (ServerSession* session = find(record.session)) {
    tunnel = session->counts(record.tunnel);
  } else if (FurtherLink* link = find_further(record.session)) {
    tunnel = link->counts(record.tunnel);
  }
  if (record.refused) count_refused(*record.refused);
  if (tunnel != nullptr && record.refused) tunnel->count_refused(*record.refused);
  if (tunnel != nullptr && !record.refused) tunnel->total.fetch_add(1, std::memory_order_relaxed);
  const auto& call = server_.options().on_request;
  if (!call) return;
  RequestEvent event;
  event.request_id = record.request_id;
  if (tunnel != nullptr) event.tunnel = tunnel->name;
  event.method = record.method;
  event.host = record.host;
  event.path = record.path;
  event.status = record.status;
  event.bytes_in = record.bytes_in;
  event.bytes_out = record.bytes_out;
  event.took = std::chrono::duration_cast<std::chrono::microseconds>(record.duration);
  if (!record.slug.empty()) {
    event.failure = record.slug;
    switch (record.side) {
      case http::FaultSide::Visitor: event.failed_side = Side::Visitor; break;
      case http::FaultSide::Server: event.failed_side = Side::Local; break;
      case http::FaultSide::Tunnel: event.failed_side = Side::Tunnel; break;
      case http::FaultSide::Origin: event.failed_side = Side::Origin; break;
    }
  }
  call(event);
}

void ServerShard::fill_status(ShardStatus& part) const {
  ServerStatus& status = part.status;
  for (const auto& [id, session] : sessions_) session->fill_status(part);
  for (const auto& [id, link] : further_) {
    SessionStatus& more = part.further.emplace_back();
    more.id = link->name();
    more.links = 0;
    link->fill_status(more);
  }
  for (const auto& one : http_.requests_now())
    if (further_.contains(one.first.session)) part.requests.push_back(one);
  status.proxy_headers_refused += proxies_.counters().refused;
  status.idle_ended += past_.idle_ended;
  status.throttled += past_.throttled;
  status.accepts_failed += past_.accepts_failed;
  status.handshakes_waiting += joining_.size();
  status.handshakes_failed += joining_.failed();
  status.handshakes_crowded_out += joining_.counters().crowded_out;
  status.handshakes_crowded_out_address += joining_.counters().crowded_out_address;
  for (const auto* listener : {control_listener_.get(), http_listener_.get()})
    if (listener != nullptr) status.accepts_failed += listener->failures();
  if (https_) https_->fill_status(status);
  status.http = to_status(http_.stats());
}

}  // namespace ferrotunnel::app
