// MuxCore: many streams over one reliable byte connection, sans-I/O (docs/wire-protocol.md; RFC 9113 section 5.2 for the idea of credit).
//
// Bytes from the link go in by receive(); bytes for it come out of produce(), which asks the ready streams' handlers to fill in
// their payload in place: control frames first, then a quantum a stream in turn. Time comes in with each call. It never sees a
// socket, a clock or a log. It owns its streams; handlers own themselves. One shard's thread.
//
// The peer's violations are values: receive() returns the Error, after which the shell flushes (GOAWAY is queued) and closes.
#pragma once

#include <algorithm>
#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/clock.h"
#include "base/token_bucket.h"
#include "mux/limits.h"
#include "mux/mux_stream.h"
#include "mux/rate_limit.h"
#include "mux/window_memory.h"
#include "transport/link.h"
#include "wire/frame.h"

namespace ferrotunnel::mux {

enum class Role : std::uint8_t { Client, Server };

// What the core asks of the shell around it.
class MuxHost {
 public:
  // There is output where there was none. Not called from inside produce().
  virtual void on_output() = 0;

 protected:
  ~MuxHost() = default;
};

class MuxCore {
 public:
  MuxCore(Role role, const MuxLimits& limits, BufferPool& pool, MuxHost& host, transport::LinkHandler& handler);
  MuxCore(const MuxCore&) = delete;
  MuxCore& operator=(const MuxCore&) = delete;
  ~MuxCore();

  // Takes all the bytes, calling handlers as frames (and parts of DATA) become known.
  [[nodiscard]] Result<> receive(ConstBytes bytes, TimePoint now);
  // Bytes of the DATA at hand that are still to come; 0 between frames and inside others.
  [[nodiscard]] std::size_t payload_left() const {
    return header_have_ == wire::kHeaderSize && frame_.type == wire::FrameType::Data ? payload_left_ : 0;
  }
  // Whether they may come by a pipe instead of receive(): that of pipe_at_hand(), where the stream holds some in one already, otherwise an
  // empty one of the caller's. Never more than payload_left() of them. receive_piped() then tells that n came, and may keep the caller's pipe.
  // From this round trip on, a stream's window grows by its first DATA of so many bytes.
  static constexpr Duration kLongRoad = std::chrono::milliseconds(5);
  static constexpr std::uint32_t kEarlyFrame = 4096;
  static constexpr std::size_t kSpliceLeast = 16 * 1024;  // fewer are cheaper copied: two calls for three
  [[nodiscard]] bool splices() const;
  [[nodiscard]] transport::Pipe* pipe_at_hand() const;
  void receive_piped(transport::PipeLease& pipe, std::size_t n, TimePoint now);

  // Writes whole frames to the front of `out` and returns their size in bytes; 0 when there is nothing to send.
  // out must hold kMinProduce bytes. With a pipe (an empty one) the last frame's payload may be in that instead, behind its header.
  static constexpr std::size_t kMinProduce = 1024;
  [[nodiscard]] std::size_t produce(MutBytes out, TimePoint now, transport::Pipe* pipe = nullptr);
  [[nodiscard]] bool wants_pipe() const {
    return !failed_ && !ready_streams_.empty() && ready_streams_.front().bulk_ && control_begin_ == control_.size();
  }
  [[nodiscard]] bool has_output() const {
    return control_begin_ < control_.size() || (!failed_ && !ready_streams_.empty());
  }

  [[nodiscard]] Result<transport::Stream*> open(const transport::OpenInfo& info, transport::StreamHandler& handler);
  void send_control(std::string_view json);
  void send_ping(TimePoint now);
  void goaway(wire::GoawayCode code, std::string_view text);
  // The connection is gone: every stream ends with LinkLost. Nothing may be called afterwards but the destructor.
  void lost();

  [[nodiscard]] bool draining() const { return goaway_sent_ || goaway_received_; }
  [[nodiscard]] bool drained() const { return draining() && streams_.empty() && !has_output(); }
  [[nodiscard]] bool ping_outstanding() const { return ping_outstanding_; }
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }
  [[nodiscard]] std::size_t held() const { return held_; }
  // Set once the link ended itself because its control frames are not read (max_control_queue); that may be outside receive(), which
  // says so too if it is called. The shell closes.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  // For tests of bounds: the memory of what waits that is not DATA.
  [[nodiscard]] std::size_t control_capacity() const { return control_.capacity(); }
  [[nodiscard]] Duration rtt() const { return rtt_; }          // last measured; 0 before the first PONG
  [[nodiscard]] Duration min_rtt() const { return min_rtt_; }  // smallest of the recent ones
  [[nodiscard]] const MuxCounters& counters() const { return counters_; }
  // What the streams opened here count against, until they are over. Before the first of them.
  void set_quota(std::shared_ptr<StreamQuota> quota) { quota_ = std::move(quota); }
  // The largest DATA that is sent from now on; of what is copied, within limits.quantum too.
  void set_turn(std::size_t bytes) { turn_ = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, wire::kMaxData)); }
  // For tests of exhaustion: the next id that this side will use.
  void set_next_id(std::uint32_t id) { next_id_ = id; }

 private:
  friend class MuxStream;
  struct Scope;  // frees dead streams when the outermost call ends

  // Receiving.
  [[nodiscard]] Result<> begin_frame(TimePoint now);
  [[nodiscard]] Result<> begin_data(TimePoint now);
  void data_piece(ConstBytes piece, TimePoint now);
  void end_data();
  [[nodiscard]] Result<> finish_frame(ConstBytes payload, TimePoint now);
  [[nodiscard]] Result<> on_open_frame(ConstBytes payload, TimePoint now);
  [[nodiscard]] Result<> on_credit_frame(ConstBytes payload);
  [[nodiscard]] Result<> on_goaway_frame(ConstBytes payload);
  void on_pong_frame(ConstBytes payload, TimePoint now);
  [[nodiscard]] bool was_opened(std::uint32_t id) const;
  [[nodiscard]] MuxStream* find(std::uint32_t id);
  [[nodiscard]] Error fail(wire::GoawayCode code, const std::string& text);

  // A stream's life.
  void hold(MuxStream& stream, ConstBytes bytes);
  void hold_piped(MuxStream& stream, transport::PipeLease& pipe, std::size_t n);
  template <class Append>
  void hold_more(MuxStream& stream, std::size_t n, Append append);
  // How many of the bytes the handler took; none where the stream is over.
  [[nodiscard]] std::optional<std::size_t> offer(MuxStream& stream, ConstBytes bytes);
  [[nodiscard]] std::optional<std::size_t> offer(MuxStream& stream, transport::Pipe& pipe);
  [[nodiscard]] bool has_room(std::size_t n) const;
  [[nodiscard]] bool make_room(MuxStream* stream, std::size_t n);
  void count_borrowed(std::size_t before, std::size_t after);
  void deliver_held(MuxStream& stream);
  void deliver_fin(MuxStream& stream);
  void maybe_grant(MuxStream& stream, bool taken_at_once);
  [[nodiscard]] std::uint32_t larger_window(std::uint32_t window, std::uint32_t times) const;
  void set_window(MuxStream& stream, std::uint32_t window);
  void reset_stream(MuxStream& stream, transport::ResetReason reason);  // by our own side
  void fail_stream(MuxStream& stream, transport::ResetReason reason);   // a violation: both sides hear of it
  void end_stream(MuxStream& stream, transport::StreamEnd end, bool tell);
  void maybe_finish(MuxStream& stream);
  void mark_ready(MuxStream& stream);
  void unready(MuxStream& stream);

  // Sending.
  void queue(wire::FrameType type, std::uint32_t stream, ConstBytes payload, std::uint8_t flags = 0);
  void queue_u32(wire::FrameType type, std::uint32_t stream, std::uint32_t value);
  [[nodiscard]] std::size_t produce_data(MutBytes out, transport::Pipe* pipe);
  void consume_control(std::size_t n);
  void output_changed();

  template <typename Tag>
  using StreamList = boost::intrusive::list<MuxStream, boost::intrusive::base_hook<StreamHook<Tag>>,
                                            boost::intrusive::constant_time_size<false>>;

  // Fixed after construction.
  const Role role_;
  const MuxLimits limits_;
  BufferPool& pool_;
  MuxHost& host_;
  transport::LinkHandler& handler_;

  boost::unordered_flat_map<std::uint32_t, MuxStream*> streams_;
  StreamList<ReadyTag> ready_streams_;
  // Those with held bytes, by when the handler last took some (or, none yet, when the first was held): the longest stalled first.
  StreamList<StalledTag> stalled_streams_;
  std::vector<MuxStream*> dead_;
  int depth_ = 0;
  bool producing_ = false;
  TimePoint now_{};

  // The frame being received.
  std::array<std::byte, wire::kHeaderSize> header_bytes_{};
  std::uint32_t header_have_ = 0;
  wire::FrameHeader frame_;
  std::uint32_t payload_left_ = 0;
  std::vector<std::byte> payload_;    // of a frame that is not DATA and came in pieces
  MuxStream* data_stream_ = nullptr;  // where the DATA at hand goes; none: dropped
  bool failed_ = false;
  std::optional<Error> failure_;
  bool failure_told_ = false;  // by receive()

  std::uint32_t turn_ = wire::kMaxData;
  WindowMemory windows_;
  std::size_t grown_ = 0;  // what the windows of all streams are above kInitialCredit

  // Output that is not DATA: encoded frames.
  std::vector<std::byte> control_;
  std::size_t control_begin_ = 0;  // what is before it has been sent

  [[nodiscard]] bool opened_here(std::uint32_t id) const { return (id & 1) == (next_id_ & 1); }
  std::shared_ptr<StreamQuota> quota_;
  std::uint32_t next_id_;
  std::uint32_t last_peer_id_ = 0;
  bool goaway_sent_ = false, goaway_received_ = false;
  std::size_t held_ = 0;
  std::size_t borrowed_ = 0;  // bytes of the blocks that hold it

  Duration rtt_{}, min_rtt_{};
  TimePoint min_rtt_at_{};
  std::uint64_t ping_value_ = 0;
  TimePoint ping_sent_{};
  bool ping_outstanding_ = false;

  RateLimit opens_, empties_, tinies_, pings_, credits_, resets_, controls_;
  TokenBucket control_bytes_;
  MuxCounters counters_;
};

}  // namespace ferrotunnel::mux
