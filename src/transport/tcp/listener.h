// Listener: accepts connections on one shard through its Poller and hands the descriptors on.
//
// The accept loop never waits for anybody. A turn accepts a bounded batch. When descriptors or memory run out (EMFILE, ENFILE, ENOBUFS,
// ENOMEM) it pauses for kPause and tries again; nothing is lost but time, the kernel keeps the queue. Its shard only.
#pragma once

#include <cstdint>
#include <functional>

#include "transport/deadline.h"
#include "transport/shard.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

class Listener final : private PollHandler, private TurnTask, private Deadline {
 public:
  static constexpr int kBatch = 64;
  static constexpr Duration kPause = std::chrono::milliseconds(100);
  // The descriptor is non-blocking. May destroy the listener.
  using OnAccept = std::function<void(UniqueFd, const SocketAddress& peer)>;

  Listener(Shard& shard, UniqueFd fd, OnAccept on_accept);
  ~Listener();

  [[nodiscard]] Result<> start();
  // Accepts those that the kernel has queued, kMostWaiting of them at most. For a listener that is about to go, which must not be destroyed meanwhile.
  void take_waiting();
  static constexpr int kMostWaiting = 4096;
  // set_keepalive() of those that come from now on.
  void keep_alive(Duration silence) { set_keepalive(fd_.get(), silence); }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }  // accepts that failed for want of resources
  // Told each time, with errno. May not destroy the listener.
  void on_starved(std::function<void(int)> tell) { starved_ = std::move(tell); }

 private:
  [[nodiscard]] UniqueFd accept_one(SocketAddress& peer);  // none: errno says why
  void on_ready(std::uint32_t what) override;
  void run_turn() override;
  void on_deadline() override { run_turn(); }

  Shard& shard_;
  UniqueFd fd_;
  OnAccept on_accept_;
  std::function<void(int)> starved_;  // may be none
  bool* alive_ = nullptr;             // set false when destroyed from inside on_accept_
  bool watched_ = false;
  std::uint64_t failures_ = 0;
};

}  // namespace ferrotunnel::transport
