#include "ingress/http1/visitor_socket.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "transport/tcp/send_queue.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

using transport::IoResult;
using transport::IoStatus;
using transport::kFailed;
using transport::kPeerClosed;
using transport::kReadable;
using transport::kWritable;

VisitorSocket::~VisitorSocket() {
  if (watched_) shard_.poller().remove(stream_->fd(), handler_);
}

Result<> VisitorSocket::watch() {
  auto added = shard_.poller().add(stream_->fd(), handler_);
  watched_ = added.has_value();
  readable_ = stream_->read_pending();
  return added;
}

transport::ByteStreamPtr VisitorSocket::release() {
  if (watched_) shard_.poller().remove(stream_->fd(), handler_);
  watched_ = false;
  return std::move(stream_);
}

std::uint32_t VisitorSocket::note(std::uint32_t what) {
  std::uint32_t news = 0;
  if ((what & (kPeerClosed | kFailed)) != 0) peer_closed_ = true;
  if ((what & kReadable) != 0 && !readable_ && !eof_) {
    readable_ = true;
    news |= kReadable;
  }
  if ((what & kWritable) != 0 && !writable_) {
    writable_ = true;
    news |= kWritable;
  }
  return news;
}

bool VisitorSocket::reset_by_peer(std::uint32_t what) {
  if ((what & (kPeerClosed | kFailed)) != 0 && transport::take_error(stream_->fd()) != 0) failed_ = true;
  return failed_;
}

bool VisitorSocket::left() const { return transport::peer_ended(stream_->fd()); }

bool VisitorSocket::arrived() const {
  int unread = 0;
  return ::ioctl(stream_->fd(), FIONREAD, &unread) == 0 && unread > 0;
}

void VisitorSocket::await_end() { shard_.poller().await(stream_->fd(), handler_, kReadable); }

std::uint64_t VisitorSocket::delivered() const {
  // TLS writes more than it is given, so that this may say too little, never too much.
  const std::uint64_t waits = std::uint64_t{out_end_ - out_begin_} + transport::unacknowledged(stream_->fd());
  return written_ - std::min(written_, waits);
}

// ---- input --------------------------------------------------------------------------------------------------------

void VisitorSocket::consume(std::size_t n) {
  assert(n <= in_end_ - in_begin_);
  in_begin_ += static_cast<std::uint32_t>(n);
  if (in_begin_ < in_end_) return;
  in_begin_ = in_end_ = 0;
  in_.reset();
}

void VisitorSocket::preload(std::string_view bytes) {
  if (bytes.empty()) return;
  in_ = shard_.buffers().borrow(bytes.size());
  if (bytes.size() > in_.size()) {
    failed_ = true;
    return in_.reset();
  }
  std::memcpy(in_.data(), bytes.data(), bytes.size());
  in_begin_ = 0;
  in_end_ = static_cast<std::uint32_t>(bytes.size());
}

// Room at the end of the in-buffer: by moving to its front, or into a larger one.
void VisitorSocket::make_room() {
  if (!in_) in_ = shard_.buffers().borrow(kFirstRead);
  if (in_end_ < in_.size()) return;
  const std::uint32_t held = in_end_ - in_begin_;
  if (in_begin_ > 0) {
    std::memmove(in_.data(), in_.data() + in_begin_, held);
  } else {
    Buffer larger = shard_.buffers().borrow(std::size_t{in_.size()} + 1);
    assert(larger.size() > held && "limits.head_bytes is clamped below the largest buffer");
    std::memcpy(larger.data(), in_.data(), held);
    in_ = std::move(larger);
  }
  in_begin_ = 0;
  in_end_ = held;
}

VisitorSocket::Read VisitorSocket::take(const IoResult& got, std::size_t asked) {
  switch (got.status) {
    case IoStatus::Ok:
      if (got.n < asked && !peer_closed_ && !stream_->read_pending()) {
        readable_ = false;
        shard_.poller().await(stream_->fd(), handler_, kReadable);
      }
      return Read::Some;
    case IoStatus::WouldBlock:
      readable_ = false;
      shard_.poller().await(stream_->fd(), handler_, kReadable);
      return Read::Nothing;
    case IoStatus::Eof:
      eof_ = true;
      readable_ = false;
      return Read::Eof;
    case IoStatus::Error: break;
  }
  failed_ = true;
  return Read::Failed;
}

VisitorSocket::Read VisitorSocket::read_more() {
  if (failed_) return Read::Failed;
  if (eof_) return Read::Eof;
  if (!readable_) return Read::Nothing;
  make_room();
  const MutBytes room = in_.bytes().subspan(in_end_);
  const IoResult got = stream_->read(room);
  if (got.status == IoStatus::Ok) in_end_ += static_cast<std::uint32_t>(got.n);
  if (in_begin_ == in_end_) consume(0);
  return take(got, room.size());
}

VisitorSocket::Read VisitorSocket::read_into(MutBytes room, std::size_t& n) {
  if (failed_) return Read::Failed;
  if (eof_) return Read::Eof;
  if (!readable_) return Read::Nothing;
  const IoResult got = stream_->read(room);
  n = got.n;
  return take(got, room.size());
}

VisitorSocket::Read VisitorSocket::discard(std::size_t& n) {
  if (failed_) return Read::Failed;
  if (eof_) return Read::Eof;
  if (!readable_) return Read::Nothing;
  const MutBytes scratch = shard_.read_buffer();
  const IoResult got = stream_->read(scratch);
  n += got.n;
  return take(got, scratch.size());
}

VisitorSocket::Body VisitorSocket::read_body(MutBytes into, http::BodyFramer& framer) {
  Body body;
  if (in_begin_ < in_end_) {
    const std::string_view here = input().substr(0, into.size());
    const auto step = framer.feed(here);
    std::memcpy(into.data(), here.data(), step.consumed);
    body.n = step.consumed;
    body.error = step.error;
    consume(step.consumed);
  }
  // What is left there is the next request's, or is more than fits.
  if (in_begin_ == in_end_ && readable_ && !framer.done() && body.n < into.size()) {
    MutBytes room = into.subspan(body.n);
    const bool full = shard_.buffers().budget().bodies_full();
    const std::uint64_t behind = framer.kind() != http::Framing::Kind::Chunked ? 0
                                 : full                                        ? kBehindChunksWhenFull
                                                                               : kBehindChunks;
    room = room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), framer.remaining() + behind)));
    const IoResult got = stream_->read(room);
    body.end = take(got, room.size());
    if (body.end == Read::Nothing) body.end = Read::Some;
    if (got.status == IoStatus::Ok) {
      const std::string_view read = as_text(room.first(got.n));
      const auto step = framer.feed(read);
      body.n += step.consumed;
      body.error = step.error;
      if (step.consumed < got.n) preload(read.substr(step.consumed));
    }
  }
  body.more = !framer.done() && (in_begin_ < in_end_ || readable_);
  return body;
}

// ---- output -------------------------------------------------------------------------------------------------------

std::size_t VisitorSocket::write(std::span<iovec> pieces) {
  std::size_t total = 0;
  while (!pieces.empty() && writable_ && !failed_) {
    const IoResult wrote = stream_->write(pieces);
    if (wrote.status == IoStatus::Error) {
      failed_ = true;
      break;
    }
    std::size_t n = wrote.n;
    total += n;
    while (!pieces.empty() && n >= pieces.front().iov_len) {
      n -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (pieces.empty()) break;
    pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + n;
    pieces.front().iov_len -= n;
    if (wrote.status == IoStatus::Ok && !stream_->plain()) continue;
    writable_ = false;  // a plain socket that took a part is full
    shard_.poller().await(stream_->fd(), handler_, kWritable);
  }
  return total;
}

std::size_t VisitorSocket::send(std::string_view head, ConstBytes body) {
  if (pending()) {
    keep(head);
    return 0;
  }
  std::array<iovec, 2> pieces;
  std::size_t count = 0;
  if (!head.empty()) pieces[count++] = {const_cast<char*>(head.data()), head.size()};
  if (!body.empty()) pieces[count++] = {const_cast<std::byte*>(body.data()), body.size()};
  const std::size_t n = write({pieces.data(), count});
  if (n < head.size()) {
    written_ += n;
    if (!failed_) keep(head.substr(n));
    return 0;
  }
  written_ += n;
  return n - head.size();
}

void VisitorSocket::keep(std::string_view bytes) {
  const std::uint32_t held = out_end_ - out_begin_;
  if (out_.size() - out_end_ < bytes.size()) {
    Buffer larger = shard_.buffers().borrow(held + bytes.size());
    if (larger.size() < held + bytes.size()) {  // heads and pages are smaller, unless every limit is set to its highest
      failed_ = true;
      return;
    }
    if (held > 0) std::memcpy(larger.data(), out_.data() + out_begin_, held);
    out_ = std::move(larger);
    out_begin_ = 0;
    out_end_ = held;
  }
  std::memcpy(out_.data() + out_end_, bytes.data(), bytes.size());
  out_end_ += static_cast<std::uint32_t>(bytes.size());
  written_ += bytes.size();
}

bool VisitorSocket::flush() {
  if (!pending()) return true;
  iovec piece{out_.data() + out_begin_, out_end_ - out_begin_};
  out_begin_ += static_cast<std::uint32_t>(write({&piece, 1}));
  if (pending()) return false;
  out_begin_ = out_end_ = 0;
  out_.reset();
  return true;
}

}  // namespace ferrotunnel::ingress
