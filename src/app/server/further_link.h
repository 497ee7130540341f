// FurtherLink: a link of a session on another shard than the session's own, and the TCP visitors that it carries; HTTP visitors of that
// shard find it in the shard's LinkDirectory.
//
// The session says which shard gets one (server_session_links.cc) and hears when it is gone or was idle for long, by posting. It holds nothing
// of the session but what may be shared. Owned by its ServerShard; that shard's thread only. It ends when its link does, or its session.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "app/server/server_shard.h"
#include "app/server/session_book.h"
#include "ferrotunnel/server.h"
#include "ingress/tcp/tcp_ingress.h"
#include "mux/mux_link.h"
#include "route/router.h"
#include "session/link_keeper.h"
#include "session/negotiation.h"

namespace ferrotunnel::app {

struct FurtherLinkStart {
  route::SessionId session = 0;
  std::string name;   // the session's, for people
  unsigned home = 0;  // the session's shard
  session::Negotiated peer;
  std::shared_ptr<SessionBook> book;
  std::shared_ptr<mux::StreamQuota> quota;  // may be none
  LinkLoad load;
};

class FurtherLink final : private transport::LinkHandler, private ingress::TcpIngressHost, private transport::Deadline {
 public:
  static constexpr Duration kIdle = std::chrono::minutes(1);  // without a stream: it is given back
  static constexpr Duration kLook = std::chrono::seconds(5);

  FurtherLink(ServerShard& shard, FurtherLinkStart start);
  FurtherLink(const FurtherLink&) = delete;
  FurtherLink& operator=(const FurtherLink&) = delete;
  ~FurtherLink();

  [[nodiscard]] Result<> start();
  void drain(std::string_view why);  // it ends when its streams are over
  void close(const Error& why);
  // False: it takes nobody any more, and nothing was taken. `load` is where he is counted since he was sent here.
  [[nodiscard]] bool adopt(std::uint32_t tunnel, transport::UniqueFd& fd, const transport::PeerAddress& peer,
                           ingress::VisitorSlot& slot, const LinkLoad& load);
  void drop_tunnel(std::uint32_t tunnel);  // it was given up: its visitors end

  [[nodiscard]] TunnelCounts* counts(std::uint32_t tunnel);  // none: there is no such tunnel
  [[nodiscard]] const std::string& name() const { return name_; }
  // What it adds to its session's.
  void fill_status(SessionStatus& session) const;

 private:
  struct Tunnel {
    TunnelCountsPtr counts;
    std::unique_ptr<ingress::TcpIngress> tcp;  // of TCP visitors; it does not listen
  };
  [[nodiscard]] Tunnel* find(std::uint32_t tunnel);
  template <class Function>
  void at_home(Function function);
  void leave();  // nobody new comes to this link
  void on_open(transport::Stream& stream, const transport::OpenInfo&) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t code, std::string_view text) override;
  void on_link_closed(const Error& why) override;
  void on_visitor(std::uint32_t tunnel, int change) override;
  void on_refused(std::uint32_t tunnel, ingress::Refusal why) override;
  void on_deadline() override;

  ServerShard& shard_;
  const route::SessionId session_;
  const std::string name_;
  const unsigned home_;
  const session::AttachPlacePtr place_;
  const std::shared_ptr<SessionBook> book_;
  const std::shared_ptr<mux::StreamQuota> quota_;
  const LinkLoad load_;
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  std::map<std::uint32_t, Tunnel> tunnels_;
  TimePoint used_;  // last seen with a stream
  bool leaving_ = false;
  bool counted_ = false;  // who comes just now is among the load already
};

}  // namespace ferrotunnel::app
