// MuxLink: the shell that makes one byte connection (TCP, TLS) a transport::Link, by moving bytes between it and a MuxCore.
//
// What a turn of the shard queued goes out together at its end, from one buffer borrowed while bytes are in hand. A turn reads and
// writes a bounded amount, then the next connection has its turn. While the connection takes no more, nothing is asked of the streams: so
// visitors are not read for a link that is full.
//
// Where the connection is a plain socket, large payloads go by a pipe (Pipe) and never pass through user memory. To send one: splice(visitor -> pipe)
// says how many bytes, their header goes out behind what the turn queued (MSG_MORE), then splice(pipe -> link); until the frame is whole
// nothing else is sent. To receive one: at most kSmallRead bytes are read ahead, so that most of a large payload is still in the socket when its
// header is known; behind a payload that went by the pipe only the next header is read.
//
// Owned by the session. close() and failures end it; on_link_closed() then comes once, from the top of a turn, after which the owner
// destroys it. The shard's thread only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "mux/mux_core.h"
#include "transport/byte_stream.h"
#include "transport/deadline.h"
#include "transport/link.h"
#include "transport/poller.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::mux {

class MuxLink final : public transport::Link,
                      private transport::PollHandler,
                      private transport::TurnTask,
                      private transport::Deadline,
                      private MuxHost {
 public:
  static constexpr std::size_t kOutBuffer = 128 * 1024;
  static constexpr std::size_t kReadPerTurn = 256 * 1024;
  static constexpr int kWritesPerTurn = 4;
  static constexpr std::size_t kSmallRead = 16 * 1024;
  static constexpr Duration kLinger = std::chrono::seconds(5);  // after a drain, for the peer to close too

  // `stream` is connected, its handshakes are done, and nothing watches it. `early`: bytes that were read from it behind the handshake.
  MuxLink(transport::Shard& shard, transport::ByteStreamPtr stream, Role role, const MuxLimits& limits,
          transport::LinkHandler& handler, ConstBytes early = {});
  ~MuxLink() override;

  // Starts moving. Handlers may be called from inside a later turn, not from inside this.
  [[nodiscard]] Result<> start();

  [[nodiscard]] Result<transport::Stream*> open(const transport::OpenInfo& info,
                                                transport::StreamHandler& handler) override {
    return core_.open(info, handler);
  }
  void send_control(std::string_view json) override { core_.send_control(json); }
  void ping() override { core_.send_ping(Clock::now()); }
  void goaway(std::uint32_t code, std::string_view text) override;
  void close(const Error& why) override;
  [[nodiscard]] transport::LinkCapabilities capabilities() const override { return {.splice = stream_->plain()}; }
  [[nodiscard]] transport::LinkStatus status() const override;
  // Before start().
  void set_quota(std::shared_ptr<StreamQuota> quota) { core_.set_quota(std::move(quota)); }
  [[nodiscard]] const MuxCounters& counters() const { return core_.counters(); }

 private:
  void on_ready(std::uint32_t what) override;
  void on_output() override;
  void run_turn() override;
  void on_deadline() override;
  void read_some();
  [[nodiscard]] transport::Pipe* pipe_for_payload();
  [[nodiscard]] std::size_t read_size() const;
  void write_some();
  [[nodiscard]] bool write_pending();
  [[nodiscard]] transport::IoResult write_piece();
  [[nodiscard]] bool output_pending() const {
    return out_begin_ < out_end_ || (out_pipe_ != nullptr && !out_pipe_->empty());
  }
  void produce();
  void last_words();
  void linger();
  void finish_close();
  [[nodiscard]] std::string drained_text() const;

  transport::Shard& shard_;
  transport::ByteStreamPtr stream_;
  transport::LinkHandler& handler_;
  const Role role_;
  MuxCore core_;
  std::vector<std::byte> early_;

  Buffer out_;  // borrowed while out_begin_ < out_end_
  std::size_t out_begin_ = 0, out_end_ = 0;
  transport::PipeLease out_pipe_;         // what is in it follows out_
  transport::PipeLease in_pipe_;          // empty, but while the core is told of what came
  transport::Pipe* full_pipe_ = nullptr;  // the next piece is copied: there is no room in this one
  bool header_next_ = false;              // the piece before came by a pipe
  std::uint64_t written_ = 0;
  TimePoint last_received_{};
  std::optional<Error> closed_;
  bool watched_ = false, producing_ = false;
  bool readable_ = true, writable_ = true, peer_closed_ = false;
  bool we_leave_ = false;   // goaway() was called here
  bool lingering_ = false;  // drained: our end is said, the peer's is awaited
};

}  // namespace ferrotunnel::mux
