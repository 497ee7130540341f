// The request's way, and how an exchange begins and ends. The response's is in exchange_response.cc.
#include "ingress/http1/exchange.h"

#include <algorithm>
#include <cstring>

#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

using transport::Fill;
using transport::kReadable;
using transport::kWritable;
using transport::ResetReason;
using transport::Stream;
using transport::StreamEnd;

namespace {

// Storage that a lent exchange keeps; heads beyond it are rare.
constexpr std::size_t kKeptHead = 4096;

}  // namespace

void Exchange::begin(const http::RequestHead& head, std::string_view host, const Placement& place,
                     const transport::PeerAddress& peer, std::size_t head_bytes, VisitorSocket& visitor,
                     ExchangeOwner& owner, bool secure, std::unique_ptr<RuleRun> rules) {
  ExchangeBase::begin(head, host, place.tunnel, peer, head_bytes, secure);
  visitor_ = &visitor;
  owner_ = &owner;
  rules_ = std::move(rules);
  request_id_ = rules_ ? rules_->id() : context_.next_id();
  minor_ = head.minor;
  request_ = http::BodyFramer(head.framing, context_.options.limits, http::BodyFramer::ChunkSpace::Refused);
  tail_.clear();
  tail_sent_ = 0;
  written_before_ = visitor.written();
  outcome_ = Outcome::Running;
  visitor_keeps_ = head.keep_alive;
  keep_alive_ = dechunk_ = left_ = false;

  write_origin_head(head, head.minor == 0 ? "1.0" : "1.1",
                    place.certificate != nullptr ? place.certificate->get() : nullptr);
  if (rules_) rules_->release_head();
  charge(head_.size());
}

void Exchange::on_allowance(Way way) {
  if (over() || !origin_) return;
  way == Way::In ? origin_->stream().want_write() : origin_->stream().resume_read();
}

void Exchange::connect(transport::Link* link) {
  outcome_ = Outcome::Running;
  failure_ = nullptr;
  fin_ = false;
  head_sent_ = 0;
  made_progress();
  if (const Failure* failure = reach(link); failure != nullptr) fail(*failure);
}

void Exchange::reset() {
  release();
  if (head_.capacity() > kKeptHead) std::string().swap(head_);
  if (tail_.capacity() > kKeptHead) std::string().swap(tail_);
}

void Exchange::on_visitor_ready(std::uint32_t what) {
  if (over()) return;
  if ((what & kWritable) != 0) {
    if (visitor_->flush()) {
      reads_.go();
      if (changed_) go_on_changing();
      if (!over() && origin_) origin_->stream().resume_read();
    } else if (visitor_->failed()) {
      end(Outcome::VisitorGone, &failures::kVisitorGone);
    }
  }
  if (!over() && (what & kReadable) != 0 && !request_.done() && origin_) origin_->stream().want_write();
}

void Exchange::on_visitor_failed() {
  if (!over()) end(Outcome::VisitorGone, &failures::kVisitorGone);
}

void Exchange::on_visitor_left() {
  left_ = true;
  left_at_ = context_.shard.now();
}

Fill Exchange::fill(Stream&, MutBytes into) {
  if (over()) return {};
  Fill fill;
  if (head_sent_ < head_.size()) {
    fill.n = std::min(into.size(), head_.size() - head_sent_);
    std::memcpy(into.data(), head_.data() + head_sent_, fill.n);
    head_sent_ += fill.n;
  }
  if (head_sent_ < head_.size()) {
    fill.more = true;
  } else if (!request_sent()) {
    if (!request_.done()) fill_body(fill, into);
    if (over()) return {};
    const std::size_t n = request_.done() ? std::min(into.size() - fill.n, tail_.size() - tail_sent_) : 0;
    std::memcpy(into.data() + fill.n, tail_.data() + tail_sent_, n);
    fill.n += n;
    tail_sent_ += n;
    fill.more = request_.done() ? tail_sent_ < tail_.size() : fill.more;
  }
  if (fill.n > 0) made_progress();
  return fill;
}

void Exchange::fill_body(Fill& fill, MutBytes into) {
  if (fill.n == into.size()) {
    fill.more = true;
    return;
  }
  const bool looks = rules_want(plugin::Phase::RequestBody), keeps = rules_ && rules_->looks_at_trailers();
  do {
    const http::BodyFramer before = looks || keeps ? request_ : http::BodyFramer();
    const VisitorSocket::Body body = visitor_->read_body(into.subspan(fill.n), request_);
    body_sent_ += body.n;
    if (body.error != http::BodyError::None) return fail(failures::kBadBody);
    // The request will never be whole: the origin has to see that.
    if (body.end != VisitorSocket::Read::Some && !request_.done())
      return end(Outcome::VisitorGone, &failures::kRequestCut);
    const ConstBytes came = into.subspan(fill.n, body.n);
    if (looks && body.n > 0 && !rules_pass(before, came)) return;
    if (body.n > 0) {
      body_asked_ = true;
      made_progress();
    }
    fill.n += body.n - (keeps ? keep_trailers(before, came) : 0);
    fill.more = body.more;
  } while (keeps && fill.n == 0 && fill.more);  // all that came is kept
  if (visitor_owes_body()) sends_.wait(context_.shard.now(), body_sent_);
}

// How many of these bytes of the request wait in tail_ for the others of the trailers: the last ones.
std::size_t Exchange::keep_trailers(http::BodyFramer before, ConstBytes bytes) {
  const std::size_t had = tail_.size();
  (void)before.feed(as_text(bytes), [](std::string_view) {}, [this](std::string_view lines) { tail_.append(lines); });
  const std::size_t kept = tail_.size() - had;
  if (request_.done()) rules_->change_trailers(tail_);
  if (kept > 0) charge(head_.size() + tail_.size());
  return kept;
}

void Exchange::on_end(Stream&, StreamEnd end_of_stream) {
  const bool again =
      may_retry(end_of_stream.reason == ResetReason::Unprocessed) && end_of_stream.reason != ResetReason::LinkLost;
  if (origin_) origin_->release();
  if (outcome_ == Outcome::Upgrade) {
    origin_.reset();
    return owner_->on_exchange_over();
  }
  if (over()) return;
  if (changed_ && fin_ && response_.done()) return origin_.reset();  // all of it came, and waits for the visitor
  if (status_ != 0)
    return fail(end_of_stream.reason == ResetReason::LinkLost ? failures::kLinkLost : failures::kResponseCut);
  if (again) return retry();
  fail(failure_of(end_of_stream.reason));
}

// Once the answer has begun the two may talk in turns.
bool Exchange::visitor_owes_body() const { return !request_.done() && status_ == 0 && body_asked_ && !streams_; }

// Of a visitor who has sent his FIN.
Duration Exchange::left_for_left(TimePoint now) const {
  return std::max(left_at_, progress_) + context_.options.half_closed_timeout - now;
}

// Judged where its window has ended. A socket that takes no more is no visitor who reads no more: what the kernel holds goes on to him.
bool Exchange::reads_too_slowly(TimePoint now) {
  const HttpIngressOptions& options = context_.options;
  if (!reads_.waiting() || reads_.left(now, options.reader_window()) > Duration::zero()) return false;
  if (reads_.too_slow(now, visitor_->delivered(), options.least_read())) return true;
  made_progress();
  return false;
}

Duration Exchange::time_left(TimePoint now) {
  const HttpIngressOptions& options = context_.options;
  if (throttle_ && throttle_->waits()) return options.stall_timeout;  // it is we who hold it up
  const std::uint64_t least = options.least_in_window();
  if (reads_too_slowly(now)) {
    if (least != 0) slow_ = &failures::kVisitorSlow;
    return {};
  }
  const bool waits = status_ == 0 && request_sent();
  Duration left = progress_ + (waits ? options.response_timeout : options.stall_timeout) - now;
  if (reads_.waiting()) {
    const Duration read_left = reads_.left(now, options.reader_window());
    left = least == 0 && !waits ? read_left : std::min(left, read_left);
  }
  if (left_) left = std::min(left, left_for_left(now));
  if (least == 0) return left;
  // Bytes that are there and that nobody asks for: it is not he who is slow.
  if (!visitor_owes_body() || visitor_->readable() || !visitor_->input().empty()) sends_.go();
  if (sends_.waiting()) {
    if (sends_.left(now, options.rate_window) <= Duration::zero() && sends_.too_slow(now, body_sent_, least)) {
      slow_ = &failures::kRequestSlow;
      return {};
    }
    left = std::min(left, sends_.left(now, options.rate_window));
  }
  return left;
}

void Exchange::on_timeout() {
  if (over()) return;
  if (slow_ != nullptr) {
    ++context_.stats.too_slow;
    return fail(*slow_);
  }
  if (left_ && left_for_left(context_.shard.now()) <= Duration::zero()) {
    ++context_.stats.half_closed;
    return end(Outcome::VisitorGone, &failures::kVisitorGone);
  }
  if (status_ != 0) return fail(visitor_->can_write() ? failures::kOriginTimeout : failures::kVisitorStalled);
  if (request_sent()) return fail(failures::kOriginTimeout);
  // Bytes of the request that nobody asks for: it is the origin that does not read.
  const bool has_bytes = head_sent_ < head_.size() || !visitor_->input().empty() || visitor_->readable();
  fail(has_bytes ? failures::kOriginStalled : failures::kRequestTimeout);
}

// ---- rules --------------------------------------------------------------------------------------------------------

// Each piece of payload in these bytes of the request. False: a rule refused it, and the exchange is over.
bool Exchange::rules_pass(http::BodyFramer before, ConstBytes bytes) {
  bool pass = true;
  (void)before.feed(as_text(bytes), [&](std::string_view payload) {
    pass = pass && rules_->on_request_body(as_bytes(payload)) == plugin::Verdict::Pass;
  });
  if (pass) return true;
  fail(rules_failure());
  return false;
}

void Exchange::show_rules(http::BodyFramer before, ConstBytes bytes) {
  (void)before.feed(as_text(bytes), [&](std::string_view payload) { rules_->on_response_body(as_bytes(payload)); });
}

// ---- the end ------------------------------------------------------------------------------------------------------

bool Exchange::may_retry(bool unprocessed) const {
  if (!origin_ || retried_ || answered_) return false;
  if (unprocessed) return body_sent_ == 0;
  if (!origin_->reused()) return false;
  return head_sent_ == 0 || (body_sent_ == 0 && http::is_idempotent(method_));
}

void Exchange::lose(const Failure& failure) { may_retry() ? retry() : fail(failure); }

void Exchange::retry() {
  retried_ = true;
  ++context_.stats.retries;
  end(Outcome::Retry);
}

void Exchange::fail(const Failure& failure) { end(status_ == 0 ? Outcome::Failed : Outcome::Cut, &failure); }

void Exchange::end(Outcome outcome, const Failure* failure) {
  outcome_ = outcome;
  failure_ = failure;
  gathered_.reset();
  if (throttle_ && outcome != Outcome::Upgrade) throttle_->leave();  // what it withholds is the relay's: take_stream()
  if (outcome != Outcome::Upgrade) origin_.reset();                  // a stream that still lives is cancelled
  owner_->on_exchange_over();
}

transport::Stream* Exchange::take_stream() {
  throttle_.reset();  // whoever gets the stream has one of his own
  // What is left of it counts as in use until the visitor goes.
  Stream* stream = origin_ ? origin_->release() : nullptr;
  return stream;
}

void Exchange::compact() {
  head_.resize(std::min(head_.size(), head_.find('\r')));
  head_.shrink_to_fit();
  charge(head_.size());
}

RequestRecord Exchange::record() const {
  RequestRecord record = about();
  record.bytes_out = visitor_->written() - written_before_;
  record.upgraded = outcome_ == Outcome::Upgrade;
  return record;
}

}  // namespace ferrotunnel::ingress
