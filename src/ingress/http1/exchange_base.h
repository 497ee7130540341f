// ExchangeBase: what an exchange has whatever version of HTTP its visitor speaks: its place in the tunnel, its connection to the origin, the
// head that goes there, and what is told of it in the end. Which way bytes take, and how it ends, is the version's (Exchange, Http2Exchange).
//
// Lent by the IngressContext, and used again after reset. Private to http1/ and http2/; the shard's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/body.h"
#include "http/h1_head.h"
#include "http/message.h"
#include "ingress/http1/changed_body.h"
#include "ingress/http1/failure.h"
#include "ingress/http1/ingress_context.h"
#include "ingress/http1/origin_pool.h"
#include "ingress/http1/rule_run.h"
#include "ingress/limits/rate_floor.h"
#include "ingress/limits/throttle.h"

namespace ferrotunnel::ingress {

class ExchangeBase : protected transport::StreamHandler, protected ThrottleOwner {
 public:
  ExchangeBase(const ExchangeBase&) = delete;
  ExchangeBase& operator=(const ExchangeBase&) = delete;

  // After begin(): its place in a tunnel that has limits.
  void limit(Admission admission);
  // After begin(): its connection to the service is for it alone.
  void single_use(bool alone) { alone_ = alone; }
  // And after that: what its service is spoken to in.
  void speak(route::OriginSpeech speech);

  [[nodiscard]] const VisitorGatePtr& gate() const { return admission_.gate(); }
  [[nodiscard]] const Failure& failure() const { return *failure_; }  // of an outcome that is one
  [[nodiscard]] const TunnelKey& tunnel() const { return tunnel_; }
  [[nodiscard]] std::string_view host() const { return host_; }
  [[nodiscard]] const RequestId& request_id() const { return request_id_; }
  [[nodiscard]] bool head_request() const { return method_ == http::Method::Head; }
  [[nodiscard]] bool connects() const { return method_ == http::Method::Connect; }
  // The page of its failure(), as far as the request says. `sentence` is that of sentence_of(), and outlives it; so do the exchange and the
  // context's request, which this writes.
  [[nodiscard]] http::ErrorPage page(std::string_view sentence) const;
  // It is over, and settled like this.
  void tell(const RequestRecord& record) const;

 protected:
  explicit ExchangeBase(IngressContext& context) : context_(context) {}
  ~ExchangeBase() { charge(0); }

  // As new, for this request; its id, rules and head for the origin are for the caller.
  void begin(const http::RequestHead& head, std::string_view host, const TunnelKey& tunnel,
             const transport::PeerAddress& peer, std::uint64_t head_bytes, bool secure);
  // What it holds goes, but for the storage of strings.
  void release();
  // The head that the origin gets, as head_. `version`: of the visitor's HTTP, as Via says it; `certificate`: that he has shown, or null.
  void write_origin_head(const http::RequestHead& head, std::string_view version,
                         const transport::VisitorCertificate* certificate);
  // Counts so many bytes of heads to the memory budget, in place of those of before. A head is no buffer of the pool's, but it is held as long
  // as the answer takes and as large as the visitor likes.
  void charge(std::size_t bytes);
  // Puts bytes of a response head that did not come in one piece behind those that are gathered, as far as a head may be long (the scanner
  // refuses it there). Gives all that is gathered.
  [[nodiscard]] std::string_view gather(ConstBytes bytes);

  // What the link calls: this, or who holds it back.
  [[nodiscard]] transport::StreamHandler& handler();
  // Connects it to the origin: on a warm connection, or on a new one. Null, or why not.
  [[nodiscard]] const Failure* reach(transport::Link* link);
  // Nothing of the visitor's goes behind the head before the origin agreed.
  [[nodiscard]] bool asks_to_switch() const { return connects() || !upgrade_.empty(); }
  [[nodiscard]] http::RequestContext asked() const { return {head_request(), connects(), upgrade_}; }
  // Method, host, path and what is counted alike.
  [[nodiscard]] RequestRecord about() const;

  [[nodiscard]] bool rules_want(plugin::Phase phase) const { return rules_ != nullptr && rules_->wants(phase); }
  // A rule refused the request while its body passed: what is said of it.
  [[nodiscard]] const Failure& rules_failure();
  // Whether its visitor may be slower than the floor: gRPC and the like, as long as there is memory for it.
  [[nodiscard]] bool may_be_slow() const { return streams_ && !context_.shard.buffers().budget().bodies_full(); }
  void made_progress() { progress_ = context_.shard.now(); }

  IngressContext& context_;
  Admission admission_;
  std::unique_ptr<Throttle> throttle_;  // where the bandwidth is limited
  OriginPtr origin_;
  const Failure* failure_ = nullptr;
  Failure own_failure_;  // what failure_ points to where the head was not taken, or a rule refused

  // The request.
  std::string head_;                // for the origin
  std::size_t charged_ = 0;         // of heads, to the memory budget
  std::string host_;                // in the one spelling
  std::string upgrade_;             // the protocol that was asked for, or nothing
  std::unique_ptr<RuleRun> rules_;  // of a tunnel that has any
  TunnelKey tunnel_;
  transport::PeerAddress peer_;
  RequestId request_id_;
  http::Method method_ = http::Method::Get;
  route::OriginSpeech speech_ = route::OriginSpeech::Http1;
  std::size_t head_sent_ = 0;
  std::uint64_t head_bytes_ = 0;  // as the visitor sent it (of HTTP/2: decoded)
  std::uint64_t body_sent_ = 0;

  // The response.
  http::HeadScanner scanner_{http::HeadScanner::Kind::Response};
  Buffer gathered_;  // a head that did not come in one piece
  std::size_t gathered_size_ = 0;
  http::BodyFramer response_;
  std::unique_ptr<ChangedBody> changed_;  // where a filter makes it another
  std::uint16_t status_ = 0;              // of the final response; 0 before it
  std::uint32_t interim_ = 0;             // 1xx so far

  TimePoint started_{}, progress_{};
  RateFloor sends_, reads_;        // the visitor
  const Failure* slow_ = nullptr;  // found by time_left()
  bool body_asked_ : 1 = true;     // he does not wait for a 100 to send it
  bool streams_ : 1 = false;       // may be slow: gRPC; over HTTP/2 also events, and what was switched to
  bool grpc_ : 1 = false;          // it is a call of gRPC
  bool grpc_web_ : 1 = false;      // of gRPC-Web
  bool secure_ : 1 = false;        // the visitor speaks TLS
  bool origin_keeps_ : 1 = false;
  bool answered_ : 1 = false;  // a byte came from the origin
  bool fin_ : 1 = false;       // so did its FIN
  bool reused_ : 1 = false;
  bool alone_ : 1 = false;  // its connection to the service is not another's, before or after
  bool retried_ : 1 = false;
};

}  // namespace ferrotunnel::ingress
