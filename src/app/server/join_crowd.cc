#include "app/server/join_crowd.h"

#include <algorithm>
#include <iterator>

namespace ferrotunnel::app {
namespace {
constexpr std::size_t kLeast = 8;  // of a shard, however few descriptors there are
constexpr std::uint64_t kShare = 4;
}  // namespace

JoinLimits join_limits(std::size_t most, std::size_t most_per_address, std::uint64_t descriptors, unsigned shards) {
  const std::uint64_t share = std::max<std::uint64_t>(descriptors / kShare / std::max(shards, 1u), kLeast);
  JoinLimits limits;
  limits.most = static_cast<std::size_t>(std::min<std::uint64_t>(std::max<std::size_t>(most, 1), share));
  const std::size_t quarter = std::max<std::size_t>(limits.most / kShare, 1);
  limits.most_per_address = most_per_address == 0 ? quarter : std::min(most_per_address, limits.most);
  return limits;
}

std::optional<JoinCrowd::At> JoinCrowd::add(const transport::PeerAddress& peer) {
  const transport::Network from = transport::network_of(peer);
  if (count(from) >= limits_.most_per_address) {
    end_oldest_of(from);
    ++counters_.crowded_out_address;
  }
  if (joining_.size() >= limits_.most) {
    remove(joining_.begin());
    ++counters_.crowded_out;
  }
  DescriptorHold hold = DescriptorHold::take(budget_, DescriptorUse::Handshake);
  if (!hold && !joining_.empty()) {
    // His own before anybody else's: the share that an address has may be all that is left here.
    if (count(from) > 0) {
      end_oldest_of(from);
      ++counters_.crowded_out_address;
    } else {
      remove(joining_.begin());
      ++counters_.crowded_out;
    }
    hold = DescriptorHold::take(budget_, DescriptorUse::Handshake);
  }
  if (!hold) {
    ++turned_away_;
    return std::nullopt;
  }
  ++addresses_[from];
  return joining_.emplace(joining_.end(), from, std::move(hold), nullptr);
}

void JoinCrowd::remove(At at) {
  if (const auto found = addresses_.find(at->from); --found->second == 0) addresses_.erase(found);
  joining_.erase(at);
}

void JoinCrowd::clear() {
  joining_.clear();
  addresses_.clear();
}

std::size_t JoinCrowd::count(const transport::Network& from) const {
  const auto found = addresses_.find(from);
  return found == addresses_.end() ? 0 : found->second;
}

std::size_t JoinCrowd::of(const transport::PeerAddress& peer) const { return count(transport::network_of(peer)); }

void JoinCrowd::end_oldest_of(const transport::Network& from) {
  const auto oldest = std::ranges::find(joining_, from, &Joining::from);
  if (oldest != joining_.end()) remove(oldest);
}

}  // namespace ferrotunnel::app
