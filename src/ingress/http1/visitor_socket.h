// VisitorSocket: a visitor's connection as bytes: what was read and not used yet, what could not be written yet, and readiness.
//
// Buffers are borrowed while bytes are in hand and given back with the last one. Reading ahead is bounded: a head by the limits of
// http/, the bytes behind a body by kBehindChunks. Nothing here asks the memory budget before it borrows: whether an unfinished head may
// stay is the VisitorConnection's to decide. Private to http1/; owned by its VisitorConnection, on the shard's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer_pool.h"
#include "http/body.h"
#include "transport/byte_stream.h"
#include "transport/poller.h"
#include "transport/shard.h"

namespace ferrotunnel::ingress {

class VisitorSocket {
 public:
  static constexpr std::size_t kFirstRead = 4096;
  // Nobody knows where a chunked body ends before it was read: at most this many bytes beyond the chunk at hand are.
  static constexpr std::size_t kBehindChunks = 16 * 1024;
  static constexpr std::size_t kBehindChunksWhenFull = BufferPool::kSizes.front();

  VisitorSocket(transport::Shard& shard, transport::ByteStreamPtr stream, transport::PollHandler& handler)
      : shard_(shard), stream_(std::move(stream)), handler_(handler) {}
  VisitorSocket(const VisitorSocket&) = delete;
  VisitorSocket& operator=(const VisitorSocket&) = delete;
  ~VisitorSocket();

  // What the connection holds inside, of TLS, is readable then.
  [[nodiscard]] Result<> watch();
  // The connection, watched no more. What input() holds goes with it: the caller takes it first.
  [[nodiscard]] transport::ByteStreamPtr release();

  // ---- readiness ----
  // Takes what the poller says. Returns the directions (kReadable, kWritable) that may go on now and could not before.
  [[nodiscard]] std::uint32_t note(std::uint32_t what);
  // Whether an RST came, for one who does not read now and would not hear of it from a read.
  [[nodiscard]] bool reset_by_peer(std::uint32_t what);
  // Whether the visitor's end of the connection is here, a FIN too, for the same.
  [[nodiscard]] bool left() const;
  // It may be: a look is worth its call.
  [[nodiscard]] bool peer_closed() const { return peer_closed_; }
  // Whether bytes are there that were not read. A system call.
  [[nodiscard]] bool arrived() const;
  void await_end();  // to be told when it comes, or else bytes do: on_ready(), once
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] bool failed() const { return failed_; }  // nothing more can be sent or read
  [[nodiscard]] bool eof() const { return eof_; }

  // ---- input ----
  enum class Read : std::uint8_t { Some, Nothing, Eof, Failed };
  [[nodiscard]] std::string_view input() const {
    return {reinterpret_cast<const char*>(in_.data()) + in_begin_, in_end_ - in_begin_};
  }
  [[nodiscard]] std::size_t input_room() const { return in_.size(); }  // of memory
  void consume(std::size_t n);
  void preload(std::string_view bytes);  // were read elsewhere; before anything else
  // One read to the end of input(), which may move.
  [[nodiscard]] Read read_more();
  // One read, past input(), which is not used then.
  [[nodiscard]] Read read_into(MutBytes room, std::size_t& n);
  // Reads and forgets; adds to `n`.
  [[nodiscard]] Read discard(std::size_t& n);

  struct Body {
    std::size_t n = 0;
    Read end = Read::Some;  // Eof, Failed: the connection ended inside the body
    http::BodyError error = http::BodyError::None;
    bool more = false;  // another call may give more at once
  };
  // Bytes of a request's body, from input() and then straight from the socket, as far as the framer says that they belong to it.
  [[nodiscard]] Body read_body(MutBytes into, http::BodyFramer& framer);

  // ---- output ----
  [[nodiscard]] bool can_write() const { return writable_ && !failed_ && out_begin_ == out_end_; }
  [[nodiscard]] bool pending() const { return out_begin_ != out_end_; }
  // Sends the head whole and of the body what the socket takes, in one call where it can. The rest of the head is kept here; the body's
  // bytes taken are returned.
  std::size_t send(std::string_view head, ConstBytes body);
  // Writes what is kept; true when nothing is (any more).
  bool flush();
  void shutdown_write() { stream_->shutdown_write(); }
  void abort() { stream_->abort(); }
  [[nodiscard]] int fd() const { return stream_->fd(); }
  [[nodiscard]] std::uint64_t written() const { return written_; }  // bytes, ever; those kept included
  // Of them, what has arrived. A system call: for a look now and then.
  [[nodiscard]] std::uint64_t delivered() const;

 private:
  [[nodiscard]] Read take(const transport::IoResult& got, std::size_t asked);
  [[nodiscard]] std::size_t write(std::span<iovec> pieces);
  void make_room();
  void keep(std::string_view bytes);

  transport::Shard& shard_;
  transport::ByteStreamPtr stream_;
  transport::PollHandler& handler_;
  Buffer in_, out_;
  std::uint32_t in_begin_ = 0, in_end_ = 0;
  std::uint32_t out_begin_ = 0, out_end_ = 0;
  std::uint64_t written_ = 0;
  bool watched_ : 1 = false;
  bool readable_ : 1 = false;  // the poller tells of what is there when it begins to watch
  bool writable_ : 1 = true;
  bool peer_closed_ : 1 = false;  // a FIN or an error is in the socket: a short read does not mean that it was drained
  bool eof_ : 1 = false;
  bool failed_ : 1 = false;
};

}  // namespace ferrotunnel::ingress
