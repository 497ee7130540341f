#include "mux/mux_link.h"

#include <algorithm>
#include <utility>

#include "transport/tcp/delivery.h"
#include "transport/tcp/road.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::mux {

using transport::IoStatus;
using transport::kFailed;
using transport::kPeerClosed;
using transport::kReadable;
using transport::kWritable;

MuxLink::MuxLink(transport::Shard& shard, transport::ByteStreamPtr stream, Role role, const MuxLimits& limits,
                 transport::LinkHandler& handler, ConstBytes early)
    : shard_(shard),
      stream_(std::move(stream)),
      handler_(handler),
      role_(role),
      core_(role, limits, shard.buffers(), *this, handler),
      early_(early.begin(), early.end()),
      last_received_(shard.now()) {}

MuxLink::~MuxLink() {
  if (!closed_) core_.lost();  // a handler that is still there must not keep a stream that is not
  if (watched_) shard_.poller().remove(stream_->fd(), *this);
}

Result<> MuxLink::start() {
  auto added = shard_.poller().add(stream_->fd(), *this);
  watched_ = added.has_value();
  if (watched_) shard_.next_turn(*this);
  return added;
}

// Everything went as it should: who left?
std::string MuxLink::drained_text() const {
  if (we_leave_) return "the link was drained";
  return role_ == Role::Client ? "the server is stopping" : "the client left";
}

void MuxLink::goaway(std::uint32_t code, std::string_view text) {
  we_leave_ = true;
  core_.goaway(static_cast<wire::GoawayCode>(code), text);
  on_output();  // an idle link is drained at once
}

transport::LinkStatus MuxLink::status() const {
  transport::LinkStatus status;
  status.rtt = core_.rtt();
  status.streams = core_.streams();
  status.bytes_in = core_.counters().bytes_in;
  status.bytes_out = core_.counters().bytes_out;
  status.held = core_.held();
  status.last_received = last_received_;
  status.ping_outstanding = core_.ping_outstanding();
  // As the kernel tells it, or as far as it took our own.
  const auto delivery = transport::delivery_of(stream_->fd());
  status.output_waiting = !writable_ || output_pending() || (delivery && delivery->waiting);
  status.output_taken = delivery ? delivery->acknowledged : written_;
  return status;
}

void MuxLink::on_ready(std::uint32_t what) {
  if ((what & (kPeerClosed | kFailed)) != 0) peer_closed_ = true;
  if ((what & kWritable) != 0 && !writable_) {
    writable_ = true;
    shard_.at_turn_end(*this);
  }
  if ((what & kReadable) != 0) {
    readable_ = true;
    read_some();
  }
}

void MuxLink::on_output() {
  if (writable_ || closed_ || core_.failure()) shard_.at_turn_end(*this);
}

void MuxLink::run_turn() {
  if (closed_) {
    handler_.on_link_closed(*closed_);  // destroys us
    return;
  }
  if (!early_.empty()) {
    std::vector<std::byte> early;
    early.swap(early_);
    if (auto done = core_.receive(early, shard_.now()); !done) return close(done.error());
    if (closed_) return;
  }
  if (!closed_ && core_.failure()) return close(*core_.failure());
  if (readable_) read_some();  // left over from a bounded turn, or the first look
  if (closed_) return;
  write_some();
}

// Where the rest of a large payload goes; none: it is copied, as everything else.
transport::Pipe* MuxLink::pipe_for_payload() {
  if (!stream_->plain() || !core_.splices()) return nullptr;
  transport::Pipe* pipe = core_.pipe_at_hand();
  if (pipe == nullptr) {
    if (!in_pipe_) in_pipe_ = shard_.pipes().borrow();
    pipe = in_pipe_.get();
  }
  return pipe == std::exchange(full_pipe_, nullptr) ? nullptr : pipe;
}

std::size_t MuxLink::read_size() const {
  if (!stream_->plain()) return transport::Shard::kReadBuffer;
  // The end of a payload that came by a pipe, and the header that is behind it.
  if (header_next_ && core_.payload_left() < MuxCore::kSpliceLeast) return core_.payload_left() + wire::kHeaderSize;
  return core_.payload_left() > kSmallRead ? transport::Shard::kReadBuffer : kSmallRead;
}

void MuxLink::read_some() {
  if (closed_ || !early_.empty()) return;
  const MutBytes buffer = shard_.read_buffer();
  std::size_t budget = kReadPerTurn;
  while (readable_ && !closed_) {
    transport::Pipe* pipe = pipe_for_payload();
    transport::IoResult got;
    bool drained = false;
    if (pipe != nullptr) {
      got = pipe->fill_from(stream_->fd(), std::min(core_.payload_left(), std::max(budget, MuxCore::kSpliceLeast)));
      if (got.status == IoStatus::WouldBlock && !pipe->empty()) {
        full_pipe_ = pipe;  // or the socket is empty: a read will tell
        continue;
      }
    } else {
      const MutBytes into = buffer.first(read_size());
      got = stream_->read(into);
      drained = got.n < into.size() && !stream_->read_pending();
    }
    switch (got.status) {
      case IoStatus::Ok:
        last_received_ = shard_.now();
        if (pipe != nullptr) {
          core_.receive_piped(in_pipe_, got.n, last_received_);
          header_next_ = true;
        } else {
          header_next_ = false;
          if (auto done = core_.receive(buffer.first(got.n), last_received_); !done) return close(done.error());
        }
        if (core_.failure()) return close(*core_.failure());
        if (closed_) return;
        if (drained && !peer_closed_) {
          readable_ = false;
          shard_.poller().await(stream_->fd(), *this, kReadable);
        }
        budget -= std::min(budget, got.n);
        if (readable_ && budget == 0) return shard_.next_turn(*this);
        break;
      case IoStatus::WouldBlock:
        readable_ = false;
        shard_.poller().await(stream_->fd(), *this, kReadable);
        break;
      case IoStatus::Eof:
        return close(Error(ErrorCode::Closed, Side::Tunnel, true,
                           core_.draining() ? drained_text() : "the other end closed the connection"));
      case IoStatus::Error: return close(stream_->explain(got));
    }
  }
  in_pipe_.reset();
}

transport::IoResult MuxLink::write_piece() {
  transport::IoResult wrote;
  const bool piped = out_pipe_ != nullptr && !out_pipe_->empty();
  if (out_begin_ < out_end_) {
    const iovec piece{out_.data() + out_begin_, out_end_ - out_begin_};
    wrote = piped ? stream_->write_more({&piece, 1}) : stream_->write({&piece, 1});
    if (wrote.status == IoStatus::Ok) out_begin_ += wrote.n;
  } else {
    wrote = out_pipe_->drain_to(stream_->fd(), out_pipe_->size());
  }
  if (wrote.status == IoStatus::Ok) written_ += wrote.n;
  return wrote;
}

bool MuxLink::write_pending() {
  while (output_pending()) {
    const bool copied = out_begin_ < out_end_;
    const transport::IoResult wrote = write_piece();
    if (wrote.status == IoStatus::Error) {
      close(stream_->explain(wrote));
      return false;
    }
    // A plain socket that took a part is full; a pipe may have given a part only.
    if (wrote.status == IoStatus::Ok && (!copied || out_begin_ == out_end_ || !stream_->plain())) continue;
    writable_ = false;  // on_ready() goes on from here
    shard_.poller().await(stream_->fd(), *this, kWritable);
    return false;
  }
  return true;
}

void MuxLink::look_at_pace() {
  const TimePoint now = shard_.now();
  if (!pace_.due(now)) return;
  if (!pace_.look(transport::read_road(stream_->fd()).value_or(transport::RoadCount{}), now)) return;
  core_.set_turn(pace_.bytes());
  transport::set_unsent(stream_->fd(), pace_.unsent());
}

void MuxLink::produce() {
  look_at_pace();
  if (!out_) out_ = shard_.buffers().borrow(kOutBuffer);
  transport::Pipe* pipe = nullptr;
  if (stream_->plain() && core_.wants_pipe()) {
    if (!out_pipe_) out_pipe_ = shard_.pipes().borrow();
    pipe = out_pipe_.get();
  }
  out_begin_ = 0;
  producing_ = true;
  out_end_ = core_.produce(out_.bytes().first(std::min(kOutBuffer, pace_.bytes())), shard_.now(), pipe);
  producing_ = false;
}

void MuxLink::write_some() {
  if (lingering_) return;
  for (int i = 0; i < kWritesPerTurn && writable_ && !closed_; ++i) {
    if (!write_pending()) break;
    if (!core_.has_output()) break;
    produce();
    if (closed_) return finish_close();
    if (core_.failure()) return close(*core_.failure());
  }
  if (closed_) return;
  if (writable_ && !write_pending()) return;
  if (!output_pending()) {
    out_.reset();
    out_pipe_.reset();
    if (core_.drained()) return linger();
  }
  if (writable_ && core_.has_output()) shard_.next_turn(*this);
}

// Everything is said. To close now would be an RST if the peer has sent anything that we did not read (a CREDIT is enough), and an RST
// takes back what we sent last. So the peer reads our end first, and closes.
void MuxLink::linger() {
  lingering_ = true;
  stream_->shutdown_write();
  shard_.arm(*this, kLinger);
}

void MuxLink::on_deadline() { close(Error(ErrorCode::Closed, Side::Tunnel, true, drained_text())); }

// A GOAWAY that says why, as far as the socket takes it now; whole frames only, or not at all when one is half out already and stuck.
void MuxLink::last_words() {
  for (int i = 0; i < 16 && writable_ && !lingering_; ++i) {
    if (!output_pending()) {
      if (!core_.has_output()) return;
      produce();
      if (out_end_ == 0) return;
    }
    if (write_piece().status != IoStatus::Ok) return;
  }
}

void MuxLink::close(const Error& why) {
  if (closed_) return;
  closed_ = why;
  // From inside a handler's fill(): the buffer being filled is ours, write_some() ends it.
  if (!producing_) finish_close();
}

void MuxLink::finish_close() {
  const Error& why = *closed_;
  const bool broken = why.code == ErrorCode::Io || why.code == ErrorCode::Timeout;
  core_.lost();  // first: what is left to say is control frames, and no handler is asked for more
  if (!broken) last_words();
  if (watched_) shard_.poller().remove(stream_->fd(), *this);
  watched_ = false;
  if (!lingering_) stream_->shutdown_write();
  Deadline::disarm();
  out_.reset();
  out_pipe_.reset();
  in_pipe_.reset();
  out_begin_ = out_end_ = 0;
  TurnTask::unlink();
  shard_.at_turn_end(*this);
}

}  // namespace ferrotunnel::mux
