#include "ingress/origin_h2/h2_origins.h"

#include <algorithm>

namespace ferrotunnel::ingress {

H2Origins::~H2Origins() {
  clear();
  dead_streams_.clear();
  dead_.clear();
}

// What forwarding adds to a head that was let in.
http::Limits H2Origins::wide(http::Limits limits) {
  limits.target_bytes += 4096;
  limits.head_bytes = 2 * limits.head_bytes + 16'384;
  limits.fields += 100;
  limits.connection_options += 8;
  return limits;
}

H2OriginConnection* H2Origins::choose(Connections& all, bool fresh) const {
  H2OriginConnection* fullest = nullptr;
  H2OriginConnection* emptiest = nullptr;
  std::size_t count = 0;
  for (H2OriginConnection& one : all) {
    if (!one.usable()) continue;
    ++count;
    if (emptiest == nullptr || one.load() < emptiest->load()) emptiest = &one;
    if (one.has_room() && (fullest == nullptr || one.load() > fullest->load())) fullest = &one;
  }
  if (fullest != nullptr && !fresh) return fullest;
  return count < options_.h2_connections_per_tunnel ? nullptr : emptiest;
}

Result<H2Origins::Placed> H2Origins::open(transport::Link* link, const TunnelKey& tunnel,
                                          const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                          std::string_view scheme, bool fresh) {
  Connections& all = tunnels_[tunnel];
  H2OriginConnection* connection = choose(all, fresh);
  const bool shared = connection != nullptr;
  if (!shared) {
    if (link == nullptr) return Placed{};
    transport::OpenInfo info;
    info.tunnel = tunnel.tunnel;
    info.kind = transport::OpenKind::Http;
    info.visitor = visitor;
    auto made = std::make_unique<H2OriginConnection>(*this, scheme);
    if (auto opened = made->open(*link, info); !opened) return std::unexpected(std::move(opened.error()));
    connection = made.release();
    all.push_back(*connection);
  }
  auto* stream = new H2OriginStream(*this, *connection, handler);
  connection->add(*stream);
  return Placed{stream, shared};
}

void H2Origins::forget_session(route::SessionId session) {
  for (auto at = tunnels_.begin(); at != tunnels_.end();) {
    auto entry = at++;
    if (entry->first.session != session) continue;
    for (auto one = entry->second.begin(); one != entry->second.end();) {
      H2OriginConnection& connection = *one++;
      connection.tire();
      if (connection.load() == 0) connection.cut();
    }
  }
}

void H2Origins::forget_tunnel(const TunnelKey& tunnel) {
  const auto found = tunnels_.find(tunnel);
  if (found == tunnels_.end()) return;
  for (H2OriginConnection& connection : found->second) connection.retire();
}

void H2Origins::close() {
  closed_ = true;
  for (auto& [key, all] : tunnels_)
    for (H2OriginConnection& connection : all)
      if (connection.load() == 0) connection.retire();
}

void H2Origins::clear() {
  for (auto& [key, all] : tunnels_)
    while (!all.empty()) all.front().cut();
  tunnels_.clear();
  while (!orphans_.empty()) orphans_.front().reset(transport::ResetReason::Cancel);
}

std::size_t H2Origins::idle() const {
  std::size_t count = 0;
  for (const auto& [key, all] : tunnels_)
    count += static_cast<std::size_t>(
        std::ranges::count_if(all, [](const H2OriginConnection& one) { return one.usable() && one.load() == 0; }));
  return count;
}

std::size_t H2Origins::connections(const TunnelKey& tunnel) const {
  const auto found = tunnels_.find(tunnel);
  return found == tunnels_.end() ? 0 : static_cast<std::size_t>(std::ranges::distance(found->second));
}

void H2Origins::orphan(H2OriginStream& stream) {
  stream.H2OriginStreamHook::unlink();
  orphans_.push_back(stream);
}

void H2Origins::bury(H2OriginStream& stream) {
  dead_streams_.emplace_back(&stream);
  shard_.at_turn_end(*this);
}

void H2Origins::bury(H2OriginConnection& connection) {
  dead_.emplace_back(&connection);
  shard_.at_turn_end(*this);
}

// Nobody is inside them any more.
void H2Origins::run_turn() {
  dead_streams_.clear();
  dead_.clear();
  std::erase_if(tunnels_, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace ferrotunnel::ingress
