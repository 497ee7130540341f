#include "ingress/http1/origin_pool.h"

#include <algorithm>

namespace ferrotunnel::ingress {

using transport::ResetReason;
using transport::Stream;

OriginConnection::~OriginConnection() {
  if (Stream* stream = release()) stream->reset(ResetReason::Cancel);
}

std::size_t OriginConnection::on_data(Stream&, ConstBytes bytes) {
  // Nothing was asked. An origin that speaks all the same (a late error, a timeout page) would answer the wrong request.
  if (state_ == State::Idle) pool_.drop(*this);
  return bytes.size();
}

void OriginConnection::on_fin(Stream&) {
  if (state_ != State::Idle) return;
  ++pool_.counters_.dropped;
  pool_.retire(pool_.detach(*this));
}

void OriginConnection::on_end(Stream&, transport::StreamEnd) {
  stream_ = nullptr;
  if (state_ == State::Idle) return pool_.drop(*this);
  pool_.detach(*this).reset();  // `this` is gone
}

transport::Fill OriginConnection::fill(Stream&, MutBytes) { return {0, state_ == State::Closing, false}; }

OriginPool::~OriginPool() { clear(); }

OriginPtr OriginPool::take(const TunnelKey& key, transport::StreamHandler& handler) {
  const auto found = tunnels_.find(key);
  if (found == tunnels_.end() || found->second.idle.empty()) return nullptr;
  const OriginConnection& first = found->second.idle.front();
  if (first.rests_ && shard_.now() - first.since_ < kRest) return nullptr;  // and so do all behind it
  OriginPtr connection = detach(found->second.idle.front());
  used_.push_back(*connection);
  connection->reused_ = true;
  connection->stream().set_handler(handler);
  ++counters_.reused;
  return connection;
}

Result<OriginPtr> OriginPool::open(transport::Link& link, const TunnelKey& tunnel,
                                   const transport::PeerAddress& visitor, transport::StreamHandler& handler) {
  transport::OpenInfo info;
  info.tunnel = tunnel.tunnel;
  info.kind = transport::OpenKind::Http;
  info.visitor = visitor;
  auto stream = link.open(info, handler);
  if (!stream) return std::unexpected(std::move(stream.error()));
  ++counters_.opened;
  auto connection = std::make_unique<OriginConnection>(*this, tunnel);
  connection->stream_ = *stream;
  used_.push_back(*connection);
  return connection;
}

Result<OriginPtr> OriginPool::reach(transport::Link* link, const TunnelKey& tunnel,
                                    const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                    route::OriginSpeech speech, bool fresh) {
  if (speech != route::OriginSpeech::Http1)
    return share(link, tunnel, visitor, handler, speech == route::OriginSpeech::Http2Tls ? "https" : "http", fresh);
  if (!fresh) {
    if (OriginPtr warm = take(tunnel, handler)) return warm;
  }
  if (link == nullptr) return OriginPtr{};
  return open(*link, tunnel, visitor, handler);
}

Result<OriginPtr> OriginPool::share(transport::Link* link, const TunnelKey& tunnel,
                                    const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                    std::string_view scheme, bool fresh) {
  auto placed = h2_.open(link, tunnel, visitor, handler, scheme, fresh);
  if (!placed) return std::unexpected(std::move(placed.error()));
  if (placed->stream == nullptr) return OriginPtr{};
  // Whoever asks for a new one may not want to share it: no other request is to come on it.
  if (fresh && !placed->shared) placed->stream->keep_alone();
  ++(placed->shared ? counters_.reused : counters_.opened);
  auto connection = std::make_unique<OriginConnection>(*this, tunnel);
  connection->stream_ = placed->stream;
  connection->reused_ = placed->shared;
  connection->shared_ = true;
  used_.push_back(*connection);
  return connection;
}

void OriginPool::put(OriginPtr connection, bool rests) {
  if (connection->shared_) return retire(std::move(connection));
  if (closed_ || connection->spent_ || options_.max_idle_per_tunnel == 0 || options_.max_idle == 0)
    return retire(std::move(connection));
  OriginConnection& idle = *connection.release();
  idle.detail::AgeHook::unlink();
  idle.stream().set_handler(idle);
  idle.state_ = OriginConnection::State::Idle;
  idle.since_ = shard_.now();
  idle.rests_ = rests;
  Tunnel& tunnel = tunnels_[idle.tunnel_];
  rests ? tunnel.idle.push_back(idle) : tunnel.idle.push_front(idle);
  ++tunnel.count;
  ages_.push_back(idle);
  ++idle_;
  arm(tunnel.count > options_.steady_per_tunnel ? std::min(options_.surplus_timeout, options_.idle_timeout)
                                                : options_.idle_timeout);
  if (tunnel.count <= options_.max_idle_per_tunnel && idle_ <= options_.max_idle) return;
  ++counters_.dropped;
  retire(detach(tunnel.count > options_.max_idle_per_tunnel ? tunnel.idle.back() : ages_.front()));
}

void OriginPool::retire(OriginPtr connection) {
  if (connection->shared_) {
    // The connection is not the request's.
    if (Stream* stream = connection->release()) static_cast<H2OriginStream*>(stream)->finish();
    return;
  }
  // One that hangs open holds its stream until the deadline: not without bound.
  if (closing_count_ >= options_.max_idle) return;
  OriginConnection& closing = *connection.release();
  closing.detail::AgeHook::unlink();
  closing.state_ = OriginConnection::State::Closing;
  closing.since_ = shard_.now();
  closing_.push_back(closing);
  ++closing_count_;
  closing.stream().set_handler(closing);
  arm(options_.close_timeout);
  closing.stream().want_write();
}

OriginPtr OriginPool::detach(OriginConnection& connection) {
  if (connection.state_ == OriginConnection::State::Idle) {
    --tunnels_[connection.tunnel_].count;
    --idle_;
  } else if (connection.state_ == OriginConnection::State::Closing) {
    --closing_count_;
  }
  connection.detail::TunnelHook::unlink();
  connection.detail::AgeHook::unlink();
  connection.state_ = OriginConnection::State::Used;
  return OriginPtr(&connection);
}

void OriginPool::drop(OriginConnection& connection) {
  ++counters_.dropped;
  detach(connection).reset();
}

void OriginPool::forget_session(route::SessionId session) {
  h2_.forget_session(session);
  for (auto at = tunnels_.begin(); at != tunnels_.end();) {
    if (at->first.session != session) {
      ++at;
      continue;
    }
    while (!at->second.idle.empty()) drop(at->second.idle.front());
    at = tunnels_.erase(at);
  }
  for (OriginConnection& connection : used_) {
    if (connection.tunnel_.session == session) connection.spent_ = true;
  }
  for (auto at = closing_.begin(); at != closing_.end();) {
    OriginConnection& connection = *at++;
    if (connection.tunnel_.session == session) detach(connection).reset();
  }
}

void OriginPool::forget_tunnel(const TunnelKey& key) {
  h2_.forget_tunnel(key);
  const auto found = tunnels_.find(key);
  while (found != tunnels_.end() && !found->second.idle.empty()) {
    ++counters_.dropped;
    retire(detach(found->second.idle.front()));
  }
  for (OriginConnection& connection : used_) {
    if (connection.tunnel_ == key) connection.spent_ = true;
  }
}

void OriginPool::close() {
  closed_ = true;
  h2_.close();
  while (!ages_.empty()) retire(detach(ages_.front()));
}

void OriginPool::clear() {
  h2_.clear();
  while (!ages_.empty()) detach(ages_.front()).reset();
  while (!closing_.empty()) detach(closing_.front()).reset();
  tunnels_.clear();
}

std::size_t OriginPool::idle(const TunnelKey& tunnel) const {
  const auto found = tunnels_.find(tunnel);
  return found == tunnels_.end() ? 0 : found->second.count;
}

std::size_t OriginPool::used(const TunnelKey& tunnel) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(used_, [&](const OriginConnection& one) { return one.tunnel_ == tunnel; }));
}

std::vector<std::pair<TunnelKey, std::size_t>> OriginPool::used() const {
  std::unordered_map<TunnelKey, std::size_t, TunnelKeyHash> counts;
  for (const OriginConnection& one : used_) ++counts[one.tunnel_];
  return {counts.begin(), counts.end()};
}

void OriginPool::arm(Duration after) {
  const TimePoint due = shard_.now() + after;
  if (Deadline::armed() && due_ <= due) return;
  due_ = due;
  shard_.arm(*this, after);
}

void OriginPool::retire_aged(TimePoint now) {
  for (auto at = ages_.begin(); at != ages_.end();) {
    OriginConnection& connection = *at++;
    const Duration age = now - connection.since_;
    if (age < std::min(options_.idle_timeout, options_.surplus_timeout)) return;
    if (age < options_.idle_timeout && tunnels_[connection.tunnel_].count <= options_.steady_per_tunnel) continue;
    ++counters_.dropped;
    retire(detach(connection));
  }
}

void OriginPool::on_deadline() {
  const TimePoint now = shard_.now();
  retire_aged(now);
  while (!closing_.empty() && now - closing_.front().since_ >= options_.close_timeout) detach(closing_.front()).reset();
  std::erase_if(tunnels_, [](const auto& entry) { return entry.second.count == 0; });
  if (!closing_.empty()) arm(closing_.front().since_ + options_.close_timeout - now);
  if (ages_.empty()) return;
  arm(ages_.front().since_ + options_.idle_timeout - now);
  // Whether any tunnel has more than it keeps is not looked up: at worst this wakes for nothing.
  if (idle_ > options_.steady_per_tunnel) arm(std::min(options_.surplus_timeout, options_.idle_timeout));
}

}  // namespace ferrotunnel::ingress
