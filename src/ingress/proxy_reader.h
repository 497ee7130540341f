// ProxyReader: has the sockets of visitors who come through a trusted proxy, until their PROXY header is there; one per shard.
//
// It takes the header's bytes off the socket and not one more: it looks at them with MSG_PEEK first. Whoever gets the socket then
// finds the visitor's first byte next. A header that is missing, wrong, or not whole within the deadline closes the connection. The
// number that wait is bounded; the oldest goes first. Owned by the server's shard; that shard's thread only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>

#include "ingress/limits/visitor_count.h"
#include "transport/link.h"
#include "transport/shard.h"
#include "transport/tcp/ip_set.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

struct ProxyReaderOptions {
  Duration proxy_header_timeout = std::chrono::seconds(3);
  std::size_t max_waiting_headers = 1024;  // at once on a shard
};

struct ProxyReaderCounters {
  std::uint64_t accepted = 0;  // headers
  std::uint64_t refused = 0;   // connections that ended without a good one
};

// Who gets the sockets.
class ProxiedVisitors {
 public:
  // `visitor` is the address that the header names; the socket's own where it names none.
  virtual void on_proxied(transport::UniqueFd fd, const transport::PeerAddress& visitor) = 0;

 protected:
  ~ProxiedVisitors() = default;
};

class ProxyReader final {
 public:
  ProxyReader(transport::Shard& shard, transport::IpSet trusted, const ProxyReaderOptions& options);
  ProxyReader(const ProxyReader&) = delete;
  ProxyReader& operator=(const ProxyReader&) = delete;
  ~ProxyReader();

  // Whether a connection from there has to begin with a header.
  [[nodiscard]] bool trusts(const transport::PeerAddress& peer) const { return trusted_.contains(peer); }
  void trust(transport::IpSet trusted) { trusted_ = std::move(trusted); }  // from now on
  // Takes a connected, non-blocking socket. on_proxied() follows, perhaps from inside, unless the connection is closed. `slot`: its place
  // among the visitors while it waits.
  void take(transport::UniqueFd fd, const transport::PeerAddress& peer, ProxiedVisitors& to, VisitorSlot slot = {});
  // Closes what waits for it.
  void forget(ProxiedVisitors& to);

  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] const ProxyReaderCounters& counters() const { return counters_; }

 private:
  class Waiter;
  struct Tag;
  using Hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>>;
  using Waiters = boost::intrusive::list<Waiter, boost::intrusive::base_hook<Hook>>;
  void remove(Waiter& waiter);
  void refuse(Waiter& waiter);

  transport::Shard& shard_;
  transport::IpSet trusted_;
  const ProxyReaderOptions options_;
  ProxyReaderCounters counters_;
  const std::unique_ptr<Waiters> waiting_;  // the oldest first
};

}  // namespace ferrotunnel::ingress
