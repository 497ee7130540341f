// Time: how long an exchange may go on as it does, and how slow its visitor may be (rate_floor.h).
//
// Many streams share the visitor's line, so that none is judged by itself alone: a body that came too slowly is forgiven where the connection
// brought enough for all whose bodies are waited for, and an answer that was read too slowly where the connection's own window let enough through. What the socket
// does not take is the connection's to judge.
#include <algorithm>
#include <chrono>
#include <utility>

#include "ingress/http2/http2_exchange.h"

namespace ferrotunnel::ingress {

namespace {
// A body that waited so long for the origin was held up by it.
constexpr Duration kHeldUp = std::chrono::milliseconds(500);
}  // namespace

// From here on it is he whom we wait for. What the origin did not take for long was not his delay.
void Http2Exchange::body_went_on() {
  if (context_.shard.now() - held_since_ > kHeldUp) sends_.go();
}

Duration Http2Exchange::time_left(TimePoint now, std::size_t owing, bool socket_full) {
  const HttpIngressOptions& options = context_.options;
  if (throttle_ && throttle_->waits()) {  // it is we who hold it up
    sends_.go();
    reads_.go();
    return options.stall_timeout;
  }
  if (socket_full && waits_for_visitor()) made_progress();  // Http2Connection::check_socket() judges
  Duration left = options.stall_timeout;
  // A WebSocket may be silent.
  if (!raw_ || !out_.empty() || over() || closed_) {
    const bool waits = status_ == 0 && (all_asked() || outcome_ == Outcome::Deciding);
    left = progress_ + (waits ? options.response_timeout : options.stall_timeout) - now;
  }
  if (grpc_ && !over() && outcome_ != Outcome::Deciding) left = call_time_left(now);
  if (options.least_in_window() == 0) return left;
  return std::min({left, sends_left(now, owing), reads_left(now, socket_full)});
}

// A call lasts as long as its deadline says. One without may be silent once it was answered, as long as nobody is waited for.
Duration Http2Exchange::call_time_left(TimePoint now) const {
  const HttpIngressOptions& options = context_.options;
  const bool waits_for_origin = head_sent_ < head_.size() || !in_.empty();
  if (waits_for_origin || !out_.empty()) return progress_ + options.stall_timeout - now;
  const bool unanswered = status_ == 0 && request_sent() && !call_timer_.armed();
  return unanswered ? progress_ + options.response_timeout - now : options.stall_timeout;
}

void Http2Exchange::on_call_timeout() {
  if (over()) return;
  ++context_.stats.timeouts;
  fail(failures::kGrpcDeadline);
}

Duration Http2Exchange::sends_left(TimePoint now, std::size_t owing) {
  const HttpIngressOptions& options = context_.options;
  const bool held = body_left() > 0 && now - held_since_ > kHeldUp;
  if (held || !visitor_owes_body()) {
    sends_.go();
    return options.stall_timeout;
  }
  if (!sends_.waiting()) {
    sends_.wait(now, body_came_);
    connection_sent_ = server_->data_in();
  }
  if (const Duration left = sends_.left(now, options.rate_window); left > Duration::zero()) return left;
  const std::uint64_t least = options.least_in_window();
  if (sends_.too_slow(now, body_came_, least)) {
    if (server_->data_in() - connection_sent_ < least * owing) {
      slow_ = &failures::kRequestSlow;
      return {};
    }
    sends_.go();
    sends_.wait(now, body_came_);
  }
  connection_sent_ = server_->data_in();
  return options.rate_window;
}

Duration Http2Exchange::reads_left(TimePoint now, bool socket_full) {
  const HttpIngressOptions& options = context_.options;
  const bool waits = status_ != 0 && !out_.empty() && !socket_full && server_->window_shut(id_);
  if (!waits) {
    reads_.go();
    return options.stall_timeout;
  }
  if (!reads_.waiting()) {
    reads_.wait(now, bytes_out_);
    connection_read_ = server_->data_out();
  }
  if (const Duration left = reads_.left(now, options.rate_window); left > Duration::zero()) return left;
  const std::uint64_t least = options.least_in_window();
  if (reads_.too_slow(now, bytes_out_, least)) {
    const bool forgiven = server_->connection_window_shut() && server_->data_out() - connection_read_ >= least;
    if (!may_be_slow() && !forgiven) {
      slow_ = &failures::kVisitorSlow;
      return {};
    }
    reads_.go();
    reads_.wait(now, bytes_out_);
  }
  connection_read_ = server_->data_out();
  return options.rate_window;
}

void Http2Exchange::on_timeout(bool visitor_blocks) {
  if (outcome_ == Outcome::Cut) return;  // his connection takes not even that
  if (slow_ != nullptr) {
    ++context_.stats.too_slow;
    return cut_off(*std::exchange(slow_, nullptr));
  }
  if (over()) return cut_off(failures::kVisitorStalled);  // the response is here, and the visitor does not take it
  if (outcome_ == Outcome::Deciding) {
    ++context_.stats.rule_timeouts;
    return fail(failures::kRuleTimeout);
  }
  if (status_ != 0) return fail(visitor_blocks && !out_.empty() ? failures::kVisitorStalled : failures::kOriginTimeout);
  if (all_asked()) return fail(failures::kOriginTimeout);
  const bool has_bytes = head_left() > 0 || body_left() > 0;
  fail(has_bytes ? failures::kOriginStalled : failures::kRequestTimeout);
}

void Http2Exchange::cut_off(const Failure& failure) {
  if (!over()) return fail(failure);
  failure_ = &failure;
  outcome_ = Outcome::Cut;
  owner_->on_exchange_news(*this);
}

void Http2Exchange::on_connection_cut(const Failure& failure) {
  if (outcome_ == Outcome::Cut) return;
  if (!over()) return end(status_ == 0 ? Outcome::VisitorGone : Outcome::Cut, &failure);
  if (!response_sent_) failure_ = &failure;
}

}  // namespace ferrotunnel::ingress
