// SpareVisitors: connections that can go where a newcomer has no place: nothing is asked on them, or nobody seems to be there for the answer.
// The one that has been so for longest goes first.
//
// One per HttpIngress. The shard's thread, but for count().
#pragma once

#include <atomic>
#include <boost/intrusive/list.hpp>
#include <cstddef>

namespace ferrotunnel::ingress {

struct SpareTag;
using SpareHook = boost::intrusive::list_base_hook<boost::intrusive::tag<SpareTag>>;

class SpareVisitors;

class SpareVisitor : public SpareHook {
 public:
  SpareVisitor(const SpareVisitor&) = delete;
  SpareVisitor& operator=(const SpareVisitor&) = delete;

 protected:
  explicit SpareVisitor(SpareVisitors& all) : all_(all) {}
  ~SpareVisitor() { be_spare(false); }
  void be_spare(bool spare);

 private:
  friend class SpareVisitors;
  // Ends and destroys it. False: something has come meanwhile.
  [[nodiscard]] virtual bool end_spare() = 0;
  SpareVisitors& all_;
};

class SpareVisitors {
 public:
  // False: there is none.
  [[nodiscard]] bool end_oldest() {
    for (std::size_t looks = 0; looks < kMostLooks && !all_.empty(); ++looks) {
      SpareVisitor& oldest = all_.front();
      remove(oldest);  // it is there again with its next wait
      if (oldest.end_spare()) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  friend class SpareVisitor;
  static constexpr std::size_t kMostLooks = 32;
  void remove(SpareVisitor& one) {
    all_.erase(all_.iterator_to(one));
    count_.store(all_.size(), std::memory_order_relaxed);
  }
  boost::intrusive::list<SpareVisitor, boost::intrusive::base_hook<SpareHook>> all_;  // by when they became so
  std::atomic<std::size_t> count_{0};
};

inline void SpareVisitor::be_spare(bool spare) {
  if (spare == SpareHook::is_linked()) return;
  if (!spare) return all_.remove(*this);
  all_.all_.push_back(*this);
  all_.count_.store(all_.all_.size(), std::memory_order_relaxed);
}

}  // namespace ferrotunnel::ingress
