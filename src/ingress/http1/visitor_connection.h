// VisitorConnection: one visitor's connection, from its first byte to its close: requests one after another, each an Exchange.
//
//   Reading -> Exchanging -> Reading ...          keep-alive
//                         -> Relaying             after a 101; a transport::Relay has the socket
//   Reading -> Deciding -> Reading                a rule waits; then the same head is looked at again
//   any     -> Closing -> Lingering               the last response goes out, then what the visitor still sends is read away
//
// Whoever reports to it (poller, exchange, deadline, relay) only leaves a note; step() acts, from the top of the stack, and is the only
// place where it is destroyed. It moves to another shard whole, between requests. Owned by HttpIngress; the shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "http/h1_head.h"
#include "ingress/http1/exchange.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/placement.h"
#include "ingress/http1/visitor_socket.h"
#include "transport/deadline.h"
#include "transport/relay.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

class VisitorConnection;

class VisitorOwner {
 public:
  virtual void on_visitor_over(VisitorConnection& visitor) = 0;  // destroys it
  virtual void on_http2(VisitorConnection& visitor) = 0;         // it speaks HTTP/2: release()s it, and destroys it

 protected:
  ~VisitorOwner() = default;
};

struct VisitorTag;
using VisitorHook = boost::intrusive::list_base_hook<boost::intrusive::tag<VisitorTag>,
                                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class VisitorConnection final : public VisitorHook,
                                private SpareVisitor,
                                private transport::PollHandler,
                                private transport::TurnTask,
                                private transport::Deadline,
                                private transport::RelayOwner,
                                private ThrottleOwner,
                                private RuleRunOwner,
                                private ExchangeOwner {
 public:
  VisitorConnection(IngressContext& context, VisitorOwner& owner, transport::ByteStreamPtr stream,
                    const transport::PeerAddress& peer, VisitorSlot slot, const VisitorTls& tls);
  ~VisitorConnection();

  [[nodiscard]] Result<> start(std::string_view early_bytes);
  // Between requests, with nothing of the next one here and nothing left to send.
  [[nodiscard]] bool idle() const;
  // Closes it if it is idle; one that never asked anything, whose first request may be on its way, only with `fresh`. May destroy it.
  void drain(bool fresh);
  [[nodiscard]] bool reading() const { return state_ == State::Reading || state_ == State::Deciding; }

  // What it is made of, for who goes on with it.
  struct Parts {
    transport::ByteStreamPtr stream;
    transport::PeerAddress peer;
    std::string early;  // was read
    VisitorTls tls;
    VisitorSlot slot;
    bool upgrades = false;  // `early` is a request that asks for HTTP/2, not HTTP/2
  };
  [[nodiscard]] Parts release();

 private:
  enum class State : std::uint8_t { Reading, Deciding, Exchanging, Relaying, Closing, Lingering };
  enum class Timer : std::uint8_t { None, FirstByte, Idle, Head, Verdict, Exchange, Stall, Linger };
  enum class Next : std::uint8_t { Again, Wait };  // Wait: until something is reported; or it is destroyed

  // A turn goes on for this many steps, then others have theirs.
  static constexpr int kStepsPerTurn = 64;
  // A head of so many bytes that came whole, with nothing behind it, is served even when the memory limit is reached: it holds no more
  // than its connection does.
  static constexpr std::size_t kAlwaysServed = BufferPool::kSizes.front();

  void on_ready(std::uint32_t what) override;
  void run_turn() override { step(); }
  void on_deadline() override;
  void on_relay_end(transport::Relay& relay, transport::StreamEnd end) override;
  void on_exchange_over() override;
  [[nodiscard]] bool end_spare() override;
  void look_for_visitor();
  void on_allowance(Way way) override { way == Way::In ? relay_->want_write() : relay_->resume_read(); }

  void step();
  [[nodiscard]] Next advance();
  [[nodiscard]] Next read_request();
  [[nodiscard]] Next begin_request(std::size_t head_bytes);
  [[nodiscard]] bool asks_http2(const http::RequestHead& head, std::size_t head_bytes) const;
  // Says where it is to be asked for.
  [[nodiscard]] Next redirect(std::size_t head_bytes);
  [[nodiscard]] Next answer_options(std::size_t head_bytes, const TunnelKey& tunnel);
  [[nodiscard]] Next move_to(unsigned shard);
  // Rules (visitor_rules.cc). Nothing: the request may go on.
  [[nodiscard]] std::optional<Next> run_rules(Placement& place, std::size_t head_bytes);
  [[nodiscard]] Next reply(std::size_t head_bytes, const TunnelKey& tunnel);
  void on_verdict() override;
  // What is here of a head that is not whole counts as held by one, until `bytes` is 0.
  void charge_head(std::size_t bytes) {
    context_.head_bytes += bytes;
    context_.head_bytes -= std::exchange(head_charge_, static_cast<std::uint32_t>(bytes));
  }
  [[nodiscard]] Next settle_undecided();
  // Of answers of this connection; "": none.
  [[nodiscard]] std::string_view hsts() const { return tls_ ? std::string_view(context_.https.hsts) : ""; }
  [[nodiscard]] Next refuse_for_memory();
  [[nodiscard]] Next settle();
  [[nodiscard]] Next settle_complete();
  [[nodiscard]] Next settle_failed();
  [[nodiscard]] Next settle_upgrade();
  [[nodiscard]] Next settle_broken();
  [[nodiscard]] Next settle_unread();
  void end_exchange();
  // A page of ours for a request that has no exchange: its head is the context's, or was not understood.
  [[nodiscard]] Next answer(const Failure& failure, std::size_t head_bytes, bool understood,
                            const TunnelKey& tunnel = {}, std::optional<Refusal> refused = {});
  [[nodiscard]] RequestRecord record_of(const RequestId& id, std::size_t head_bytes) const;
  [[nodiscard]] Next told(std::string_view text, RequestRecord& record, std::size_t head_bytes, bool keep_alive);
  [[nodiscard]] Next close(bool linger);
  [[nodiscard]] Next finish_close();
  [[nodiscard]] Next linger();
  [[nodiscard]] Next wait(Timer timer);
  [[nodiscard]] Next die();  // destroys it

  IngressContext& context_;
  VisitorOwner& owner_;
  VisitorSocket socket_;
  const transport::PeerAddress peer_;
  VisitorSlot slot_;
  const std::unique_ptr<const VisitorTls> tls_;  // none: plain HTTP
  http::HeadScanner scanner_;
  std::unique_ptr<RuleRun> rules_;      // while Deciding
  std::unique_ptr<Exchange> exchange_;  // while Exchanging and Relaying
  std::unique_ptr<Throttle> throttle_;  // in front of the relay
  std::unique_ptr<transport::Relay> relay_;
  std::size_t lingered_ = 0;       // bytes read away; before, those that had arrived when Timer::Stall was armed
  std::uint32_t head_charge_ = 0;  // see charge_head()
  State state_ = State::Reading;
  Timer timer_ = Timer::None;
  bool linger_ : 1 = false;  // Closing ends in Lingering
  bool asked_ : 1 = false;   // a whole head came
  bool left_ : 1 = false;    // his FIN came while he waited for an answer
};

}  // namespace ferrotunnel::ingress
