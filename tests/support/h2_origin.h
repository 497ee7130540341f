// H2Origin: a local service that speaks HTTP/2, in memory (nghttp2's server session). What it says beyond the session is said byte by byte.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/h2_client.h"

namespace ferrotunnel::test {

struct H2Asked {
  H2Pairs fields, trailers;
  std::string body;
  bool head_over = false, ended = false, closed = false;
  std::optional<std::uint32_t> reset;  // by RST_STREAM

  [[nodiscard]] std::string value(std::string_view name) const {
    for (const auto& [key, value] : fields)
      if (key == name) return value;
    return {};
  }
};

struct H2OriginOptions {
  std::uint32_t max_streams = 100;
  std::uint32_t window = 65'535;
  bool websockets = false;
  bool reads = true;  // false: windows stay shut once they are full
};

class H2Origin {
 public:
  explicit H2Origin(const H2OriginOptions& options = {}) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    if (!options.reads) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_server_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    std::vector<nghttp2_settings_entry> entries{{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams},
                                                {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window}};
    if (options.websockets) entries.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
  }
  H2Origin(const H2Origin&) = delete;
  H2Origin& operator=(const H2Origin&) = delete;
  ~H2Origin() { nghttp2_session_del(session_); }

  // A final head. `end`: it is all.
  void head(std::int32_t id, const H2Pairs& fields, bool end = false) {
    auto pairs = pairs_of(fields);
    nghttp2_data_provider source{};
    source.read_callback = read;
    nghttp2_submit_response(session_, id, pairs.data(), pairs.size(), end ? nullptr : &source);
  }
  void interim(std::int32_t id, const H2Pairs& fields) {
    auto pairs = pairs_of(fields);
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, pairs.data(), pairs.size(), nullptr);
  }
  void body(std::int32_t id, std::string_view bytes, bool end = false, H2Pairs trailers = {}) {
    Answer& answer = answers_[id];
    answer.bytes.append(bytes);
    answer.end = answer.end || end;
    answer.trailers = std::move(trailers);
    nghttp2_session_resume_data(session_, id);
  }
  void answer(std::int32_t id, std::string_view bytes, H2Pairs more = {}) {
    H2Pairs fields{{":status", "200"}};
    for (auto& field : more) fields.push_back(std::move(field));
    head(id, fields);
    body(id, bytes, true);
  }
  void reset(std::int32_t id, std::uint32_t code) { nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code); }
  void goaway(std::int32_t last, std::uint32_t code = 0) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, code, nullptr, 0);
  }
  void raw(std::string_view bytes) { raw_.append(bytes); }

  void in(std::string_view bytes) {
    const ssize_t n =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (n < 0) broken = nghttp2_strerror(static_cast<int>(n));
  }
  [[nodiscard]] std::string out() {
    std::string all;
    const std::uint8_t* data = nullptr;
    for (ssize_t n; (n = nghttp2_session_mem_send(session_, &data)) > 0;)
      all.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(n));
    return all + std::exchange(raw_, {});
  }
  [[nodiscard]] std::size_t unsent(std::int32_t id) { return answers_[id].bytes.size() - answers_[id].at; }
  [[nodiscard]] nghttp2_session* session() const { return session_; }

  std::map<std::int32_t, H2Asked> asked;
  std::optional<std::uint32_t> goaway_got;
  std::string broken;

 private:
  struct Answer {
    std::string bytes;
    std::size_t at = 0;  // sent so far
    bool end = false;
    H2Pairs trailers;
  };

  static std::vector<nghttp2_nv> pairs_of(const H2Pairs& fields) {
    std::vector<nghttp2_nv> pairs;
    const auto bytes = [](const std::string& text) {
      return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
    };
    for (const auto& [name, value] : fields)
      pairs.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    return pairs;
  }
  static H2Origin& self(void* user) { return *static_cast<H2Origin*>(user); }
  static std::string text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
  }

  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* into, std::size_t most,
                      std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Answer& answer = self(user).answers_[id];
    const std::size_t n = answer.bytes.copy(reinterpret_cast<char*>(into), most, answer.at);
    answer.at += n;
    if (answer.end && answer.at == answer.bytes.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!answer.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        auto pairs = pairs_of(answer.trailers);
        nghttp2_submit_trailer(session, id, pairs.data(), pairs.size());
      }
    } else if (n == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                       const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
    H2Asked& asked = self(user).asked[frame->hd.stream_id];
    (asked.head_over ? asked.trailers : asked.fields).emplace_back(text(name, name_size), text(value, value_size));
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Origin& origin = self(user);
    const nghttp2_frame_hd& header = frame->hd;
    if (header.type == NGHTTP2_GOAWAY) origin.goaway_got = frame->goaway.error_code;
    if (header.type == NGHTTP2_RST_STREAM) origin.asked[header.stream_id].reset = frame->rst_stream.error_code;
    if (header.type != NGHTTP2_DATA && header.type != NGHTTP2_HEADERS) return 0;
    origin.asked[header.stream_id].head_over = true;
    if ((header.flags & NGHTTP2_FLAG_END_STREAM) != 0) origin.asked[header.stream_id].ended = true;
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                     void* user) {
    self(user).asked[id].body.append(text(data, size));
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    self(user).asked[id].closed = true;
    return 0;
  }

  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Answer> answers_;
  std::string raw_;
};

}  // namespace ferrotunnel::test
