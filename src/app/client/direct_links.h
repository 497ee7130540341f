// DirectLinks: the warm direct links of a client's session (docs/wire-protocol.md section 8): dials as many as the server asks for, and hands
// on those that it gives a visitor.
//
// A few are dialled at once; after a failure it waits, longer each time. One that the server closes is forgotten, and another dialled where that
// is still wanted. Owned by the client, beside the link that they belong to, and destroyed with it. The link's shard only.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "app/client/asked.h"
#include "session/dialer.h"
#include "transport/deadline.h"
#include "transport/shard.h"
#include "wire/frame.h"

namespace ferrotunnel::app {

class DirectLinksHost {
 public:
  // The server gave it a visitor; DirectShare::visitor_gone() when he is. `early`: bytes of his that were read already. May not destroy the
  // DirectLinks.
  virtual void on_direct_open(transport::ByteStreamPtr link, const wire::OpenPayload& open, std::string early) = 0;

 protected:
  ~DirectLinksHost() = default;
};

struct DirectLinkCounters {
  std::uint64_t dialled = 0, failed = 0, opened = 0;
  std::uint64_t closed = 0;      // by the server, while they were warm
  std::uint64_t violations = 0;  // something else than OPEN came
};

class DirectLinks final : private transport::Deadline {
 public:
  static constexpr std::size_t kMostDialling = 4;
  static constexpr Duration kFirstWait = std::chrono::milliseconds(100);  // after a failure; twice that after the next
  static constexpr Duration kRoomLook = std::chrono::seconds(1);          // while visitors have as many as there may be
  static constexpr Duration kLongestWait = std::chrono::seconds(10);
  static constexpr Duration kKeepAlive = std::chrono::seconds(15);

  // `dial`: how the session was dialled, with its `attach`.
  DirectLinks(transport::Shard& shard, session::DialOptions dial, DirectSharePtr share, DirectLinksHost& host);
  DirectLinks(const DirectLinks&) = delete;
  DirectLinks& operator=(const DirectLinks&) = delete;
  ~DirectLinks();

  // This thread's part of what the share wants. Where it has more than that, others have less: what it then loses it dials anew, so that
  // nobody has to tell them.
  void want(std::uint32_t part);
  [[nodiscard]] std::size_t warm() const { return warm_.size(); }
  [[nodiscard]] const DirectLinkCounters& counters() const { return counters_; }

 private:
  class Warm;
  using Dialers = std::list<std::unique_ptr<session::Dialer>>;
  void on_deadline() override;
  [[nodiscard]] std::size_t have() const { return warm_.size() + dialling_.size(); }
  void fill();
  void dial();
  void dialled(Dialers::iterator at, Result<session::Dialed> result);
  void failed(const Error& why);
  void keep(session::Negotiated negotiated);
  void forget(Warm& warm);
  void lost(Warm& warm);
  void opened(Warm& warm, const wire::OpenPayload& open);

  transport::Shard& shard_;
  const session::DialOptions dial_;
  const DirectSharePtr share_;
  DirectLinksHost& host_;
  std::size_t most_ = 0;  // of this thread
  Dialers dialling_;
  std::list<std::unique_ptr<Warm>> warm_;
  Duration wait_ = kFirstWait;
  bool over_ = false;  // the token is revoked: the link will say so itself
  DirectLinkCounters counters_;
};

}  // namespace ferrotunnel::app
