// The request's way, and how an exchange begins and ends. The response's is in http2_response.cc.
#include "ingress/http2/http2_exchange.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "http/grpc.h"
#include "ingress/http2/websocket_key.h"

namespace ferrotunnel::ingress {

using transport::Fill;
using transport::ResetReason;
using transport::Stream;
using transport::StreamEnd;

namespace {

// Storage that a lent exchange keeps; heads beyond it are rare.
constexpr std::size_t kKeptText = 4096;
// grpc-timeout can say more than a clock holds.
constexpr Duration kLongestCall = std::chrono::hours(24 * 365);

void shrink(std::string& text) {
  text.clear();
  if (text.capacity() > kKeptText) std::string().swap(text);
}

}  // namespace

void Http2Exchange::begin(const http::H2Request& request, std::string_view host, const TunnelKey& tunnel,
                          const transport::PeerAddress& peer, std::string_view proto, http::H2Server& server,
                          Http2ExchangeOwner& owner) {
  http::RequestHead& head = request.head;
  ExchangeBase::begin(head, host, tunnel, peer, request.decoded, proto == "https");
  server_ = &server;
  owner_ = &owner;
  refused_.reset();
  request_id_ = context_.next_id();
  id_ = request.id;
  framing_ = head.framing;
  tail_sent_ = 0;
  owed_ = 0;
  bytes_out_ = 0;
  trailers_.clear();
  body_came_ = 0;
  streams_ = asks_to_switch();
  outcome_ = Outcome::Running;
  raw_ = closed_ = in_data_ = response_sent_ = verdict_ = false;
  request_ended_ = request.end;
  request_done_ = request.end && !asks_to_switch();
  if (const auto most = grpc_ ? http::grpc_timeout(head.fields.value("grpc-timeout")) : std::nullopt)
    context_.shard.arm(call_timer_, std::min<Duration>(*most, kLongestCall));

  head_.clear();
  tail_.clear();
  if (request.refusal == nullptr) write_head(head);  // else nothing of it goes anywhere
}

void Http2Exchange::write_head(http::RequestHead& head) {
  // RFC 8441 section 5: the handshake's key is for hops of HTTP/1.1 only; ours to make, and ours to check.
  std::string key;
  if (head.upgrade) {
    const WebSocketKey made;
    accept_ = made.accept();
    key = made.text();
    head.fields.remove("sec-websocket-key");
    head.fields.add("Sec-WebSocket-Key", key);
  }
  write_origin_head(head, "2.0", certificate_.get());
  if (head.upgrade) head.fields.remove("sec-websocket-key");  // the view goes
  charge(head_.size() + (kept_ ? kept_->bytes() : 0));
}

// ---- rules --------------------------------------------------------------------------------------------------------

void Http2Exchange::apply(plugin::ChainPtr chain, http::RequestHead& head) {
  if (chain->may_wait()) kept_ = std::make_unique<http::KeptHead>(head);
  rules_ = std::make_unique<RuleRun>(context_, static_cast<RuleRunOwner&>(*this), std::move(chain), tunnel_, peer_,
                                     secure_ ? "https" : "http");
  request_id_ = rules_->id();
  run_rules(head);
}

void Http2Exchange::on_verdict() {
  verdict_ = true;
  if (outcome_ == Outcome::Deciding) owner_->on_exchange_news(*this);
}

void Http2Exchange::decide() {
  if (!verdict_) return;
  verdict_ = false;
  context_.request = kept_->head();
  run_rules(context_.request);
}

void Http2Exchange::run_rules(http::RequestHead& head) {
  outcome_ = Outcome::Running;
  switch (rules_->on_request_head(head, host_)) {
    case plugin::Verdict::Pass:
      write_head(head);
      rules_->release_head();
      kept_.reset();  // the head's views go
      charge(head_.size());
      return;
    case plugin::Verdict::Wait:
      outcome_ = Outcome::Deciding;
      charge(head_.size() + kept_->bytes());
      return;
    case plugin::Verdict::Answer: break;
  }
  keep_reply(head);
  kept_.reset();
}

// Now: its views go with the head.
void Http2Exchange::keep_reply(const http::RequestHead& head) {
  const plugin::Reply& given = rules_->reply();
  ReplyContext context;
  context.request_id = request_id_.text();
  context.accept = head.fields.value(http::FieldId::Accept);
  context.asked_type = head.fields.value("content-type");
  context.host = host_;
  context.head_request = head_request();
  context.keep_alive = true;
  context.date = context_.date();
  context.templates = context_.pages.get();
  rules_->count_reply(context_.stats);
  own_failure_ = {given.status, given.status >= 500 ? http::FaultSide::Server : http::FaultSide::Visitor, given.slug,
                  given.sentence};
  if (grpc_ && !given.slug.empty()) {
    reply_ = grpc_answer(own_failure_);
  } else {
    reply_ = make_reply(given, context);
  }
  rules_->release_head();
  end(Outcome::Answered, given.slug.empty() ? nullptr : &own_failure_);
}

std::string Http2Exchange::grpc_answer(const Failure& failure) const {
  const std::string sentence = sentence_of(failure, host_);
  http::ErrorPage page = page_of(failure, sentence, host_);
  page.request_id = request_id_.text();
  page.date = context_.date();
  return http::make_grpc_error_response(page);
}

void Http2Exchange::reply() {
  if (failure_ != nullptr) ++context_.stats.errors;
  answer(reply_);
  std::string().swap(reply_);
}

// A piece of the request's body, on its way to the origin. False: a rule refused it, and the exchange is over.
bool Http2Exchange::rules_pass(ConstBytes payload) {
  if (payload.empty() || raw_ || !rules_want(plugin::Phase::RequestBody)) return true;
  if (rules_->on_request_body(payload) == plugin::Verdict::Pass) return true;
  fail(rules_failure());
  return false;
}

void Http2Exchange::speak(route::OriginSpeech speech) {
  ExchangeBase::speak(grpc_ && !alone_ && speech == route::OriginSpeech::Http1 ? route::OriginSpeech::Http2 : speech);
}

void Http2Exchange::on_allowance(Way way) {
  if (over() || !origin_) return;
  way == Way::In ? origin_->stream().want_write() : origin_->stream().resume_read();
}

void Http2Exchange::connect(transport::Link* link) {
  outcome_ = Outcome::Running;
  failure_ = nullptr;
  fin_ = false;
  head_sent_ = tail_sent_ = 0;
  chunk_left_ = 0;
  say_line({});
  request_done_ = request_ended_ && framing_.empty() && !asks_to_switch();
  made_progress();
  if (const Failure* failure = reach(link); failure != nullptr) fail(*failure);
}

void Http2Exchange::refuse(const Failure& failure, std::optional<Refusal> refused) {
  refused_ = refused;
  fail(failure);
}

void Http2Exchange::answer_with(std::string page) {
  reply_ = std::move(page);
  end(Outcome::Answered);
}

void Http2Exchange::refuse(const http::Refusal& refusal) {
  own_failure_ = {refusal.status, http::FaultSide::Visitor, refusal.slug, refusal.sentence};
  fail(own_failure_);
}

void Http2Exchange::reset() {
  detail::ExchangeHook<detail::WithNews>::unlink();
  detail::ExchangeHook<detail::Hungry>::unlink();
  call_timer_.disarm();
  release();
  kept_.reset();
  certificate_.reset();
  in_.clear();
  out_.clear();
  shrink(trailers_);
  shrink(tail_);
  shrink(head_);
  std::string().swap(reply_);
}

// ---- from the visitor ---------------------------------------------------------------------------------------------

void Http2Exchange::on_body(ConstBytes bytes) {
  // The connection's window is for all of them: one that is slow does not keep it, but where memory is used up.
  if (!over() && context_.shard.buffers().budget().bodies_full()) {
    owed_ += static_cast<std::uint32_t>(bytes.size());
  } else {
    server_->consumed_connection(bytes.size());
    owner_->on_output();
  }
  if (over()) return;
  if (body_left() == 0) held_since_ = context_.shard.now();
  body_came_ += bytes.size();
  body_asked_ = true;
  if (!in_.push(context_.shard.buffers(), bytes)) return server_->reset(id_, http::H2Code::FlowControl);
  if (origin_) origin_->stream().want_write();
}

// So much of the body went on.
void Http2Exchange::give_back(std::size_t n) {
  server_->consumed(id_, n);
  const std::uint32_t owed = std::min(owed_, static_cast<std::uint32_t>(n));
  if (owed > 0) server_->consumed_connection(owed);
  owed_ -= owed;
  owner_->on_output();
}

void Http2Exchange::on_request_end(std::string_view trailers) {
  // RFC 9113 section 8.5: DATA and nothing else.
  if (connects() && !over() && !trailers.empty()) return server_->reset(id_, http::H2Code::Protocol);
  request_ended_ = true;
  if (over()) return;
  if (framing_.kind == http::Framing::Kind::Chunked) {
    tail_ = "0\r\n";
    if (rules_ && rules_->looks_at_trailers()) {
      std::string left(trailers);
      rules_->change_trailers(left);
      tail_.append(left);
    } else {
      tail_.append(trailers);
    }
    tail_.append("\r\n");
  }
  if (origin_) origin_->stream().want_write();
}

void Http2Exchange::on_closed(std::uint32_t) {
  closed_ = true;
  if (!over()) return raw_ && fin_ ? end(Outcome::Complete) : end(Outcome::VisitorGone, &failures::kVisitorGone);
  if (outcome_ == Outcome::Complete && !response_sent_ && failure_ == nullptr) failure_ = &failures::kVisitorGone;
  owner_->on_exchange_news(*this);
}

// ---- to the link --------------------------------------------------------------------------------------------------

Fill Http2Exchange::fill(Stream&, MutBytes into) {
  if (over()) return {};
  Fill fill;
  if (head_sent_ < head_.size()) {
    fill.n = std::min(into.size(), head_left());
    std::memcpy(into.data(), head_.data() + head_sent_, fill.n);
    head_sent_ += fill.n;
  }
  if (head_sent_ < head_.size()) {
    fill.more = head_left() > 0;
  } else if (!request_done_) {
    fill_body(fill, into);
    if (over()) return {};
  }
  if (fill.n > 0) made_progress();
  return fill;
}

// What may go now. The last byte of a body with a length, and the head of one with none, wait for the end: whoever sends more than he said
// is malformed (RFC 9113 section 8.1.1), and nobody has had his request whole.
std::size_t Http2Exchange::head_left() const {
  const bool waits = framing_ == http::Framing::of_length(0) && !request_ended_;
  return waits ? 0 : head_.size() - head_sent_;
}
std::size_t Http2Exchange::body_left() const {
  const bool whole = framing_.kind == http::Framing::Kind::Length && body_sent_ + in_.size() >= framing_.length;
  return in_.size() - (whole && !request_ended_ && !in_.empty() ? 1 : 0);
}

void Http2Exchange::fill_body(Fill& fill, MutBytes into) {
  // Nothing follows an upgrade before its 101, nor CONNECT before its 2xx.
  if (asks_to_switch() && !raw_) return;
  if (framing_.kind == http::Framing::Kind::Chunked) return fill_chunk(fill, into);
  const std::size_t n = std::min(into.size() - fill.n, body_left());
  in_.pop(into.subspan(fill.n, n));
  if (!rules_pass(into.subspan(fill.n, n))) return;
  fill.n += n;
  body_sent_ += n;
  if (n > 0) give_back(n);
  if (n > 0 && body_left() == 0) body_went_on();
  if (!in_.empty()) {
    fill.more = body_left() > 0;
  } else if (request_ended_) {
    request_done_ = true;
    fill.fin = raw_;
  }
}

// Whole chunks where they fit; where the link asks for a few bytes, whatever is next.
void Http2Exchange::fill_chunk(Fill& fill, MutBytes into) {
  while (fill.n < into.size()) {
    const MutBytes room = into.subspan(fill.n);
    if (line_sent_ < line_.size()) {
      const std::size_t n = line_.copy(reinterpret_cast<char*>(room.data()), room.size(), line_sent_);
      line_sent_ += static_cast<std::uint32_t>(n);
      fill.n += n;
    } else if (chunk_left_ > 0) {
      const std::size_t n = std::min<std::size_t>(room.size(), chunk_left_);
      in_.pop(room.first(n));
      if (!rules_pass(room.first(n))) return;
      fill.n += n;
      chunk_left_ -= static_cast<std::uint32_t>(n);
      body_sent_ += n;
      give_back(n);
      if (in_.empty()) body_went_on();
      if (chunk_left_ == 0) say_line("\r\n");
    } else if (!in_.empty()) {
      begin_chunk(room.size());
    } else {
      break;
    }
  }
  if (!in_.empty() || line_sent_ < line_.size()) {
    fill.more = true;
  } else if (request_ended_) {
    const std::size_t n = std::min(into.size() - fill.n, tail_.size() - tail_sent_);
    std::memcpy(into.data() + fill.n, tail_.data() + tail_sent_, n);
    fill.n += n;
    tail_sent_ += n;
    request_done_ = tail_sent_ == tail_.size();
    fill.more = !request_done_;
  }
}

void Http2Exchange::begin_chunk(std::size_t room) {
  constexpr std::size_t kSizeDigits = 8;
  constexpr std::size_t kAround = kSizeDigits + 4;
  chunk_left_ = static_cast<std::uint32_t>(std::min(in_.size(), room > kAround ? room - kAround : 1));
  std::array<char, kSizeDigits + 2> text;
  char* end = std::to_chars(text.data(), text.data() + kSizeDigits, chunk_left_, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  say_line({text.data(), static_cast<std::size_t>(end - text.data())});
}

void Http2Exchange::say_line(std::string_view text) {
  line_.assign(text);  // short enough to need no allocation
  line_sent_ = 0;
}

void Http2Exchange::on_end(Stream&, StreamEnd end_of_stream) {
  const bool again =
      may_retry(end_of_stream.reason == ResetReason::Unprocessed) && end_of_stream.reason != ResetReason::LinkLost;
  if (origin_) origin_->release();
  if (over()) return;
  if (raw_ && end_of_stream.clean) return end(Outcome::Complete);
  if (waits_to_end()) return origin_.reset();  // all of it came, and waits for the visitor
  if (status_ != 0)
    return fail(end_of_stream.reason == ResetReason::LinkLost ? failures::kLinkLost : failures::kResponseCut);
  if (again) return retry();
  fail(failure_of(end_of_stream.reason));
}

// ---- the end ------------------------------------------------------------------------------------------------------

bool Http2Exchange::may_retry(bool unprocessed) const {
  if (!origin_ || retried_ || answered_) return false;
  if (unprocessed) return body_sent_ == 0 && tail_sent_ == 0;
  if (!origin_->reused()) return false;
  return head_sent_ == 0 || (body_sent_ == 0 && tail_sent_ == 0 && http::is_idempotent(method_));
}

void Http2Exchange::lose(const Failure& failure) { may_retry() ? retry() : fail(failure); }

void Http2Exchange::retry() {
  retried_ = true;
  ++context_.stats.retries;
  end(Outcome::Retry);
}

void Http2Exchange::fail(const Failure& failure) { end(status_ == 0 ? Outcome::Failed : Outcome::Cut, &failure); }

void Http2Exchange::end(Outcome outcome, const Failure* failure) {
  outcome_ = outcome;
  failure_ = failure;
  gathered_.reset();
  if (outcome != Outcome::Retry) call_timer_.disarm();
  if (throttle_) throttle_->leave();
  origin_.reset();  // a stream that still lives is cancelled
  if (outcome != Outcome::Retry) {
    in_.clear();
    if (owed_ > 0) server_->consumed_connection(std::exchange(owed_, 0));
  }
  owner_->on_exchange_news(*this);
}

RequestRecord Http2Exchange::record() const {
  RequestRecord record = about();
  record.bytes_out = bytes_out_;
  record.refused = refused_;
  record.upgraded = raw_;
  return record;
}

}  // namespace ferrotunnel::ingress
