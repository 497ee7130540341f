// PairRelay: joins two sockets, both ways, for as long as both last. The pump of direct links, which carry one visitor without frames.
//
// Between plain sockets bulk is spliced through a pipe of the shard's pool; what is small is copied, and so is all where one side is TLS or no
// pipe is to be had. It holds a pipe or a buffer only while it has bytes that the other side does not take. Half-close goes through
// both ways. A failure (an RST; over TLS an end without close_notify) of one side ends both with an RST, once what came before it has been
// passed on as far as the other side takes it at once. Back-pressure: while one side takes nothing, the other is not read.
//
// Owned by its PairRelayOwner, which hears once when it is over and may destroy it then. Both sockets' shard only.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/buffer_pool.h"
#include "transport/byte_stream.h"
#include "transport/link.h"
#include "transport/pipe.h"
#include "transport/poller.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::transport {

class PairRelay;

class PairRelayOwner {
 public:
  virtual void on_pair_end(PairRelay& relay, StreamEnd end) = 0;

 protected:
  ~PairRelayOwner() = default;
};

struct PairBytes {
  std::uint64_t from_first = 0, to_first = 0;  // as read from the one, and from the other
};

class PairRelay final : private TurnTask {
 public:
  static constexpr std::size_t kBytesPerTurn = 256 * 1024;  // then the next connection has its turn
  static constexpr int kCallsPerTurn = 16;
  static constexpr std::size_t kSmallRead = 16 * 1024;  // a read that fills it is bulk: worth a pipe
  static constexpr std::size_t kLargeRead = 64 * 1024;  // where nothing can be spliced
  static constexpr std::size_t kTightRead = 4 * 1024;   // while the process has little memory left
  static constexpr std::size_t kMaxHead = 32 * 1024;

  // Takes over two connected sockets that nobody watches.
  PairRelay(Shard& shard, ByteStreamPtr first, ByteStreamPtr second, PairRelayOwner& owner);
  ~PairRelay();  // before its end: resets both

  // `to_first`, `to_second`: bytes that go there before anything else, at most kMaxHead each; they are copied. Where no more descriptors
  // can be watched it is over at once, and on_pair_end() follows in the next turn.
  void start(ConstBytes to_first = {}, ConstBytes to_second = {});
  void stop(ResetReason reason);  // resets both; on_pair_end() follows in the next turn
  [[nodiscard]] PairBytes bytes() const { return {ways_[0].bytes, ways_[1].bytes}; }

 private:
  struct Side final : PollHandler {
    Side(PairRelay& r, ByteStreamPtr s) : relay(r), socket(std::move(s)) {}
    void on_ready(std::uint32_t what) override { relay.on_ready(*this, what); }
    PairRelay& relay;
    ByteStreamPtr socket;
    bool watched : 1 = false;
    bool readable : 1 = true;
    bool writable : 1 = true;
    bool closed : 1 = false;  // a FIN or an error is in the socket: a short read does not mean that it was drained
    bool failed : 1 = false;  // it is broken; what it gave before is still read
  };
  // One direction. What it holds is in `held` or in `pipe`, never in both.
  struct Way {
    Way(Side& f, Side& t) : from(f), to(t) {}
    [[nodiscard]] bool holds() const { return held_begin < held_end || (pipe && !pipe->empty()); }
    Side& from;
    Side& to;
    Buffer held;
    std::uint32_t held_begin = 0, held_end = 0;
    PipeLease pipe;
    std::uint64_t bytes = 0;
    bool bulk = false;
    bool eof = false;   // the end was read
    bool done = false;  // and passed on; or nobody is there to take anything
  };
  struct Turn {
    std::size_t bytes = kBytesPerTurn;
    int calls = kCallsPerTurn;
    [[nodiscard]] bool over() const { return bytes == 0 || calls <= 0; }
    void spend(std::size_t n) {
      bytes -= bytes < n ? bytes : n;
      --calls;
    }
  };

  [[nodiscard]] Way& way_from(const Side& side) { return ways_[&side == &first_ ? 0 : 1]; }
  [[nodiscard]] Way& way_to(const Side& side) { return ways_[&side == &first_ ? 1 : 0]; }
  void on_ready(Side& side, std::uint32_t what);
  void run_turn() override;
  [[nodiscard]] bool watch(Side& side);
  static void hold(Way& way, Buffer buffer, ConstBytes bytes);
  void pump();
  void move(Way& way, Turn& turn);
  void read_some(Way& way, Turn& turn);
  void splice_some(Way& way, Turn& turn);
  void copy_some(Way& way, Turn& turn);
  void write_held(Way& way, Turn& turn);
  void not_read(Way& way, const IoResult& got);
  [[nodiscard]] std::size_t wrote(Way& way, const IoResult& result, std::size_t asked, bool certain);
  void end_half(Way& way);
  void finish(StreamEnd end);

  Shard& shard_;
  PairRelayOwner& owner_;
  Side first_, second_;
  std::array<Way, 2> ways_;  // from the first, from the second
  StreamEnd end_;
  const bool spliced_;
  bool over_ = false;
  bool second_begins_ = false;  // each turn the other way
};

}  // namespace ferrotunnel::transport
