#include "ingress/origin_h2/h2_origin_stream.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "ingress/http2/websocket_key.h"
#include "ingress/origin_h2/h2_origins.h"

namespace ferrotunnel::ingress {

using http::H2Code;
using transport::ResetReason;
using transport::StreamEnd;

namespace {
// Most heads fit, and little of the body comes along before the service has seen the head.
constexpr std::size_t kHeadPiece = 1024;
}  // namespace

// ---- the request --------------------------------------------------------------------------------------------------

void H2OriginStream::want_write() {
  if (dead_ || connection_ == nullptr) return;
  if (submitted_) {
    if (!closed_) connection_->client().resume(id_);
    connection_->schedule();
  } else {
    connection_->has_work(*this);
  }
}

// All of it is there: at most a few calls, since an exchange has its head whole.
bool H2OriginStream::gather_head() {
  constexpr std::string_view kEnd = "\r\n\r\n";
  std::size_t from =
      0;  // what was there before is looked at once more: there may be a piece of the body behind the end
  while (text_in_.find(kEnd, from) == std::string::npos) {
    const std::size_t before = text_in_.size();
    from = before < kEnd.size() ? 0 : before - kEnd.size();
    text_in_.resize(before + kHeadPiece);
    const transport::Fill fill =
        handler_->fill(*this, {reinterpret_cast<std::byte*>(text_in_.data()) + before, kHeadPiece});
    if (dead_) return false;
    text_in_.resize(before + fill.n);
    if (fill.n == 0) return false;
  }
  return true;
}

void H2OriginStream::work() {
  if (!submitted_ && connection_ != nullptr) start();
  if (!dead_) pump();
}

void H2OriginStream::start() {
  if (!gather_head()) return;
  http::RequestHead& head = origins_.scratch();
  const http::Parse parsed = http::parse_request_head(text_in_, origins_.head_limits(), scanner_, head);
  if (!parsed.done()) return end(ResetReason::Protocol);  // it was written here
  const bool websocket = http::is_websocket(head);
  if (websocket && !connection_->client().settled()) return;  // the connection asks again
  if (websocket && !connection_->client().takes_websockets()) return end(ResetReason::NoWebSocket);
  if (websocket) accept_ = WebSocketKey(std::string(head.fields.value("sec-websocket-key"))).accept();
  text_in_at_ = parsed.consumed;
  submit(head);
}

void H2OriginStream::submit(const http::RequestHead& head) {
  head_request_ = head.method == http::Method::Head;
  connect_ = head.method == http::Method::Connect;
  const bool raw = connect_ || !accept_.empty();
  request_ = http::BodyFramer(raw ? http::Framing::until_close() : head.framing, origins_.head_limits());
  local_end_ = !raw && request_.done();
  const auto id = connection_->client().submit(head, connection_->scheme(), local_end_, *this);
  submitted_ = true;
  if (!id) return end(ResetReason::Unprocessed);
  id_ = *id;
  if (text_in_at_ < text_in_.size()) return;
  std::string().swap(text_in_);
  text_in_at_ = 0;
}

// The exchange's text goes in at the front of `into`, and its payload stays there: it never grows.
http::H2Asker::Piece H2OriginStream::pull(MutBytes into) {
  Piece piece;
  while (handler_ != nullptr && !local_end_) {
    transport::Fill fill;
    if (text_in_at_ < text_in_.size()) {
      fill.n = std::min(into.size(), text_in_.size() - text_in_at_);
      std::memcpy(into.data(), text_in_.data() + text_in_at_, fill.n);
      text_in_at_ += fill.n;
      fill.more = true;
      if (text_in_at_ == text_in_.size()) {
        std::string().swap(text_in_);
        text_in_at_ = 0;
      }
    } else {
      fill = handler_->fill(*this, into);
      if (dead_) return {};
    }
    const http::BodyFramer::Step step = request_.feed(
        as_text(into.first(fill.n)),
        [&](std::string_view payload) {
          std::memmove(into.data() + piece.n, payload.data(), payload.size());
          piece.n += payload.size();
        },
        [&](std::string_view lines) { trailers_in_.append(lines); });
    if (step.error != http::BodyError::None || step.consumed < fill.n) {
      end(ResetReason::Protocol);  // it was checked before it came here
      return {};
    }
    local_end_ = request_.done() || fill.fin;
    if (piece.n > 0 || local_end_ || !fill.more) break;
  }
  piece.end = local_end_;
  // The empty line is not worth a frame.
  if (piece.end && trailers_in_.size() > 2) piece.trailers = trailers_in_;
  return piece;
}

bool H2OriginStream::blocked() const {
  return connection_ != nullptr && submitted_ && !closed_ && !local_end_ && connection_->client().window_shut(id_);
}

// ---- the response -------------------------------------------------------------------------------------------------

void H2OriginStream::on_head(std::string_view head, const http::H2Answer& answer, bool end_of_it) {
  answered_ = true;
  // Interim ones that nobody reads.
  if (text_.size() - text_at_ + head.size() > 2 * std::size_t{origins_.head_limits().head_bytes})
    return end(ResetReason::BadResponse);
  text_.append(head);
  chunked_ = answer.chunked;
  raw_ = answer.switched;
  remote_end_ = end_of_it;
  become_ready();
}

void H2OriginStream::on_body(ConstBytes bytes) {
  // The connection's window is for all of them: one that is slow does not keep it, but where memory is used up.
  http::H2Client& client = connection_->client();
  if (origins_.buffers().budget().bodies_full()) {
    owed_ += static_cast<std::uint32_t>(bytes.size());
  } else {
    client.consumed_connection(bytes.size());
  }
  const bool idle = text_.empty() && in_.empty() && !paused_ && !pumping_ && handler_ != nullptr;
  if (idle && !chunked_ && bytes.size() >= kDirect) {
    pumping_ = true;
    const std::size_t n = handler_->on_data(*this, bytes);
    if (dead_) return;
    pumping_ = false;
    paused_ = n < bytes.size() && !again_;
    again_ = false;
    give_back(n);
    bytes = bytes.subspan(n);
  }
  if (bytes.empty()) return;
  // The window has seen to it that there is room.
  if (!in_.push(origins_.buffers(), bytes)) return end(ResetReason::BadResponse);
  if (bytes.size() >= kDirect && !paused_) return pump();
  become_ready();
}

void H2OriginStream::on_response_end(std::string_view trailers) {
  remote_end_ = true;
  if (chunked_) trailers_.assign(trailers);
  become_ready();
}

void H2OriginStream::on_closed(H2Code code, bool by_origin) {
  closed_ = true;
  if (remote_end_) return become_ready();
  if (code == H2Code::Refused && !answered_) return end(ResetReason::Unprocessed);
  end(by_origin ? ResetReason::PeerReset : ResetReason::BadResponse);
}

void H2OriginStream::become_ready() {
  if (connection_ != nullptr) connection_->has_work(*this);
}

void H2OriginStream::resume_read() {
  if (dead_) return;
  paused_ = false;
  if (pumping_) {
    again_ = true;
    return;
  }
  pump();
}

void H2OriginStream::pump() {
  if (pumping_ || dead_) return;
  pumping_ = true;
  while (!paused_) {
    top_up();
    if (text_.empty()) break;
    const std::size_t n = handler_->on_data(*this, as_bytes(text_).subspan(text_at_));
    if (dead_) return;
    text_at_ += n;
    if (text_at_ == text_.size()) {
      text_.clear();
      text_at_ = 0;
    } else {
      paused_ = !again_;
    }
    again_ = false;
  }
  pumping_ = false;
  tell_end();
}

// What follows goes behind what is left, so that the exchange gets a head and its body in one piece.
void H2OriginStream::top_up() {
  while (text_.size() - text_at_ < kTopUp && !in_.empty()) {
    text_.erase(0, text_at_);
    text_at_ = 0;
    append_slice();
  }
  if (!in_.empty() || !remote_end_ || tail_given_) return;
  tail_given_ = true;
  if (!chunked_) return;
  text_.append("0\r\n").append(trailers_).append("\r\n");
}

void H2OriginStream::append_slice() {
  const std::size_t n = std::min(kSlice, in_.size());
  if (chunked_) {
    std::array<char, 16> size;
    const char* end = std::to_chars(size.data(), size.data() + size.size(), n, 16).ptr;
    text_.append(size.data(), static_cast<std::size_t>(end - size.data())).append("\r\n");
  }
  const std::size_t before = text_.size();
  text_.resize(before + n);
  in_.pop({reinterpret_cast<std::byte*>(text_.data()) + before, n});
  if (chunked_) text_.append("\r\n");
  give_back(n);
}

void H2OriginStream::give_back(std::size_t n) {
  if (connection_ == nullptr || n == 0) return;
  if (!closed_) connection_->client().consumed(id_, n);
  const std::uint32_t owed = std::min(owed_, static_cast<std::uint32_t>(n));
  if (owed > 0) connection_->client().consumed_connection(owed);
  owed_ -= owed;
  connection_->schedule();
}

// ---- the end ------------------------------------------------------------------------------------------------------

// Of a WebSocket, or a tunnel: both sides close by themselves. An exchange knows the end of its response when it sees it.
void H2OriginStream::tell_end() {
  if (!raw_ || !remote_end_ || held() > 0 || handler_ == nullptr) return;
  if (!fin_told_) {
    fin_told_ = true;
    handler_->on_fin(*this);
    if (dead_) return;
  }
  if (!closed_ && !local_end_) return;
  transport::StreamHandler* handler = std::exchange(handler_, nullptr);
  StreamEnd how;
  how.clean = true;
  bury();
  handler->on_end(*this, how);
}

void H2OriginStream::end(ResetReason reason) {
  if (dead_) return;
  transport::StreamHandler* handler = std::exchange(handler_, nullptr);
  leave();
  bury();
  if (handler != nullptr) handler->on_end(*this, {false, reason});
}

void H2OriginStream::on_lost(ResetReason reason, bool fin) {
  connection_ = nullptr;
  closed_ = true;
  if (remote_end_) return pump();
  if (fin && !raw_) {
    handler_->on_fin(*this);
    if (dead_) return;
  }
  end(reason);
}

void H2OriginStream::reset(ResetReason) {
  if (dead_) return;
  handler_ = nullptr;
  leave();
  bury();
}

// Nothing of it is called any more, and the origin need not go on with it.
void H2OriginStream::leave() {
  if (connection_ == nullptr) return;
  if (owed_ > 0) connection_->client().consumed_connection(std::exchange(owed_, 0));
  if (submitted_ && id_ > 0 && !closed_) {
    connection_->client().detach(id_);
    if (!remote_end_ || !local_end_) connection_->client().reset(id_, remote_end_ ? H2Code::NoError : H2Code::Cancel);
  }
  connection_->schedule();
}

void H2OriginStream::keep_alone() {
  if (connection_ != nullptr) connection_->tire();
}

void H2OriginStream::finish() {
  if (dead_) return;
  // Its payload is here to the last byte; the frame that says so is about to come.
  if (connection_ != nullptr && submitted_ && !closed_ && !remote_end_ && local_end_) {
    connection_->client().detach(id_);
    connection_->leaves(id_);
    submitted_ = false;
  }
  reset(ResetReason::Cancel);
}

void H2OriginStream::bury() {
  dead_ = true;
  in_.clear();
  H2OriginStreamHook::unlink();
  H2OriginWorkHook::unlink();
  H2OriginConnection* connection = std::exchange(connection_, nullptr);
  origins_.bury(*this);
  if (connection != nullptr) connection->on_stream_gone();
}

}  // namespace ferrotunnel::ingress
