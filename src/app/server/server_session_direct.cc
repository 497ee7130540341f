// ServerSession, the part of direct links: the client's further connections, and which visitors get one.
#include <algorithm>

#include "app/server/server_session.h"
#include "transport/tcp/road.h"

namespace ferrotunnel::app {

void ServerSession::open_direct() {
  if (!outcome_.attach) return;
  home_ = std::make_shared<session::AttachHome>();
  home_->session = id_;
  home_->shard = shard_.shard().index();
  home_->grant = outcome_.grant;
  home_->instance = outcome_.instance;
  home_->use = use_;
  home_->direct.limit = shard_.live().config.max_direct;
  home_->links.limit = shard_.server().shards() - 1;
  shard_.server().attachable().add(*outcome_.attach, home_);
  if ((outcome_.features & wire::kFeatureDirect) == 0) return;
  direct_ =
      std::make_unique<ingress::DirectPool>(shard_.shard(), static_cast<ingress::DirectPoolHost&>(*this),
                                            shard_.live().config.max_direct, use_ != nullptr ? use_->streams : nullptr);
}

void ServerSession::leave_direct() {
  if (home_ != nullptr) shard_.server().attachable().remove(*outcome_.attach);
  if (!direct_) return;
  direct_->close();
  road_look_.disarm();
}

// The client says nothing before it is asked: what came with the handshake is a violation.
void ServerSession::attach(session::Negotiated negotiated) {
  if (negotiated.outcome.place->as() == wire::AttachAs::Link) return attach_link(std::move(negotiated));
  if (direct_)
    direct_->add(std::move(negotiated.stream), std::move(negotiated.outcome.place), !negotiated.early.empty());
}

void ServerSession::carry_changed() {
  if (!direct_) return;
  const bool lossy = road_.lossy(shard_.shard().now());
  direct_->set_road_lossy(lossy);
  bool needed = false;
  for (const auto& [number, tunnel] : tunnels_) {
    if (!tunnel.tcp || tunnel.gate->throttles()) continue;
    needed = needed || tunnel.carry == wire::Carry::Direct || (tunnel.carry == wire::Carry::Auto && lossy);
  }
  direct_->set_needed(needed && !leaving_ && !shard_.server().draining());
}

// While somebody is there whom it may concern.
void ServerSession::look_at_road() {
  const TimePoint now = shard_.shard().now();
  if (const auto count = transport::read_road(link_fd_)) road_.look(*count, now);
  carry_changed();
  bool concerned = road_.lossy(now);
  for (const auto& [number, tunnel] : tunnels_)
    concerned = concerned || (tunnel.carry == wire::Carry::Auto && tunnel.tcp && tunnel.counts->now.load() > 0);
  if (concerned) shard_.shard().arm(road_look_, session::kRoadLook);
}

void ServerSession::on_direct_wanted(std::uint32_t want) {
  link_->send_control(wire::encode(wire::DirectWanted{want}));
}

std::int64_t ServerSession::direct_room() const { return shard_.server().descriptors.room(DescriptorUse::Data); }

// A drain closes the link when its streams are over. Whoever has a link of his own finishes too.
bool ServerSession::outlives_its_link() const {
  return still_used() && !told_to_end_ && (leaving_ || shard_.server().draining());
}

bool ServerSession::still_used() const {
  return (direct_ && direct_->in_use() > 0) || std::ranges::any_of(further_, &Further::lives);
}

// Not here and now: we may be inside what would be destroyed.
void ServerSession::on_direct_unused() {
  if (!outlived_) return;
  shard_.shard().post([&shard = shard_, id = id_] {
    ServerSession* session = shard.find(id);
    if (session != nullptr && session->outlived_ && (session->told_to_end_ || !session->still_used()))
      session->end(*session->outlived_);
  });
}

}  // namespace ferrotunnel::app
