// H2Server: the server's side of one HTTP/2 connection, without I/O: bytes of the visitor in, requests and bodies out; what is to be sent is pulled.
//
// nghttp2 has frames, HPACK, windows and priorities (RFC 9218: urgency first, incremental ones in turn); this class has what they mean: heads
// (h2_request.h, h2_response.h), credit that is given back only when somebody took the bytes, and limits on what is cheap for a visitor
// and not for us (h2_abuse.h). Bodies are not held here: those of requests are handed on as they come, those of responses are asked for.
//
// Callbacks come from inside feed() and produce(); they may call anything here but those two. Owner's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/h2/h2_abuse.h"
#include "http/h2/h2_priority.h"
#include "http/h2/h2_request.h"
#include "http/h2/h2_response.h"
#include "http/limits.h"
#include "http/message.h"

struct nghttp2_session;

namespace ferrotunnel::http {

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum class H2Code : std::uint32_t {
  NoError = 0,
  Protocol = 1,
  Internal = 2,
  FlowControl = 3,
  StreamClosed = 5,
  Refused = 7,
  Cancel = 8,
  Connect = 10,  // CONNECT_ERROR: what is behind a CONNECT broke off
  Calm = 11,     // ENHANCE_YOUR_CALM
};

// One request's side of it. Known by the server from on_request() to on_closed(), or detach().
class H2Stream {
 public:
  struct Offer {
    std::size_t n = 0;               // bytes of the response's body that are at hand
    bool end = false;                // nothing comes behind them but
    std::string_view trailers = {};  // where end: field lines and an empty line, "" none
  };
  [[nodiscard]] virtual Offer offer() const = 0;
  virtual void take(MutBytes into) = 0;  // the first of what was offered

  virtual void on_body(ConstBytes bytes) = 0;
  // The request is whole; trailers are field lines of HTTP/1.1.
  virtual void on_request_end(std::string_view trailers) = 0;
  // Its END_STREAM was given to produce().
  virtual void on_response_sent() = 0;
  virtual void on_closed(std::uint32_t code) = 0;
  // Both ways by themselves, after CONNECT's 2xx: the END_STREAM of this side says nothing of what the visitor still sends.
  [[nodiscard]] virtual bool is_pipe() const { return false; }

 protected:
  ~H2Stream() = default;
};

struct H2Request {
  std::int32_t id = 0;
  RequestHead& head;                 // views that are good during the call
  const Refusal* refusal = nullptr;  // not to be served, but to be told why
  bool end = false;                  // no body follows
  std::size_t decoded = 0;           // bytes of the head
};

class H2Handler {
 public:
  // None: it is refused, and may be asked again; or this called park().
  [[nodiscard]] virtual H2Stream* on_request(const H2Request& request) = 0;
  // One came that was none (RFC 9113 section 8.1.1), and is answered by RST_STREAM. `decoded`: bytes of its head, as far as they were looked at.
  virtual void on_malformed(std::int32_t /*id*/, std::size_t /*decoded*/) {}

 protected:
  ~H2Handler() = default;
};

// What servers of one thread share, since none of them uses it beyond a call.
struct H2Scratch {
  H2Block block;
  RequestHead head;
  H2Fields fields;
  std::string text;
};

class H2FrameRoom;

class H2Server {
 public:
  // produce() wants at least so much room: a frame of the size that every peer takes.
  static constexpr std::size_t kFrameRoom = 16'384 + 9;

  H2Server(const H2Limits& limits, const Limits& heads, H2Scratch& scratch, H2Handler& handler);
  H2Server(const H2Server&) = delete;
  H2Server& operator=(const H2Server&) = delete;
  ~H2Server();

  // The connection was HTTP/1.1 and changed by `Upgrade: h2c` (h2_upgrade.h); its request becomes stream 1, and on_request() is called for it.
  // `settings`: the payload that HTTP2-Settings has. False: that is wrong. Before anything else.
  [[nodiscard]] bool upgrade(ConstBytes settings, const RequestHead& head, TimePoint now);

  // ---- from thread to thread ----
  // Called by on_request(): that request and what follows it in this feed() wait, until somebody else has the connection and unpark()s it.
  void park() { parking_ = true; }
  [[nodiscard]] bool parked() const { return parking_; }
  // From now on it is this handler's, on this thread; what waited is handed on.
  void unpark(const H2Limits& limits, const Limits& heads, H2Scratch& scratch, H2Handler& handler);

  // ---- in ----
  void feed(ConstBytes bytes, TimePoint now);

  // ---- out ----
  // Writes frames to the front of `into`, and says how many bytes. Less than kFrameRoom left, or nothing more to say.
  [[nodiscard]] std::size_t produce(MutBytes into);
  [[nodiscard]] bool wants_write() const;
  // Nothing is to be read or sent any more: the connection is to be closed.
  [[nodiscard]] bool over() const;

  // ---- streams ----
  // `end`: the head is all.
  void respond(std::int32_t id, const ResponseHead& head, bool end, H2Source source = H2Source::Origin);
  void interim(std::int32_t id, const ResponseHead& head);
  void resume(std::int32_t id);                   // offer() has more than it had
  void consumed(std::int32_t id, std::size_t n);  // of its body: the visitor may send as much again on it
  void consumed_connection(std::size_t n);        // and on the connection
  void reset(std::int32_t id, H2Code code);
  void detach(std::int32_t id);                           // its H2Stream is going: nothing of it is called any more
  [[nodiscard]] bool window_shut(std::int32_t id) const;  // the visitor lets nothing more be sent on it
  [[nodiscard]] bool connection_window_shut() const;      // nor on any
  [[nodiscard]] H2Priority priority(std::int32_t id) const;

  // ---- the connection ----
  // Nothing will move for a while: gives back what only moving takes. It costs a system call.
  void rest();
  void notice_shutdown();  // GOAWAY that refuses nothing yet
  void shutdown();         // no request from now on; those that are here are finished
  void end(H2Code code);   // GOAWAY, and no more
  [[nodiscard]] std::size_t streams() const { return streams_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] std::optional<H2Abuse> abuse() const { return abuse_; }
  [[nodiscard]] bool in_block() const { return in_block_; }  // a header block is not whole
  // Bytes that it holds of that between calls of feed().
  [[nodiscard]] std::size_t held() const { return held_ == nullptr ? 0 : sizeof(H2Block) + held_->bytes(); }
  [[nodiscard]] std::uint64_t malformed() const { return malformed_; }
  // Bytes of bodies, of all streams so far.
  [[nodiscard]] std::uint64_t data_in() const { return data_in_; }
  [[nodiscard]] std::uint64_t data_out() const { return data_out_; }

 private:
  struct Callbacks;
  friend struct Callbacks;
  struct Parked;

  [[nodiscard]] bool spend(H2Abuse kind, const H2Allowance& allowance);
  void abused(H2Abuse kind);
  [[nodiscard]] std::size_t walk(ConstBytes bytes);
  void on_frame_head();
  [[nodiscard]] bool strays();
  void on_priority(ConstBytes payload);
  void late_data();
  void closed(std::int32_t id, bool by_us);
  void receive(ConstBytes bytes);
  void on_frame(std::uint8_t type, std::uint8_t flags, std::int32_t id);
  void on_headers(std::int32_t id, bool request, bool end);
  void on_request(std::int32_t id, H2Block& block, bool end);
  void keep(std::int32_t id, const H2Block& block, bool end);
  [[nodiscard]] H2Stream* stream(std::int32_t id) const;
  void submit_trailers(std::int32_t id, std::string_view lines);
  void reprioritise(std::int32_t id, const ResponseHead& head);
  void keep_priority(std::int32_t id, H2Priority priority);
  void malformed(std::int32_t id, std::size_t decoded);

  const H2Limits* limits_;
  const Limits* heads_;
  H2Scratch* scratch_;
  H2Handler* handler_;
  std::unique_ptr<H2FrameRoom> room_;
  nghttp2_session* session_ = nullptr;
  std::unique_ptr<H2Block> held_;  // a block that is not whole yet, between calls of feed()
  std::vector<std::unique_ptr<Parked>> parked_;
  std::array<H2Tally, kH2Abuses> tallies_;
  H2Tally late_;
  std::uint32_t continuations_ = 0;  // of the block at hand, or the last one
  // Where frames begin: nghttp2 passes over some that have to be seen.
  std::array<std::uint8_t, 9> frame_head_{};
  std::uint8_t frame_have_ = 0;  // bytes of it
  std::uint8_t preface_left_ = kH2Preface.size();
  std::uint32_t frame_left_ = 0;  // bytes of its payload
  std::int32_t frame_id_ = 0;
  std::uint32_t depends_on_ = 0;  // of a PRIORITY, as far as it came
  // Streams that were closed, the latest ones: what still comes for those that we reset was on its way; for others it is wrong.
  static constexpr std::uint32_t kMostWindow = 0x7fff'ffff;
  struct Closed {
    std::int32_t id = 0;
    std::uint32_t by_us : 1 = 0;
    std::uint32_t window : 31 = 0;  // that its DATA still has
  };
  static constexpr std::size_t kClosedKept = 64;
  std::array<Closed, kClosedKept> closed_{};
  std::size_t closed_next_ = 0;
  // Of those that we reset and that are forgotten: bytes that may still be on their way, as far as their windows let them.
  std::uint64_t strays_ = 0;
  std::int32_t last_id_ = 0;  // the highest that was opened
  MutBytes into_;             // during produce()
  std::size_t made_ = 0;
  TimePoint now_{};
  std::size_t streams_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t data_in_ = 0, data_out_ = 0;
  // Of the streams that have another than the default; no more than may be open.
  std::vector<std::pair<std::int32_t, H2Priority>> priorities_;
  std::optional<H2Abuse> abuse_;
  bool in_block_ : 1 = false;
  bool ended_ : 1 = false;
  bool noticed_ : 1 = false, final_ : 1 = false;  // GOAWAY, and the last one
  bool parking_ : 1 = false;
  bool crumb_ : 1 = false;   // the DATA at hand is one that the visitor's window made tiny
  bool failed_ : 1 = false;  // nothing can be sent any more either
};

}  // namespace ferrotunnel::http
