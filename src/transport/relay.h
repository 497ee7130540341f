// Relay: the one byte pump. It joins a stream of a link with a socket, for as long as both last.
//
// It holds no buffer: what comes from the socket is read straight into the link's output (or into the pipe that it is sent from), what comes from
// the stream is written straight to the socket, and what the socket does not take stays in the stream, inside its credit. Half-close goes through both ways; an RST on
// the socket becomes RESET peer-reset, and a RESET closes the socket with an RST. Back-pressure has two reasons, and each ends by
// itself: the socket is full (the stream's bytes wait; on_ready resumes them), or the stream has no credit (the socket is not read; the
// link asks again when credit comes).
//
// Owned by its RelayOwner, which hears once when it is over and may destroy it then. The link's shard only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "transport/byte_stream.h"
#include "transport/link.h"
#include "transport/poller.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::transport {

class Relay;

class RelayOwner {
 public:
  virtual void on_relay_end(Relay& relay, StreamEnd end) = 0;

 protected:
  ~RelayOwner() = default;
};

struct RelayBytes {
  std::uint64_t from_socket = 0, to_socket = 0;
};

class Relay final : private PollHandler, private StreamHandler, private TurnTask {
 public:
  // Takes over a connected socket. `prefix`: bytes that were already read from the socket and go to the stream first.
  Relay(Shard& shard, ByteStreamPtr socket, RelayOwner& owner, std::string prefix = {});
  ~Relay();  // before its end: resets both

  // Joins it with the stream, whose handler it becomes. Held bytes of the stream are delivered from inside. On failure (no
  // more descriptors can be watched) the stream was reset and on_relay_end() follows in the next turn.
  // `in_front`: the stream's handler in its place, which hands on to handler().
  void start(Stream& stream, StreamHandler* in_front = nullptr);
  // What stands in front lets more through, this way or that.
  void resume_read() {
    if (stream_ != nullptr) stream_->resume_read();
  }
  void want_write() {
    if (stream_ != nullptr) stream_->want_write();
  }
  // For opening a stream whose handler the relay will be; start() follows at once.
  [[nodiscard]] StreamHandler& handler() { return *this; }
  // After start(): the stream's FIN came while another handler had it; pass it on.
  void end_input() {
    if (socket_) end_writing();
  }
  [[nodiscard]] const RelayBytes& bytes() const { return bytes_; }
  // Why the socket failed, where it is one that knows more than errno (TLS); nothing otherwise.
  [[nodiscard]] const Error* failure() const { return failure_.get(); }
  void stop(ResetReason reason);  // resets both; on_relay_end() follows in the next turn

 private:
  void on_ready(std::uint32_t what) override;
  [[nodiscard]] std::size_t on_data(Stream& stream, ConstBytes bytes) override;
  void on_fin(Stream& stream) override;
  void on_end(Stream& stream, StreamEnd end) override;
  [[nodiscard]] Fill fill(Stream& stream, MutBytes into) override;
  [[nodiscard]] bool splices() const override { return socket_->plain() && prefix_.empty(); }
  void on_pipe(Stream& stream, Pipe& pipe) override;
  [[nodiscard]] Fill fill_pipe(Stream& stream, Pipe& pipe, std::size_t most) override;
  [[nodiscard]] Fill filled(const IoResult& got, bool drained);
  void run_turn() override;
  void peer_failed();
  void end_writing();
  void note_failure(const IoResult& result);
  void fail(ResetReason reason);
  void finish(StreamEnd end);

  Shard& shard_;
  ByteStreamPtr socket_;
  RelayOwner& owner_;
  Stream* stream_ = nullptr;
  std::string prefix_;
  RelayBytes bytes_;
  StreamEnd end_;
  bool watched_ : 1 = false;
  bool readable_ : 1 = true;
  bool writable_ : 1 = true;
  bool peer_closed_ : 1 = false;   // a FIN or an error is in the socket: a short read does not mean that it was drained
  bool peer_failed_ : 1 = false;   // an RST came; what was received before it is still read
  bool write_failed_ : 1 = false;  // the socket takes nothing any more; the stream's bytes are dropped
  bool read_done_ : 1 = false;     // the socket's FIN was passed on
  bool end_owed_ : 1 =
      false;  // the stream's FIN was passed on, and may wait for room (TLS: it is a record): once more when there is
  std::unique_ptr<Error> failure_;
};

}  // namespace ferrotunnel::transport
