#include "http/h2/h2_client.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "http/h2/h2_session.h"

namespace ferrotunnel::http {

namespace {

// What is a secret is not to be found out by the sizes of what others ask on the same connection (RFC 7541 section 7.1.3).
constexpr auto kSecretsApart = [](std::string_view name) {
  const bool secret = name == "authorization" || name == "cookie" || name == "proxy-authorization";
  return static_cast<std::uint8_t>(secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
};

}  // namespace

// nghttp2's C callbacks, to the members they stand for.
struct H2Client::Callbacks {
  static H2Client& self(void* user) { return *static_cast<H2Client*>(user); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
    H2Client& client = self(user);
    if (client.block_ == nullptr) client.block_ = std::make_unique<H2Block>();
    client.block_->clear();
    client.in_block_ = true;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name, nghttp2_rcbuf* value, std::uint8_t,
                       void* user) {
    H2Client& client = self(user);
    if (!client.in_block_) return 0;
    client.block_->add(text_of(name), text_of(value), client.heads_);
    if (client.block_->decoded() > std::size_t{client.limits_.header_bytes_factor} * client.heads_.head_bytes)
      client.abused(H2Abuse::HeaderBytes);
    return 0;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Client& client = self(user);
    if (client.ended_) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      client.on_headers(frame->hd.stream_id, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    } else {
      const std::size_t padding = frame->hd.type == NGHTTP2_DATA ? frame->data.padlen : 0;
      client.on_frame(frame->hd.type, frame->hd.flags, frame->hd.length - padding, frame->hd.stream_id);
    }
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                           void* user) {
    H2Client& client = self(user);
    client.tallies_[static_cast<std::size_t>(H2Abuse::Pings)].pay_back(kPingsForData);
    H2Asker* asker = client.ended_ ? nullptr : client.asker(id);
    if (asker != nullptr) {
      asker->on_body({reinterpret_cast<const std::byte*>(data), size});
    } else {
      client.consumed_connection(size);  // nobody wants it, but others want the connection
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    ++self(user).malformed_;
    if (frame->hd.type == NGHTTP2_HEADERS) self(user).in_block_ = false;
    return 0;
  }

  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Client& client = self(user);
    if (frame->hd.type != NGHTTP2_DATA) return 0;
    client.tallies_[static_cast<std::size_t>(H2Abuse::WindowUpdates)].pay_back(kUpdatesForData);
    client.tallies_[static_cast<std::size_t>(H2Abuse::Pings)].pay_back(kPingsForData);
    return 0;
  }

  static int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
    H2Client& client = self(user);
    --client.streams_;
    if (H2Asker* asker = client.asker(id); asker != nullptr) {
      client.detach(id);
      asker->on_closed(static_cast<H2Code>(code), id == client.reset_id_);
    }
    return 0;
  }

  static ssize_t read(nghttp2_session*, std::int32_t id, std::uint8_t* into, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source*, void* user) {
    H2Client& client = self(user);
    H2Asker* asker = client.asker(id);
    if (asker == nullptr) return NGHTTP2_ERR_DEFERRED;  // it is reset, or about to be
    const H2Asker::Piece piece = asker->pull({reinterpret_cast<std::byte*>(into), most});
    if (piece.n == 0 && !piece.end) return NGHTTP2_ERR_DEFERRED;
    if (piece.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!piece.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        client.submit_trailers(id, piece.trailers);
      }
    }
    return static_cast<ssize_t>(piece.n);
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* const made = new_h2_callbacks<Callbacks>();
    return made;
  }
};

H2Client::H2Client(const H2Limits& limits, const Limits& heads) : limits_(limits), heads_(heads) {
  const H2SessionOption option(limits);
  if (nghttp2_session_client_new2(&session_, Callbacks::table(), this, option.made) != 0) throw std::bad_alloc();
  const std::array<nghttp2_settings_entry, 4> settings{{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, heads.head_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  // The connection's window bounds nothing that the streams' do not: what it lets in is given back as it comes.
  constexpr std::int32_t kConnectionWindow = 1 << 20;
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

H2Client::~H2Client() { nghttp2_session_del(session_); }

// ---- in -----------------------------------------------------------------------------------------------------------

void H2Client::feed(ConstBytes bytes, TimePoint now) {
  if (ended_ || failed_) return;
  now_ = now;
  // No frame may be so long that the first byte of its length is another (RFC 9113 section 4.2): it is text, or a record of TLS.
  if (!bytes.empty() && !begun_) {
    begun_ = true;
    not_http2_ = bytes.front() != std::byte{0};
  }
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n < 0) {
    switch (n) {
      case NGHTTP2_ERR_FLOODED: abused(H2Abuse::Queued); break;
      case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: abused(H2Abuse::Continuations); break;
      case NGHTTP2_ERR_TOO_MANY_SETTINGS: abused(H2Abuse::Settings); break;
      default: failed_ = true;
    }
  }
  if (nghttp2_session_get_outbound_queue_size(session_) > limits_.max_queued_frames + streams_) abused(H2Abuse::Queued);
  if (nghttp2_session_want_read(session_) == 0) going_ = true;
}

bool H2Client::spend(H2Abuse kind, const H2Allowance& allowance) {
  if (tallies_[static_cast<std::size_t>(kind)].take(allowance, now_)) return true;
  abused(kind);
  return false;
}

void H2Client::abused(H2Abuse kind) {
  if (ended_) return;
  abuse_ = kind;
  end(H2Code::Calm);
}

void H2Client::on_frame(std::uint8_t type, std::uint8_t flags, std::size_t length, std::int32_t id) {
  switch (type) {
    case NGHTTP2_DATA:
      if ((flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        if (H2Asker* to = asker(id); to != nullptr) to->on_response_end({});
      } else if (length == 0) {
        (void)spend(H2Abuse::EmptyFrames, limits_.empty_frames);
      }
      return;
    case NGHTTP2_RST_STREAM:
      reset_id_ = id;
      // One for each request is what an origin may say; more come for streams that are over.
      if (nghttp2_session_find_stream(session_, id) == nullptr) (void)spend(H2Abuse::Resets, limits_.resets);
      return;
    case NGHTTP2_SETTINGS:
      if ((flags & NGHTTP2_FLAG_ACK) == 0) {
        settled_ = true;
        (void)spend(H2Abuse::Settings, limits_.settings);
      }
      return;
    case NGHTTP2_PING: (void)spend(H2Abuse::Pings, limits_.pings); return;
    case NGHTTP2_WINDOW_UPDATE: (void)spend(H2Abuse::WindowUpdates, limits_.window_updates); return;
    case NGHTTP2_GOAWAY: going_ = true; return;
    default: return;
  }
}

void H2Client::on_headers(std::int32_t id, bool end) {
  if (!in_block_) return;
  in_block_ = false;
  H2Asker* to = asker(id);
  if (to == nullptr || ended_) return;
  const H2Block& block = *block_;
  text_.clear();
  // nghttp2 has seen to it that only a block that ends the stream comes behind the final head, and that a final head comes.
  const bool trailers = block.size() == 0 || !block.begins_with_status();
  if (trailers) {
    if (!end || !append_h2_trailers(block, heads_, text_)) return on_malformed(id);
    return to->on_response_end(text_);
  }
  const H2Answer answer = append_h2_response(block, heads_, to->asked(), end, text_);
  if (answer.malformed) return on_malformed(id);
  to->on_head(text_, answer, end);
  if (end && (to = asker(id)) != nullptr) to->on_response_end({});
}

void H2Client::on_malformed(std::int32_t id) {
  ++malformed_;
  reset(id, H2Code::Protocol);
}

// ---- out ----------------------------------------------------------------------------------------------------------

std::size_t H2Client::produce(MutBytes into) {
  std::size_t made = 0;
  while (!failed_ && into.size() - made >= kFrameRoom) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) failed_ = true;
    if (n <= 0) break;
    // A frame, or a header block with its CONTINUATION frames one by one.
    const auto size = static_cast<std::size_t>(n);
    if (into.size() - made < size) {  // no frame of ours is as long
      failed_ = true;
      break;
    }
    std::memcpy(into.data() + made, data, size);
    made += size;
  }
  // nghttp2 itself has found a fault, and has said so by GOAWAY.
  if (nghttp2_session_want_read(session_) == 0) going_ = true;
  return made;
}

bool H2Client::wants_write() const { return !failed_ && nghttp2_session_want_write(session_) != 0; }

bool H2Client::over() const {
  return failed_ || (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

// ---- streams ------------------------------------------------------------------------------------------------------

H2Asker* H2Client::asker(std::int32_t id) const {
  return static_cast<H2Asker*>(nghttp2_session_get_stream_user_data(session_, id));
}

std::optional<std::int32_t> H2Client::submit(const RequestHead& head, std::string_view scheme, bool end,
                                             H2Asker& asker) {
  if (!open()) return std::nullopt;
  fields_.set_request(head, scheme);
  std::int32_t id = -1;
  with_pairs(fields_, kSecretsApart, [&](const nghttp2_nv* pairs, std::size_t count) {
    nghttp2_data_provider source{};
    source.read_callback = Callbacks::read;
    id = nghttp2_submit_request(session_, nullptr, pairs, count, end ? nullptr : &source, &asker);
  });
  if (id < 0) {
    going_ = true;  // ids are used up: the next one wants another connection
    return std::nullopt;
  }
  ++streams_;
  return id;
}

void H2Client::submit_trailers(std::int32_t id, std::string_view lines) {
  fields_.set_trailers(lines);
  with_pairs(fields_, kSecretsApart,
             [&](const nghttp2_nv* pairs, std::size_t count) { nghttp2_submit_trailer(session_, id, pairs, count); });
}

void H2Client::resume(std::int32_t id) { nghttp2_session_resume_data(session_, id); }

void H2Client::consumed(std::int32_t id, std::size_t n) { nghttp2_session_consume_stream(session_, id, n); }

void H2Client::consumed_connection(std::size_t n) { nghttp2_session_consume_connection(session_, n); }

void H2Client::reset(std::int32_t id, H2Code code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
}

void H2Client::detach(std::int32_t id) { nghttp2_session_set_stream_user_data(session_, id, nullptr); }

bool H2Client::window_shut(std::int32_t id) const {
  return nghttp2_session_get_remote_window_size(session_) <= 0 ||
         nghttp2_session_get_stream_remote_window_size(session_, id) <= 0;
}

bool H2Client::half_closed(std::int32_t id) const {
  return nghttp2_session_get_stream_remote_close(session_, id) != 0;  // -1: there is no such stream
}

// ---- the connection -----------------------------------------------------------------------------------------------

std::size_t H2Client::max_streams() const {
  const std::uint32_t theirs = nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return std::min(limits_.max_streams, theirs);
}

bool H2Client::takes_websockets() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

void H2Client::end(H2Code code) {
  if (ended_) return;
  ended_ = true;
  nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
}

}  // namespace ferrotunnel::http
