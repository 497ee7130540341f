// The response's way: from the origin's stream to the queue that the visitor's HTTP/2 stream is sent from.
#include <algorithm>

#include "ingress/http2/http2_exchange.h"

namespace ferrotunnel::ingress {

std::size_t Http2Exchange::on_data(transport::Stream&, ConstBytes bytes) {
  if (over()) return bytes.size();
  // Nothing was asked on this connection yet: this answers somebody else's request, or nobody's.
  if (head_sent_ == 0) {
    lose(failures::kBadResponse);
    return bytes.size();
  }
  answered_ = true;
  in_data_ = true;
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const ConstBytes rest = bytes.subspan(taken);
    const std::size_t n = status_ == 0 ? take_head(rest) : take_body(rest);
    taken += n;
    if (!over() && status_ != 0 && response_.done())
      complete(taken < bytes.size() || (throttle_ && throttle_->withholds()));
    if (over()) break;
    if (n > 0) continue;
    if (room_out() == 0) owner_->push_output();
    if (over() || room_out() == 0) break;
  }
  in_data_ = false;
  if (over()) return bytes.size();
  if (taken > 0) made_progress();
  return taken;
}

void Http2Exchange::on_fin(transport::Stream&) {
  fin_ = true;
  if (over()) return;
  if (raw_) {
    // The protocol's end from this side; the visitor's may come later.
    (void)response_.finish_at_eof();
    server_->resume(id_);
    return owner_->on_output();
  }
  if (status_ == 0) return answered_ ? fail(failures::kBadResponse) : lose(failures::kOriginClosed);
  if (!response_.finish_at_eof()) return fail(failures::kResponseCut);
  if (waits_to_end()) return refill();
  complete(false);
}

void Http2Exchange::refill() {
  if (over()) return;
  if (waits_to_end()) {
    if (!has_room_for_step()) return;
    return put({}, ChangedBody::Until::End) ? complete(false) : fail(failures::kRuleFailed);
  }
  if (changed_ && changed_->holds()) on_pause();
  if (over() || !origin_ || in_data_) return;
  origin_->stream().resume_read();
}

// Where the memory is used up, less waits here.
std::size_t Http2Exchange::room_out() const {
  const std::size_t most = context_.shard.buffers().budget().bodies_full() ? BufferPool::kSizes[1] : kMostOut;
  return most - std::min(most, out_.size());
}

// One head, 1xx or final, or a part of it. Returns the bytes that were taken.
std::size_t Http2Exchange::take_head(ConstBytes bytes) {
  const std::size_t before = gathered_size_;
  const std::string_view view = before == 0 ? as_text(bytes) : gather(bytes);
  http::ResponseHead& head = context_.response;
  const http::Parse parsed = http::parse_response_head(view, context_.options.limits, scanner_, asked(), head);
  if (parsed.need_more()) {
    if (before == 0) (void)gather(bytes);
    return gathered_size_ - before;
  }
  const bool agreed = connects() || head.fields.value("sec-websocket-accept") == accept_;
  const bool unasked = parsed.done() && head.upgrade && (head_sent_ < head_.size() || !agreed);
  if (parsed.bad() || unasked || (head.interim() && ++interim_ > context_.options.limits.interim_responses)) {
    fail(failures::kBadResponse);
    return 0;
  }
  const std::size_t used = parsed.consumed - before;
  bytes_out_ += parsed.consumed;
  if (head.interim()) {
    body_asked_ = true;
    server_->interim(id_, head);
  } else {
    response_ = http::BodyFramer(head.framing, context_.options.limits);
    if (rules_want(plugin::Phase::ResponseHead) && !change_head(head)) {
      fail(failures::kRuleFailed);
      return 0;
    }
    begin_response(head);
  }
  gathered_.reset();  // the head's views die here
  gathered_size_ = 0;
  owner_->on_output();
  return used;
}

// RFC 6797 section 7.1; a service's own stays.
void Http2Exchange::add_hsts(http::ResponseHead& head) {
  constexpr std::string_view kHsts = "strict-transport-security";
  const std::string_view hsts = context_.https.hsts;
  if (secure_ && !hsts.empty() && head.fields.find(kHsts) == nullptr) head.fields.add(kHsts, hsts);
}

// RFC 9110 section 6.6.1; a service's own stays.
void Http2Exchange::add_date(http::ResponseHead& head) {
  if (!head.upgrade && head.fields.find("date") == nullptr) head.fields.add("date", context_.date());
}

bool Http2Exchange::change_head(http::ResponseHead& head) {
  std::unique_ptr<plugin::Transform> transform;
  if (!rules_->on_response_head(head, may_transform(context_, head, head_request()), transform)) return false;
  if (transform == nullptr) return true;
  changed_ = std::make_unique<ChangedBody>(context_, static_cast<ChangedBodyOwner&>(*this), std::move(transform));
  forget_length(head, false);
  return true;
}

void Http2Exchange::begin_response(http::ResponseHead& head) {
  add_hsts(head);
  add_date(head);
  origin_keeps_ = head.keep_alive;
  raw_ = head.upgrade;
  const bool websocket = raw_ && !connects();
  status_ = websocket ? 200 : head.status;
  if (head.fields.value("content-type").starts_with("text/event-stream")) streams_ = true;
  if (raw_) response_ = http::BodyFramer(http::Framing::until_close(), context_.options.limits);
  using enum http::H2Source;
  server_->respond(id_, head, response_.done(), websocket ? WebSocket : connects() ? Connect : Origin);
  if (!raw_) return;
  ++context_.stats.upgraded;
  origin_->stream().want_write();
}

// Of the body, what there is room for.
std::size_t Http2Exchange::take_body(ConstBytes bytes) {
  if (changed_ && !has_room_for_step()) return 0;
  const ConstBytes here = bytes.first(std::min(bytes.size(), changed_ ? ChangedBody::kStep : room_out()));
  std::size_t used = 0;
  bool good = true;
  if (response_.kind() != http::Framing::Kind::Chunked) {
    used = static_cast<std::size_t>(std::min<std::uint64_t>(here.size(), response_.opaque()));
    good = put(here.first(used));
    response_.pass_opaque(used);
  } else {
    const http::BodyFramer::Step step = response_.feed(
        as_text(here), [&](std::string_view payload) { good = good && put(as_bytes(payload)); },
        [this](std::string_view lines) { trailers_.append(lines); });
    if (step.error != http::BodyError::None) {
      fail(failures::kBadResponse);
      return 0;
    }
    used = step.consumed;
  }
  if (response_.done() && changed_) good = good && put({}, ChangedBody::Until::End);
  if (!good) {
    fail(failures::kRuleFailed);
    return 0;
  }
  if (used > 0) {
    server_->resume(id_);
    owner_->on_output();
  }
  return used;
}

// A piece of its payload, which fits. False: a filter could not change it.
bool Http2Exchange::put(ConstBytes payload, ChangedBody::Until until) {
  BufferPool& pool = context_.shard.buffers();
  if (!payload.empty() && !raw_ && rules_want(plugin::Phase::ResponseBody)) rules_->on_response_body(payload);
  if (!changed_) return out_.push(pool, payload);
  const auto made = changed_->run(payload, until);
  return made && out_.push(pool, *made);
}

// The origin has said no more in this turn: what was made of it goes out.
void Http2Exchange::on_pause() {
  if (over() || !has_room_for_step()) return;  // refill()
  if (!put({}, ChangedBody::Until::Pause)) return fail(failures::kRuleFailed);
  server_->resume(id_);
  owner_->on_output();
}

// `excess`: the origin said more than its response, so that its connection cannot be trusted with another request.
void Http2Exchange::complete(bool excess) {
  if (!request_sent()) {
    origin_.reset();
  } else if (origin_keeps_ && !excess && !fin_) {
    context_.pool.put(std::move(origin_));
  } else if (origin_) {
    context_.pool.retire(std::move(origin_));
  }
  server_->resume(id_);
  owner_->on_output();
  end(Outcome::Complete);
}

void Http2Exchange::answer(std::string_view page) {
  http::ResponseHead& head = context_.response;
  http::RequestContext asked;
  asked.head = head_request();
  // Ours, and as long as rules make it; what an origin may say is no measure of it.
  http::Limits limits = context_.options.limits;
  limits.head_bytes = limits.fields = static_cast<std::uint32_t>(page.size());
  const http::Parse parsed = http::parse_response_head(page, limits, asked, head);
  if (!parsed.done()) {  // it was written here
    failure_ = &failures::kRuleFailed;
    outcome_ = Outcome::Complete;
    return server_->reset(id_, http::H2Code::Internal);
  }
  bytes_out_ += parsed.consumed;
  add_hsts(head);
  status_ = head.status;
  response_ = http::BodyFramer(head.framing, context_.options.limits);
  server_->respond(id_, head, response_.done(), http::H2Source::Server);
  if (!response_.done()) {
    const ConstBytes body = as_bytes(page.substr(parsed.consumed));
    (void)out_.push(context_.shard.buffers(), body);
    response_.pass_opaque(body.size());
  }
  outcome_ = Outcome::Complete;
  made_progress();
  owner_->on_output();
}

// ---- to the visitor -----------------------------------------------------------------------------------------------

http::H2Stream::Offer Http2Exchange::offer() const {
  Offer offer;
  offer.n = out_.size();
  offer.end = response_.done() && status_ != 0 && (!changed_ || changed_->ended());
  // The empty line is not worth a frame.
  if (offer.end && trailers_.size() > 2) offer.trailers = trailers_;
  return offer;
}

void Http2Exchange::take(MutBytes into) {
  out_.pop(into);
  bytes_out_ += into.size();
  made_progress();
  if (!over() && out_.size() <= kMostOut / 2) owner_->on_hungry(*this);
}

}  // namespace ferrotunnel::ingress
