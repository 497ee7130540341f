// H2Client: an HTTP/2 visitor in memory (nghttp2's client session), and frames byte by byte for what no library would send.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ferrotunnel::test {

using H2Pairs = std::vector<std::pair<std::string, std::string>>;

struct H2Answer {
  int status = 0;
  std::vector<int> interim;
  H2Pairs fields, trailers;
  std::string body;
  bool ended = false;                  // END_STREAM
  std::optional<std::uint32_t> reset;  // by RST_STREAM
  bool closed = false;
  bool head_over = false;

  [[nodiscard]] std::string value(std::string_view name) const { return find(fields, name); }
  [[nodiscard]] std::string trailer(std::string_view name) const { return find(trailers, name); }

 private:
  static std::string find(const H2Pairs& pairs, std::string_view name) {
    for (const auto& [key, value] : pairs)
      if (key == name) return value;
    return {};
  }
};

class H2Client {
 public:
  // `reads`: false keeps the windows shut once they are full.
  explicit H2Client(bool reads = true, std::uint32_t window = 65'535) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    if (!reads) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);  // it may ask what is wrong
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &entry, 1);
  }
  H2Client(const H2Client&) = delete;
  H2Client& operator=(const H2Client&) = delete;
  ~H2Client() { nghttp2_session_del(session_); }

  // With all of the pseudo-headers but those that `fields` has.
  std::int32_t ask(const std::string& method, const std::string& path, H2Pairs fields = {}, bool end = true) {
    H2Pairs all{{":method", method}, {":scheme", "http"}, {":authority", "a.test"}, {":path", path}};
    for (auto& field : fields) all.push_back(std::move(field));
    return ask_as(all, end);
  }
  std::int32_t ask_as(const H2Pairs& fields, bool end = true) {
    auto pairs = pairs_of(fields);
    nghttp2_data_provider source{};
    source.source.ptr = this;
    source.read_callback = read;
    const std::int32_t id =
        nghttp2_submit_request(session_, nullptr, pairs.data(), pairs.size(), end ? nullptr : &source, nullptr);
    answers[id];
    return id;
  }
  // Of a request without end.
  void body(std::int32_t id, std::string_view bytes, bool end = false, H2Pairs trailers = {}) {
    Upload& upload = uploads_[id];
    upload.bytes.append(bytes);
    upload.end = upload.end || end;
    upload.trailers = std::move(trailers);
    nghttp2_session_resume_data(session_, id);
  }
  void reset(std::int32_t id, std::uint32_t code = NGHTTP2_CANCEL) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
  }
  void raw(std::string_view bytes) { raw_.append(bytes); }  // behind what the session says

  void in(std::string_view bytes) {
    got += bytes.size();
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
  [[nodiscard]] nghttp2_session* session() const { return session_; }
  [[nodiscard]] std::size_t unsent(std::int32_t id) { return uploads_[id].bytes.size(); }

  std::map<std::int32_t, H2Answer> answers;
  std::optional<std::uint32_t> goaway;  // the last one's code
  std::int32_t goaway_last = -1;        // and the last stream it takes
  int goaways = 0, pings = 0;
  std::size_t got = 0;
  std::string broken;
  std::vector<std::int32_t> order;  // of the DATA frames that came

 private:
  struct Upload {
    std::string bytes;
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
  static H2Client& self(void* user) { return *static_cast<H2Client*>(user); }

  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* into, std::size_t most,
                      std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Upload& upload = self(user).uploads_[id];
    const std::size_t n = upload.bytes.copy(reinterpret_cast<char*>(into), most);
    upload.bytes.erase(0, n);
    if (upload.end && upload.bytes.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!upload.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        auto pairs = pairs_of(upload.trailers);
        nghttp2_submit_trailer(session, id, pairs.data(), pairs.size());
      }
    } else if (n == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                       const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
    H2Answer& answer = self(user).answers[frame->hd.stream_id];
    std::string key(reinterpret_cast<const char*>(name), name_size);
    std::string text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") {
      const int status = std::stoi(text);
      status < 200 ? answer.interim.push_back(status) : void(answer.status = status);
      return 0;
    }
    // A head's first field is its status, and trailers have none.
    const bool trailer = answer.status != 0 && answer.head_over;
    (trailer ? answer.trailers : answer.fields).emplace_back(std::move(key), std::move(text));
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Client& client = self(user);
    const nghttp2_frame_hd& header = frame->hd;
    switch (header.type) {
      case NGHTTP2_DATA: client.order.push_back(header.stream_id); [[fallthrough]];
      case NGHTTP2_HEADERS:
        client.answers[header.stream_id].head_over = client.answers[header.stream_id].status != 0;
        if ((header.flags & NGHTTP2_FLAG_END_STREAM) != 0) client.answers[header.stream_id].ended = true;
        return 0;
      case NGHTTP2_RST_STREAM: client.answers[header.stream_id].reset = frame->rst_stream.error_code; return 0;
      case NGHTTP2_GOAWAY:
        client.goaway = frame->goaway.error_code;
        client.goaway_last = frame->goaway.last_stream_id;
        ++client.goaways;
        return 0;
      case NGHTTP2_PING:
        if ((header.flags & NGHTTP2_FLAG_ACK) != 0) ++client.pings;
        return 0;
      default: return 0;
    }
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                     void* user) {
    self(user).answers[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    self(user).answers[id].closed = true;
    return 0;
  }

  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Upload> uploads_;
  std::string raw_;
};

// ---- frames, byte by byte ------------------------------------------------------------------------------------------

inline const std::string kH2Hello =
    std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\4\0\0\0\0\0", 9);

[[nodiscard]] inline std::string h2_frame(std::uint8_t type, std::uint8_t flags, std::uint32_t id,
                                          std::string_view payload = {}) {
  std::string frame;
  const auto put = [&frame](std::uint32_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) frame += static_cast<char>(value >> (8 * i));
  };
  put(static_cast<std::uint32_t>(payload.size()), 3);
  put(type, 1);
  put(flags, 1);
  put(id, 4);
  return frame.append(payload);
}

// Literals without indexing and without Huffman coding: any byte may stand in them.
[[nodiscard]] inline std::string hpack(const H2Pairs& fields) {
  std::string block;
  const auto text = [&block](std::string_view value) {
    std::size_t size = value.size();
    if (size < 127) {
      block += static_cast<char>(size);
    } else {
      block += '\x7f';
      for (size -= 127; size >= 128; size >>= 7) block += static_cast<char>(0x80 | (size & 0x7f));
      block += static_cast<char>(size);
    }
    block.append(value);
  };
  for (const auto& [name, value] : fields) {
    block += '\0';
    text(name);
    text(value);
  }
  return block;
}
[[nodiscard]] inline std::string h2_headers(std::uint32_t id, const H2Pairs& fields, bool end = true) {
  return h2_frame(1, static_cast<std::uint8_t>(4 | (end ? 1 : 0)), id, hpack(fields));
}
[[nodiscard]] inline H2Pairs h2_get(H2Pairs more = {}, const std::string& path = "/") {
  H2Pairs fields{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", path}};
  for (auto& field : more) fields.push_back(std::move(field));
  return fields;
}

}  // namespace ferrotunnel::test
