// Http2Connection: one HTTP/2 visitor's connection: its socket, its H2Server, and an Http2Exchange for each request that is under way.
//
//   Open -> Closing -> Lingering      GOAWAY goes out, then what the visitor still sends is read away
//
// Whoever reports to it (poller, exchange, deadline) only leaves a note; step() acts, from the top of the stack, and is the only place where
// exchanges and the connection are destroyed. While it drains it takes no new requests and finishes those it has. Idle it holds the
// session of nghttp2 and no buffer. Owned by HttpIngress; the shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/h2/h2_server.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/placement.h"
#include "ingress/http1/visitor_socket.h"
#include "ingress/http2/http2_exchange.h"
#include "transport/deadline.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

class Http2Connection;

class Http2Owner {
 public:
  virtual void on_http2_over(Http2Connection& connection) = 0;  // destroys it

 protected:
  ~Http2Owner() = default;
};

struct Http2Tag;
using Http2Hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Http2Tag>,
                                                   boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class Http2Connection final : public Http2Hook,
                              private SpareVisitor,
                              private transport::PollHandler,
                              private transport::TurnTask,
                              private transport::Deadline,
                              private http::H2Handler,
                              private Http2ExchangeOwner {
 public:
  Http2Connection(IngressContext& context, Http2Owner& owner, transport::ByteStreamPtr stream,
                  const transport::PeerAddress& peer, const VisitorTls& tls, VisitorSlot slot);
  ~Http2Connection();

  [[nodiscard]] Result<> start(std::string_view early_bytes);
  // Instead of start(): `head` is a request of HTTP/1.1 that asks for HTTP/2 (http::asks_h2c()), and becomes its first. False: it is no good.
  [[nodiscard]] bool take_over(std::string_view head);
  // The payload of an HTTP2-Settings; "": it is none, or has more than `most` entries.
  [[nodiscard]] static std::string settings_of(std::string_view text, std::uint32_t most);
  // Instead of start(): it comes from another shard, with requests that wait.
  [[nodiscard]] Result<> go_on(std::unique_ptr<http::H2Server> server);
  // Says that it goes, and a little later that no request is taken any more (GOAWAY twice, RFC 9113 section 6.8); closes once none is left.
  // May destroy it.
  void drain();
  // Whether a request may be about to come.
  [[nodiscard]] bool reading() const { return state_ == State::Open && !shut_; }

 private:
  enum class State : std::uint8_t { Open, Closing, Lingering };
  enum class Timer : std::uint8_t { None, FirstByte, Rest, Idle, Block, Exchange, Drain, Stall, Linger };

  static constexpr std::size_t kReadSize = 64 * 1024;
  static constexpr std::size_t kWriteSize = 64 * 1024;  // is produced, then written
  static constexpr std::size_t kReadOfHeads = std::size_t{8} * 1024;
  static constexpr int kReadsPerTurn = 4;
  static constexpr int kWritesPerTurn = 16;
  static constexpr int kLingers = 3;
  static constexpr Duration kRest = std::chrono::seconds(1);
  static constexpr std::size_t kAlwaysServed = BufferPool::kSizes.front();  // see VisitorConnection

  void on_ready(std::uint32_t what) override;
  void run_turn() override { step(); }
  void on_deadline() override;
  // http::H2Handler
  [[nodiscard]] http::H2Stream* on_request(const http::H2Request& request) override;
  void on_malformed(std::int32_t id, std::size_t decoded) override;
  // Http2ExchangeOwner
  void on_exchange_news(Http2Exchange& exchange) override;
  void on_output() override { context_.shard.at_turn_end(*this); }
  void push_output() override;
  void on_hungry(Http2Exchange& exchange) override;
  [[nodiscard]] bool end_spare() override;

  void step();
  void read();
  void move();
  void feed(ConstBytes bytes);
  void pump();
  [[nodiscard]] bool may_move() const;
  void age();
  void settle();
  void settle(Http2Exchange& exchange);
  void answer(Http2Exchange& exchange);
  void finish(Http2Exchange& exchange);
  void redirect(Http2Exchange& exchange, const http::RequestHead& head);
  [[nodiscard]] Duration patience() const;
  [[nodiscard]] const Failure* check_socket(TimePoint now, Duration& left);
  [[nodiscard]] Duration check_exchanges(TimePoint now);
  void cut_off(const Failure& failure);  // destroys it
  void wait();
  void close();
  [[nodiscard]] bool close_further();  // false: it is destroyed
  [[nodiscard]] bool lingers_on();
  void count_faults();
  void die();

  IngressContext& context_;
  Http2Owner& owner_;
  VisitorSocket socket_;
  const transport::PeerAddress peer_;
  const VisitorTls tls_;
  VisitorSlot slot_;
  std::unique_ptr<http::H2Server> server_;
  boost::intrusive::list<Http2Exchange, boost::intrusive::base_hook<detail::ExchangeHook<detail::OfConnection>>,
                         boost::intrusive::constant_time_size<false>>
      exchanges_;
  boost::intrusive::list<Http2Exchange, boost::intrusive::base_hook<detail::ExchangeHook<detail::WithNews>>,
                         boost::intrusive::constant_time_size<false>>
      news_;
  boost::intrusive::list<Http2Exchange, boost::intrusive::base_hook<detail::ExchangeHook<detail::Hungry>>,
                         boost::intrusive::constant_time_size<false>>
      hungry_;
  std::string early_;         // were read elsewhere, until the first step
  std::size_t charged_ = 0;   // of a header block that is not whole, to the memory budget
  std::size_t lingered_ = 0;  // bytes read away
  std::uint64_t acknowledged_ = 0;
  std::uint64_t data_seen_ = 0;  // of bodies, at the last read
  int lingers_ = 0;              // linger_timeout passed so often, without anything delivered
  std::uint64_t malformed_counted_ = 0;
  TimePoint born_{}, written_at_{}, block_since_{};
  RateFloor reads_;  // his socket
  unsigned move_to_ = 0;
  State state_ = State::Open;
  Timer timer_ = Timer::None;
  bool asked_ : 1 = false;    // a request came
  bool noticed_ : 1 = false;  // GOAWAY was said
  bool shut_ : 1 = false;     // and that it is final
  bool rested_ : 1 = false;   // nothing moved for kRest, and what only moving takes was given back
  bool feeding_ : 1 = false, pumping_ : 1 = false;
  bool abuse_counted_ : 1 = false;
};

}  // namespace ferrotunnel::ingress
