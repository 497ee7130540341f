#include "http/h2/h2_server.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "http/chars.h"
#include "http/h2/h2_frame_room.h"
#include "http/h2/h2_session.h"
#include "http/h2/h2_upgrade.h"

namespace ferrotunnel::http {

std::string_view to_string(H2Abuse kind) {
  switch (kind) {
    case H2Abuse::Resets: return "resets";
    case H2Abuse::MadeResets: return "made_resets";
    case H2Abuse::Settings: return "settings";
    case H2Abuse::Pings: return "pings";
    case H2Abuse::EmptyFrames: return "empty_frames";
    case H2Abuse::Priorities: return "priorities";
    case H2Abuse::WindowUpdates: return "window_updates";
    case H2Abuse::Continuations: return "continuations";
    case H2Abuse::HeaderBytes: return "header_bytes";
    case H2Abuse::Queued: return "queued";
    case H2Abuse::Unknown: return "unknown";
  }
  return "unknown";
}

namespace {

constexpr std::uint32_t kPrioritiesForRequest = 4;

constexpr std::string_view kPriorityField = "priority";

// Bytes of fields of answers that are remembered so that they need not be said again: those that all answers of an origin have find room in it. A
// connection holds several times as much for that, as long as it lives.
constexpr std::size_t kTableForAnswers = 1024;

constexpr std::uint32_t kPrioritySize = 5;

// A DATA frame smaller than this, where there was more to send, is smaller than the window updates that it took.
constexpr std::size_t kCrumb = 64;

// Late DATA (limits.late_data) of at least so much is not counted: the window that its stream had bounds it.
constexpr std::uint32_t kLateForFree = 1024;

// RFC 9113 section 6.5.2: what a stream's window is where nothing was said of it yet.
constexpr std::uint32_t kFirstWindow = 65'535;

}  // namespace

// nghttp2's C callbacks, to the members they stand for.
struct H2Server::Callbacks {
  static H2Server& self(void* user) { return *static_cast<H2Server*>(user); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
    H2Server& server = self(user);
    server.scratch_->block.clear();
    server.in_block_ = true;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name, nghttp2_rcbuf* value, std::uint8_t,
                       void* user) {
    H2Server& server = self(user);
    H2Block& block = server.scratch_->block;
    block.add(text_of(name), text_of(value), *server.heads_);
    if (block.decoded() > std::size_t{server.limits_->header_bytes_factor} * server.heads_->head_bytes)
      server.abused(H2Abuse::HeaderBytes);
    return 0;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Server& server = self(user);
    if (server.ended_) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      server.on_headers(frame->hd.stream_id, frame->headers.cat == NGHTTP2_HCAT_REQUEST,
                        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    } else if (frame->hd.type == NGHTTP2_PRIORITY_UPDATE) {
      const auto& update = *static_cast<const nghttp2_ext_priority_update*>(frame->ext.payload);
      const std::string_view wish(reinterpret_cast<const char*>(update.field_value), update.field_value_len);
      if (server.stream(update.stream_id) != nullptr)
        server.keep_priority(update.stream_id, merge_priority(H2Priority{}, wish));
    } else {
      server.on_frame(frame->hd.type, frame->hd.flags, frame->hd.stream_id);
      // Padding alone: on_frame_head() saw a length.
      if (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0 && frame->data.padlen == frame->hd.length &&
          (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        (void)server.spend(H2Abuse::EmptyFrames, server.limits_->empty_frames);
    }
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                           void* user) {
    H2Server& server = self(user);
    server.data_in_ += size;
    H2Stream* stream = server.ended_ ? nullptr : server.stream(id);
    if (stream != nullptr) {
      stream->on_body({reinterpret_cast<const std::byte*>(data), size});
    } else {
      server.consumed_connection(size);  // nobody wants it, but others want the connection
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
    H2Server& server = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    server.in_block_ = false;
    if (error != NGHTTP2_ERR_REFUSED_STREAM) server.malformed(frame->hd.stream_id, server.scratch_->block.decoded());
    server.closed(frame->hd.stream_id, true);  // it may never have been opened
    return 0;
  }

  static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Server& server = self(user);
    const nghttp2_frame_hd& header = frame->hd;
    if (header.type == NGHTTP2_RST_STREAM) {
      server.closed(header.stream_id, true);
      // Those of our own are for our own reasons (reset() below).
      const std::uint32_t code = frame->rst_stream.error_code;
      if (code != NGHTTP2_NO_ERROR && code != NGHTTP2_INTERNAL_ERROR && code != NGHTTP2_CANCEL)
        (void)server.spend(H2Abuse::MadeResets, server.limits_->made_resets);
      return 0;
    }
    // Of its own accord nghttp2 says that of one thing only.
    const bool calm = header.type == NGHTTP2_GOAWAY && frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM;
    if (calm && !server.abuse_ && !server.ended_) server.abuse_ = H2Abuse::Settings;
    if (header.type == NGHTTP2_DATA && !server.crumb_) {
      server.tallies_[static_cast<std::size_t>(H2Abuse::WindowUpdates)].pay_back(kUpdatesForData);
      server.tallies_[static_cast<std::size_t>(H2Abuse::Pings)].pay_back(kPingsForData);
    }
    const bool may_end = header.type == NGHTTP2_DATA || header.type == NGHTTP2_HEADERS;
    if (!may_end || (header.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    H2Stream* stream = server.stream(header.stream_id);
    if (stream != nullptr) stream->on_response_sent();
    if (stream != nullptr && stream->is_pipe()) return 0;
    // RFC 9113 section 8.1: answered before it was whole; the rest of it is not wanted.
    if (nghttp2_session_get_stream_remote_close(session, header.stream_id) == 0)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, header.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
    H2Server& server = self(user);
    server.closed(id, false);
    std::erase_if(server.priorities_, [id](const auto& one) { return one.first == id; });
    if (H2Stream* stream = server.stream(id); stream != nullptr) {
      server.detach(id);
      stream->on_closed(code);
    }
    return 0;
  }

  static ssize_t read(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source*, void* user) {
    H2Server& server = self(user);
    const H2Stream* stream = server.stream(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const H2Stream::Offer offer = stream->offer();
    const std::size_t n = std::min(most, offer.n);
    if (n == 0 && !(offer.end && offer.n == 0)) return NGHTTP2_ERR_DEFERRED;
    server.crumb_ = n < offer.n && n < kCrumb;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (offer.end && n == offer.n) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!offer.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        server.submit_trailers(id, offer.trailers);
      }
    }
    return static_cast<ssize_t>(n);
  }

  // Straight from where the stream holds it to where it goes out.
  static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header, std::size_t length,
                       nghttp2_data_source*, void* user) {
    constexpr std::size_t kHeader = 9;
    H2Server& server = self(user);
    const MutBytes room = server.into_.subspan(server.made_);
    if (room.size() < kHeader + length) return NGHTTP2_ERR_WOULDBLOCK;
    H2Stream* stream = server.stream(frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    std::memcpy(room.data(), header, kHeader);
    if (length > 0) stream->take(room.subspan(kHeader, length));
    server.made_ += kHeader + length;
    server.data_out_ += length;
    return server.into_.size() - server.made_ < kFrameRoom ? NGHTTP2_ERR_PAUSE : 0;
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* all = new_h2_callbacks<Callbacks>();
      nghttp2_session_callbacks_set_send_data_callback(all, send_data);
      return all;
    }();
    return made;
  }

  struct Option : H2SessionOption {
    explicit Option(const H2Limits& limits) : H2SessionOption(limits) {
      nghttp2_option_set_max_deflate_dynamic_table_size(made, kTableForAnswers);
      // Counted here, with a code that says what it is; nghttp2 counts the pieces that CONTINUATION comes in, not the frames.
      nghttp2_option_set_stream_reset_rate_limit(made, UINT32_MAX, UINT32_MAX);
      nghttp2_option_set_max_continuations(made, SIZE_MAX);
      nghttp2_option_set_builtin_recv_extension_type(made, NGHTTP2_PRIORITY_UPDATE);
    }
  };
};

// A request that waits for another thread, and what came of it meanwhile: no more than one feed() brings.
struct H2Server::Parked final : H2Stream {
  Parked(std::int32_t stream, const H2Block& head, bool ended) : id(stream), block(head), end(ended) {}
  [[nodiscard]] Offer offer() const override { return {}; }
  void take(MutBytes) override {}
  void on_body(ConstBytes bytes) override { body.append(as_text(bytes)); }
  void on_request_end(std::string_view lines) override {
    whole = true;
    trailers.assign(lines);
  }
  void on_response_sent() override {}
  void on_closed(std::uint32_t) override { closed = true; }

  const std::int32_t id;
  H2Block block;
  const bool end;
  std::string body, trailers;
  bool whole = false, closed = false;
};

H2Server::H2Server(const H2Limits& limits, const Limits& heads, H2Scratch& scratch, H2Handler& handler)
    : limits_(&limits), heads_(&heads), scratch_(&scratch), handler_(&handler), room_(std::make_unique<H2FrameRoom>()) {
  const Callbacks::Option option(limits);
  if (nghttp2_session_server_new3(&session_, Callbacks::table(), this, option.made, &room_->allocator()) != 0)
    throw std::bad_alloc();
  const std::array<nghttp2_settings_entry, 5> settings{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, heads.head_bytes},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  // The connection's window bounds nothing that the streams' do not: what it lets in is given back as it comes.
  constexpr std::int32_t kConnectionWindow = 1 << 20;
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

H2Server::~H2Server() { nghttp2_session_del(session_); }

bool H2Server::upgrade(ConstBytes settings, const RequestHead& head, TimePoint now) {
  if (nghttp2_session_upgrade2(session_, reinterpret_cast<const std::uint8_t*>(settings.data()), settings.size(),
                               head.method == Method::Head ? 1 : 0, nullptr) != 0)
    return false;
  now_ = now;
  last_id_ = 1;
  fill_h2_block(head, *heads_, scratch_->block);
  on_request(1, scratch_->block, true);
  return true;
}

// ---- in -----------------------------------------------------------------------------------------------------------

void H2Server::feed(ConstBytes bytes, TimePoint now) {
  if (ended_ || failed_) return;
  now_ = now;
  if (held_ != nullptr) {
    scratch_->block = std::move(*held_);
    held_.reset();
  }
  while (!bytes.empty() && !ended_ && !failed_) {
    const std::size_t n = walk(bytes);
    receive(bytes.first(n));
    bytes = bytes.subspan(n);
  }
  if (in_block_ && !ended_) held_ = std::make_unique<H2Block>(std::move(scratch_->block));
  if (nghttp2_session_get_outbound_queue_size(session_) > limits_->max_queued_frames) abused(H2Abuse::Queued);
}

void H2Server::receive(ConstBytes bytes) {
  if (ended_) return;
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n >= 0) return;
  switch (n) {
    case NGHTTP2_ERR_FLOODED: return abused(H2Abuse::Queued);
    case NGHTTP2_ERR_TOO_MANY_SETTINGS: return abused(H2Abuse::Settings);
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: return end(H2Code::Protocol);
    default: failed_ = true;
  }
}

// How many of the bytes belong to the frame at hand. A head that became whole was looked at, with all before it received.
std::size_t H2Server::walk(ConstBytes bytes) {
  if (preface_left_ > 0) {
    const std::size_t n = std::min<std::size_t>(preface_left_, bytes.size());
    preface_left_ = static_cast<std::uint8_t>(preface_left_ - n);
    return n;
  }
  std::size_t n = 0;
  if (frame_have_ < frame_head_.size()) {
    n = std::min(frame_head_.size() - frame_have_, bytes.size());
    std::memcpy(frame_head_.data() + frame_have_, bytes.data(), n);
    frame_have_ = static_cast<std::uint8_t>(frame_have_ + n);
    if (frame_have_ < frame_head_.size()) return n;
    on_frame_head();
  }
  const std::size_t payload = std::min<std::size_t>(frame_left_, bytes.size() - n);
  if (frame_head_[3] == NGHTTP2_PRIORITY && frame_left_ > 1 && frame_left_ <= kPrioritySize)
    on_priority(bytes.subspan(n, payload));
  frame_left_ -= static_cast<std::uint32_t>(payload);
  if (frame_left_ == 0) frame_have_ = 0;
  return n + payload;
}

// What nghttp2 lets pass without a callback: frames of unknown types; PRIORITY, since its priorities are switched off; and, since it
// remembers no stream that is closed, what comes for one (RFC 9113 section 5.1).
void H2Server::on_frame_head() {
  const auto& head = frame_head_;
  const std::uint8_t type = head[3];
  frame_left_ = std::uint32_t{head[0]} << 16 | std::uint32_t{head[1]} << 8 | head[2];
  frame_id_ = static_cast<std::int32_t>(
      (std::uint32_t{head[5]} << 24 | std::uint32_t{head[6]} << 16 | std::uint32_t{head[7]} << 8 | head[8]) &
      0x7fff'ffffU);
  depends_on_ = 0;
  if (type == NGHTTP2_PRIORITY || type == NGHTTP2_PRIORITY_UPDATE)
    (void)spend(H2Abuse::Priorities, limits_->priorities);
  if (type > NGHTTP2_CONTINUATION && type != NGHTTP2_PRIORITY_UPDATE) (void)spend(H2Abuse::Unknown, limits_->unknown);
  if (type == NGHTTP2_DATA && frame_left_ == 0 && (head[4] & NGHTTP2_FLAG_END_STREAM) == 0)
    (void)spend(H2Abuse::EmptyFrames, limits_->empty_frames);
  if (type == NGHTTP2_HEADERS) continuations_ = 0;
  if (type == NGHTTP2_CONTINUATION && ++continuations_ > limits_->max_continuations)
    return abused(H2Abuse::Continuations);
  if (type == NGHTTP2_WINDOW_UPDATE && frame_id_ != 0 && nghttp2_session_find_stream(session_, frame_id_) == nullptr)
    (void)spend(H2Abuse::WindowUpdates, limits_->window_updates);
  if (type == NGHTTP2_PRIORITY && frame_id_ == 0) return end(H2Code::Protocol);
  if (in_block_ || noticed_ || frame_id_ % 2 == 0 || (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS)) return;
  if (frame_id_ > last_id_) {
    if (type == NGHTTP2_HEADERS) last_id_ = frame_id_;
    return;
  }
  if (nghttp2_session_find_stream(session_, frame_id_) != nullptr) {
    if (type == NGHTTP2_DATA && stream(frame_id_) == nullptr) late_data();
    return;
  }
  const auto known = std::ranges::find(closed_, frame_id_, &Closed::id);
  if (known != closed_.end() && known->by_us) {
    if (type == NGHTTP2_HEADERS) return (void)spend(H2Abuse::MadeResets, limits_->made_resets);
    if (frame_left_ > known->window) return end(H2Code::FlowControl);
    known->window = (known->window - frame_left_) & kMostWindow;
    late_data();
    return;
  }
  if (known == closed_.end() && strays()) return;
  end(known == closed_.end() && type == NGHTTP2_HEADERS ? H2Code::Protocol : H2Code::StreamClosed);
}

// DATA that nobody wants any more: the window of its stream lets in what was on its way, but not in ever so many pieces.
void H2Server::late_data() {
  if (frame_left_ < kLateForFree && !late_.take(limits_->late_data, now_)) abused(H2Abuse::EmptyFrames);
}

// The frame at hand may be one that was on its way when we reset its stream, of which so many came since that it is forgotten. nghttp2 drops
// it, and gives the connection's window back. What ends a stream counts too, so that there is an end to them.
bool H2Server::strays() {
  const bool data = frame_head_[3] == NGHTTP2_DATA;
  const std::uint64_t cost = data ? std::max<std::uint64_t>(1, frame_left_) : 1;
  if (strays_ < cost) return false;
  strays_ -= cost;
  if (data) {
    late_data();
  } else {
    (void)spend(H2Abuse::MadeResets, limits_->made_resets);
  }
  return true;
}

// A stream that depends on itself (RFC 7540 section 5.3.1): wrong even where nobody asks what it depends on.
void H2Server::on_priority(ConstBytes payload) {
  std::uint32_t left = frame_left_;
  for (const std::byte one : payload) {
    if (left == 1) break;  // the weight
    depends_on_ = depends_on_ << 8 | std::to_integer<std::uint32_t>(one);
    --left;
  }
  if (left != 1 || (depends_on_ & 0x7fff'ffffU) != static_cast<std::uint32_t>(frame_id_)) return;
  if (nghttp2_session_find_stream(session_, frame_id_) == nullptr) return end(H2Code::Protocol);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame_id_, NGHTTP2_PROTOCOL_ERROR);
}

void H2Server::closed(std::int32_t id, bool by_us) {
  const auto known = std::ranges::find(closed_, id, &Closed::id);
  if (known != closed_.end()) {
    known->by_us = known->by_us || by_us;
    return;
  }
  // What the visitor may have on its way; -1 where nghttp2 never opened it.
  const std::int32_t left = nghttp2_session_get_stream_local_window_size(session_, id);
  const std::uint32_t window =
      left < 0 ? std::max(limits_->stream_window, kFirstWindow) : static_cast<std::uint32_t>(left);
  if (closed_[closed_next_].by_us) strays_ += std::uint64_t{closed_[closed_next_].window} + 1;
  closed_[closed_next_] = {id, by_us, window & kMostWindow};
  closed_next_ = (closed_next_ + 1) % kClosedKept;
}

bool H2Server::spend(H2Abuse kind, const H2Allowance& allowance) {
  if (tallies_[static_cast<std::size_t>(kind)].take(allowance, now_)) return true;
  abused(kind);
  return false;
}

void H2Server::abused(H2Abuse kind) {
  if (ended_) return;
  abuse_ = kind;
  end(H2Code::Calm);
}

void H2Server::on_frame(std::uint8_t type, std::uint8_t flags, std::int32_t id) {
  switch (type) {
    case NGHTTP2_DATA:
      tallies_[static_cast<std::size_t>(H2Abuse::Pings)].pay_back(kPingsForData);
      if (H2Stream* to = stream(id); to != nullptr && (flags & NGHTTP2_FLAG_END_STREAM) != 0) to->on_request_end({});
      return;
    case NGHTTP2_RST_STREAM: (void)spend(H2Abuse::Resets, limits_->resets); return;
    case NGHTTP2_SETTINGS: (void)spend(H2Abuse::Settings, limits_->settings); return;
    case NGHTTP2_PING: (void)spend(H2Abuse::Pings, limits_->pings); return;
    case NGHTTP2_WINDOW_UPDATE: (void)spend(H2Abuse::WindowUpdates, limits_->window_updates); return;
    case NGHTTP2_GOAWAY: (void)spend(H2Abuse::Unknown, limits_->unknown); return;  // one or two are all that make sense
    default: return;
  }
}

void H2Server::on_headers(std::int32_t id, bool request, bool end) {
  in_block_ = false;
  H2Block& block = scratch_->block;
  if (request) return on_request(id, block, end);
  H2Stream* to = stream(id);
  if (to == nullptr) return;
  scratch_->text.clear();
  if (!append_h2_trailers(block, *heads_, scratch_->text)) {
    ++malformed_;  // its exchange says so
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  if (end) to->on_request_end(scratch_->text);
}

void H2Server::on_request(std::int32_t id, H2Block& block, bool end) {
  if (parking_) return keep(id, block, end);
  tallies_[static_cast<std::size_t>(H2Abuse::Priorities)].pay_back(kPrioritiesForRequest);
  const H2Read read = read_h2_request(block, *heads_, end, scratch_->head);
  if (read.status == H2Read::Status::Malformed) {
    malformed(id, block.decoded());
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  // nghttp2 obeys it by itself, and does not tell.
  const H2Priority wish = merge_priority(H2Priority{}, scratch_->head.fields.value(kPriorityField));
  H2Stream* made = handler_->on_request({id, scratch_->head, read.refusal, end, block.decoded()});
  if (parking_) return keep(id, block, end);
  if (made == nullptr) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  keep_priority(id, wish);
  ++streams_;
  nghttp2_session_set_stream_user_data(session_, id, made);
}

void H2Server::malformed(std::int32_t id, std::size_t decoded) {
  ++malformed_;
  if (!parking_) handler_->on_malformed(id, decoded);
}

// ---- from thread to thread ----------------------------------------------------------------------------------------

void H2Server::keep(std::int32_t id, const H2Block& block, bool end) {
  parked_.push_back(std::make_unique<Parked>(id, block, end));
  ++streams_;
  nghttp2_session_set_stream_user_data(session_, id, static_cast<H2Stream*>(parked_.back().get()));
}

void H2Server::unpark(const H2Limits& limits, const Limits& heads, H2Scratch& scratch, H2Handler& handler) {
  limits_ = &limits;
  heads_ = &heads;
  scratch_ = &scratch;
  handler_ = &handler;
  parking_ = false;
  for (const auto& one : std::exchange(parked_, {})) {
    if (one->closed) continue;
    detach(one->id);
    on_request(one->id, one->block, one->end);
    H2Stream* to = stream(one->id);
    if (to == nullptr) continue;
    if (!one->body.empty()) to->on_body(as_bytes(one->body));
    if (one->whole) to->on_request_end(one->trailers);
  }
}

// ---- out ----------------------------------------------------------------------------------------------------------

std::size_t H2Server::produce(MutBytes into) {
  into_ = into;
  made_ = 0;
  while (!failed_ && into_.size() - made_ >= kFrameRoom) {
    const std::uint8_t* data = nullptr;
    const std::size_t before = made_;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) {
      failed_ = true;
    } else if (n == 0) {
      if (made_ == before || into_.size() - made_ >= kFrameRoom) break;
    } else {
      // Frames other than DATA; the room was looked at after each DATA that went before.
      const auto size = static_cast<std::size_t>(n);
      if (into_.size() - made_ < size) {  // no frame of ours is as long
        failed_ = true;
        break;
      }
      std::memcpy(into_.data() + made_, data, size);
      made_ += size;
    }
  }
  into_ = {};
  return made_;
}

bool H2Server::wants_write() const { return !failed_ && nghttp2_session_want_write(session_) != 0; }

bool H2Server::over() const {
  if (failed_) return true;
  if (noticed_ && !final_) return false;  // nghttp2 has had enough when the first GOAWAY is out and no stream is open
  return (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

// ---- streams ------------------------------------------------------------------------------------------------------

H2Stream* H2Server::stream(std::int32_t id) const {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

namespace {

// Nothing that the origin answers is kept out of the table of what was said.
constexpr auto kNoFlags = [](std::string_view) { return std::uint8_t{NGHTTP2_NV_FLAG_NONE}; };

}  // namespace

// ---- priorities ---------------------------------------------------------------------------------------------------

H2Priority H2Server::priority(std::int32_t id) const {
  const auto known = std::ranges::find(priorities_, id, &std::pair<std::int32_t, H2Priority>::first);
  return known == priorities_.end() ? H2Priority{} : known->second;
}

void H2Server::keep_priority(std::int32_t id, H2Priority priority) {
  std::erase_if(priorities_, [id](const auto& one) { return one.first == id; });
  if (priority != H2Priority{}) priorities_.emplace_back(id, priority);
}

// RFC 9218 section 8: what the origin says of its answer goes before what the visitor asked for.
void H2Server::reprioritise(std::int32_t id, const ResponseHead& head) {
  const H2Priority before = priority(id);
  H2Priority merged = before;
  for (const Field& field : head.fields)
    if (iequals(field.name, kPriorityField)) merged = merge_priority(merged, field.value);
  if (merged == before) return;
  keep_priority(id, merged);
  const nghttp2_extpri told{merged.urgency, merged.incremental ? 1 : 0};
  nghttp2_session_change_extpri_stream_priority(session_, id, &told, 0);
}

void H2Server::respond(std::int32_t id, const ResponseHead& head, bool end, H2Source source) {
  if (source == H2Source::Origin) reprioritise(id, head);
  scratch_->fields.set_response(head, source);
  with_pairs(scratch_->fields, kNoFlags, [&](const nghttp2_nv* pairs, std::size_t count) {
    nghttp2_data_provider source{};
    source.read_callback = Callbacks::read;
    nghttp2_submit_response(session_, id, pairs, count, end ? nullptr : &source);
  });
}

void H2Server::interim(std::int32_t id, const ResponseHead& head) {
  scratch_->fields.set_response(head);
  with_pairs(scratch_->fields, kNoFlags, [&](const nghttp2_nv* pairs, std::size_t count) {
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, pairs, count, nullptr);
  });
}

void H2Server::submit_trailers(std::int32_t id, std::string_view lines) {
  scratch_->fields.set_trailers(lines);
  with_pairs(scratch_->fields, kNoFlags,
             [&](const nghttp2_nv* pairs, std::size_t count) { nghttp2_submit_trailer(session_, id, pairs, count); });
}

void H2Server::resume(std::int32_t id) { nghttp2_session_resume_data(session_, id); }

void H2Server::consumed(std::int32_t id, std::size_t n) { nghttp2_session_consume_stream(session_, id, n); }

void H2Server::consumed_connection(std::size_t n) { nghttp2_session_consume_connection(session_, n); }

void H2Server::reset(std::int32_t id, H2Code code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
}

void H2Server::detach(std::int32_t id) {
  if (stream(id) == nullptr) return;
  nghttp2_session_set_stream_user_data(session_, id, nullptr);
  --streams_;
}

void H2Server::rest() {
  if (streams_ == 0 && !in_block_ && !wants_write()) room_->rest();
}

bool H2Server::window_shut(std::int32_t id) const {
  return connection_window_shut() || nghttp2_session_get_stream_remote_window_size(session_, id) <= 0;
}

bool H2Server::connection_window_shut() const { return nghttp2_session_get_remote_window_size(session_) <= 0; }

// ---- the connection -----------------------------------------------------------------------------------------------

void H2Server::notice_shutdown() {
  if (ended_ || noticed_) return;
  noticed_ = true;
  nghttp2_submit_shutdown_notice(session_);
}

void H2Server::shutdown() {
  if (ended_) return;
  noticed_ = final_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

void H2Server::end(H2Code code) {
  if (ended_) return;
  ended_ = final_ = true;
  nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
}

}  // namespace ferrotunnel::http
