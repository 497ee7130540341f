#include "transport/relay.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

std::string_view to_string(ResetReason reason) {
  switch (reason) {
    case ResetReason::Cancel: return "cancel";
    case ResetReason::PeerReset: return "peer-reset";
    case ResetReason::OriginRefused: return "origin-refused";
    case ResetReason::OriginTimeout: return "origin-timeout";
    case ResetReason::OriginUnreachable: return "origin-unreachable";
    case ResetReason::NoTunnel: return "no-tunnel";
    case ResetReason::Refused: return "refused";
    case ResetReason::FlowControl: return "flow-control";
    case ResetReason::Protocol: return "protocol";
    case ResetReason::Memory: return "memory";
    case ResetReason::GoingAway: return "going-away";
    case ResetReason::Idle: return "idle";
    case ResetReason::OriginTls: return "origin-tls";
    case ResetReason::LinkLost: return "link-lost";
    case ResetReason::Unprocessed: return "unprocessed";
    case ResetReason::BadResponse: return "bad-response";
    case ResetReason::NotHttp2: return "not-http2";
    case ResetReason::NoWebSocket: return "no-websocket";
  }
  return "unknown";
}

Relay::Relay(Shard& shard, ByteStreamPtr socket, RelayOwner& owner, std::string prefix)
    : shard_(shard), socket_(std::move(socket)), owner_(owner), prefix_(std::move(prefix)) {}

Relay::~Relay() {
  if (watched_) shard_.poller().remove(socket_->fd(), *this);
  if (stream_ != nullptr) stream_->reset(ResetReason::Cancel);
  if (socket_) socket_->abort();  // not over, or never begun: whoever is there must not take it for an end
}

void Relay::start(Stream& stream, StreamHandler* in_front) {
  stream_ = &stream;
  stream.set_handler(in_front != nullptr ? *in_front : *this);
  socket_->arm_reset();
  const auto added = shard_.poller().add(socket_->fd(), *this);
  watched_ = added.has_value();
  if (!watched_) return fail(ResetReason::Refused);
  // Bytes are usually there already: a visitor speaks first, a prefix waits, a stream holds. An empty read costs one call.
  stream.resume_read();
  if (stream_ != nullptr) stream_->want_write();
}

void Relay::on_ready(std::uint32_t what) {
  if (stream_ == nullptr) return;
  if ((what & (kPeerClosed | kFailed)) != 0) peer_closed_ = true;
  if ((what & kReadable) != 0) {
    readable_ = true;
    if ((what & kFailed) != 0 && (!read_done_ || take_error(socket_->fd()) != 0)) return peer_failed();
    if (!read_done_) stream_->want_write();
  }
  if (stream_ != nullptr && (what & kWritable) != 0) {
    if (end_owed_) socket_->shutdown_write();
    end_owed_ = false;
    if (!writable_) {
      writable_ = true;
      stream_->resume_read();
    }
  }
}

// An RST, or a write that met one. What the peer sent before it is still passed on (an early answer to an upload that was refused), but
// does not wait for credit. With nothing of that kind it is over here and now, not when a link that is full asks again.
void Relay::peer_failed() {
  peer_failed_ = peer_closed_ = readable_ = true;
  const bool some_to_send = !prefix_.empty() || (!read_done_ && socket_->has_unread());
  if (!some_to_send || stream_->blocked()) return fail(ResetReason::PeerReset);
  stream_->want_write();
}

std::size_t Relay::on_data(Stream&, ConstBytes bytes) {
  if (write_failed_) return bytes.size();
  std::size_t taken = 0;
  while (writable_ && taken < bytes.size()) {
    const ConstBytes rest = bytes.subspan(taken);
    const iovec piece{const_cast<std::byte*>(rest.data()), rest.size()};
    const IoResult wrote = socket_->write({&piece, 1});
    if (wrote.status == IoStatus::Ok) {
      taken += wrote.n;
      bytes_.to_socket += wrote.n;
      if (wrote.n == rest.size() || !socket_->plain()) continue;
    }
    if (wrote.status == IoStatus::Error) {
      note_failure(wrote);
      write_failed_ = true;
      peer_failed();
      return bytes.size();
    }
    writable_ = false;  // a plain socket that took a part is full
    shard_.poller().await(socket_->fd(), *this, kWritable);
  }
  return taken;
}

void Relay::on_pipe(Stream&, Pipe& pipe) {
  while (writable_ && !write_failed_ && !pipe.empty()) {
    const IoResult wrote = pipe.drain_to(socket_->fd(), pipe.size());
    bytes_.to_socket += wrote.n;
    if (wrote.status == IoStatus::Error) {
      write_failed_ = true;
      peer_failed();
    } else if (wrote.status == IoStatus::WouldBlock) {
      writable_ = false;
      shard_.poller().await(socket_->fd(), *this, kWritable);
    }
  }
  if (write_failed_) pipe.clear();
}

void Relay::on_fin(Stream&) { end_writing(); }

// The end of a TLS connection is a record, which may find no room: on_ready() goes on with it.
void Relay::end_writing() {
  socket_->shutdown_write();
  if (socket_->plain() || !watched_) return;
  end_owed_ = true;
  shard_.poller().await(socket_->fd(), *this, kWritable);
}

void Relay::note_failure(const IoResult& result) {
  if (!socket_->plain()) failure_ = std::make_unique<Error>(socket_->explain(result));
}

Fill Relay::fill(Stream&, MutBytes into) {
  if (!prefix_.empty()) {
    const std::size_t n = std::min(prefix_.size(), into.size());
    std::ranges::copy(as_bytes(prefix_).first(n), into.begin());
    prefix_.erase(0, n);
    if (prefix_.empty()) prefix_.shrink_to_fit();
    bytes_.from_socket += n;
    return {n, false, true};
  }
  if (read_done_ || !readable_) return {};
  const IoResult got = socket_->read(into);
  return filled(got, got.n < into.size() && !socket_->read_pending());
}

// A pipe may be full of small pieces, so only WouldBlock tells that the socket is empty.
Fill Relay::fill_pipe(Stream&, Pipe& pipe, std::size_t most) {
  if (read_done_ || !readable_) return {};
  return filled(pipe.fill_from(socket_->fd(), most), false);
}

Fill Relay::filled(const IoResult& got, bool drained) {
  switch (got.status) {
    case IoStatus::Ok:
      bytes_.from_socket += got.n;
      if (peer_failed_) shard_.at_turn_end(*this);  // to see whether the credit was enough
      if (drained && !peer_closed_) {
        readable_ = false;
        shard_.poller().await(socket_->fd(), *this, kReadable);
      }
      return {got.n, false, readable_};
    case IoStatus::WouldBlock:
      if (peer_failed_) break;  // all of what came before the error was read
      readable_ = false;
      shard_.poller().await(socket_->fd(), *this, kReadable);
      return {};
    case IoStatus::Eof:
      if (peer_failed_) break;  // the error was told to somebody before
      read_done_ = true;
      return {0, true, false};
    case IoStatus::Error: note_failure(got); break;
  }
  fail(ResetReason::PeerReset);
  return {};
}

void Relay::on_end(Stream&, StreamEnd end) {
  stream_ = nullptr;
  finish(end);
}

void Relay::stop(ResetReason reason) {
  if (stream_ != nullptr) fail(reason);
}

void Relay::fail(ResetReason reason) {
  Stream* stream = std::exchange(stream_, nullptr);
  stream->reset(reason);
  finish({false, reason});
}

// The socket goes now; the owner hears later, from the top of the stack.
void Relay::finish(StreamEnd end) {
  end_ = end;
  if (watched_) shard_.poller().remove(socket_->fd(), *this);
  watched_ = false;
  if (end.clean) {
    socket_->disarm_reset();
  } else {
    socket_->abort();
  }
  // TLS and plain alike: the descriptor closes here, which sends the FIN or the RST.
  socket_.reset();
  shard_.at_turn_end(*this);
}

void Relay::run_turn() {
  if (stream_ == nullptr) return owner_.on_relay_end(*this, end_);
  if (peer_failed_ && stream_->blocked()) fail(ResetReason::PeerReset);
}

}  // namespace ferrotunnel::transport
