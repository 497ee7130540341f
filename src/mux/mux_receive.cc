// What arrives from the peer: frames cut anywhere, checked before anything of them is kept.
#include <algorithm>
#include <cassert>

#include "mux/mux_core.h"
#include "mux/mux_scope.h"

namespace ferrotunnel::mux {

using transport::ResetReason;
using wire::FrameType;

namespace {
constexpr std::uint32_t kTiny = 16;  // DATA below this many bytes counts as tiny
constexpr Duration kMinRttAge = std::chrono::seconds(30);

ResetReason known_reason(std::uint32_t value) {
  return value <= static_cast<std::uint32_t>(transport::kLastOnWire) ? static_cast<ResetReason>(value)
                                                                     : ResetReason::Cancel;
}
}  // namespace

Error MuxCore::fail(wire::GoawayCode code, const std::string& text) {
  failed_ = true;
  if (code == wire::GoawayCode::Limit) ++counters_.rate_limited;
  goaway_sent_ = false;  // a drain that was under way does not hide why the link ends now
  goaway(code, text);
  return {code == wire::GoawayCode::Limit ? ErrorCode::Limit : ErrorCode::Protocol, Side::Tunnel, true,
          "the peer broke the protocol: " + text};
}

Result<> MuxCore::receive(ConstBytes bytes, TimePoint now) {
  const Scope scope(*this);
  now_ = now;
  while (!bytes.empty() && !failed_) {
    if (header_have_ < wire::kHeaderSize) {
      const std::size_t n = std::min(bytes.size(), wire::kHeaderSize - header_have_);
      std::copy_n(bytes.data(), n, header_bytes_.data() + header_have_);
      header_have_ += static_cast<std::uint32_t>(n);
      bytes = bytes.subspan(n);
      if (header_have_ < wire::kHeaderSize) break;
      const auto header = wire::decode_header(header_bytes_);
      if (!header) return std::unexpected(fail(wire::GoawayCode::Protocol, header.error().context));
      frame_ = *header;
      payload_left_ = frame_.length;
      if (auto begun = begin_frame(now); !begun) return begun;
      continue;
    }
    const std::size_t n = std::min<std::size_t>(bytes.size(), payload_left_);
    const ConstBytes piece = bytes.first(n);
    bytes = bytes.subspan(n);
    payload_left_ -= static_cast<std::uint32_t>(n);
    const bool whole = payload_left_ == 0;
    if (frame_.type == FrameType::Data) {
      if (whole) header_have_ = 0;
      data_piece(piece, now);
      if (whole) end_data();
      continue;
    }
    if (!whole || !payload_.empty()) {
      payload_.insert(payload_.end(), piece.begin(), piece.end());
      if (!whole) continue;
    }
    header_have_ = 0;
    std::vector<std::byte> gathered;
    gathered.swap(payload_);
    if (auto done = finish_frame(gathered.empty() ? piece : ConstBytes(gathered), now); !done) return done;
  }
  if (failure_ && !failure_told_) {
    failure_told_ = true;
    return std::unexpected(*failure_);
  }
  return {};
}

bool MuxCore::was_opened(std::uint32_t id) const { return opened_here(id) ? id < next_id_ : id <= last_peer_id_; }

MuxStream* MuxCore::find(std::uint32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

// Called with the header only: limits and order are checked before the payload is taken in.
Result<> MuxCore::begin_frame(TimePoint now) {
  const auto too_many = [this](std::string_view what) {
    return std::unexpected(fail(wire::GoawayCode::Limit, "too many " + std::string(what) + " a second"));
  };
  switch (frame_.type) {
    case FrameType::Data: return begin_data(now);
    case FrameType::Open:
      if (!opens_.take(now)) return too_many("OPEN frames");
      if (opened_here(frame_.stream) || frame_.stream <= last_peer_id_)
        return std::unexpected(
            fail(wire::GoawayCode::Protocol, "OPEN with the id " + std::to_string(frame_.stream) + " out of order"));
      return {};
    case FrameType::Credit:
      if (!credits_.take(now)) return too_many("CREDIT frames");
      break;
    case FrameType::Reset:
      if (!resets_.take(now)) return too_many("RESET frames");
      break;
    case FrameType::Ping:
    case FrameType::Pong:
      if (!pings_.take(now)) return too_many("PING or PONG frames");
      return {};
    case FrameType::Goaway:
    case FrameType::Control:
      if (!controls_.take(now)) return too_many("CONTROL or GOAWAY frames");
      if (control_bytes_.take(now, frame_.length) != frame_.length) return too_many("bytes of CONTROL");
      return {};
  }
  if (!was_opened(frame_.stream))
    return std::unexpected(
        fail(wire::GoawayCode::Protocol, std::string(to_string(frame_.type)) + " for a stream never opened"));
  return {};
}

Result<> MuxCore::begin_data(TimePoint now) {
  ++counters_.data_frames_in;
  if (!frame_.fin()) {
    if (frame_.length == 0 && !empties_.take(now))
      return std::unexpected(fail(wire::GoawayCode::Limit, "too many empty DATA frames a second"));
    if (frame_.length > 0 && frame_.length < kTiny && !tinies_.take(now))
      return std::unexpected(fail(wire::GoawayCode::Limit, "too many tiny DATA frames a second"));
  }
  data_stream_ = find(frame_.stream);
  if (data_stream_ == nullptr) {
    if (!was_opened(frame_.stream))
      return std::unexpected(fail(wire::GoawayCode::Protocol, "DATA for a stream never opened"));
    ++counters_.late_frames;
  } else if (data_stream_->fin_received_) {
    ++counters_.stream_protocol_errors;
    fail_stream(*data_stream_, ResetReason::Protocol);
  } else if (frame_.length > data_stream_->receive_credit_) {
    ++counters_.flow_control_errors;
    fail_stream(*data_stream_, ResetReason::FlowControl);
  } else {
    data_stream_->receive_credit_ -= frame_.length;
    if (data_stream_->last_grant_ == TimePoint{}) data_stream_->last_grant_ = now;
  }
  if (frame_.length == 0) {
    header_have_ = 0;
    end_data();
  }
  return {};
}

void MuxCore::data_piece(ConstBytes piece, TimePoint) {
  counters_.bytes_in += piece.size();
  MuxStream* stream = data_stream_;
  if (stream == nullptr) return;
  // A handler that is inside on_data (and called back into us) gets nothing out of order: it waits its turn in held_.
  if (stream->held_bytes_ == 0 && !stream->delivering_) {
    const auto taken = offer(*stream, piece);
    if (!taken) return;
    hold(*stream, piece.subspan(*taken));
    if (stream->dead_) return;
    if (*taken > 0) maybe_grant(*stream, true);
    return;
  }
  hold(*stream, piece);
}

bool MuxCore::splices() const {
  const MuxStream* stream = data_stream_;
  return !failed_ && payload_left() >= kSpliceLeast && stream != nullptr && !stream->delivering_ &&
         stream->handler_->splices() && (stream->held_bytes_ == 0 || stream->held_->only_pipe());
}

transport::Pipe* MuxCore::pipe_at_hand() const {
  return data_stream_ != nullptr && data_stream_->held_bytes_ > 0 ? data_stream_->held_->pipe() : nullptr;
}

void MuxCore::receive_piped(transport::PipeLease& pipe, std::size_t n, TimePoint now) {
  const Scope scope(*this);
  now_ = now;
  MuxStream& stream = *data_stream_;
  counters_.bytes_in += n;
  payload_left_ -= static_cast<std::uint32_t>(n);
  const bool whole = payload_left_ == 0;
  if (whole) header_have_ = 0;
  if (stream.held_bytes_ > 0) {
    hold_piped(stream, pipe, n);  // behind the others: who waits to take them will say when
  } else if (const auto taken = offer(stream, *pipe)) {
    if (!pipe->empty()) hold_piped(stream, pipe, pipe->size());
    if (!stream.dead_ && *taken > 0) maybe_grant(stream, true);
  }
  if (pipe != nullptr) pipe->clear();  // its stream is over
  if (whole) end_data();
}

void MuxCore::end_data() {
  MuxStream* stream = data_stream_;
  data_stream_ = nullptr;
  if (stream == nullptr || !frame_.fin()) return;
  stream->fin_received_ = true;
  if (stream->held_bytes_ == 0) deliver_fin(*stream);
}

Result<> MuxCore::finish_frame(ConstBytes payload, TimePoint now) {
  switch (frame_.type) {
    case FrameType::Data: break;
    case FrameType::Open: return on_open_frame(payload, now);
    case FrameType::Credit: return on_credit_frame(payload);
    case FrameType::Reset:
      if (MuxStream* stream = find(frame_.stream)) {
        end_stream(*stream, {false, known_reason(load_be<std::uint32_t>(payload.data()))}, true);
      } else {
        ++counters_.late_frames;
      }
      break;
    case FrameType::Ping: queue(FrameType::Pong, 0, payload); break;
    case FrameType::Pong: on_pong_frame(payload, now); break;
    case FrameType::Goaway: return on_goaway_frame(payload);
    case FrameType::Control: handler_.on_control(as_text(payload)); break;
  }
  return {};
}

Result<> MuxCore::on_open_frame(ConstBytes payload, TimePoint) {
  last_peer_id_ = frame_.stream;
  const auto refuse = [this](ResetReason reason) {
    ++counters_.streams_refused;
    queue_u32(FrameType::Reset, frame_.stream, static_cast<std::uint32_t>(reason));
    return Result<>{};
  };
  const auto open = wire::decode_open(payload);
  if (!open) return refuse(ResetReason::Protocol);
  if (goaway_sent_) return refuse(ResetReason::GoingAway);
  if (role_ == Role::Server || streams_.size() >= limits_.max_streams) return refuse(ResetReason::Refused);
  // Not for ever refused because of readers that are dead.
  if (!make_room(nullptr, 0)) return refuse(ResetReason::Memory);

  auto* stream = new MuxStream(*this, frame_.stream);
  streams_.emplace(frame_.stream, stream);
  ++counters_.streams_accepted;
  transport::OpenInfo info;
  info.tunnel = open->tunnel;
  info.kind = static_cast<transport::OpenKind>(open->kind);
  info.visitor.family = open->family;
  info.visitor.port = open->port;
  info.visitor.bytes = open->address;
  handler_.on_open(*stream, info);
  assert((stream->dead_ || stream->handler_ != nullptr) && "on_open() must set a handler or reset the stream");
  return {};
}

Result<> MuxCore::on_credit_frame(ConstBytes payload) {
  MuxStream* stream = find(frame_.stream);
  if (stream == nullptr) {
    ++counters_.late_frames;
    return {};
  }
  const auto more = load_be<std::uint32_t>(payload.data());
  if (more == 0 || more > wire::kMaxCredit - stream->send_credit_) {
    ++counters_.stream_protocol_errors;
    fail_stream(*stream, ResetReason::Protocol);
    return {};
  }
  stream->send_credit_ += more;
  if (stream->wants_write_) mark_ready(*stream);
  return {};
}

Result<> MuxCore::on_goaway_frame(ConstBytes payload) {
  const wire::GoawayPayload goaway = wire::decode_goaway(payload);
  goaway_received_ = true;
  const auto code = static_cast<wire::GoawayCode>(goaway.code);
  handler_.on_goaway(goaway.code, goaway.text);
  if (code != wire::GoawayCode::Done && code != wire::GoawayCode::Exhausted) {
    failed_ = true;
    return std::unexpected(Error(ErrorCode::Closed, Side::Tunnel, true,
                                 "the peer closed the link (" + std::string(to_string(code)) + ")"));
  }
  // What we opened past the last one named crossed the GOAWAY and will not be served.
  std::vector<std::uint32_t> unserved;
  for (const auto& [id, stream] : streams_)
    if (opened_here(id) && id > goaway.last_stream) unserved.push_back(id);
  for (const std::uint32_t id : unserved)
    if (MuxStream* stream = find(id)) end_stream(*stream, {false, ResetReason::GoingAway}, true);
  if (streams_.empty()) output_changed();  // drained: the shell looks when there is output
  return {};
}

void MuxCore::on_pong_frame(ConstBytes payload, TimePoint now) {
  if (!ping_outstanding_ || load_be<std::uint64_t>(payload.data()) != ping_value_) return;
  ping_outstanding_ = false;
  rtt_ = std::max<Duration>(now - ping_sent_, Duration(1));
  if (min_rtt_ == Duration::zero() || rtt_ <= min_rtt_ || now - min_rtt_at_ > kMinRttAge) {
    min_rtt_ = rtt_;
    min_rtt_at_ = now;
  }
}

}  // namespace ferrotunnel::mux
