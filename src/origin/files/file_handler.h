// FileHandler: a shared directory as an origin: HTTP/1.1 spoken on a stream, requests in, files out.
//
// It reads requests one after another; while one is answered the rest waits in the stream, inside its credit. A file is read
// straight into the link's buffer when the link asks, so a slow visitor costs an open descriptor and no memory. Reads are blocking, of
// at most kMaxRead bytes a call: a disk that hangs holds up the shard, which is meant for local disks. Once the head is written
// nothing is allocated. A file that got shorter than its Content-Length resets the stream: a cut must not look like an end.
//
// Bodies of requests are read and dropped up to kMaxBody; behind a larger one, or one that waits for 100 Continue, the connection closes.
// It has no timeouts: the server's pool has them. Owned by its owner, which hears once when it is over and may destroy it then; the
// link's shard only.
#pragma once

#include <cstdint>
#include <string>

#include "http/body.h"
#include "http/h1_head.h"
#include "origin/files/reply.h"
#include "transport/link.h"
#include "transport/relay.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::origin::files {

class FileHandler;

class FileHandlerOwner {
 public:
  virtual void on_files_end(FileHandler& handler) = 0;

 protected:
  ~FileHandlerOwner() = default;
};

class FileHandler final : private transport::StreamHandler, private transport::TurnTask {
 public:
  static constexpr std::size_t kMaxRead = 128 * 1024;
  static constexpr std::uint64_t kMaxBody = 1 << 20;

  FileHandler(transport::Shard& shard, RootPtr root, FileHandlerOwner& owner)
      : shard_(shard), root_(std::move(root)), owner_(owner) {}
  FileHandler(const FileHandler&) = delete;
  FileHandler& operator=(const FileHandler&) = delete;
  ~FileHandler();

  // Becomes the stream's handler.
  void start(transport::Stream& stream);
  // from_socket: bytes that were sent to the visitor.
  [[nodiscard]] const transport::RelayBytes& bytes() const { return bytes_; }

 private:
  enum class State : std::uint8_t {
    Head,   // of the next request
    Body,   // of the request, to be dropped; the reply stands already
    Reply,  // is being sent; nothing is read
    Over,   // FIN is due or was sent; what comes is dropped
  };

  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override;
  void on_end(transport::Stream& stream, transport::StreamEnd end) override;
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;
  void run_turn() override;

  std::size_t take_head(std::string_view bytes);
  std::size_t take_body(std::string_view bytes);
  void on_head(const http::RequestHead& head);
  void refuse(const http::Refusal& refusal);
  void begin_reply();
  [[nodiscard]] std::size_t fill_reply(MutBytes into);
  void reply_sent();
  void fail();

  transport::Shard& shard_;
  const RootPtr root_;
  FileHandlerOwner& owner_;
  transport::Stream* stream_ = nullptr;
  transport::RelayBytes bytes_;
  std::string input_;  // the beginning of a head that came in pieces
  http::HeadScanner scanner_;
  http::BodyFramer body_;
  std::uint64_t dropped_ = 0;  // bytes of the body
  Reply reply_;
  std::size_t text_sent_ = 0;  // of the reply's text
  State state_ = State::Head;
  bool close_ = false;      // behind the reply
  bool input_end_ = false;  // the visitor's FIN came
  bool fin_sent_ = false;
};

}  // namespace ferrotunnel::origin::files
