// OriginPool: connections to origins (streams of kind Http) that are kept warm between requests, of one shard, by session and tunnel.
//
// The most recently used goes out first, so that the rest can grow old. While one is idle the pool is its stream's handler: an origin that
// closes, or speaks unasked, loses it. One whose answer had no body by rule rests before it goes out again: an origin that sends a body all the
// same (of HEAD, of 304) would answer the next request with it. What is no longer wanted is ended by FIN, and by RESET when the origin does not answer
// that in time. Bounded per tunnel and in all; the oldest go. What a burst leaves behind stays a little while, or the next one would
// have to dial anew. Services that speak HTTP/2 are asked over connections that many requests share (origin_h2/): one
// of those is a connection here like any other, and is never kept. The shard's thread only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingress/http1/http_ingress_host.h"
#include "ingress/origin_h2/h2_origins.h"
#include "ingress/origin_h2/tunnel_key.h"
#include "transport/deadline.h"
#include "transport/link.h"
#include "transport/shard.h"

namespace ferrotunnel::ingress {

class OriginPool;

namespace detail {
using OriginHook = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
struct ByTunnel;
struct ByAge;
using TunnelHook = boost::intrusive::list_base_hook<boost::intrusive::tag<ByTunnel>, OriginHook>;
using AgeHook = boost::intrusive::list_base_hook<boost::intrusive::tag<ByAge>, OriginHook>;
}  // namespace detail

// One stream to an origin, owned by whoever uses it now. Destroying it resets the stream, if that still lives.
class OriginConnection final : public detail::TunnelHook, public detail::AgeHook, private transport::StreamHandler {
 public:
  OriginConnection(OriginPool& pool, const TunnelKey& tunnel) : pool_(pool), tunnel_(tunnel) {}
  OriginConnection(const OriginConnection&) = delete;
  OriginConnection& operator=(const OriginConnection&) = delete;
  ~OriginConnection();

  [[nodiscard]] transport::Stream& stream() const { return *stream_; }
  [[nodiscard]] const TunnelKey& tunnel() const { return tunnel_; }
  // It is not kept again.
  void spend() { spent_ = true; }
  [[nodiscard]] bool reused() const { return reused_; }  // it has carried an exchange before
  // The stream is the caller's from now on, or was ended.
  transport::Stream* release() { return std::exchange(stream_, nullptr); }

 private:
  friend class OriginPool;
  enum class State : std::uint8_t { Used, Idle, Closing };

  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override;
  void on_end(transport::Stream& stream, transport::StreamEnd end) override;
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;

  OriginPool& pool_;
  transport::Stream* stream_ = nullptr;
  const TunnelKey tunnel_;
  TimePoint since_{};  // when it became idle, or was told to close
  State state_ = State::Used;
  bool reused_ = false;
  bool shared_ = false;  // its stream is an H2OriginStream
  bool spent_ = false;   // its session is going: it is not kept again
  bool rests_ = false;   // until kRest behind since_
};
using OriginPtr = std::unique_ptr<OriginConnection>;

class OriginPool final : private transport::Deadline {
 public:
  struct Counters {
    std::uint64_t opened = 0, reused = 0, dropped = 0;
  };

  // A body that must not be comes within a write or two of its head.
  static constexpr Duration kRest = std::chrono::milliseconds(50);

  OriginPool(transport::Shard& shard, const OriginPoolOptions& options, const http::Limits& heads = {})
      : shard_(shard), options_(options), h2_(shard, options_, heads) {}
  OriginPool(const OriginPool&) = delete;
  OriginPool& operator=(const OriginPool&) = delete;
  ~OriginPool();

  // A warm connection whose handler is now `handler`, or none.
  [[nodiscard]] OriginPtr take(const TunnelKey& tunnel, transport::StreamHandler& handler);
  // A new one. Errors are the link's.
  [[nodiscard]] Result<OriginPtr> open(transport::Link& link, const TunnelKey& tunnel,
                                       const transport::PeerAddress& visitor, transport::StreamHandler& handler);
  // Either, as the tunnel's service is spoken to. No `link`: it is lost, and without a warm one there is none. `fresh`: no warm one,
  // and none that others share.
  [[nodiscard]] Result<OriginPtr> reach(transport::Link* link, const TunnelKey& tunnel,
                                        const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                        route::OriginSpeech speech, bool fresh);
  // Back, after a complete exchange. From inside the stream's callbacks too. `rests`: its answer had no body by rule (HEAD, 204, 304).
  void put(OriginPtr connection, bool rests = false);
  // Ends it in good order: FIN both ways; what the origin still says is dropped.
  void retire(OriginPtr connection);

  // Drops the session's idle ones, and keeps none of those in use when they come back: its link is gone or draining.
  void forget_session(route::SessionId session);
  // Retires the tunnel's idle ones, and keeps none of those in use when they come back: another service is behind it now.
  void forget_tunnel(const TunnelKey& tunnel);
  void close();  // retires the idle ones and keeps none from now on
  void clear();  // resets all that it has

  [[nodiscard]] std::size_t idle() const { return idle_ + h2_.idle(); }
  [[nodiscard]] const H2Origins& h2() const { return h2_; }
  [[nodiscard]] std::size_t idle(const TunnelKey& tunnel) const;
  // Requests and upgraded connections of the tunnel now. Looks at all that are lent out: for a status, not for each request.
  [[nodiscard]] std::size_t used(const TunnelKey& tunnel) const;
  [[nodiscard]] std::vector<std::pair<TunnelKey, std::size_t>> used() const;
  [[nodiscard]] std::size_t closing() const { return closing_count_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  friend class OriginConnection;
  using TunnelList = boost::intrusive::list<OriginConnection, boost::intrusive::base_hook<detail::TunnelHook>,
                                            boost::intrusive::constant_time_size<false>>;
  using AgeList = boost::intrusive::list<OriginConnection, boost::intrusive::base_hook<detail::AgeHook>,
                                         boost::intrusive::constant_time_size<false>>;
  struct Tunnel {
    TunnelList idle;  // most recently used first; behind them those that rest, or did, the first to have rested first
    std::size_t count = 0;
  };

  void on_deadline() override;
  // Takes it out of the lists.
  [[nodiscard]] OriginPtr detach(OriginConnection& connection);
  void drop(OriginConnection& connection);
  void arm(Duration after);  // unless it is due by then
  void retire_aged(TimePoint now);
  [[nodiscard]] Result<OriginPtr> share(transport::Link* link, const TunnelKey& tunnel,
                                        const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                        std::string_view scheme, bool fresh);

  transport::Shard& shard_;
  const OriginPoolOptions options_;
  // Emptied records stay until the deadline finds them: a tunnel with one busy connection makes none anew for each request.
  std::unordered_map<TunnelKey, Tunnel, TunnelKeyHash> tunnels_;
  AgeList ages_;     // idle, the oldest first
  AgeList closing_;  // the oldest first
  AgeList used_;     // lent out
  TimePoint due_{};  // of the deadline
  std::size_t idle_ = 0;
  std::size_t closing_count_ = 0;
  bool closed_ = false;
  Counters counters_;
  H2Origins h2_;
};

}  // namespace ferrotunnel::ingress
