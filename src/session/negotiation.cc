#include "session/negotiation.h"

#include <array>

namespace ferrotunnel::session {

using transport::IoStatus;
using transport::kReadable;
using transport::kWritable;

Negotiation::Negotiation(transport::Shard& shard, transport::ByteStreamPtr plain, MakeHandshake make, Duration deadline,
                         OnDone on_done)
    : shard_(shard),
      stream_(std::move(plain)),
      tls_(nullptr),
      make_(std::move(make)),
      limit_(deadline),
      on_done_(std::move(on_done)) {}

Negotiation::Negotiation(transport::Shard& shard, std::unique_ptr<transport::TlsStream> tls, MakeHandshake make,
                         Duration deadline, OnDone on_done)
    : Negotiation(shard, transport::ByteStreamPtr(), std::move(make), deadline, std::move(on_done)) {
  tls_ = tls.get();
  stream_ = std::move(tls);
}

Negotiation::~Negotiation() {
  if (watched_) shard_.poller().remove(stream_->fd(), *this);
}

void Negotiation::start() {
  auto added = shard_.poller().add(stream_->fd(), *this);
  watched_ = added.has_value();
  if (!watched_) return finish(std::unexpected(added.error()));
  shard_.arm(*this, limit_);
  step();
}

void Negotiation::on_ready(std::uint32_t) { step(); }

void Negotiation::on_deadline() {
  finish(std::unexpected(
      Error(ErrorCode::Timeout, Side::Tunnel, true, "the other end did not finish the handshake in time")));
}

void Negotiation::step() {
  if (result_) return;
  if (tls_ != nullptr && !step_tls()) return;
  if (!handshake_) handshake_ = make_(std::nullopt);
  // Reading and writing feed each other until both come to rest.
  while (!result_) {
    if (!write_some()) return;
    if (failed_) return finish(std::unexpected(*failed_));
    if (handshake_->done()) {
      return finish(Negotiated{std::move(stream_), handshake_->outcome(), std::move(early_), transport_});
    }
    if (!read_some()) return;
  }
}

// True once TLS stands.
bool Negotiation::step_tls() {
  const auto progress = tls_->handshake();
  if (!progress) {
    finish(std::unexpected(progress.error()));
    return false;
  }
  if (*progress != transport::TlsProgress::Done) {
    shard_.poller().await(stream_->fd(), *this, *progress == transport::TlsProgress::WantRead ? kReadable : kWritable);
    return false;
  }
  const auto exporter = tls_->exporter(kExporterLabel);
  if (!exporter) {
    finish(std::unexpected(exporter.error()));
    return false;
  }
  transport_ = tls_->version() == "TLSv1.3" ? "tls 1.3" : "tls 1.2";
  tls_ = nullptr;
  handshake_ = make_(*exporter);
  return true;
}

// False: wait for more, or it is over.
bool Negotiation::read_some() {
  std::array<std::byte, kMaxHandshakeFrame> buffer;
  const transport::IoResult got = stream_->read(buffer);
  switch (got.status) {
    case IoStatus::Ok: {
      const ConstBytes bytes = ConstBytes(buffer).first(got.n);
      const auto fed = handshake_->feed(bytes);
      if (!fed) {
        failed_ = fed.error();
      } else {
        early_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(*fed), bytes.end());
      }
      return true;
    }
    case IoStatus::WouldBlock: shard_.poller().await(stream_->fd(), *this, kReadable); return false;
    case IoStatus::Eof: {
      std::string text = "the other end closed the connection during the handshake";
      if (transport_ == kPlain) text += ". Does it speak TLS? Either both ends use it, or both are told --tls off";
      finish(std::unexpected(Error(ErrorCode::Closed, Side::Tunnel, true, std::move(text))));
      return false;
    }
    case IoStatus::Error: finish(std::unexpected(stream_->explain(got))); return false;
  }
  return false;
}

// True when nothing is left to send.
bool Negotiation::write_some() {
  while (!handshake_->output().empty()) {
    const ConstBytes output = handshake_->output();
    const iovec piece{const_cast<std::byte*>(output.data()), output.size()};
    const transport::IoResult wrote = stream_->write({&piece, 1});
    if (wrote.status == IoStatus::Ok) {
      handshake_->sent(wrote.n);
    } else if (wrote.status == IoStatus::WouldBlock) {
      shard_.poller().await(stream_->fd(), *this, kWritable);
      return false;
    } else {
      finish(std::unexpected(failed_ ? *failed_ : stream_->explain(wrote)));
      return false;
    }
  }
  return true;
}

void Negotiation::finish(Result<Negotiated> result) {
  if (result_) return;
  Deadline::disarm();
  if (watched_) shard_.poller().remove(result ? result->stream->fd() : stream_->fd(), *this);
  watched_ = false;
  result_ = std::move(result);
  shard_.at_turn_end(*this);
}

void Negotiation::run_turn() {
  const OnDone on_done = std::move(on_done_);
  // The result is told before the other end can see that it is over: a failure counts before its next try arrives.
  const transport::ByteStreamPtr failed = std::move(stream_);
  on_done(std::move(*result_));  // may destroy this
  if (failed) failed->shutdown_write();
}

}  // namespace ferrotunnel::session
