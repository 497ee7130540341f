// Bandwidth: how the bytes of one tunnel's visitors, one way, keep to its limit, its grant's, and each visitor's own.
//
// Where there are tokens they are taken at once. Where there are none the visitor waits in line, and every tick the line is served in
// order: each gets its part of what has come in, and goes to the end. So one who sends a lot takes nothing from one who sends little. A
// grant's bandwidth is shared by lanes on several shards, each of which takes no more than its part.
//
// Owned by the tunnel's VisitorGate; its shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>

#include "base/token_bucket.h"
#include "session/grant_book.h"
#include "transport/deadline.h"
#include "transport/shard.h"

namespace ferrotunnel::ingress {

enum class Way : std::uint8_t { In, Out };  // from visitors, to visitors

// A visitor's part in a lane. Whoever has it leaves the lane before it dies.
class BandwidthShare : public boost::intrusive::list_base_hook<> {
 public:
  BandwidthShare() = default;
  BandwidthShare(const BandwidthShare&) = delete;
  BandwidthShare& operator=(const BandwidthShare&) = delete;
  [[nodiscard]] bool waits() const { return is_linked(); }

 protected:
  ~BandwidthShare() = default;

 private:
  friend class BandwidthLane;
  virtual void on_allowance() = 0;  // it may take again

  TokenBucket own_;
  std::uint64_t allowance_ = 0;  // taken for it, and not used yet
};

class BandwidthLane final : private transport::Deadline {
 public:
  // The wheel turns in steps of 100 ms and may be late; up to so much is not lost to that.
  static constexpr Duration kGrace = std::chrono::milliseconds(300);
  static constexpr std::uint64_t kQuantum = 4096;  // at least so much at a time, where a tick's worth allows it

  BandwidthLane(transport::Shard& shard, std::shared_ptr<session::GrantUse> use, session::GrantUse::Bandwidth* grant)
      : shard_(shard), use_(std::move(use)), grant_(grant) {}
  ~BandwidthLane();

  void set(std::uint64_t rate, std::uint64_t visitor_rate);
  [[nodiscard]] bool limited() const;
  void join(BandwidthShare& share) { set_own(share); }
  void leave(BandwidthShare& share);

  // Up to `most` bytes (> 0) may pass now. 0: none may, and the visitor waits for on_allowance().
  [[nodiscard]] std::uint64_t take(BandwidthShare& share, std::uint64_t most);
  void give_back(BandwidthShare& share, std::uint64_t n);
  void wait(BandwidthShare& share);                               // it has more to send than it got
  [[nodiscard]] std::uint64_t waited() const { return waited_; }  // how often one had to

 private:
  void on_deadline() override;
  [[nodiscard]] std::uint64_t shared_available(TimePoint now, Duration grace) const;
  [[nodiscard]] std::uint32_t others_waiting() const;
  [[nodiscard]] std::uint64_t grab(BandwidthShare& share, std::uint64_t most, Duration grace);
  [[nodiscard]] std::uint64_t quantum() const;
  void set_own(BandwidthShare& share) const;
  void unlink(BandwidthShare& share);

  transport::Shard& shard_;
  const std::shared_ptr<session::GrantUse> use_;  // has grant_
  session::GrantUse::Bandwidth* const grant_;     // none: a grant without limits
  TokenBucket bucket_;
  std::uint64_t visitor_rate_ = 0;
  std::uint64_t waited_ = 0;
  TimePoint served_{};  // while anybody waits: when the line was served last, or began
  boost::intrusive::list<BandwidthShare> line_;
};

}  // namespace ferrotunnel::ingress
