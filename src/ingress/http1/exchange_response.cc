// The response's way: from the stream to the visitor's socket.
#include <algorithm>

#include "http/forward.h"
#include "ingress/http1/exchange.h"

namespace ferrotunnel::ingress {

namespace {
// Of a chunked body for an HTTP/1.0 visitor, this much is unwrapped at a time: it may have to be kept when the socket is full.
constexpr std::size_t kDechunkSlice = 8 * 1024;
}  // namespace

std::size_t Exchange::on_data(transport::Stream&, ConstBytes bytes) {
  // What follows a 101 is the relay's, which is about to take the stream over.
  if (over()) return outcome_ == Outcome::Upgrade ? 0 : bytes.size();
  // Nothing was asked on this connection yet: this answers somebody else's request, or nobody's.
  if (head_sent_ == 0) {
    lose(failures::kBadResponse);
    return bytes.size();
  }
  answered_ = true;
  std::size_t taken = 0;
  while (taken < bytes.size() && visitor_->can_write()) {
    const ConstBytes rest = bytes.subspan(taken);
    const std::size_t n = status_ == 0 ? take_head(rest) : take_body({}, rest);
    taken += n;
    if (visitor_->failed() && !over()) end(Outcome::VisitorGone, &failures::kVisitorGone);
    if (over()) return outcome_ == Outcome::Upgrade ? taken : bytes.size();
    if (status_ != 0 && response_.done()) {
      complete(taken < bytes.size() || (throttle_ && throttle_->withholds()));
      return bytes.size();
    }
    if (n == 0) break;
  }
  if (taken > 0) made_progress();
  if (!visitor_->can_write()) reads_.wait(context_.shard.now());
  return taken;
}

void Exchange::on_fin(transport::Stream&) {
  fin_ = true;
  if (over()) return;
  if (status_ == 0) return answered_ ? fail(failures::kBadResponse) : lose(failures::kOriginClosed);
  if (!response_.finish_at_eof()) return fail(failures::kResponseCut);
  if (changed_ && !finish_changed()) return;
  complete(false);
}

// One head, 1xx or final, or a part of it; with a final one goes what is there of its body. Returns the bytes that were taken.
std::size_t Exchange::take_head(ConstBytes bytes) {
  const std::size_t before = gathered_size_;
  const std::string_view view = before == 0 ? as_text(bytes) : gather(bytes);
  const http::Parse parsed =
      http::parse_response_head(view, context_.options.limits, scanner_, asked(), context_.response);
  if (parsed.need_more()) {
    if (before == 0) (void)gather(bytes);
    return gathered_size_ - before;
  }
  const http::ResponseHead& head = context_.response;
  // An origin that switches before it has the request is answering something else.
  if (parsed.bad() || (head.upgrade && !request_sent())) {
    fail(failures::kBadResponse);
    return 0;
  }
  if (head.interim() && ++interim_ > context_.options.limits.interim_responses) {
    fail(failures::kBadResponse);
    return 0;
  }
  const std::size_t used = parsed.consumed - before;
  response_ = http::BodyFramer(head.framing, context_.options.limits);
  if (!head.interim() && rules_want(plugin::Phase::ResponseHead) && !change_head(context_.response)) {
    fail(failures::kRuleFailed);
    return 0;
  }

  // A request that is not whole yet may never be: what follows it on the connection cannot be told from it.
  const bool keep = visitor_keeps_ && !context_.draining && request_sent();
  std::string& text = context_.text;
  text.clear();
  const std::string_view hsts = secure_ ? std::string_view(context_.https.hsts) : std::string_view{};
  const http::ResponsePlan plan =
      http::append_response_head(text, head, {minor_, keep, head_request(), {}, hsts, context_.date(), connects()});
  gathered_.reset();  // the head's views die here
  gathered_size_ = 0;
  if (head.interim()) {
    body_asked_ = true;
    if (plan.send) visitor_->send(text, {});
    return used;
  }
  status_ = head.status;
  origin_keeps_ = head.keep_alive;
  keep_alive_ = plan.keep_alive;
  if (head.upgrade) {
    visitor_->send(text, {});
    if (!visitor_->failed()) end(Outcome::Upgrade);
    return used;
  }
  dechunk_ = plan.dechunk;
  return used + take_body(text, bytes.subspan(used));
}

bool Exchange::change_head(http::ResponseHead& head) {
  std::unique_ptr<plugin::Transform> transform;
  if (!rules_->on_response_head(head, may_transform(context_, head, head_request()), transform)) return false;
  if (transform == nullptr) return true;
  changed_ = std::make_unique<ChangedBody>(context_, static_cast<ChangedBodyOwner&>(*this), std::move(transform));
  forget_length(head, minor_ > 0);
  return true;
}

// Of the body, with the head before it where there is one: what the visitor's socket takes.
std::size_t Exchange::take_body(std::string_view head, ConstBytes bytes) {
  if (changed_) return take_changed(head, bytes);
  if (dechunk_) return take_dechunked(head, bytes);
  if (response_.kind() != http::Framing::Kind::Chunked) {
    const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), response_.opaque()));
    const std::size_t taken = visitor_->send(head, bytes.first(here));
    if (rules_want(plugin::Phase::ResponseBody)) show_rules(response_, bytes.first(taken));
    response_.pass_opaque(taken);
    return taken;
  }
  const http::BodyFramer before = response_;
  const http::BodyFramer::Step step = response_.feed(as_text(bytes));
  if (step.error != http::BodyError::None) {
    if (!head.empty()) status_ = 0;  // nothing of it was sent: a page can be
    fail(failures::kBadResponse);
    return 0;
  }
  const std::size_t taken = visitor_->send(head, bytes.first(step.consumed));
  if (taken < step.consumed) {
    response_ = before;
    (void)response_.feed(as_text(bytes.first(taken)));
  }
  if (rules_want(plugin::Phase::ResponseBody)) show_rules(before, bytes.first(taken));
  return taken;
}

std::size_t Exchange::take_dechunked(std::string_view head, ConstBytes bytes) {
  std::string& text = context_.text;
  if (head.empty()) text.clear();  // else it is the head
  const http::BodyFramer::Step step =
      response_.feed(as_text(bytes.first(std::min(bytes.size(), kDechunkSlice))), [&](std::string_view payload) {
        text.append(payload);
        if (rules_want(plugin::Phase::ResponseBody)) rules_->on_response_body(as_bytes(payload));
      });
  if (step.error != http::BodyError::None) {
    if (!head.empty()) status_ = 0;
    fail(failures::kBadResponse);
    return 0;
  }
  if (!text.empty()) visitor_->send(text, {});
  return step.consumed;
}

// A step of it, and all that this became: what the socket does not take is kept there, and the next step waits.
std::size_t Exchange::take_changed(std::string_view head, ConstBytes bytes) {
  using Until = ChangedBody::Until;
  const bool chunks = minor_ > 0;
  std::string& text = context_.text;
  if (head.empty()) text.clear();  // else it is the head
  bool good = true;
  const http::BodyFramer::Step step = response_.feed(
      as_text(bytes.first(std::min(bytes.size(), ChangedBody::kStep))),
      [&](std::string_view payload) {
        if (rules_want(plugin::Phase::ResponseBody)) rules_->on_response_body(as_bytes(payload));
        good = good && changed_->append(text, as_bytes(payload), Until::More, chunks);
      },
      [&](std::string_view trailers) {
        if (!changed_->ended()) good = good && changed_->append(text, {}, Until::End, chunks);
        if (chunks) text.append(trailers);
      });
  if (step.done && !changed_->ended()) {
    good = good && changed_->append(text, {}, Until::End, chunks);
    if (chunks) text.append("\r\n");
  }
  if (step.error != http::BodyError::None || !good) {
    if (!head.empty()) status_ = 0;  // nothing of it was sent: a page can be
    fail(good ? failures::kBadResponse : failures::kRuleFailed);
    return 0;
  }
  if (!text.empty()) visitor_->send(text, {});
  return step.consumed;
}

// The body ended with the connection. False: not yet, or it failed.
bool Exchange::finish_changed() {
  if (changed_->ended()) return true;
  if (!visitor_->can_write()) return false;  // on_visitor_ready()
  std::string& text = context_.text;
  text.clear();
  if (!changed_->append(text, {}, ChangedBody::Until::End, minor_ > 0)) {
    fail(failures::kRuleFailed);
    return false;
  }
  if (minor_ > 0) text.append("\r\n");
  visitor_->send(text, {});
  return true;
}

// There is room again.
void Exchange::go_on_changing() {
  if (!fin_ || !response_.done()) return changed_->holds() ? on_pause() : void();
  if (finish_changed()) complete(false);
}

// The origin has said no more in this turn: what was made of it goes out.
void Exchange::on_pause() {
  if (over() || !visitor_->can_write()) return;  // on_visitor_ready()
  std::string& text = context_.text;
  text.clear();
  if (!changed_->append(text, {}, ChangedBody::Until::Pause, minor_ > 0)) return fail(failures::kRuleFailed);
  if (!text.empty()) visitor_->send(text, {});
  if (visitor_->failed()) return end(Outcome::VisitorGone, &failures::kVisitorGone);
  if (!visitor_->can_write()) reads_.wait(context_.shard.now());
}

// `excess`: the origin said more than its response, so that its connection cannot be trusted with another request.
void Exchange::complete(bool excess) {
  if (!request_sent()) {
    keep_alive_ = false;
    origin_.reset();
  } else if (origin_keeps_ && !excess && !fin_) {
    context_.pool.put(std::move(origin_), bodiless());
  } else if (origin_) {
    context_.pool.retire(std::move(origin_));
  }
  end(Outcome::Complete);
}

}  // namespace ferrotunnel::ingress
