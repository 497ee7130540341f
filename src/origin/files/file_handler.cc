#include "origin/files/file_handler.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace ferrotunnel::origin::files {

using transport::Fill;
using transport::ResetReason;
using transport::Stream;

namespace {

constexpr http::Limits kLimits;

// The clock on the wall: for Date, and for how fresh a file is.
std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

FileHandler::~FileHandler() {
  if (stream_ != nullptr) stream_->reset(ResetReason::Cancel);
}

void FileHandler::start(Stream& stream) {
  stream_ = &stream;
  stream.set_handler(*this);
  stream.resume_read();
}

// ---- requests in ----------------------------------------------------------------------------------------------------

std::size_t FileHandler::on_data(Stream&, ConstBytes bytes) {
  std::string_view left = as_text(bytes);
  while (!left.empty() && state_ != State::Reply) {
    if (state_ == State::Head) {
      left.remove_prefix(take_head(left));
    } else if (state_ == State::Body) {
      left.remove_prefix(take_body(left));
    } else {
      left = {};  // nobody reads it
    }
  }
  const std::size_t taken = bytes.size() - left.size();
  bytes_.to_socket += taken;
  return taken;
}

// A head that lies in one piece is parsed where it lies; else its pieces are gathered, up to the limit of heads.
std::size_t FileHandler::take_head(std::string_view bytes) {
  http::RequestHead head;
  const std::size_t before = input_.size();
  const std::size_t room = kLimits.head_bytes + 2 - before;  // 2: an empty line may come first
  const std::string_view piece = bytes.substr(0, room);
  if (before > 0) input_ += piece;
  const http::Parse parsed = http::parse_request_head(before > 0 ? input_ : piece, kLimits, scanner_, head);
  if (parsed.done()) {
    assert(parsed.consumed > before);
    on_head(head);
    input_ = {};
    return parsed.consumed - before;
  }
  if (parsed.bad()) {
    refuse(*parsed.refusal);
    return bytes.size();
  }
  if (before == 0) input_ = piece;
  if (input_.size() == kLimits.head_bytes + 2) {  // the scanner's limit is below that
    fail();
    return bytes.size();
  }
  return piece.size();
}

void FileHandler::on_head(const http::RequestHead& head) {
  body_ = http::BodyFramer(head.framing, kLimits);
  dropped_ = 0;
  const bool unread =
      head.expect_continue || (head.framing.kind == http::Framing::Kind::Length && head.framing.length > kMaxBody);
  close_ = !head.keep_alive || unread;
  reply_ = make_reply(*root_, head, wall_ns(), close_);
  if (body_.done() || unread) return begin_reply();
  state_ = State::Body;
}

// Takes all that belongs to the body, or everything where the connection is of no more use.
std::size_t FileHandler::take_body(std::string_view bytes) {
  static constexpr http::Refusal kBadBody{400, "bad-body", "The body of the request is not one."};
  static constexpr http::Refusal kTooLarge{413, "body-too-large", "No body is wanted here, and this one is too large."};
  const http::BodyFramer::Step step = body_.feed(bytes);
  dropped_ += step.consumed;
  if (step.error != http::BodyError::None) {
    refuse(kBadBody);
    return bytes.size();
  }
  if (step.done) {
    begin_reply();
    return step.consumed;
  }
  if (dropped_ > kMaxBody) {
    refuse(kTooLarge);
    return bytes.size();
  }
  return step.consumed;
}

void FileHandler::refuse(const http::Refusal& refusal) {
  input_ = {};
  close_ = true;
  reply_ = make_refusal(refusal, wall_ns());
  begin_reply();
}

void FileHandler::on_fin(Stream&) {
  input_end_ = true;
  if (state_ == State::Reply) return;  // FIN behind the reply
  state_ = State::Over;                // a request that was cut off is answered by nobody
  input_ = {};
  reply_ = {};
  if (!fin_sent_) stream_->want_write();
}

void FileHandler::on_end(Stream&, transport::StreamEnd) {
  stream_ = nullptr;
  reply_ = {};
  shard_.at_turn_end(*this);
}

// ---- replies out ----------------------------------------------------------------------------------------------------

void FileHandler::begin_reply() {
  state_ = State::Reply;
  text_sent_ = 0;
  stream_->want_write();
}

Fill FileHandler::fill(Stream&, MutBytes into) {
  std::size_t n = 0;
  if (state_ == State::Reply) {
    n = fill_reply(into);
    if (stream_ == nullptr) return {};
    bytes_.from_socket += n;
    if (text_sent_ < reply_.text.size() || reply_.left > 0) return {n, false, true};
    reply_sent();
    if (stream_ == nullptr) return {};
  }
  if (state_ == State::Over && !fin_sent_) {
    fin_sent_ = true;
    return {n, true, false};
  }
  return {n, false, state_ == State::Reply};
}

std::size_t FileHandler::fill_reply(MutBytes into) {
  std::size_t n = std::min(reply_.text.size() - text_sent_, into.size());
  std::memcpy(into.data(), reply_.text.data() + text_sent_, n);
  text_sent_ += n;
  const std::size_t want = std::min<std::uint64_t>({reply_.left, into.size() - n, kMaxRead});
  if (want == 0) return n;
  ssize_t got;
  do {
    got = ::pread(reply_.file.get(), into.data() + n, want, static_cast<off_t>(reply_.offset));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {  // it was cut meanwhile, or cannot be read
    fail();
    return 0;
  }
  reply_.offset += static_cast<std::uint64_t>(got);
  reply_.left -= static_cast<std::uint64_t>(got);
  return n + static_cast<std::size_t>(got);
}

void FileHandler::reply_sent() {
  reply_ = {};
  state_ = close_ || input_end_ ? State::Over : State::Head;
  stream_->resume_read();  // the next request may be there, and its reply stand when this returns
}

void FileHandler::fail() {
  Stream* stream = std::exchange(stream_, nullptr);
  state_ = State::Over;
  input_ = {};
  reply_ = {};
  stream->reset(ResetReason::PeerReset);
  shard_.at_turn_end(*this);
}

void FileHandler::run_turn() { owner_.on_files_end(*this); }

}  // namespace ferrotunnel::origin::files
