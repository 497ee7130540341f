// Exchange: one request and its response, between a visitor's socket and one origin connection, whose stream's handler it is.
//
// The rewritten request head waits here until the link asks for it, and stays so that it can be said again when a warm connection turns out
// dead. Bodies pass straight through: the link asks, and the visitor's socket is read into the link's output; the link gives, and its
// bytes are written to the visitor's socket, head and body in one call. What the socket does not take stays in the stream. Each body is
// watched, so that its end is known and a broken one never looks whole.
//
// It decides how the exchange ended; the VisitorConnection that owns it hears so and acts from the top of the stack. Lent by the
// IngressContext. Private to http1/; the shard's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http/body.h"
#include "http/h1_head.h"
#include "ingress/http1/changed_body.h"
#include "ingress/http1/exchange_base.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/origin_pool.h"
#include "ingress/http1/placement.h"
#include "ingress/http1/rule_run.h"
#include "ingress/http1/visitor_socket.h"
#include "ingress/limits/rate_floor.h"
#include "ingress/limits/throttle.h"

namespace ferrotunnel::ingress {

class ExchangeOwner {
 public:
  virtual void on_exchange_over() = 0;

 protected:
  ~ExchangeOwner() = default;
};

class Exchange final : public ExchangeBase, private ChangedBodyOwner {
 public:
  enum class Outcome : std::uint8_t {
    Running,
    Complete,  // the visitor has the whole response
    Failed,    // nothing of a final response was sent: failure() says what page to send
    Cut,       // the response broke off: its end must not look clean
    Retry,     // a warm connection was dead and nothing is lost: connect() anew
    Upgrade,   // a 101 went out: the streams are to be joined as they are
    VisitorGone,
  };

  explicit Exchange(IngressContext& context) : ExchangeBase(context) {}

  // Takes what it needs from the head (the context's request), whose bytes may go afterwards. `secure`: it came over TLS.
  void begin(const http::RequestHead& head, std::string_view host, const Placement& place,
             const transport::PeerAddress& peer, std::size_t head_bytes, VisitorSocket& visitor, ExchangeOwner& owner,
             bool secure, std::unique_ptr<RuleRun> rules = nullptr);
  // On a warm connection or, on a retry, a new one. No link: it is lost.
  void connect(transport::Link* link);
  void reset();  // as new, keeping storage

  // The visitor's socket may go on in these directions (kReadable, kWritable).
  void on_visitor_ready(std::uint32_t what);
  void on_visitor_failed();  // an RST
  void on_visitor_left();    // a FIN: he may still read
  // How long it may still go on as it does; what happens when it did.
  [[nodiscard]] Duration time_left(TimePoint now);
  void on_timeout();

  [[nodiscard]] Outcome outcome() const { return outcome_; }
  [[nodiscard]] bool over() const { return outcome_ != Outcome::Running; }
  [[nodiscard]] std::uint8_t visitor_minor() const { return minor_; }
  [[nodiscard]] bool visitor_keeps() const { return visitor_keeps_; }  // the visitor asked for keep-alive
  using ExchangeBase::asks_to_switch;
  [[nodiscard]] bool request_read() const {
    return request_.done();
  }  // nothing of the request is left in the visitor's socket
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }  // what the response told the visitor

  // Upgrade: the stream, or none when it ended meanwhile.
  [[nodiscard]] transport::Stream* take_stream();
  [[nodiscard]] bool origin_finished() const { return fin_; }
  // What a long life needs no more goes.
  void compact();
  // Method, host, path and what was counted.
  [[nodiscard]] RequestRecord record() const;

 private:
  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override;
  void on_end(transport::Stream& stream, transport::StreamEnd end) override;
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;
  void on_allowance(Way way) override;
  void on_pause() override;

  [[nodiscard]] std::size_t take_head(ConstBytes bytes);
  [[nodiscard]] bool change_head(http::ResponseHead& head);  // false: the rules failed
  [[nodiscard]] std::size_t take_body(std::string_view head, ConstBytes bytes);
  [[nodiscard]] std::size_t take_dechunked(std::string_view head, ConstBytes bytes);
  [[nodiscard]] std::size_t take_changed(std::string_view head, ConstBytes bytes);
  [[nodiscard]] bool finish_changed();
  void go_on_changing();
  void complete(bool excess);
  [[nodiscard]] bool rules_pass(http::BodyFramer before, ConstBytes bytes);
  void show_rules(http::BodyFramer before, ConstBytes bytes);

  void fill_body(transport::Fill& fill, MutBytes into);
  [[nodiscard]] std::size_t keep_trailers(http::BodyFramer before, ConstBytes bytes);
  [[nodiscard]] bool request_sent() const {
    return head_sent_ == head_.size() && request_.done() && tail_sent_ == tail_.size();
  }
  [[nodiscard]] bool may_retry(bool unprocessed = false) const;
  void retry();
  void lose(const Failure& failure);  // before a response: retried, or failed
  void fail(const Failure& failure);  // by a page, or cut off when a response is under way
  void end(Outcome outcome, const Failure* failure = nullptr);
  [[nodiscard]] bool visitor_owes_body() const;
  [[nodiscard]] bool reads_too_slowly(TimePoint now);
  [[nodiscard]] Duration left_for_left(TimePoint now) const;

  VisitorSocket* visitor_ = nullptr;
  ExchangeOwner* owner_ = nullptr;
  std::uint8_t minor_ = 1;
  http::BodyFramer request_;
  std::string tail_;  // trailers that rules look at, until all of them are there
  std::size_t tail_sent_ = 0;
  std::uint64_t written_before_ = 0;
  TimePoint left_at_{};
  Outcome outcome_ = Outcome::Running;
  bool visitor_keeps_ : 1 = true;
  bool keep_alive_ : 1 = false;
  bool dechunk_ : 1 = false;
  bool left_ : 1 = false;  // his FIN came
};

}  // namespace ferrotunnel::ingress
