// Http2Exchange: one request of an HTTP/2 visitor and its response, between an H2Server's stream and one origin connection, whose stream's
// handler it is. To the origin it is HTTP/1.1.
//
// Both bodies wait in bounded queues: a request's inside the credit of its HTTP/2 stream, which is given back as the link takes it; a
// response's up to kMostOut, and what does not fit stays in the origin's stream. So a slow side holds back the other, on this stream only.
//
// It decides how the exchange ended; the Http2Connection that owns it hears so and acts from the top of the stack. Lent by the
// IngressContext. Private to ingress/; the shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/body.h"
#include "http/h1_head.h"
#include "http/h2/h2_server.h"
#include "http/kept_head.h"
#include "ingress/http1/changed_body.h"
#include "ingress/http1/exchange_base.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/origin_pool.h"
#include "ingress/http1/rule_run.h"
#include "ingress/http2/byte_queue.h"
#include "ingress/limits/rate_floor.h"
#include "ingress/limits/throttle.h"
#include "transport/deadline.h"

namespace ferrotunnel::ingress {

class Http2Exchange;

class Http2ExchangeOwner {
 public:
  // It is over, or its stream is: look at it from the top of the stack.
  virtual void on_exchange_news(Http2Exchange& exchange) = 0;
  virtual void on_output() = 0;                         // the server has something to say: at the end of the turn
  virtual void push_output() = 0;                       // the same at once, where that may be
  virtual void on_hungry(Http2Exchange& exchange) = 0;  // its queue has room again: refill() it

 protected:
  ~Http2ExchangeOwner() = default;
};

namespace detail {
using Http2ExchangeHook = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
struct OfConnection;
struct WithNews;
struct Hungry;
template <class Tag>
using ExchangeHook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>, Http2ExchangeHook>;
}  // namespace detail

class Http2Exchange final : public detail::ExchangeHook<detail::OfConnection>,
                            public detail::ExchangeHook<detail::WithNews>,
                            public detail::ExchangeHook<detail::Hungry>,
                            public http::H2Stream,
                            public ExchangeBase,
                            private RuleRunOwner,
                            private ChangedBodyOwner {
 public:
  static constexpr std::size_t kMostOut = 2 * ByteQueue::kBlock;
  static_assert(kMostOut + ChangedBody::kMostOut <= ByteQueue::kMost);

  enum class Outcome : std::uint8_t {
    Running,
    Deciding,  // a rule waits, or has done so: decide()
    Answered,  // a rule answers in the origin's place: reply()
    Complete,  // the whole response is here
    Failed,    // nothing of a final response was sent: failure() says what page to send
    Cut,       // the response broke off: its end must not look clean
    Retry,     // a warm connection was dead and nothing is lost: connect() anew
    VisitorGone,
  };

  explicit Http2Exchange(IngressContext& context) : ExchangeBase(context) {}

  // Before begin(): what the visitor has shown, and the service may hear of.
  void shown(transport::VisitorCertificatePtr certificate) { certificate_ = std::move(certificate); }
  // Takes what it needs from the request, whose bytes may go afterwards. `host` is in the one spelling.
  void begin(const http::H2Request& request, std::string_view host, const TunnelKey& tunnel,
             const transport::PeerAddress& peer, std::string_view proto, http::H2Server& server,
             Http2ExchangeOwner& owner);
  // After begin() and before connect(): the tunnel's rules, on the head of begin(). connect() only where the outcome is Running then.
  void apply(plugin::ChainPtr chain, http::RequestHead& head);
  // The same. gRPC is spoken in HTTP/2 whatever its service is spoken to in.
  void speak(route::OriginSpeech speech);
  void decide();  // Deciding: again, with the head that was kept
  void connect(transport::Link* link);
  // Instead of connect(): it gets no further than this.
  void refuse(const Failure& failure, std::optional<Refusal> refused = {});
  void refuse(const http::Refusal& refusal);
  void answer_with(std::string page);  // the same, and this is what he gets: a whole HTTP/1.1 response
  void reset();                        // as new, keeping storage

  // Failed: a page of ours, a whole HTTP/1.1 response.
  void answer(std::string_view page);
  void reply();                             // Answered
  void on_visitor_gone() { on_closed(0); }  // with his connection
  void refill();                            // the origin's bytes that did not fit

  // How long it may still go on as it does, where `owing` of the connection's visitor_owes_body(), and its socket takes more or not; what
  // happens when it did.
  [[nodiscard]] Duration time_left(TimePoint now, std::size_t owing, bool socket_full);
  // What a caller of gRPC is told of a failure: a whole HTTP/1.1 response.
  [[nodiscard]] std::string grpc_answer(const Failure& failure) const;
  void on_timeout(bool visitor_blocks);
  // The whole connection is cut off, for this.
  void on_connection_cut(const Failure& failure);
  [[nodiscard]] bool visitor_owes_body() const {
    return !over() && origin_ && !request_ended_ && status_ == 0 && body_asked_ && !streams_;
  }

  [[nodiscard]] std::int32_t id() const { return id_; }
  [[nodiscard]] Outcome outcome() const { return outcome_; }
  [[nodiscard]] bool over() const { return outcome_ != Outcome::Running && outcome_ != Outcome::Deciding; }
  [[nodiscard]] bool closed() const { return closed_; }  // the visitor's stream is gone
  [[nodiscard]] bool waits_for_visitor() const { return status_ != 0 && (over() || !out_.empty()); }
  [[nodiscard]] bool upgraded() const { return raw_; }
  [[nodiscard]] bool grpc() const { return grpc_; }
  [[nodiscard]] RequestRecord record() const;

 private:
  // transport::StreamHandler
  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override;
  void on_end(transport::Stream& stream, transport::StreamEnd end) override;
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;
  void on_allowance(Way way) override;
  void on_verdict() override;
  void on_pause() override;
  // http::H2Stream
  [[nodiscard]] Offer offer() const override;
  void take(MutBytes into) override;
  void on_body(ConstBytes bytes) override;
  void on_request_end(std::string_view trailers) override;
  void on_response_sent() override { response_sent_ = true; }
  void on_closed(std::uint32_t code) override;
  [[nodiscard]] bool is_pipe() const override { return raw_ && !over(); }

  [[nodiscard]] Duration sends_left(TimePoint now, std::size_t owing);
  [[nodiscard]] Duration reads_left(TimePoint now, bool socket_full);
  void body_went_on();
  void cut_off(const Failure& failure);  // by a page, or by RST_STREAM
  void give_back(std::size_t n);
  void write_head(http::RequestHead& head);
  void run_rules(http::RequestHead& head);
  void keep_reply(const http::RequestHead& head);
  [[nodiscard]] bool rules_pass(ConstBytes payload);
  [[nodiscard]] std::size_t take_head(ConstBytes bytes);
  [[nodiscard]] bool change_head(http::ResponseHead& head);  // false: the rules failed
  void begin_response(http::ResponseHead& head);
  void add_hsts(http::ResponseHead& head);
  void add_date(http::ResponseHead& head);
  [[nodiscard]] std::size_t take_body(ConstBytes bytes);
  [[nodiscard]] bool put(ConstBytes payload, ChangedBody::Until until = ChangedBody::Until::More);
  [[nodiscard]] bool has_room_for_step() const { return out_.size() <= kMostOut; }
  [[nodiscard]] bool waits_to_end() const { return changed_ && fin_ && response_.done() && !changed_->ended(); }
  [[nodiscard]] std::size_t room_out() const;
  [[nodiscard]] std::size_t head_left() const;
  [[nodiscard]] std::size_t body_left() const;
  void fill_body(transport::Fill& fill, MutBytes into);
  void fill_chunk(transport::Fill& fill, MutBytes into);
  void begin_chunk(std::size_t room);
  void say_line(std::string_view text);
  void complete(bool excess);
  [[nodiscard]] bool request_sent() const { return head_sent_ == head_.size() && request_done_; }
  // It is the origin's turn: what follows has to wait for its answer.
  [[nodiscard]] bool all_asked() const {
    return request_sent() || (asks_to_switch() && !raw_ && head_sent_ == head_.size());
  }
  [[nodiscard]] bool may_retry(bool unprocessed = false) const;
  void retry();
  void lose(const Failure& failure);
  void fail(const Failure& failure);
  void end(Outcome outcome, const Failure* failure = nullptr);
  [[nodiscard]] Duration call_time_left(TimePoint now) const;
  void on_call_timeout();

  http::H2Server* server_ = nullptr;
  Http2ExchangeOwner* owner_ = nullptr;
  std::optional<Refusal> refused_;

  // The request.
  transport::VisitorCertificatePtr certificate_;
  std::unique_ptr<http::KeptHead> kept_;  // while Deciding
  std::string reply_;                     // of a rule, while Answered; like answer()'s
  std::string accept_;                    // what Sec-WebSocket-Accept has to be
  std::string tail_;                      // of a chunked body: the last chunk, trailers
  std::string line_;                      // of a chunked body: a chunk's size, or its end
  std::uint32_t line_sent_ = 0;
  std::uint32_t chunk_left_ = 0;  // bytes of in_ that the chunk at hand still takes
  ByteQueue in_;
  std::uint32_t owed_ = 0;  // of in_, what the connection's window was not given back for
  std::int32_t id_ = 0;
  http::Framing framing_;
  std::size_t tail_sent_ = 0;

  // The response.
  ByteQueue out_;
  std::string trailers_;
  std::uint64_t bytes_out_ = 0;

  // Of a gRPC call that has a deadline; the connection's own timer is for silence.
  struct CallTimer final : transport::Deadline {
    explicit CallTimer(Http2Exchange& of) : exchange(of) {}
    void on_deadline() override { exchange.on_call_timeout(); }
    Http2Exchange& exchange;
  };
  CallTimer call_timer_{*this};
  std::uint64_t body_came_ = 0;                              // bytes of the request's
  TimePoint held_since_{};                                   // when in_ began to hold any that may go
  std::uint64_t connection_sent_ = 0, connection_read_ = 0;  // by all of its streams when the window of the floor began
  Outcome outcome_ = Outcome::Running;
  bool request_ended_ : 1 = false;  // all of it came
  bool request_done_ : 1 = false;   // all of it went to the link
  bool verdict_ : 1 = false;        // what was waited for is there
  bool raw_ : 1 = false;            // after a 101, or 2xx to CONNECT: bytes are the protocol's
  bool closed_ : 1 = false;
  bool in_data_ : 1 = false;
  bool response_sent_ : 1 = false;  // to its end
};

}  // namespace ferrotunnel::ingress
