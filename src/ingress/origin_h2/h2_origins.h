// H2Origins: the connections of one shard to local services that speak HTTP/2, by session and tunnel; the part of OriginPool that shares them.
//
// A request goes to the fullest connection that has room, so that the others can grow old; where none has, to a new one, up to a number for
// each tunnel; past that to the emptiest, where it waits for its turn. The shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "http/message.h"
#include "ingress/http1/http_ingress_host.h"
#include "ingress/origin_h2/h2_origin_connection.h"
#include "ingress/origin_h2/tunnel_key.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

class H2Origins final : private transport::TurnTask {
 public:
  H2Origins(transport::Shard& shard, const OriginPoolOptions& options, const http::Limits& heads)
      : shard_(shard), options_(options), answer_limits_(heads), head_limits_(wide(heads)) {}
  H2Origins(const H2Origins&) = delete;
  H2Origins& operator=(const H2Origins&) = delete;
  ~H2Origins();

  struct Placed {
    H2OriginStream* stream = nullptr;  // none: it would have needed the link
    bool shared = false;               // on a connection that was there
  };
  // `fresh`: not on one that is there, while more may be made. Errors are the link's.
  [[nodiscard]] Result<Placed> open(transport::Link* link, const TunnelKey& tunnel,
                                    const transport::PeerAddress& visitor, transport::StreamHandler& handler,
                                    std::string_view scheme, bool fresh);

  // As OriginPool's.
  void forget_session(route::SessionId session);
  void forget_tunnel(const TunnelKey& tunnel);
  void close();
  void clear();

  [[nodiscard]] std::size_t idle() const;
  [[nodiscard]] std::size_t connections(const TunnelKey& tunnel) const;
  [[nodiscard]] std::uint64_t abuses() const { return abuses_; }  // connections that were ended for them

  // ---- for connections and streams ----
  [[nodiscard]] transport::Shard& shard() { return shard_; }
  [[nodiscard]] BufferPool& buffers() { return shard_.buffers(); }
  [[nodiscard]] const OriginPoolOptions& options() const { return options_; }
  [[nodiscard]] const http::Limits& head_limits() const {
    return head_limits_;
  }  // of what is written here for an origin
  [[nodiscard]] const http::Limits& answer_limits() const { return answer_limits_; }  // of what one answers
  [[nodiscard]] http::RequestHead& scratch() { return scratch_; }
  [[nodiscard]] bool closed() const { return closed_; }
  void count_abuse() { ++abuses_; }
  void orphan(H2OriginStream& stream);  // its connection goes
  void bury(H2OriginStream& stream);    // until the end of the turn
  void bury(H2OriginConnection& connection);

 private:
  using Connections = boost::intrusive::list<H2OriginConnection, boost::intrusive::constant_time_size<false>,
                                             boost::intrusive::base_hook<H2OriginConnectionHook>>;

  [[nodiscard]] static http::Limits wide(http::Limits limits);
  void run_turn() override;
  [[nodiscard]] H2OriginConnection* choose(Connections& all, bool fresh) const;

  transport::Shard& shard_;
  const OriginPoolOptions& options_;
  const http::Limits answer_limits_, head_limits_;
  http::RequestHead scratch_;
  std::unordered_map<TunnelKey, Connections, TunnelKeyHash> tunnels_;
  boost::intrusive::list<H2OriginStream, boost::intrusive::constant_time_size<false>,
                         boost::intrusive::base_hook<H2OriginStreamHook>>
      orphans_;
  std::vector<std::unique_ptr<H2OriginStream>> dead_streams_;
  std::vector<std::unique_ptr<H2OriginConnection>> dead_;
  std::uint64_t abuses_ = 0;
  bool closed_ = false;
};

}  // namespace ferrotunnel::ingress
