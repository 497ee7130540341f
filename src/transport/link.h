// Link: one connection that carries a session's streams, whatever it is made of (mux over TCP or TLS; QUIC later).
//
// The byte path in both directions is a call, not a queue:
//  - receiving, the link hands each piece of DATA to the stream's handler from its own read buffer (on_data); what the handler
//    does not take stays in the stream, inside the credit that was given, and is offered again after resume_read();
//  - sending, the handler says once that it has something (want_write), and the link asks for bytes (fill) when credit,
//    turn and room allow, straight into the buffer that goes to the socket.
// So nothing is buffered by the handlers, and a slow stream holds back nobody else.
//
// Where both the link's connection and the handler's are plain sockets, large payloads take the same way through a pipe and never pass
// through user memory: on_pipe() and fill_pipe() are the twins of on_data() and fill(). Which one is called is the link's choice, piece by piece.
//
// Everything here belongs to the link's shard. Handlers may call back into the link and its streams from inside any callback.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/pipe.h"

namespace ferrotunnel::transport {

// Why a stream ended early; the numbers are those of docs/wire-protocol.md section 5.
enum class ResetReason : std::uint32_t {
  Cancel = 0,
  PeerReset = 1,
  OriginRefused = 2,
  OriginTimeout = 3,
  OriginUnreachable = 4,
  NoTunnel = 5,
  Refused = 6,
  FlowControl = 7,
  Protocol = 8,
  Memory = 9,
  GoingAway = 10,
  Idle = 11,
  OriginTls = 12,
  // Not on the wire:
  LinkLost = 0x1'0000,     // the connection that carried the stream is gone
  Unprocessed = 0x1'0001,  // an HTTP/2 service did not look at the request: it may be asked again, whatever it was
  BadResponse = 0x1'0002,  // what it said is no HTTP/2
  NotHttp2 = 0x1'0003,     // but HTTP/1
  NoWebSocket = 0x1'0004,  // it has none over HTTP/2 (RFC 8441)
};
inline constexpr ResetReason kLastOnWire = ResetReason::OriginTls;
[[nodiscard]] std::string_view to_string(ResetReason reason);

// How a stream ended, told exactly once.
struct StreamEnd {
  bool clean = false;                        // both directions saw FIN
  ResetReason reason = ResetReason::Cancel;  // meaningful where not clean
};

enum class OpenKind : std::uint8_t {
  Raw = 1,   // a visitor's bytes
  Http = 2,  // an origin connection that the server fills with HTTP requests and reuses
};

// Where a visitor came from.
struct PeerAddress {
  std::uint8_t family = 0;  // 0 unknown, 4, 6
  std::uint16_t port = 0;
  std::array<std::byte, 16> bytes{};  // the first 4 for family 4
};

struct OpenInfo {
  std::uint32_t tunnel = 0;
  OpenKind kind = OpenKind::Raw;
  PeerAddress visitor;
};

class Stream;

// What fill() gave: n bytes written to the front of the span, and whether they are the last.
struct Fill {
  std::size_t n = 0;
  bool fin = false;
  bool more = false;  // ask again without another want_write()
};

class StreamHandler {
 public:
  // Takes a prefix of the bytes and returns its size. Less than all pauses the stream's reading until resume_read().
  [[nodiscard]] virtual std::size_t on_data(Stream& stream, ConstBytes bytes) = 0;
  // The peer's FIN; every byte before it was taken.
  virtual void on_fin(Stream& stream) = 0;
  // The stream is over and the reference dies when this returns. Not called for a stream that this side reset itself.
  virtual void on_end(Stream& stream, StreamEnd end) = 0;
  // Gives up to into.size() bytes to send.
  [[nodiscard]] virtual Fill fill(Stream& stream, MutBytes into) = 0;

  // Whether the two below may be called now. Asked before each of them.
  [[nodiscard]] virtual bool splices() const { return false; }
  // Takes what it can from the front of the pipe, which holds nothing but this stream's next bytes. Some left pauses the stream's
  // reading until resume_read(); the pipe then stays with the stream.
  virtual void on_pipe(Stream& /*stream*/, Pipe& /*pipe*/) {}
  // Moves up to `most` bytes into the pipe, which is empty.
  [[nodiscard]] virtual Fill fill_pipe(Stream& /*stream*/, Pipe& /*pipe*/, std::size_t /*most*/) { return {}; }

 protected:
  ~StreamHandler() = default;
};

class Stream {
 public:
  virtual void set_handler(StreamHandler& handler) = 0;
  // There is something to send (bytes or FIN). Cheap to repeat.
  virtual void want_write() = 0;
  // The handler can take again: bytes that are held are offered from inside this call.
  virtual void resume_read() = 0;
  // Ends both directions; the reference is dead and the handler hears no more of it.
  virtual void reset(ResetReason reason) = 0;

  [[nodiscard]] virtual std::uint32_t id() const = 0;
  // Bytes received and not yet taken by the handler.
  [[nodiscard]] virtual std::size_t held() const = 0;
  // Whether the sending side waits for credit: the peer does not take more now.
  [[nodiscard]] virtual bool blocked() const = 0;

 protected:
  ~Stream() = default;
};

// What a link tells its session.
class LinkHandler {
 public:
  // A stream that the peer opened. Call set_handler() before returning, or reset it.
  virtual void on_open(Stream& stream, const OpenInfo& info) = 0;
  virtual void on_control(std::string_view json) = 0;
  // The peer opens and accepts no more; streams that are open go on.
  virtual void on_goaway(std::uint32_t code, std::string_view text) = 0;
  // The link is gone; every stream has had its on_end(). Called once, never from inside a call into the link.
  virtual void on_link_closed(const Error& why) = 0;

 protected:
  ~LinkHandler() = default;
};

struct LinkCapabilities {
  bool splice = false;            // large payloads can move without passing through user memory
  bool datagrams = false;         // UDP without a stream
  bool own_flow_control = false;  // streams are flow-controlled below us
};

struct LinkStatus {
  Duration rtt{};  // last measured; zero before the first PONG
  std::size_t streams = 0;
  std::uint64_t bytes_in = 0;  // payload of DATA
  std::uint64_t bytes_out = 0;
  std::size_t held = 0;            // bytes received and not yet taken, all streams
  TimePoint last_received{};       // when the link last gave a byte
  bool ping_outstanding = false;   // a PING is not answered yet
  bool output_waiting = false;     // something was sent, or waits to be, that the peer has not taken
  std::uint64_t output_taken = 0;  // grows whenever the peer takes some of it
};

class Link {
 public:
  virtual ~Link() = default;

  // Opens a stream. Errors: Limit (streams or ids are used up), Closed (the link is closing).
  [[nodiscard]] virtual Result<Stream*> open(const OpenInfo& info, StreamHandler& handler) = 0;
  virtual void send_control(std::string_view json) = 0;
  // Measures the round trip; nothing while one is under way.
  virtual void ping() = 0;
  // Drain: no new streams either way; the link closes by itself when the last stream is over.
  virtual void goaway(std::uint32_t code, std::string_view text) = 0;
  // Closes now; streams end with LinkLost.
  virtual void close(const Error& why) = 0;

  [[nodiscard]] virtual LinkCapabilities capabilities() const = 0;
  [[nodiscard]] virtual LinkStatus status() const = 0;
};

}  // namespace ferrotunnel::transport
