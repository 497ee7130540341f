// What both ends of HTTP/2 (H2Server, H2Client) ask of nghttp2 in the same words. Private to h2/: it shows nghttp2's own header.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <new>
#include <string_view>
#include <vector>

#include "http/h2/h2_abuse.h"
#include "http/h2/h2_response.h"

namespace ferrotunnel::http {

// What is useful pays for what goes along with it.
inline constexpr std::uint32_t kUpdatesForData = 4;
inline constexpr std::uint32_t kPingsForData = 1;

// Of a head that goes out: more than limits.head_bytes and the rules of a tunnel make of it (plugin::Scratch), before HPACK.
inline constexpr std::size_t kMostHeaderBlock = 256 * 1024;

[[nodiscard]] inline std::string_view text_of(nghttp2_rcbuf* buffer) {
  const nghttp2_vec view = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(view.base), view.len};
}

// `flags` of a field's name (NGHTTP2_NV_FLAG_…). The names and values live until the call is over, which copies them.
template <class Flags, class Submit>
void with_pairs(const H2Fields& fields, const Flags& flags, const Submit& submit) {
  thread_local std::vector<nghttp2_nv> pairs;
  pairs.clear();
  for (const H2Fields::Line& line : fields.lines()) {
    const auto bytes = [](std::string_view text) {
      return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
    };
    pairs.push_back({bytes(line.name), bytes(line.value), line.name.size(), line.value.size(), flags(line.name)});
  }
  submit(pairs.data(), pairs.size());
}

// nghttp2 gives credit back when it is told to, forgets what is closed, and holds to the limits.
struct H2SessionOption {
  explicit H2SessionOption(const H2Limits& limits) {
    if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_outbound_ack(made, limits.max_queued_acks);
    nghttp2_option_set_max_settings(made, limits.max_settings);
    nghttp2_option_set_max_continuations(made, limits.max_continuations);
    nghttp2_option_set_max_send_header_block_length(made, kMostHeaderBlock);
  }
  ~H2SessionOption() { nghttp2_option_del(made); }
  H2SessionOption(const H2SessionOption&) = delete;
  H2SessionOption& operator=(const H2SessionOption&) = delete;
  nghttp2_option* made = nullptr;
};

// A name or value that no head may have. Left to itself nghttp2 would drop the field and go on.
inline int on_invalid_h2_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*, std::uint8_t,
                                void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

// A head that is longer. nghttp2 itself ends a stream whose request it could not send; a response would never come.
inline int on_h2_frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat != NGHTTP2_HCAT_REQUEST)
    (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
  return 0;
}

// The table of static members of `Callbacks` that both ends have. Lives as long as the program.
template <class Callbacks>
[[nodiscard]] nghttp2_session_callbacks* new_h2_callbacks() {
  nghttp2_session_callbacks* all = nullptr;
  if (nghttp2_session_callbacks_new(&all) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_on_begin_headers_callback(all, Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback2(all, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback2(all, on_invalid_h2_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(all, Callbacks::on_frame_recv);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, Callbacks::on_data_chunk);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(all, Callbacks::on_invalid_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(all, Callbacks::on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(all, on_h2_frame_not_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(all, Callbacks::on_stream_close);
  return all;
}

}  // namespace ferrotunnel::http
