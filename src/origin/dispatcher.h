// OriginDispatcher: the client's end of every stream: dials the local service and relays until both are done.
//
// A target's addresses are tried one after the other; a name is looked up first. What a visitor sends while the dial is under way waits in the stream, inside its credit. A dial has a deadline; its failure is a RESET
// that says which kind it was, so that the visitor can be told. Where the target is spoken to over TLS, the handshake is part of the dial. Where a directory is shared nothing is dialled: files/file_handler.h answers.
// A direct link, which carries one visitor without frames, is dispatched the same way; what he sends meanwhile waits in the kernel, and a failure
// is an RST, which has no reason.
// One per link; the link's shard only.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "origin/names.h"
#include "origin/target.h"
#include "transport/byte_stream.h"
#include "transport/deadline.h"
#include "transport/link.h"
#include "transport/relay.h"
#include "transport/shard.h"

namespace ferrotunnel::origin {

struct DispatcherOptions {
  Duration connect_deadline = std::chrono::seconds(10);  // of all addresses, and the look-up of a name
  Lookup lookup{};                                       // of names, in a test; none: the system's resolver
};

struct DispatcherCounters {
  std::uint64_t opened = 0, connected = 0, refused = 0, timed_out = 0, unreachable = 0, ended = 0;
  std::uint64_t tls_failed = 0, tls_resumed = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  // to and from the local service, of connections that ended
};

class DispatcherHost {
 public:
  // A dial failed; visitors of this tunnel are told. For the person at the client: is the service running?
  virtual void on_origin_failed(std::uint32_t tunnel, const Error& error) = 0;
  // A connection of this tunnel began (+1) or ended (-1).
  virtual void on_origin_count(std::uint32_t tunnel, int change, transport::RelayBytes bytes) = 0;
  // One over a direct link ended: its bytes are none of the link's.
  virtual void on_direct_end(transport::RelayBytes) {}

 protected:
  ~DispatcherHost() = default;
};

class OriginDispatcher final {
 public:
  OriginDispatcher(transport::Shard& shard, const DispatcherOptions& options, DispatcherHost& host);
  OriginDispatcher(const OriginDispatcher&) = delete;
  OriginDispatcher& operator=(const OriginDispatcher&) = delete;
  // Ends what still runs; streams that are open are reset. The link must be gone or alive, not half destroyed.
  ~OriginDispatcher();

  // Takes a stream that the server opened: it has a handler, or is reset, when this returns.
  // `visitor` is who a target that asks for a PROXY header is told. `finished`: another handler has had the stream's FIN already.
  void dispatch(transport::Stream& stream, std::uint32_t tunnel, TargetPtr target,
                const transport::PeerAddress& visitor = {}, bool finished = false);

  // The same for a direct link that the server gave a visitor. `early`: bytes of his that were read with OPEN, at most
  // transport::PairRelay::kMaxHead.
  void dispatch(transport::ByteStreamPtr link, std::string early, std::uint32_t tunnel, TargetPtr target,
                const transport::PeerAddress& visitor);

  void set_connect_deadline(Duration deadline) { options_.connect_deadline = deadline; }  // from now on

  [[nodiscard]] std::size_t active() const { return active_; }
  [[nodiscard]] std::size_t direct() const { return direct_; }  // of them, over direct links
  [[nodiscard]] transport::RelayBytes direct_bytes() const;     // of those that run
  [[nodiscard]] const DispatcherCounters& counters() const { return counters_; }

 private:
  class Connection;
  Connection& add(std::uint32_t tunnel);
  using Connections = boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>>;
  void remove(Connection& connection, transport::RelayBytes bytes);

  transport::Shard& shard_;
  DispatcherOptions options_;
  DispatcherHost& host_;
  DispatcherCounters counters_;
  Names names_;
  std::unique_ptr<Connections> connections_;
  std::size_t active_ = 0, direct_ = 0;
};

}  // namespace ferrotunnel::origin
