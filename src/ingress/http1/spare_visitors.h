// SpareVisitors: connections that can go where a newcomer has no place: nothing is asked on them, or not yet all of it, or nobody seems to be
// there for the answer. The address that has most of them pays, with the one that has been so for longest.
//
// One per HttpIngress. Each step is of a constant cost. The shard's thread, but for count() and has_most().
#pragma once

#include <atomic>
#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <deque>
#include <memory>

#include "transport/network.h"

namespace ferrotunnel::ingress {

struct SpareTag;
using SpareHook = boost::intrusive::list_base_hook<boost::intrusive::tag<SpareTag>>;

class SpareVisitors;
class SpareVisitor;

// Of one address.
struct SpareGroup : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  SpareGroup(const transport::Network& address, std::size_t named) : from(address), name(named) {}
  const transport::Network from;
  const std::size_t name;                                                              // a hash of it
  std::size_t visitors = 0;                                                            // spare or not
  boost::intrusive::list<SpareVisitor, boost::intrusive::base_hook<SpareHook>> spare;  // by when they became so
};

class SpareVisitor : public SpareHook {
 public:
  SpareVisitor(const SpareVisitor&) = delete;
  SpareVisitor& operator=(const SpareVisitor&) = delete;

 protected:
  SpareVisitor(SpareVisitors& all, const transport::PeerAddress& peer);
  ~SpareVisitor();
  void be_spare(bool spare);

 private:
  friend class SpareVisitors;
  // Ends and destroys it. False: something has come meanwhile.
  [[nodiscard]] virtual bool end_spare() = 0;
  SpareVisitors& all_;
  SpareGroup& group_;
};

class SpareVisitors {
 public:
  // Of the address that has most, or of `from`. False: there is none.
  [[nodiscard]] bool end_oldest() {
    for (std::size_t looks = 0; looks < kMostLooks && most_ > 0; ++looks)
      if (end_first(by_count_[most_ - 1].front())) return true;
    return false;
  }
  [[nodiscard]] bool end_oldest(const transport::PeerAddress& from) {
    const auto found = groups_.find(transport::network_of(from));
    if (found == groups_.end()) return false;
    SpareGroup& group = *found->second;
    for (std::size_t looks = 0; looks < kMostLooks && !group.spare.empty(); ++looks)
      if (end_first(group)) return true;
    return false;
  }
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }
  // Whether no address has more. Any thread.
  [[nodiscard]] bool has_most(const transport::PeerAddress& from) const {
    return who_.load(std::memory_order_relaxed) == name_of(transport::network_of(from));
  }

 private:
  friend class SpareVisitor;
  using Groups = boost::intrusive::list<SpareGroup, boost::intrusive::constant_time_size<false>>;
  static constexpr std::size_t kMostLooks = 32;

  [[nodiscard]] static std::size_t name_of(const transport::Network& from) {
    return boost::hash<transport::Network>()(from);
  }
  [[nodiscard]] bool end_first(SpareGroup& group) {
    SpareVisitor& oldest = group.spare.front();
    remove(oldest);  // it is there again with its next wait
    return oldest.end_spare();
  }
  [[nodiscard]] SpareGroup& join(const transport::Network& from) {
    std::unique_ptr<SpareGroup>& group = groups_[from];
    if (group == nullptr) group = std::make_unique<SpareGroup>(from, name_of(from));
    ++group->visitors;
    return *group;
  }
  void leave(SpareGroup& group) {
    if (--group.visitors == 0) groups_.erase(transport::Network(group.from));  // a copy: it dies
  }
  void add(SpareVisitor& one) {
    one.group_.spare.push_back(one);
    place(one.group_);
    count_.store(count() + 1, std::memory_order_relaxed);
  }
  void remove(SpareVisitor& one) {
    one.group_.spare.erase(one.group_.spare.iterator_to(one));
    place(one.group_);
    count_.store(count() - 1, std::memory_order_relaxed);
  }
  // It has one more, or one fewer.
  void place(SpareGroup& group) {
    group.unlink();
    const std::size_t spare = group.spare.size();
    if (spare > by_count_.size()) by_count_.resize(spare);
    if (spare > 0) by_count_[spare - 1].push_back(group);
    if (spare > most_) most_ = spare;
    if (most_ > 0 && by_count_[most_ - 1].empty()) --most_;  // who had most has one fewer
    const std::size_t who = most_ > 0 ? by_count_[most_ - 1].front().name : 0;
    if (who != who_.load(std::memory_order_relaxed)) who_.store(who, std::memory_order_relaxed);
  }

  boost::unordered_flat_map<transport::Network, std::unique_ptr<SpareGroup>> groups_;
  std::deque<Groups> by_count_;  // those that have one, two, …; of a count who has had it for longest is first
  std::size_t most_ = 0;         // that any has
  std::atomic<std::size_t> count_{0};
  std::atomic<std::size_t> who_{0};  // has most, by name; 0: nobody has any
};

inline SpareVisitor::SpareVisitor(SpareVisitors& all, const transport::PeerAddress& peer)
    : all_(all), group_(all.join(transport::network_of(peer))) {}

inline SpareVisitor::~SpareVisitor() {
  be_spare(false);
  all_.leave(group_);
}

inline void SpareVisitor::be_spare(bool spare) {
  if (spare == SpareHook::is_linked()) return;
  if (spare) {
    all_.add(*this);
  } else {
    all_.remove(*this);
  }
}

}  // namespace ferrotunnel::ingress
