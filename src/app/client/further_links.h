// FurtherLinks: links of a client's session beside the first (docs/wire-protocol.md section 9), those of one shard: dials as many as it is told,
// and dials again what ends while it is wanted.
//
// One after the other; after a failure, and after a link that ended soon, it waits, longer each time. It ends none by itself: what is too many
// the server drains. Owned by the client's part on this shard (client_branch.h); the shard's thread only.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "mux/mux_link.h"
#include "session/dialer.h"
#include "session/heartbeat.h"
#include "session/link_keeper.h"
#include "transport/deadline.h"
#include "transport/shard.h"

namespace ferrotunnel::app {

class FurtherLinksHost {
 public:
  // As LinkHandler::on_open(), of any of the links.
  virtual void on_link_open(transport::Stream& stream, const transport::OpenInfo& info) = 0;
  // The server takes one back: it is not wanted any more, and ends when its streams are over.
  virtual void on_link_drained() = 0;
  // One is gone, with what it has carried. May not destroy the FurtherLinks.
  virtual void on_link_gone(const transport::LinkStatus& last) = 0;

 protected:
  ~FurtherLinksHost() = default;
};

struct FurtherLinkCounters {
  std::uint64_t dialled = 0, failed = 0, opened = 0, ended = 0;
  std::uint64_t violations = 0;  // ended for a message that belongs on the first link
};

class FurtherLinks final : private transport::Deadline {
 public:
  static constexpr Duration kFirstWait = std::chrono::milliseconds(100);
  static constexpr Duration kLongestWait = std::chrono::seconds(10);
  static constexpr Duration kLasting = std::chrono::seconds(5);  // a link of that age begins the waits anew

  // `dial`: how the session was dialled, with its `attach`, as a link.
  FurtherLinks(transport::Shard& shard, session::DialOptions dial, const mux::MuxLimits& limits,
               const session::HeartbeatOptions& heartbeat, FurtherLinksHost& host);
  FurtherLinks(const FurtherLinks&) = delete;
  FurtherLinks& operator=(const FurtherLinks&) = delete;
  ~FurtherLinks();

  void want_more(std::uint32_t count);
  // They take nobody new, and end when their streams are over. None is dialled any more.
  void drain(std::string_view why);
  void close(const Error& why);

  [[nodiscard]] std::size_t count() const { return links_.size(); }
  void add_status(std::uint64_t& bytes_in, std::uint64_t& bytes_out) const;
  [[nodiscard]] const FurtherLinkCounters& counters() const { return counters_; }

 private:
  class One;
  void on_deadline() override { fill(); }
  void fill();
  void dialled(Result<session::Dialed> result);
  void wait();
  void drained();
  void gone(One& link);
  [[nodiscard]] std::size_t serving() const;

  transport::Shard& shard_;
  const session::DialOptions dial_;
  const mux::MuxLimits limits_;
  const session::HeartbeatOptions heartbeat_;
  FurtherLinksHost& host_;
  std::uint32_t want_ = 0;
  std::unique_ptr<session::Dialer> dialer_;
  std::list<std::unique_ptr<One>> links_;
  Duration wait_ = kFirstWait;
  bool over_ = false;  // drained, or the token is revoked: the first link will say so itself
  FurtherLinkCounters counters_;
};

}  // namespace ferrotunnel::app
