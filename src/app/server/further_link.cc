#include "app/server/further_link.h"

#include "app/server/server_session.h"
#include "app/server/server_shard.h"

namespace ferrotunnel::app {

FurtherLink::FurtherLink(ServerShard& shard, FurtherLinkStart start)
    : shard_(shard),
      session_(start.session),
      name_(std::move(start.name)),
      home_(start.home),
      place_(std::move(start.peer.outcome.place)),
      book_(std::move(start.book)),
      quota_(std::move(start.quota)),
      load_(std::move(start.load)),
      link_(std::make_unique<mux::MuxLink>(shard.shard(), std::move(start.peer.stream), mux::Role::Server,
                                           shard.server().options().mux, static_cast<transport::LinkHandler&>(*this),
                                           start.peer.early)),
      used_(shard.shard().now()) {}

FurtherLink::~FurtherLink() {
  leave();
  keeper_.reset();
  tunnels_.clear();  // relays let go of their streams while the link still stands
  const transport::LinkStatus last = link_->status();
  book_->bytes_in.fetch_add(last.bytes_in, std::memory_order_relaxed);
  book_->bytes_out.fetch_add(last.bytes_out, std::memory_order_relaxed);
}

Result<> FurtherLink::start() {
  if (quota_ != nullptr) link_->set_quota(quota_);
  if (auto started = link_->start(); !started) return started;
  shard_.links().add(session_, *link_);
  keeper_ = std::make_unique<session::LinkKeeper>(
      shard_.shard(), *link_, shard_.server().options().heartbeat, [this](std::string_view what) {
        close(Error(ErrorCode::Timeout, Side::Tunnel, true, "the client " + std::string(what)));
      });
  shard_.shard().arm(*this, kLook);
  return {};
}

void FurtherLink::drain(std::string_view why) {
  leave();
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), why);
}

void FurtherLink::close(const Error& why) {
  leave();
  keeper_.reset();
  link_->close(why);
}

void FurtherLink::leave() {
  if (std::exchange(leaving_, true)) return;
  Deadline::disarm();
  shard_.links().remove(session_);
  shard_.http().forget_session(session_);
}

// ---- visitors -----------------------------------------------------------------------------------------------------

FurtherLink::Tunnel* FurtherLink::find(std::uint32_t number) {
  if (const auto found = tunnels_.find(number); found != tunnels_.end()) return &found->second;
  auto counts = book_->find(number);
  if (counts == nullptr) return nullptr;
  return &tunnels_.emplace(number, Tunnel{std::move(counts), nullptr}).first->second;
}

TunnelCounts* FurtherLink::counts(std::uint32_t number) {
  Tunnel* tunnel = find(number);
  return tunnel == nullptr ? nullptr : tunnel->counts.get();
}

bool FurtherLink::adopt(std::uint32_t number, transport::UniqueFd& fd, const transport::PeerAddress& peer,
                        ingress::VisitorSlot& slot, const LinkLoad& load) {
  Tunnel* tunnel = leaving_ ? nullptr : find(number);
  if (tunnel == nullptr) return false;
  if (!tunnel->tcp) {
    tunnel->tcp = std::make_unique<ingress::TcpIngress>(shard_.shard(), *link_, number,
                                                        static_cast<ingress::TcpIngressHost&>(*this));
  }
  counted_ = load == load_;  // else he was sent to one before this
  tunnel->tcp->adopt(std::move(fd), peer, std::move(slot));
  // There was no stream for him, or he was gone, or he is counted here now.
  if (std::exchange(counted_, false) || load != load_) load->fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void FurtherLink::drop_tunnel(std::uint32_t number) {
  const auto found = tunnels_.find(number);
  if (found == tunnels_.end()) return;
  const Tunnel tunnel = std::move(found->second);
  tunnels_.erase(found);
  const std::size_t visitors = tunnel.tcp ? tunnel.tcp->active() : 0;
  load_->fetch_sub(static_cast<std::uint32_t>(visitors), std::memory_order_relaxed);
}

void FurtherLink::on_visitor(std::uint32_t number, int change) {
  const auto found = tunnels_.find(number);
  if (found == tunnels_.end()) return;  // it was given up: its visitors are being ended
  TunnelCounts& counts = *found->second.counts;
  const auto [now, total] = counts.count(change);
  if (change > 0) {
    if (!std::exchange(counted_, false)) load_->fetch_add(1, std::memory_order_relaxed);
  } else {
    load_->fetch_sub(1, std::memory_order_relaxed);
  }
  if (const auto& call = shard_.server().options().on_visitor) call({change > 0, counts.name, now, total});
}

void FurtherLink::on_refused(std::uint32_t number, ingress::Refusal why) {
  shard_.count_refused(why);
  if (TunnelCounts* found = counts(number)) found->count_refused(why);
}

// ---- the link -----------------------------------------------------------------------------------------------------

// On the session's own shard, if it is still there.
template <class Function>
void FurtherLink::at_home(Function function) {
  ServerShard& home = shard_.server().shard(home_);
  home.shard().post([&home, session = session_, function = std::move(function)] {
    if (ServerSession* found = home.find(session)) function(*found);
  });
}

void FurtherLink::on_open(transport::Stream& stream, const transport::OpenInfo&) {
  stream.reset(transport::ResetReason::Refused);
}

void FurtherLink::on_control(std::string_view) {
  const Error why(ErrorCode::Protocol, Side::Tunnel, true, "a message about the session on a further link");
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Protocol), why.context);
  close(why);
}

// The session sends nobody here any more; until it knows, who comes goes back to its first link.
void FurtherLink::on_goaway(std::uint32_t, std::string_view) {
  leave();
  at_home([at = shard_.shard().index()](ServerSession& session) { session.further_link_leaving(at); });
}

void FurtherLink::on_link_closed(const Error&) {
  at_home([at = shard_.shard().index()](ServerSession& session) { session.further_link_gone(at); });
  shard_.remove_further(session_);  // destroys us
}

void FurtherLink::on_deadline() {
  shard_.shard().arm(*this, kLook);
  const TimePoint now = shard_.shard().now();
  if (link_->status().streams > 0) used_ = now;
  if (now - used_ < kIdle) return;
  used_ = now;  // it is asked again where the session has another opinion
  at_home([at = shard_.shard().index()](ServerSession& session) { session.further_link_idle(at); });
}

void FurtherLink::fill_status(SessionStatus& session) const {
  const transport::LinkStatus link = link_->status();
  ++session.links;
  session.streams += link.streams;
  session.bytes_in += link.bytes_in;
  session.bytes_out += link.bytes_out;
}

}  // namespace ferrotunnel::app
