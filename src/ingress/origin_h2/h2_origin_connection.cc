#include "ingress/origin_h2/h2_origin_connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ingress/origin_h2/h2_origins.h"

namespace ferrotunnel::ingress {

using http::H2Code;
using transport::Fill;
using transport::ResetReason;
using transport::Stream;

H2OriginConnection::H2OriginConnection(H2Origins& origins, std::string_view scheme)
    : origins_(origins),
      scheme_(scheme),
      client_(origins.options().h2, origins.answer_limits()),
      born_(origins.shard().now()) {}

H2OriginConnection::~H2OriginConnection() {
  if (Stream* stream = std::exchange(link_stream_, nullptr)) stream->reset(ResetReason::Cancel);
}

Result<> H2OriginConnection::open(transport::Link& link, const transport::OpenInfo& info) {
  auto stream = link.open(info, static_cast<StreamHandler&>(*this));
  if (!stream) return std::unexpected(std::move(stream.error()));
  link_stream_ = *stream;
  schedule();
  return {};
}

void H2OriginConnection::add(H2OriginStream& stream) {
  streams_.push_back(stream);
  ++load_;
  idle_ = false;
}

bool H2OriginConnection::usable() const {
  if (state_ != State::Open || tired_ || !client_.open() || link_stream_ == nullptr) return false;
  return origins_.shard().now() - born_ < origins_.options().h2_lifetime;
}

void H2OriginConnection::schedule() {
  if (state_ != State::Gone) origins_.shard().at_turn_end(*this);
}

void H2OriginConnection::has_work(H2OriginStream& stream) {
  if (!stream.H2OriginWorkHook::is_linked()) work_.push_back(stream);
  schedule();
}

void H2OriginConnection::leaves(std::int32_t id) { leaving_.push_back({id, origins_.shard().now()}); }

void H2OriginConnection::on_stream_gone() {
  --load_;
  schedule();
}

// ---- the link's side ----------------------------------------------------------------------------------------------

std::size_t H2OriginConnection::on_data(Stream&, ConstBytes bytes) {
  if (state_ != State::Open) return bytes.size();
  feeding_ = true;
  client_.feed(bytes, origins_.shard().now());
  work();
  feeding_ = false;
  check();  // its FIN may come at once
  schedule();
  return bytes.size();
}

void H2OriginConnection::on_fin(Stream&) {
  if (state_ == State::Open) lose(ResetReason::PeerReset, true);
}

void H2OriginConnection::on_end(Stream&, transport::StreamEnd end) {
  link_stream_ = nullptr;
  lose(end.clean ? ResetReason::PeerReset : end.reason, end.clean);
}

Fill H2OriginConnection::fill(Stream&, MutBytes into) {
  Fill fill;
  if (state_ == State::Gone) return {0, true, false};
  if (feeding_) return fill;  // at the end of the turn
  while (fill.n < into.size()) {
    const MutBytes room = into.subspan(fill.n);
    if (out_begin_ < out_end_) {
      const std::size_t n = std::min(room.size(), out_end_ - out_begin_);
      std::memcpy(room.data(), out_.data() + out_begin_, n);
      out_begin_ += n;
      fill.n += n;
      continue;
    }
    const bool direct = room.size() >= http::H2Client::kFrameRoom;
    if (!direct && !client_.wants_write()) break;
    if (!direct && !out_) out_ = origins_.buffers().borrow(http::H2Client::kFrameRoom);
    feeding_ = true;
    const std::size_t n = client_.produce(direct ? room : out_.bytes());
    feeding_ = false;
    if (n == 0) break;
    if (direct) {
      fill.n += n;
    } else {
      out_begin_ = 0;
      out_end_ = n;
    }
  }
  if (out_begin_ == out_end_) out_.reset();
  fill.more = out_begin_ < out_end_ || client_.wants_write();
  if (state_ == State::Closing && !fill.more) fill.fin = true;
  // Pulling from an exchange may have ended it.
  schedule();
  return fill;
}

// ---- at the end of the turn ---------------------------------------------------------------------------------------

void H2OriginConnection::run_turn() {
  if (state_ == State::Gone) return;
  if (state_ == State::Open) {
    feeding_ = true;
    work();
    feeding_ = false;
    check();
  }
  if (state_ == State::Gone) return;
  if (link_stream_ != nullptr && (client_.wants_write() || state_ == State::Closing)) link_stream_->want_write();
  settle();
}

void H2OriginConnection::work() {
  if (client_.settled() && !settled_) {
    settled_ = true;
    for (H2OriginStream& stream : streams_)
      if (stream.waits_for_settings()) has_work(stream);
  }
  // Each once: what they ask for meanwhile is for the next time.
  decltype(work_) now;
  now.swap(work_);
  while (!now.empty()) {
    H2OriginStream& stream = now.front();
    now.pop_front();
    stream.work();
  }
}

// Whether the connection as such has failed.
void H2OriginConnection::check() {
  if (client_.not_http2()) return lose(ResetReason::NotHttp2, false);
  if (client_.abuse() || (client_.over() && !streams_.empty())) {
    if (client_.abuse()) origins_.count_abuse();
    return lose(ResetReason::BadResponse, false);
  }
}

void H2OriginConnection::settle() {
  if (state_ == State::Gone) return;
  std::erase_if(leaving_, [this](const Leaving& one) { return client_.half_closed(one.id); });
  if (load_ == 0 && !idle_) {
    idle_ = true;
    since_ = origins_.shard().now();
  }
  if (state_ == State::Open && load_ == 0 && (!usable() || origins_.closed())) return retire();
  arm_next();
}

void H2OriginConnection::retire() {
  tired_ = true;
  if (state_ != State::Open || load_ > 0) return;
  state_ = State::Closing;
  since_ = origins_.shard().now();
  client_.end(H2Code::NoError);
  if (link_stream_ == nullptr) return lose(ResetReason::Cancel, false);
  link_stream_->want_write();
  arm_next();
}

void H2OriginConnection::cut() { lose(ResetReason::LinkLost, false); }

// All of its exchanges hear of it; none of the others do.
void H2OriginConnection::lose(ResetReason reason, bool fin) {
  if (state_ == State::Gone) return;
  state_ = State::Gone;
  H2OriginConnectionHook::unlink();
  Deadline::disarm();
  while (!streams_.empty()) {
    H2OriginStream& stream = streams_.front();
    origins_.orphan(stream);
    stream.on_lost(reason, fin);
  }
  if (Stream* stream = std::exchange(link_stream_, nullptr)) stream->reset(ResetReason::Cancel);
  origins_.bury(*this);
}

void H2OriginConnection::drop_leaving(TimePoint now) {
  std::erase_if(leaving_, [&](const Leaving& one) {
    if (now - one.since < origins_.options().close_timeout) return false;
    client_.reset(one.id, H2Code::Cancel);
    return true;
  });
}

void H2OriginConnection::arm_next() {
  const OriginPoolOptions& options = origins_.options();
  const TimePoint now = origins_.shard().now();
  std::optional<TimePoint> due;
  const auto at = [&due](TimePoint when) { due = due ? std::min(*due, when) : when; };
  if (state_ == State::Closing) at(since_ + options.close_timeout);
  if (state_ == State::Open && load_ == 0) at(since_ + options.idle_timeout);
  if (!leaving_.empty()) at(leaving_.front().since + options.close_timeout);
  if (!due) return Deadline::disarm();
  origins_.shard().arm(*this, std::max(Duration::zero(), *due - now));
}

void H2OriginConnection::on_deadline() {
  const TimePoint now = origins_.shard().now();
  if (state_ == State::Closing) return lose(ResetReason::Cancel, false);
  drop_leaving(now);
  if (state_ == State::Open && load_ == 0 && now - since_ >= origins_.options().idle_timeout) return retire();
  schedule();
  arm_next();
}

}  // namespace ferrotunnel::ingress
