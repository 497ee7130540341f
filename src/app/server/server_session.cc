#include "app/server/server_session.h"

#include <algorithm>

#include "app/limits.h"
#include "wire/base64.h"

namespace ferrotunnel::app {

namespace {

std::string untold_text(std::uint64_t count) {
  return " (" + std::to_string(count) +
         " more registrations of this session were rejected before, and not told one by one)";
}

// All that the grant's tunnels may say, twice: the client may be loaded anew as soon as it has signed in.
mux::MuxLimits limits_of(const mux::MuxLimits& limits, const session::Grant* grant) {
  mux::MuxLimits own = limits;
  if (grant != nullptr) own.control_burst = std::max(own.control_burst, 2 * grant->limits.tunnel_bytes);
  return own;
}

// Codes of docs/wire-protocol.md, from the error that the registration met.
std::string_view reject_code(const Error& why, wire::TunnelProto proto) {
  switch (why.code) {
    case ErrorCode::AddressInUse:
      return proto == wire::TunnelProto::Http ? wire::kRejectHostTaken : wire::kRejectPortInUse;
    case ErrorCode::Limit: return wire::kRejectLimit;
    case ErrorCode::BadInput: return wire::kRejectBadRequest;
    default: return wire::kRejectNotAllowed;
  }
}

}  // namespace

ServerSession::ServerSession(ServerShard& shard, route::SessionId id, std::string peer, session::Negotiated negotiated)
    : shard_(shard),
      id_(id),
      peer_(std::move(peer)),
      outcome_(std::move(negotiated.outcome)),
      transport_(std::move(negotiated.transport)),
      owner_(outcome_.grant + "/" + wire::base64url_encode(outcome_.instance)),
      since_(Clock::now()),
      grant_(shard.server().grants().find(outcome_.grant)),
      use_(shard.server().grants().use(outcome_.grant)),
      link_fd_(negotiated.stream->fd()),
      link_(std::make_unique<mux::MuxLink>(shard.shard(), std::move(negotiated.stream), mux::Role::Server,
                                           limits_of(shard.server().options().mux, grant_.get()),
                                           static_cast<transport::LinkHandler&>(*this), negotiated.early)) {}

ServerSession::~ServerSession() {
  further_.clear();  // other shards may be gone already
  leave_direct();
  keeper_.reset();
  give_up_all();  // relays let go of their streams while the link still stands
}

Result<> ServerSession::start() {
  if (use_ != nullptr) link_->set_quota(use_->streams);
  auto started = link_->start();
  if (!started) return started;
  shard_.links().add(id_, *link_);
  keeper_ = std::make_unique<session::LinkKeeper>(
      shard_.shard(), *link_, shard_.server().options().heartbeat, [this](std::string_view what) {
        close(Error(ErrorCode::Timeout, Side::Tunnel, true, "the client " + std::string(what)));
      });
  up_ = true;
  open_direct();
  open_links();
  grants_changed();  // since the handshake, perhaps
  if (const auto& call = shard_.server().options().on_session) {
    call({SessionEvent::Kind::Up, outcome_.session, outcome_.grant, peer_, outcome_.peer_version, transport_,
          std::nullopt});
  }
  return {};
}

bool ServerSession::take_descriptor() {
  hold_ = session::GrantDescriptor::take(shard_.server().descriptors, DescriptorUse::Client, use_);
  return static_cast<bool>(hold_);
}

void ServerSession::refuse(const Error& why) {
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Limit), why.context);
  close(why);
}

void ServerSession::kick() {
  const Error why(ErrorCode::Cancelled, Side::Tunnel, true, "the server's operator ended the session");
  give_up_all(Places::Kept);
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Limit), why.context);
  close(why);
}

void ServerSession::drain() {
  for (auto& [number, tunnel] : tunnels_) {
    if (tunnel.tcp) tunnel.tcp->stop_accepting();
  }
  carry_changed();
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), "the server is draining");
}

void ServerSession::close(const Error& why) {
  told_to_end_ = true;
  keeper_.reset();
  if (outlived_) return on_direct_unused();
  link_->close(why);
}

void ServerSession::replace(std::function<void()> then) {
  successor_ = std::move(then);
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Replaced), "the same client signed in again");
  close(Error(ErrorCode::Closed, Side::Tunnel, true, "the same client signed in again"));
}

// Version 1.0 of the protocol has none: the core refuses them before they get here.
void ServerSession::on_open(transport::Stream& stream, const transport::OpenInfo&) {
  stream.reset(transport::ResetReason::Refused);
}

void ServerSession::on_control(std::string_view json) {
  auto message = wire::decode(json);
  if (!message) {
    link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Protocol), message.error().context);
    return close(message.error());
  }
  if (!*message) return;
  if (const auto* request = std::get_if<wire::Register>(&**message)) return on_register(*request);
  if (const auto* request = std::get_if<wire::Unregister>(&**message)) return take_out(request->tunnel, Places::LetGo);
  if (const auto* request = std::get_if<wire::Update>(&**message)) return on_update(*request);
  if (const auto* said = std::get_if<wire::Road>(&**message)) {
    road_.peer_says(said->loss_ppm, shard_.shard().now());
    return carry_changed();
  }
  const Error why(ErrorCode::Protocol, Side::Tunnel, true, "a handshake message after the handshake");
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Protocol), why.context);
  close(why);
}

void ServerSession::on_goaway(std::uint32_t, std::string_view) {
  leaving_ = true;
  // The client drains: new visitors learn that it is closing, until another client of the grant takes the host; those inside finish. Warm connections
  // to its origins would keep the link from ending.
  for (auto& [number, tunnel] : tunnels_) {
    if (tunnel.tcp) tunnel.tcp->stop_accepting();
    for (const route::Place& place : tunnel.places) shard_.server().router().offer(place, id_);
  }
  shard_.http().forget_session(id_);
  carry_changed();
}

void ServerSession::on_link_closed(const Error& why) {
  if (outlived_) return end(*outlived_);
  keeper_.reset();
  leave_direct();
  shard_.links().remove(id_);
  shard_.http().forget_session(id_);
  if (outlives_its_link()) {
    outlived_ = why;
    on_further([id = id_](ServerShard& shard) {
      if (FurtherLink* link = shard.find_further(id)) link->drain("the session is ending");
    });
    return;
  }
  end(why);
}

void ServerSession::end(const Error& why) {
  on_further([id = id_, why](ServerShard& shard) {
    if (FurtherLink* link = shard.find_further(id)) link->close(why);
  });
  further_.clear();  // their visitors end with them, and are told of as such
  give_up_all(shard_.server().draining() ? Places::Free : leaving_ ? Places::Left : Places::Kept);
  if (const std::uint64_t silent = reject_log_.take(); silent > 0 && shard_.server().options().on_error) {
    shard_.server().options().on_error(
        Error(ErrorCode::Limit, Side::Tunnel, false,
              "session " + outcome_.session + " of grant " + outcome_.grant + " has ended" + untold_text(silent)));
  }
  if (up_) {
    up_ = false;
    if (const auto& call = shard_.server().options().on_session) {
      call({SessionEvent::Kind::Down, outcome_.session, outcome_.grant, peer_, outcome_.peer_version, transport_, why});
    }
  }
  const std::function<void()> then = std::move(successor_);
  shard_.server().leave(owner_, id_);
  shard_.remove(id_);  // destroys us
  if (then) then();
}

void ServerSession::on_visitor(std::uint32_t number, int change) {
  const auto found = tunnels_.find(number);
  if (found == tunnels_.end()) return;  // it was given up: its visitors are being ended
  Tunnel& tunnel = found->second;
  TunnelCounts& counts = *tunnel.counts;
  const auto [now, total] = counts.count(change);
  if (change > 0) {
    ++here_;
    if (tunnel.gate->open() && tunnel.carry != wire::Carry::Direct) look_at_load();
    if (direct_ && tunnel.carry == wire::Carry::Auto && !road_look_.armed())
      shard_.shard().arm(road_look_, session::kRoadLook);
  } else {
    --here_;
  }
  if (const auto& call = shard_.server().options().on_visitor) call({change > 0, tunnel.name, now, total});
}

void ServerSession::on_refused(std::uint32_t number, ingress::Refusal why) {
  shard_.count_refused(why);
  if (TunnelCounts* found = counts(number)) found->count_refused(why);
}

TunnelCounts* ServerSession::counts(std::uint32_t number) {
  const auto found = tunnels_.find(number);
  return found == tunnels_.end() ? nullptr : found->second.counts.get();
}

// ---- tunnels ------------------------------------------------------------------------------------------------------

void ServerSession::say_tunnel(TunnelEvent::Kind kind, const std::string& name, const std::string& url,
                               const Error* why) {
  if (const auto& call = shard_.server().options().on_tunnel) {
    call({kind, outcome_.session, name, url, why != nullptr ? std::optional<Error>(*why) : std::nullopt});
  }
}

void ServerSession::reject(const wire::Register& request, const Error& why) {
  shard_.server().counters.tunnels_rejected.fetch_add(1, std::memory_order_relaxed);
  link_->send_control(
      wire::encode(wire::Rejected{request.req, std::string(reject_code(why, request.proto)), why.context}));
  const auto silent = reject_log_.add(shard_.shard().now());
  if (!silent) return;
  Error told = why;
  if (*silent > 0) told.context += untold_text(*silent);
  say_tunnel(TunnelEvent::Kind::Rejected, request.name, "", &told);
}

std::optional<Lease> ServerSession::lease_of(Places places) {
  const bool keeps = places != Places::Free && use_ != nullptr && grant_ != nullptr &&
                     shard_.live().config.host_lease > Duration::zero();
  if (!keeps) return {};
  Lease lease{id_, outcome_.grant, use_, {}, {}};
  if (places != Places::LetGo) return lease;
  lease.session = shard_.server().next_session_id();
  lease.most = Lease::kLetGo;
  lease.held = &session::GrantUse::let_go;
  return lease;
}

void ServerSession::give_up_places(Tunnel& tunnel, Lease* lease, Places places) {
  const std::uint16_t port = tunnel.tcp ? tunnel.tcp->port() : std::uint16_t{0};
  const auto may_keep = [&] {
    return lease != nullptr && session::GrantUse::take(*use_.*lease->held, grant_->limits.leases());
  };
  if (port != 0 && places != Places::Left && may_keep()) {
    // Before nobody listens there.
    using Why = route::PortKeeper::Why;
    shard_.server().ports().keep(port, owner_, lease->session, places == Places::LetGo ? Why::LetGo : Why::Away);
    lease->ports.push_back(port);
  }
  route::Router& router = shard_.server().router();
  const auto keep = [&](const route::Place& place) {
    if (places == Places::LetGo) return router.let_go(place, id_, lease->session);
    return places == Places::Kept ? router.keep(place, id_) : router.leave(place, id_);
  };
  const bool stays = lease != nullptr && places != Places::Left && !tunnel.places.empty();
  if (stays && session::GrantUse::take(use_->kept_bytes, grant_->limits.tunnel_bytes, tunnel.said.bytes())) {
    lease->bytes += tunnel.said.bytes();
  } else if (stays) {
    for (const route::Place& place : tunnel.places) router.forget_rules(place, id_);
  }
  for (const route::Place& place : tunnel.places) {
    const bool may = may_keep();
    if (may && keep(place)) {
      lease->hosts.push_back(place);
      continue;
    }
    if (may) session::GrantUse::give_back(*use_.*lease->held);
    router.release(place, id_);
  }
}

void ServerSession::give_up(Tunnel& tunnel, Lease* lease, Places places) {
  give_up_places(tunnel, lease, places);
  shard_.freed(tunnel.said.bytes());
  tunnel.route_hold = {};
  book_->remove(tunnel.number);
  on_further([id = id_, number = tunnel.number](ServerShard& shard) {
    if (FurtherLink* link = shard.find_further(id)) link->drop_tunnel(number);
  });
  if (tunnel.tcp) here_ -= static_cast<std::uint32_t>(tunnel.tcp->active());
  if (tunnel.tcp) shard_.past().idle_ended += tunnel.tcp->counters().idle_ended;
  if (tunnel.tcp) shard_.past().accepts_failed += tunnel.tcp->accepts_failed();
  if (tunnel.gate) shard_.past().throttled += tunnel.gate->throttled();
  shard_.http().set_gate({id_, tunnel.number}, nullptr);
  tunnel.tcp.reset();
  if (use_ != nullptr) session::GrantUse::give_back(use_->tunnels);
  say_tunnel(TunnelEvent::Kind::Down, tunnel.name, tunnel.url);
}

void ServerSession::take_out(std::uint32_t number, Places places) {
  const auto found = tunnels_.find(number);
  if (found == tunnels_.end()) return;
  Tunnel tunnel = std::move(found->second);
  tunnels_.erase(found);
  auto lease = lease_of(places);
  give_up(tunnel, lease ? &*lease : nullptr, places);
  if (lease) shard_.keep(std::move(*lease));
  carry_changed();
}

void ServerSession::give_up_all(Places places) {
  std::map<std::uint32_t, Tunnel> tunnels;
  tunnels.swap(tunnels_);
  auto lease = lease_of(places);
  for (auto& [number, tunnel] : tunnels) give_up(tunnel, lease ? &*lease : nullptr, places);
  if (lease) shard_.keep(std::move(*lease));
}

void ServerSession::fill_status(ShardStatus& part) const {
  ServerStatus& status = part.status;
  const transport::LinkStatus link = link_->status();
  SessionStatus session;
  session.id = outcome_.session;
  session.grant = outcome_.grant;
  session.address = peer_;
  session.version = outcome_.peer_version;
  session.transport = transport_;
  session.rtt = std::chrono::duration_cast<std::chrono::microseconds>(link.rtt);
  session.up = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since_);
  session.streams = link.streams;
  session.bytes_in = link.bytes_in;
  session.bytes_out = link.bytes_out;
  session.bytes_in += book_->bytes_in.load(std::memory_order_relaxed);
  session.bytes_out += book_->bytes_out.load(std::memory_order_relaxed);
  if (direct_) {
    const ingress::DirectCounters& direct = direct_->counters();
    session.direct = direct_->in_use();
    session.direct_warm = direct_->warm();
    session.direct_taken = direct.taken;
    session.direct_missed = direct.missed;
    session.direct_limited = direct.limited;
    // Seen from the client: what visitors get comes from it.
    session.bytes_in += direct.bytes_out;
    session.bytes_out += direct.bytes_in;
    for (const auto& [number, tunnel] : tunnels_) {
      const transport::RelayBytes now = tunnel.tcp ? tunnel.tcp->direct_bytes() : transport::RelayBytes{};
      session.bytes_in += now.to_socket;
      session.bytes_out += now.from_socket;
    }
  }
  status.sessions.push_back(std::move(session));
  for (const auto& [number, tunnel] : tunnels_) {
    TunnelStatus one{tunnel.name, outcome_.session, tunnel.url, tunnel.counts->now.load(std::memory_order_relaxed),
                     tunnel.counts->total.load(std::memory_order_relaxed)};
    one.refused = to_status(tunnel.counts->refusals());
    if (!tunnel.host.empty()) one.visitors_now = shard_.http().requests_now({id_, number});
    if (tunnel.tcp) one.idle_ended = tunnel.tcp->counters().idle_ended;
    if (tunnel.tcp) status.accepts_failed += tunnel.tcp->accepts_failed();
    one.throttled = tunnel.gate->throttled();
    status.idle_ended += one.idle_ended;
    status.throttled += one.throttled;
    status.tunnels.push_back(std::move(one));
    part.keys.push_back({id_, number});
  }
}

}  // namespace ferrotunnel::app
