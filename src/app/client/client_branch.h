// ClientBranch: what a client's session has on one shard beside its first link: further links, direct links, and the local services behind
// them. ClientPlace: such a shard, its thread, and the branches there.
//
// A branch knows the tunnels by a table that is replaced as a whole. A stream may overtake the message that gives its tunnel a number, since that
// comes over the first link: it waits, for a moment, in bounds. Where the session is drained its visitors finish, and the branch says when the
// last has. Its shard's thread only; the host's functions are called on it.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "app/client/direct_links.h"
#include "app/client/further_links.h"
#include "app/tunnel_visitors.h"
#include "origin/dispatcher.h"

namespace ferrotunnel::app {

// Immutable once it is shared.
struct TunnelTable {
  struct Entry {
    std::string name;
    origin::TargetPtr target;
    bool tcp = false;
    std::shared_ptr<TunnelVisitors> visitors;
  };
  std::map<std::uint32_t, Entry> by_number;
  std::uint32_t highest = 0;  // number that the server gave out, as far as the client knows
};
using TunnelTablePtr = std::shared_ptr<const TunnelTable>;

class ClientBranch;

class ClientBranchHost {
 public:
  virtual void on_branch_visitor(bool came, const std::string& tunnel, std::uint64_t now, std::uint64_t total) = 0;
  virtual void on_branch_origin_failed(std::uint32_t tunnel, const Error& error) = 0;
  virtual void on_branch_bytes(std::uint64_t in, std::uint64_t out) = 0;  // of links that are gone
  // The server has taken a link of it back.
  virtual void on_branch_link_drained(unsigned place, std::uint64_t session) = 0;
  virtual void on_branch_over(ClientBranch& branch) = 0;  // after leave() or end(); may not destroy it

 protected:
  ~ClientBranchHost() = default;
};

struct BranchOptions {
  session::DialOptions dial;  // as the session was, with its `attach`
  mux::MuxLimits mux;
  session::HeartbeatOptions heartbeat;
  Duration connect_deadline{};
  std::uint64_t session = 0;  // the client's count
  DirectSharePtr direct;
};

class ClientBranch final : private DirectLinksHost,
                           private FurtherLinksHost,
                           private origin::DispatcherHost,
                           private transport::Deadline {
 public:
  static constexpr std::size_t kMostEarly = 1024;  // streams that wait for their tunnel
  static constexpr Duration kEarlyWait = std::chrono::seconds(2);

  ClientBranch(transport::Shard& shard, unsigned place, BranchOptions options, ClientBranchHost& host);
  ClientBranch(const ClientBranch&) = delete;
  ClientBranch& operator=(const ClientBranch&) = delete;
  ~ClientBranch();

  void set_tunnels(TunnelTablePtr tunnels);
  void set_connect_deadline(Duration deadline) { dispatcher_.set_connect_deadline(deadline); }
  void want_links(std::uint32_t more);
  void want_direct(std::uint32_t count);
  // Nobody new, nothing is dialled; its links end when their streams are over.
  void drain(std::string_view why);
  // The session is over, by a drain: on_branch_over() comes when nobody is left, not from inside this.
  void leave();
  // The same, at once: its visitors end, and are told of as such.
  void end(const Error& why);
  [[nodiscard]] bool over() const {
    return (left_ || ended_) && links_.count() == 0 && (ended_ || dispatcher_.active() == 0);
  }

  [[nodiscard]] std::size_t links() const { return links_.count(); }
  void add_bytes(std::uint64_t& in, std::uint64_t& out) const;

 private:
  class Early;
  void on_link_open(transport::Stream& stream, const transport::OpenInfo& info) override;
  void on_link_drained() override { host_.on_branch_link_drained(place_, session_); }
  void on_link_gone(const transport::LinkStatus& last) override;
  void on_direct_open(transport::ByteStreamPtr link, const wire::OpenPayload& open, std::string early) override;
  void on_origin_failed(std::uint32_t tunnel, const Error& error) override;
  void on_origin_count(std::uint32_t tunnel, int change, transport::RelayBytes bytes) override;
  void on_direct_end(transport::RelayBytes bytes) override;
  void on_deadline() override;
  [[nodiscard]] const TunnelTable::Entry* find(std::uint32_t tunnel) const;
  void look_whether_over();

  transport::Shard& shard_;
  const unsigned place_;
  const std::uint64_t session_;
  ClientBranchHost& host_;
  TunnelTablePtr tunnels_ = std::make_shared<const TunnelTable>();
  FurtherLinks links_;
  std::list<std::unique_ptr<Early>> early_;
  // By number, those of the connections that run: a tunnel that is gone from the table has some still.
  std::map<std::uint32_t, TunnelTable::Entry> counted_;
  origin::OriginDispatcher dispatcher_;  // before the links: its streams are theirs
  std::unique_ptr<DirectLinks> direct_;
  const session::DialOptions direct_dial_;
  const DirectSharePtr direct_share_;
  bool left_ = false, ended_ = false, told_over_ = false;
};

struct ClientPlace {
  // Its own shard and thread, or, where the client has one thread, that one's.
  explicit ClientPlace(transport::Shard& other) : shard(other) {}
  explicit ClientPlace(std::unique_ptr<transport::Shard> its) : own(std::move(its)), shard(*own) {}
  const std::unique_ptr<transport::Shard> own;
  transport::Shard& shard;
  std::thread thread;
  // The shard's.
  std::unique_ptr<ClientBranch> branch;           // of the session
  std::list<std::unique_ptr<ClientBranch>> left;  // of sessions that were drained
};

}  // namespace ferrotunnel::app
