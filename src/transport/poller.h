// Poller: readiness of descriptors for the byte path, one per shard.
//
// Edge-triggered and registered once: a handler hears of a change, then reads or writes until WouldBlock, and says so with
// await(). On Linux it is an epoll set of its own inside the shard's io_context (epoll_poller.cc): no allocation, no queue, and
// await() costs nothing. The portable twin rides on Asio's waits (asio_poller.cc). The shard's thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/error.h"

namespace boost::asio {
class io_context;
}

namespace ferrotunnel::transport {

// Bits of on_ready().
inline constexpr std::uint32_t kReadable = 1;
inline constexpr std::uint32_t kWritable = 2;
inline constexpr std::uint32_t kPeerClosed = 4;  // the peer's FIN or worse; a read will tell
inline constexpr std::uint32_t kFailed = 8;      // an error is pending on the descriptor (an RST among others)

class PollHandler {
 public:
  virtual void on_ready(std::uint32_t what) = 0;

 protected:
  ~PollHandler() = default;
};

// Hears of the end of each batch of readiness: what a turn queued goes out together.
class TurnObserver {
 public:
  virtual void on_turn_begin() = 0;
  virtual void on_turn_end() = 0;
  // Whether work waits that is not readiness: tasks for a turn of their own, which run_next() runs; and what was posted, which
  // only the io_context runs.
  [[nodiscard]] virtual bool has_next() const = 0;
  virtual void run_next() = 0;
  [[nodiscard]] virtual bool has_posted() const = 0;
  // From now on, until false: the Poller looks after has_next() by itself.
  virtual void in_poller(bool now) = 0;

 protected:
  ~TurnObserver() = default;
};

class Poller {
 public:
  virtual ~Poller() = default;

  // The handler met WouldBlock in these directions (kReadable, kWritable) and waits for the next change.
  virtual void await(int fd, PollHandler& handler, std::uint32_t what) = 0;
  // Watches fd until remove(). The handler stays valid until then. Readiness that stands at the time of the call is reported.
  [[nodiscard]] virtual Result<> add(int fd, PollHandler& handler) = 0;
  // Forgets fd, which is still open and may be closed or added again; nothing more is reported to the handler, not even from the batch at
  // hand.
  virtual void remove(int fd, PollHandler& handler) = 0;
  // Before another thread has fd, and behind remove(), if it was ever added here: nothing of this poller touches it any more.
  virtual void leave(int) {}
  // After something was ready, looks again and again for so long before it sleeps: a shorter way to the next byte, for a core that is never
  // at rest. 0: sleeps at once. The portable twin always does.
  virtual void set_busy_poll(Duration) {}
  // Something was posted to the io_context: it has its turn soon. Any thread.
  virtual void on_posted() {}
};

// The best one for this system; `portable` asks for the twin, for tests.
[[nodiscard]] std::unique_ptr<Poller> make_poller(boost::asio::io_context& io, TurnObserver& turns,
                                                  bool portable = false);

}  // namespace ferrotunnel::transport
