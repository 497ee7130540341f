// JoinCrowd: connections of one shard that have not signed in yet, and how many of them there may be.
//
// Past a limit the oldest goes, since it has had the most time: of the same address, where that has its share, or where no descriptor is left
// for another; of all, where there are too many, or none of that address. So whoever opens connections and says nothing pushes out his own. The shard's thread only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include "base/descriptor_budget.h"
#include "session/negotiation.h"
#include "transport/network.h"

namespace ferrotunnel::app {

struct JoinLimits {
  std::size_t most = 2048;             // at once
  std::size_t most_per_address = 512;  // of them, from one IPv4 address or IPv6 /64
  friend bool operator==(const JoinLimits&, const JoinLimits&) = default;
};
// Of each of `shards`: as configured (0 for an address: a quarter of all), and no more than a quarter of the `descriptors` that the process
// may have, over all shards.
[[nodiscard]] JoinLimits join_limits(std::size_t most, std::size_t most_per_address, std::uint64_t descriptors,
                                     unsigned shards);

struct JoinCrowdCounters {
  std::uint64_t crowded_out = 0;          // of all, for want of room or of descriptors
  std::uint64_t crowded_out_address = 0;  // by others of their address
};

class JoinCrowd {
 public:
  struct Joining {
    transport::Network from;
    DescriptorHold hold;
    std::unique_ptr<session::Negotiation> negotiation;
  };
  using List = std::list<Joining>;  // the oldest first
  using At = List::iterator;

  JoinCrowd(const JoinLimits& limits, DescriptorBudget& budget) : limits_(limits), budget_(budget) {}

  // A place for one more, without its negotiation yet; others may have ended for it. None: others than these have the descriptors.
  [[nodiscard]] std::optional<At> add(const transport::PeerAddress& peer);
  void remove(At at);
  void clear();

  [[nodiscard]] std::size_t size() const { return joining_.size(); }
  [[nodiscard]] std::size_t of(const transport::PeerAddress& peer) const;
  [[nodiscard]] const JoinCrowdCounters& counters() const { return counters_; }
  // Ended for others, and those that found no place.
  [[nodiscard]] std::uint64_t failed() const {
    return counters_.crowded_out + counters_.crowded_out_address + turned_away_;
  }

 private:
  [[nodiscard]] std::size_t count(const transport::Network& from) const;
  void end_oldest_of(const transport::Network& from);

  const JoinLimits limits_;
  DescriptorBudget& budget_;
  List joining_;
  boost::unordered_flat_map<transport::Network, std::size_t> addresses_;
  JoinCrowdCounters counters_;
  std::uint64_t turned_away_ = 0;
};

}  // namespace ferrotunnel::app
