// H2OriginStream: one request at an origin that speaks HTTP/2, to its exchange a stream like any other: HTTP/1.1 text in, HTTP/1.1 text out.
//
// The exchange's head becomes a HEADERS frame; its body is pulled from it when the origin's window is open, and no byte of it waits here. A
// response's waits here as far as its window lets it come, and credit is given back as the exchange takes it: a slow visitor holds back his own
// stream and no other. What becomes a body of unknown length goes on in chunks, with its trailers.
//
// It lives from H2Origins::open() to reset(), finish(), or the call of on_end(); its memory until the end of the turn. It can outlive its
// connection: a response that is whole is still read to its end. The shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/body.h"
#include "http/h2/h2_client.h"
#include "ingress/http2/byte_queue.h"
#include "transport/link.h"

namespace ferrotunnel::ingress {

class H2OriginConnection;
class H2Origins;

namespace detail {
struct H2OfConnection;
struct H2WithWork;
template <class Tag>
using H2OriginHook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                                      boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
}  // namespace detail
using H2OriginStreamHook = detail::H2OriginHook<detail::H2OfConnection>;
using H2OriginWorkHook = detail::H2OriginHook<detail::H2WithWork>;

class H2OriginStream final : public H2OriginStreamHook,
                             public H2OriginWorkHook,
                             public transport::Stream,
                             private http::H2Asker {
 public:
  H2OriginStream(H2Origins& origins, H2OriginConnection& connection, transport::StreamHandler& handler)
      : origins_(origins), connection_(&connection), handler_(&handler) {}
  virtual ~H2OriginStream() = default;

  // transport::Stream
  void set_handler(transport::StreamHandler& handler) override { handler_ = &handler; }
  void want_write() override;
  void resume_read() override;
  void reset(transport::ResetReason reason) override;
  [[nodiscard]] std::uint32_t id() const override { return static_cast<std::uint32_t>(id_); }
  [[nodiscard]] std::size_t held() const override { return text_.size() - text_at_ + in_.size(); }
  [[nodiscard]] bool blocked() const override;

  // Instead of reset(): its response was taken to its end.
  void finish();

  // No other request is to come on its connection.
  void keep_alone();

  // ---- for its connection ----
  void work();  // sends the head, once the exchange has given all of it; what came goes to the exchange
  void end(transport::ResetReason reason);
  // The connection is gone. `fin`: by an end that says nothing.
  void on_lost(transport::ResetReason reason, bool fin);
  [[nodiscard]] bool waits_for_settings() const { return !submitted_; }

 private:
  static constexpr std::size_t kSlice = 16'384;  // of a body, in one piece
  static constexpr std::size_t kDirect = 2'048;  // larger pieces do not wait for what comes with them
  static constexpr std::size_t kTopUp = 4'096;   // less than that is left: more is put behind it

  // http::H2Asker
  [[nodiscard]] Piece pull(MutBytes into) override;
  [[nodiscard]] http::H2Asked asked() const override { return {head_request_, accept_, connect_}; }
  void on_head(std::string_view head, const http::H2Answer& answer, bool end) override;
  void on_body(ConstBytes bytes) override;
  void on_response_end(std::string_view trailers) override;
  void on_closed(http::H2Code code, bool by_origin) override;

  [[nodiscard]] bool gather_head();
  void start();
  void submit(const http::RequestHead& head);
  void pump();
  void become_ready();
  void top_up();
  void append_slice();
  void give_back(std::size_t n);
  void leave();
  void bury();
  void tell_end();

  H2Origins& origins_;
  H2OriginConnection* connection_;  // none: it is gone
  transport::StreamHandler* handler_;

  // The request.
  std::string text_in_;  // of the exchange: the head until it is whole, then what came with it
  std::size_t text_in_at_ = 0;
  std::string trailers_in_;
  std::string accept_;  // of a WebSocket
  http::HeadScanner scanner_;
  http::BodyFramer request_;
  std::int32_t id_ = 0;

  // The response.
  std::string text_;  // the exchange gets this next
  std::size_t text_at_ = 0;
  ByteQueue in_;  // behind it
  std::string trailers_;
  std::uint32_t owed_ = 0;  // of in_, what the connection's window was not given back for

  bool submitted_ : 1 = false;
  bool head_request_ : 1 = false;
  bool connect_ : 1 = false;
  bool local_end_ : 1 = false;   // all of the request was given to the client
  bool remote_end_ : 1 = false;  // all of the response came
  bool closed_ : 1 = false;      // the HTTP/2 stream is over
  bool answered_ : 1 = false;
  bool chunked_ : 1 = false;
  bool raw_ : 1 = false;  // a WebSocket, or CONNECT's tunnel
  bool tail_given_ : 1 = false;
  bool fin_told_ : 1 = false;
  bool paused_ : 1 = false;
  bool pumping_ : 1 = false;
  bool again_ : 1 = false;
  bool dead_ : 1 = false;
};

}  // namespace ferrotunnel::ingress
