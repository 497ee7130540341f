// A stream's life, flow control, and output. What arrives is in mux_receive.cc.
#include "mux/mux_core.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "mux/mux_scope.h"

namespace ferrotunnel::mux {

using transport::ResetReason;
using transport::StreamEnd;
using wire::FrameType;

namespace {
// A frame smaller than this is not begun at the tail of an output buffer: the next buffer has room for a whole one.
constexpr std::size_t kMinFrameRoom = 2048;
// Streams that wanted to write and had nothing, before the turn ends: handlers that keep asking do not hold the shard.
constexpr int kMaxEmptyTurns = 256;
// Control frames: sent bytes at the front that are worth moving the rest for, and memory that is worth giving back.
constexpr std::size_t kMinErased = 64 * 1024;
constexpr std::size_t kKeptControl = 256 * 1024;
}  // namespace

void HeldBytes::append(ConstBytes bytes) {
  if (!empty()) {
    Chunk& last = chunks_.back();
    const std::size_t n = std::min(bytes.size(), last.buffer.size() - last.end);
    std::copy_n(bytes.data(), n, last.buffer.data() + last.end);
    last.end += static_cast<std::uint32_t>(n);
    bytes = bytes.subspan(n);
  }
  while (!bytes.empty()) {
    Chunk chunk{pool_.borrow(std::min<std::size_t>(bytes.size(), BufferPool::kSizes[2])), 0, 0};
    const std::size_t n = std::min(bytes.size(), chunk.buffer.size());
    std::copy_n(bytes.data(), n, chunk.buffer.data());
    chunk.end = static_cast<std::uint32_t>(n);
    bytes = bytes.subspan(n);
    borrowed_ += chunk.buffer.size();
    chunks_.push_back(std::move(chunk));
  }
}

void HeldBytes::count_pipe(std::size_t size) {
  pool_.budget().add(size);
  pool_.budget().sub(std::exchange(piped_, size));
}

void HeldBytes::keep(transport::PipeLease pipe) {
  assert(pipe_ == nullptr && empty());
  pipe_ = std::move(pipe);
  count_pipe(pipe_->size());
}

void HeldBytes::pipe_changed() {
  count_pipe(pipe_->size());
  if (pipe_->empty()) pipe_.reset();
}

void HeldBytes::copy_pipe() {
  std::vector<Chunk> behind;
  behind.swap(chunks_);
  const std::size_t used = std::exchange(first_, 0);
  while (!pipe_->empty()) {
    Chunk chunk{pool_.borrow(std::min<std::size_t>(pipe_->size(), BufferPool::kSizes[2])), 0, 0};
    chunk.end = static_cast<std::uint32_t>(pipe_->read(chunk.buffer.bytes()));
    borrowed_ += chunk.buffer.size();
    chunks_.push_back(std::move(chunk));
  }
  std::move(behind.begin() + static_cast<std::ptrdiff_t>(used), behind.end(), std::back_inserter(chunks_));
  pipe_changed();
}

void HeldBytes::pop(std::size_t n) {
  Chunk& chunk = chunks_[first_];
  chunk.begin += static_cast<std::uint32_t>(n);
  if (chunk.begin < chunk.end) return;
  borrowed_ -= chunk.buffer.size();
  chunk.buffer.reset();
  ++first_;
  if (first_ * 2 >= chunks_.size()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void MuxStream::want_write() {
  if (dead_ || fin_sent_) return;
  wants_write_ = true;
  if (send_credit_ > 0) core_.mark_ready(*this);
}

void MuxStream::resume_read() {
  if (dead_ || delivering_) return;
  const MuxCore::Scope scope(core_);
  core_.deliver_held(*this);
}

void MuxStream::reset(ResetReason reason) {
  if (dead_) return;
  const MuxCore::Scope scope(core_);
  core_.reset_stream(*this, reason);
}

MuxCore::MuxCore(Role role, const MuxLimits& limits, BufferPool& pool, MuxHost& host, transport::LinkHandler& handler)
    : role_(role),
      limits_(limits),
      pool_(pool),
      host_(host),
      handler_(handler),
      next_id_(role == Role::Client ? 1 : 2),
      opens_(limits.max_opens_per_second),
      empties_(limits.max_empty_per_second),
      tinies_(limits.max_tiny_per_second),
      pings_(limits.max_pings_per_second),
      credits_(limits.max_credits_per_second),
      resets_(limits.max_resets_per_second),
      controls_(limits.max_controls_per_second) {
  control_bytes_.set(limits.max_control_bytes_per_second, limits.control_burst);
}

MuxCore::~MuxCore() {
  assert(depth_ == 0 && "destroyed from inside one of its own calls");
  count_borrowed(borrowed_, 0);
  stalled_streams_.clear();
  for (auto& [id, stream] : streams_) {
    if (quota_ && opened_here(id)) quota_->give_back(1);
    unready(*stream);
    delete stream;
  }
}

// ---- a stream's life ----------------------------------------------------------------------------------------------

Result<transport::Stream*> MuxCore::open(const transport::OpenInfo& info, transport::StreamHandler& handler) {
  if (draining() || failed_)
    return std::unexpected(Error(ErrorCode::Closed, Side::Tunnel, true, "the link is closing"));
  if (streams_.size() >= limits_.max_streams) {
    ++counters_.streams_refused;
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true, "too many streams on the link (max_streams)"));
  }
  if (next_id_ > wire::kMaxStreamId) {
    goaway(wire::GoawayCode::Exhausted, "stream ids are used up");
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true, "the link's stream ids are used up"));
  }
  if (quota_ && !quota_->take()) {
    ++counters_.streams_refused;
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true, "too many streams of this grant (max_streams)"));
  }
  const std::uint32_t id = next_id_;
  next_id_ += 2;
  auto* stream = new MuxStream(*this, id);
  stream->handler_ = &handler;
  streams_.emplace(id, stream);
  ++counters_.streams_opened;

  wire::OpenPayload payload;
  payload.tunnel = info.tunnel;
  payload.kind = static_cast<std::uint8_t>(info.kind);
  payload.family = info.visitor.family;
  payload.port = info.visitor.port;
  payload.address = info.visitor.bytes;
  std::array<std::byte, wire::kMaxOpenEncoded> bytes;
  const std::size_t n = wire::encode_open(payload, bytes);
  queue(FrameType::Open, id, ConstBytes(bytes).first(n));
  return stream;
}

// Our side ends it: the handler asked for it, so it is not told.
void MuxCore::reset_stream(MuxStream& stream, ResetReason reason) {
  if (reason > transport::kLastOnWire)
    reason = ResetReason::Cancel;  // LinkLost of another link, passed on: it has no number on the wire
  queue_u32(FrameType::Reset, stream.id_, static_cast<std::uint32_t>(reason));
  end_stream(stream, {false, reason}, false);
}

void MuxCore::fail_stream(MuxStream& stream, ResetReason reason) {
  queue_u32(FrameType::Reset, stream.id_, static_cast<std::uint32_t>(reason));
  end_stream(stream, {false, reason}, true);
}

void MuxCore::end_stream(MuxStream& stream, StreamEnd end, bool tell) {
  assert(depth_ > 0);
  if (stream.dead_) return;
  stream.dead_ = true;
  set_window(stream, wire::kInitialCredit);
  unready(stream);
  if (stream.held_bytes_ > 0) {
    stalled_streams_.erase(stalled_streams_.iterator_to(stream));
    held_ -= stream.held_bytes_;
    stream.held_bytes_ = 0;
    count_borrowed(stream.held_->borrowed(), 0);
    // At once, so that there is room. But a handler up the stack may be looking at the bytes: then they go with the stream.
    if (!stream.delivering_) stream.held_.reset();
  }
  streams_.erase(stream.id_);
  if (quota_ && opened_here(stream.id_)) quota_->give_back(1);
  if (data_stream_ == &stream) data_stream_ = nullptr;
  dead_.push_back(&stream);
  if (streams_.empty() && draining()) output_changed();  // drained: the shell looks when there is output
  if (tell && stream.handler_ != nullptr) stream.handler_->on_end(stream, end);
}

void MuxCore::maybe_finish(MuxStream& stream) {
  if (!stream.dead_ && stream.fin_sent_ && stream.fin_delivered_) end_stream(stream, {true, ResetReason::Cancel}, true);
}

void MuxCore::mark_ready(MuxStream& stream) {
  if (stream.ready_ || stream.dead_) return;
  stream.ready_ = true;
  ready_streams_.push_back(stream);
  output_changed();
}

void MuxCore::unready(MuxStream& stream) {
  if (!stream.ready_) return;
  stream.ready_ = false;
  ready_streams_.erase(ready_streams_.iterator_to(stream));
}

void MuxCore::lost() {
  const Scope scope(*this);
  failed_ = true;
  while (!streams_.empty()) end_stream(*streams_.begin()->second, {false, ResetReason::LinkLost}, true);
}

// ---- what is held, and credit -------------------------------------------------------------------------------------

// `append` puts n more bytes into held_ and is not called where there is no room for them: then the stream is over.
template <class Append>
void MuxCore::hold_more(MuxStream& stream, std::size_t n, Append append) {
  const bool crowded = !has_room(n);
  if (crowded && !make_room(&stream, n)) return;
  if (!stream.held_) stream.held_ = std::make_unique<HeldBytes>(pool_);
  if (stream.held_bytes_ == 0) stalled_streams_.push_back(stream);
  const std::size_t before = stream.held_->borrowed();
  append();
  count_borrowed(before, stream.held_->borrowed());
  stream.held_bytes_ += static_cast<std::uint32_t>(n);
  held_ += n;
  // The ends of the others may have called resume_read() for this one, before these bytes were there.
  if (crowded && !stream.delivering_) deliver_held(stream);
}

void MuxCore::hold(MuxStream& stream, ConstBytes bytes) {
  if (bytes.empty()) return;
  hold_more(stream, bytes.size(), [&] { stream.held_->append(bytes); });
}

// n bytes that came last are in the pipe that the stream holds, or all that are in `pipe`, which it then keeps.
void MuxCore::hold_piped(MuxStream& stream, transport::PipeLease& pipe, std::size_t n) {
  hold_more(stream, n, [&] {
    if (stream.held_->pipe() != nullptr) {
      stream.held_->pipe_changed();
    } else {
      stream.held_->keep(std::move(pipe));
    }
  });
}

bool MuxCore::has_room(std::size_t n) const {
  return held_ + n <= limits_.max_held && pool_.budget().admits(borrowed_, n);
}

// Who stalls pays: the streams of this link whose handlers took nothing for the longest time are reset until n more bytes of `stream`
// (or, without one, another stream) may be held. A reader that is slow but alive moves to the back whenever it takes some, so the dead
// go before it. False: `stream` is over, because its turn came, or because not even without the others there is room for it (then they
// stay), or because a handler that heard of an end reset it.
bool MuxCore::make_room(MuxStream* stream, std::size_t n) {
  while (!has_room(n)) {
    const std::size_t mine = stream != nullptr ? stream->held_bytes_ : 0;
    const std::size_t others = borrowed_ - (mine > 0 ? stream->held_->borrowed() : 0);
    const bool possible = mine + n <= limits_.max_held && pool_.budget().admits(borrowed_, n, others);
    MuxStream* victim = possible && !stalled_streams_.empty() ? &stalled_streams_.front() : stream;
    if (victim == nullptr) return false;
    ++counters_.memory_resets;
    pool_.budget().count_reset();
    fail_stream(*victim, ResetReason::Memory);  // its handler may call back, and end any stream
    if (stream != nullptr && stream->dead_) return false;
  }
  return true;
}

void MuxCore::count_borrowed(std::size_t before, std::size_t after) {
  const bool held_some = borrowed_ > 0;
  borrowed_ += after - before;
  if (held_some == (borrowed_ > 0)) return;
  if (held_some) {
    pool_.budget().sub_holder();
  } else {
    pool_.budget().add_holder();
  }
}

std::optional<std::size_t> MuxCore::offer(MuxStream& stream, ConstBytes bytes) {
  stream.delivering_ = true;
  const std::size_t taken = stream.handler_->on_data(stream, bytes);
  stream.delivering_ = false;
  if (stream.dead_) return std::nullopt;
  assert(taken <= bytes.size());
  return taken;
}

std::optional<std::size_t> MuxCore::offer(MuxStream& stream, transport::Pipe& pipe) {
  const std::size_t before = pipe.size();
  stream.delivering_ = true;
  stream.handler_->on_pipe(stream, pipe);
  stream.delivering_ = false;
  if (stream.dead_) return std::nullopt;
  return before - pipe.size();
}

void MuxCore::deliver_held(MuxStream& stream) {
  while (stream.held_bytes_ > 0) {
    const std::size_t before = stream.held_->borrowed();
    std::size_t offered = 0;
    std::optional<std::size_t> taken;
    if (transport::Pipe* pipe = stream.held_->pipe(); pipe != nullptr && stream.handler_->splices()) {
      offered = pipe->size();
      taken = offer(stream, *pipe);
      if (!taken) return;
      stream.held_->pipe_changed();
    } else {
      if (pipe != nullptr) stream.held_->copy_pipe();
      const ConstBytes front = stream.held_->front();
      offered = front.size();
      taken = offer(stream, front);
      if (!taken) return;
      if (*taken > 0) stream.held_->pop(*taken);
    }
    count_borrowed(before, stream.held_->borrowed());
    if (*taken > 0) {
      stream.held_bytes_ -= static_cast<std::uint32_t>(*taken);
      held_ -= *taken;
      const auto at = stalled_streams_.iterator_to(stream);
      if (stream.held_bytes_ == 0) {
        stalled_streams_.erase(at);
      } else {
        stalled_streams_.splice(stalled_streams_.end(), stalled_streams_, at);
      }
      maybe_grant(stream, false);
    }
    if (*taken < offered) return;
  }
  stream.held_.reset();
  if (stream.fin_received_) deliver_fin(stream);
}

void MuxCore::deliver_fin(MuxStream& stream) {
  if (stream.fin_delivered_ || stream.dead_) return;
  stream.fin_delivered_ = true;
  stream.handler_->on_fin(stream);
  maybe_finish(stream);
}

// Gives the peer back what the handler took, in steps of half a window. A stream that empties its window within about a round
// trip is held up by the window and gets a larger one (larger_window); under memory pressure windows shrink back instead. What was held first
// is no sign of that (its reader is slow), and now_ may be old there.
void MuxCore::maybe_grant(MuxStream& stream, bool taken_at_once) {
  if (stream.fin_received_) return;
  const std::uint32_t coming = data_stream_ == &stream ? payload_left_ : 0;  // of the frame at hand, paid for already
  const std::uint32_t committed = stream.receive_credit_ + stream.held_bytes_ + coming;
  // On a long road the first bytes of something large are reason enough: each step there costs a round trip of the stream's life.
  const bool early = !stream.grown_ && taken_at_once && data_stream_ == &stream && min_rtt_ >= kLongRoad &&
                     frame_.length >= kEarlyFrame;
  if (!early && committed > stream.window_ / 2) return;
  const Duration since = now_ - stream.last_grant_;
  const bool pressed = pool_.budget().tight() || held_ > limits_.max_held / 2;
  // It has more than it needs, and others may want some.
  const bool surplus =
      taken_at_once && grown_ > limits_.max_held / 4 && stream.window_ > wire::kInitialCredit && since > 16 * min_rtt_;
  if (pressed || surplus) {
    set_window(stream, std::max(wire::kInitialCredit, stream.window_ / 2));
    if (pressed) windows_.forget();
    if (committed > stream.window_ / 2) return;
  } else if (taken_at_once && stream.held_bytes_ == 0 && stream.window_ < limits_.max_window &&
             (early || since < 4 * min_rtt_)) {
    stream.grown_ = true;
    const std::uint32_t larger = larger_window(stream.window_, early || since < 2 * min_rtt_ ? 4 : 2);
    if (larger > stream.window_) ++counters_.window_growths;
    set_window(stream, larger);
  }
  if (taken_at_once) windows_.used(stream.window_, now_);
  const std::uint32_t grant = stream.window_ - committed;
  stream.receive_credit_ += grant;
  stream.last_grant_ = now_;
  ++counters_.credits_sent;
  queue_u32(FrameType::Credit, stream.id_, grant);
}

// So many times as large, or what others needed before. Credit that was given cannot be taken back: so all windows together let in half of
// max_held at most, lest readers who only pause be reset for want of room; and one takes a quarter of what is left of that, so that there is
// always some for the next.
std::uint32_t MuxCore::larger_window(std::uint32_t window, std::uint32_t times) const {
  const std::size_t most = limits_.max_held / 2, left = most > grown_ ? (most - grown_) / 4 : 0;
  const std::uint32_t wanted = std::min(limits_.max_window, std::max(window * times, windows_.known(now_)));
  return window + static_cast<std::uint32_t>(std::min<std::size_t>(wanted - window, left));
}

void MuxCore::set_window(MuxStream& stream, std::uint32_t window) {
  grown_ += window;
  grown_ -= stream.window_;
  stream.window_ = window;
}

// ---- output -------------------------------------------------------------------------------------------------------

void MuxCore::output_changed() {
  if (!producing_) host_.on_output();
}

// Past max_control_queue the core fails itself, whatever was going on: the caller goes on as if the frame had been sent, and the shell
// finds failure().
void MuxCore::queue(FrameType type, std::uint32_t stream, ConstBytes payload, std::uint8_t flags) {
  if (failed_ && type != FrameType::Goaway) return;  // nobody reads behind the last GOAWAY
  const std::size_t at = control_.size();
  control_.resize(at + wire::kHeaderSize + payload.size());
  wire::encode_header({type, flags, static_cast<std::uint32_t>(payload.size()), stream}, control_.data() + at);
  std::ranges::copy(payload, control_.begin() + static_cast<std::ptrdiff_t>(at + wire::kHeaderSize));
  if (!failed_ && control_.size() - control_begin_ > limits_.max_control_queue)
    failure_ = fail(wire::GoawayCode::Limit, "the peer does not read what it asks for (max_control_queue)");
  output_changed();
}

// Of the waiting control frames, n bytes are sent. A peer may keep some waiting for ever, so the front is dropped before all is out;
// never less than half, so that each byte is moved about once.
void MuxCore::consume_control(std::size_t n) {
  control_begin_ += n;
  if (control_begin_ < control_.size() && (control_begin_ < kMinErased || control_begin_ < control_.size() / 2)) return;
  control_.erase(control_.begin(), control_.begin() + static_cast<std::ptrdiff_t>(control_begin_));
  control_begin_ = 0;
  if (control_.capacity() > kKeptControl && control_.size() < control_.capacity() / 4) control_.shrink_to_fit();
}

void MuxCore::queue_u32(FrameType type, std::uint32_t stream, std::uint32_t value) {
  std::array<std::byte, 4> bytes;
  store_be(bytes.data(), value);
  queue(type, stream, bytes);
}

void MuxCore::send_control(std::string_view json) {
  assert(json.size() >= wire::kMinControl && json.size() <= wire::kMaxControl);
  queue(FrameType::Control, 0, as_bytes(json));
}

void MuxCore::send_ping(TimePoint now) {
  if (ping_outstanding_) return;
  ping_outstanding_ = true;
  ping_sent_ = now;
  std::array<std::byte, 8> bytes;
  store_be(bytes.data(), ++ping_value_);
  queue(FrameType::Ping, 0, bytes);
}

void MuxCore::goaway(wire::GoawayCode code, std::string_view text) {
  if (goaway_sent_) return;
  goaway_sent_ = true;
  text = text.substr(0, wire::kMaxGoawayText);
  std::array<std::byte, wire::kMinGoaway + wire::kMaxGoawayText> bytes;
  store_be(bytes.data(), last_peer_id_);
  store_be(bytes.data() + 4, static_cast<std::uint32_t>(code));
  std::ranges::copy(as_bytes(text), bytes.begin() + 8);
  queue(FrameType::Goaway, 0, ConstBytes(bytes).first(8 + text.size()));
}

std::size_t MuxCore::produce(MutBytes out, TimePoint now, transport::Pipe* pipe) {
  assert(out.size() >= kMinProduce && (pipe == nullptr || pipe->empty()));
  const Scope scope(*this);
  now_ = now;
  producing_ = true;
  // A control frame may be cut by the end of the buffer: what follows it on the link is then the rest of it.
  std::size_t n = std::min(out.size(), control_.size() - control_begin_);
  std::copy_n(control_.data() + control_begin_, n, out.data());
  consume_control(n);
  if (control_.empty()) {
    // Behind control frames too, no small frame is made for the tail of a buffer.
    if (!failed_ && (n == 0 || out.size() - n >= wire::kHeaderSize + kMinFrameRoom))
      n += produce_data(out.subspan(n), pipe);
  }
  producing_ = false;
  return n;
}

std::size_t MuxCore::produce_data(MutBytes out, transport::Pipe* pipe) {
  std::size_t used = 0;
  int empty_turns = 0;
  while (!ready_streams_.empty() && empty_turns < kMaxEmptyTurns) {
    const std::size_t left = out.size() - used;
    if (left < wire::kHeaderSize + 1 || (used > 0 && left < wire::kHeaderSize + kMinFrameRoom)) break;
    MuxStream& stream = ready_streams_.front();
    unready(stream);
    const std::size_t room =
        std::min<std::size_t>({left - wire::kHeaderSize, limits_.quantum, stream.send_credit_, turn_});
    stream.wants_write_ = false;
    // What was large the last time is likely to be so again.
    const bool piped =
        pipe != nullptr && stream.bulk_ && stream.send_credit_ >= kSpliceLeast && stream.handler_->splices();
    transport::Fill fill;
    if (piped) {
      fill = stream.handler_->fill_pipe(stream, *pipe, std::min<std::size_t>(stream.send_credit_, turn_));
      if (stream.dead_) pipe->clear();
    } else {
      fill = stream.handler_->fill(stream, out.subspan(used + wire::kHeaderSize, room));
    }
    if (stream.dead_) continue;  // what it wrote there goes nowhere
    assert(piped ? fill.n == pipe->size() : fill.n <= room);
    if (piped || room >= kSpliceLeast) stream.bulk_ = fill.n >= kSpliceLeast;
    if (fill.n > 0 || fill.fin) {
      wire::encode_header({FrameType::Data, fill.fin ? wire::kFlagFin : std::uint8_t{0},
                           static_cast<std::uint32_t>(fill.n), stream.id_},
                          out.data() + used);
      used += wire::kHeaderSize + (piped ? 0 : fill.n);
      stream.send_credit_ -= static_cast<std::uint32_t>(fill.n);
      counters_.bytes_out += fill.n;
      ++counters_.data_frames_out;
    } else {
      ++empty_turns;
    }
    if (fill.fin) {
      stream.fin_sent_ = true;
      stream.wants_write_ = false;  // it may have asked again from inside fill()
      unready(stream);
      maybe_finish(stream);
    } else if (fill.more || stream.wants_write_) {
      stream.wants_write_ = true;
      if (stream.send_credit_ > 0) {
        mark_ready(stream);
      } else {
        unready(stream);
      }
    }
    // RESET, CREDIT and the like that a handler just queued go before the next payload.
    if (control_begin_ < control_.size() || (pipe != nullptr && !pipe->empty())) break;
  }
  return used;
}

}  // namespace ferrotunnel::mux
