// H2Client: the client's side of one HTTP/2 connection, without I/O: requests in, responses out as HTTP/1.1 heads and payload; what is to be sent
// is pulled. The twin of H2Server: it speaks to origins.
//
// nghttp2 has frames, HPACK and windows; this class has what they mean (h2_answer.h), credit that is given back only when somebody took the
// bytes, and limits on what an origin may do that is cheap for it and not for us (h2_abuse.h). Bodies are not held here: those of
// requests are pulled when a window is open, those of responses are handed on as they come.
//
// Callbacks come from inside feed() and produce(); they may call anything here but those two, and but destroy it. Owner's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/h2/h2_abuse.h"
#include "http/h2/h2_answer.h"
#include "http/h2/h2_server.h"
#include "http/limits.h"
#include "http/message.h"

struct nghttp2_session;

namespace ferrotunnel::http {

// One request's side of it. Known by the client from submit() to on_closed(), or detach().
class H2Asker {
 public:
  struct Piece {
    std::size_t n = 0;               // bytes of the request's body that were written
    bool end = false;                // nothing comes behind them but
    std::string_view trailers = {};  // where end: field lines, "" none
  };
  // Neither bytes nor the end: it says resume() when there are some.
  [[nodiscard]] virtual Piece pull(MutBytes into) = 0;

  [[nodiscard]] virtual H2Asked asked() const = 0;
  // A head as HTTP/1.1 has it, an interim one or the final one. `end`: there is no body.
  virtual void on_head(std::string_view head, const H2Answer& answer, bool end) = 0;
  virtual void on_body(ConstBytes bytes) = 0;
  // The response is whole; trailers are field lines of HTTP/1.1.
  virtual void on_response_end(std::string_view trailers) = 0;
  // Its stream is over. After on_response_end() that is no more than news. `by_origin`: it sent an RST_STREAM.
  virtual void on_closed(H2Code code, bool by_origin) = 0;

 protected:
  ~H2Asker() = default;
};

class H2Client {
 public:
  static constexpr std::size_t kFrameRoom = H2Server::kFrameRoom;

  H2Client(const H2Limits& limits, const Limits& heads);
  H2Client(const H2Client&) = delete;
  H2Client& operator=(const H2Client&) = delete;
  ~H2Client();

  // ---- in, and out ----
  void feed(ConstBytes bytes, TimePoint now);
  // Writes frames to the front of `into`, and says how many bytes. Less than kFrameRoom left, or nothing more to say.
  [[nodiscard]] std::size_t produce(MutBytes into);
  [[nodiscard]] bool wants_write() const;
  // Nothing is to be read or sent any more: the connection is to be closed.
  [[nodiscard]] bool over() const;

  // ---- streams ----
  // Asks; what is in the head is copied. `end`: it has no body. Nothing: no request can be made on this connection any more.
  [[nodiscard]] std::optional<std::int32_t> submit(const RequestHead& head, std::string_view scheme, bool end,
                                                   H2Asker& asker);
  void resume(std::int32_t id);                           // pull() has more than it had
  void consumed(std::int32_t id, std::size_t n);          // of its body: the origin may send as much again on it
  void consumed_connection(std::size_t n);                // and on the connection
  void reset(std::int32_t id, H2Code code);               // an unsent request is just not sent
  void detach(std::int32_t id);                           // its H2Asker is going: nothing of it is called any more
  [[nodiscard]] bool window_shut(std::int32_t id) const;  // the origin lets nothing more be sent on it
  [[nodiscard]] bool half_closed(std::int32_t id) const;  // the response's end came, or the stream is over

  // ---- the connection ----
  void end(H2Code code);  // GOAWAY, and no more
  // Whether the origin's first word came, and how many requests it takes at once then.
  [[nodiscard]] bool settled() const { return settled_; }
  [[nodiscard]] std::size_t max_streams() const;
  [[nodiscard]] bool takes_websockets() const;                    // RFC 8441; known once settled()
  [[nodiscard]] std::size_t streams() const { return streams_; }  // not closed yet, detached ones too
  // It may be asked something more, room permitting.
  [[nodiscard]] bool open() const { return !ended_ && !failed_ && !going_; }
  [[nodiscard]] bool ended() const { return ended_ || failed_; }
  // The first byte was none of HTTP/2, but of an answer in HTTP/1, with a status line or without, or of something else.
  [[nodiscard]] bool not_http2() const { return not_http2_; }
  [[nodiscard]] std::optional<H2Abuse> abuse() const { return abuse_; }
  [[nodiscard]] std::uint64_t malformed() const { return malformed_; }

 private:
  struct Callbacks;
  friend struct Callbacks;

  [[nodiscard]] bool spend(H2Abuse kind, const H2Allowance& allowance);
  void abused(H2Abuse kind);
  void on_frame(std::uint8_t type, std::uint8_t flags, std::size_t length, std::int32_t id);
  void on_headers(std::int32_t id, bool end);
  void on_malformed(std::int32_t id);
  [[nodiscard]] H2Asker* asker(std::int32_t id) const;
  void submit_trailers(std::int32_t id, std::string_view lines);

  const H2Limits& limits_;
  const Limits& heads_;
  nghttp2_session* session_ = nullptr;
  std::unique_ptr<H2Block> block_;  // of the response at hand; storage is kept
  H2Fields fields_;
  std::string text_;
  std::array<H2Tally, kH2Abuses> tallies_;
  TimePoint now_{};
  std::size_t streams_ = 0;
  std::uint64_t malformed_ = 0;
  std::optional<H2Abuse> abuse_;
  std::int32_t reset_id_ = 0;  // that the origin reset last
  bool begun_ : 1 = false;     // it has said something
  bool settled_ : 1 = false;
  bool going_ : 1 = false;  // the origin said GOAWAY, or ids are used up
  bool ended_ : 1 = false;
  bool failed_ : 1 = false;
  bool in_block_ : 1 = false;
  bool not_http2_ : 1 = false;
};

}  // namespace ferrotunnel::http
