// LinkDirectory: the links that live on one shard, by session. That shard's thread only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include "route/router.h"
#include "transport/link.h"

namespace ferrotunnel::route {

class LinkDirectory {
 public:
  void add(SessionId session, transport::Link& link) { links_[session] = &link; }
  void remove(SessionId session) { links_.erase(session); }
  // None: the session has no link here (any more).
  [[nodiscard]] transport::Link* find(SessionId session) const {
    const auto found = links_.find(session);
    return found == links_.end() ? nullptr : found->second;
  }

 private:
  boost::unordered_flat_map<SessionId, transport::Link*> links_;
};

}  // namespace ferrotunnel::route
