#include "http/h2/h2_answer.h"

#include <algorithm>
#include <charconv>

#include "http/chars.h"
#include "http/error_page.h"
#include "http/grpc.h"

namespace ferrotunnel::http {

// The fields of a response, one by one.
class H2AnswerReader {
 public:
  H2AnswerReader(const H2Block& block, const Limits& limits, std::string& out)
      : block_(block), limits_(limits), out_(out), before_(out.size()) {}

  H2Answer read(const H2Asked& asked, bool end) {
    if (!read_status() || block_.overflow() || block_.size() > limits_.fields + std::size_t{1}) return malformed();
    const std::uint16_t status = answer_.status;
    answer_.interim = status < 200;
    const bool websocket = !asked.ws_accept.empty();
    answer_.switched = (websocket || asked.connect) && status < 300 && status >= 200;
    // RFC 9113 section 8.6: no 101; an interim head ends nothing.
    if (status == 101 || (answer_.interim && end) || (websocket && answer_.switched && end)) return malformed();
    begin_line(websocket && answer_.switched ? std::uint16_t{101} : status);
    for (std::size_t i = 1; i < block_.lines_.size(); ++i)
      if (!take_field(block_.lines_[i])) return malformed();
    settle_body(asked, end);
    if (websocket && answer_.switched) {
      out_.append("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ");
      out_.append(asked.ws_accept).append("\r\n");
    }
    out_.append("\r\n");
    return answer_;
  }

 private:
  H2Answer malformed() {
    out_.resize(before_);
    H2Answer bad;
    bad.malformed = true;
    return bad;
  }
  [[nodiscard]] std::string_view name_of(const H2Block::Line& line) const {
    return std::string_view(block_.text_).substr(line.begin, line.name);
  }
  [[nodiscard]] std::string_view value_of(const H2Block::Line& line) const {
    return std::string_view(block_.text_).substr(line.begin + line.name, line.value);
  }

  // The only pseudo-header, and the first of all.
  bool read_status() {
    if (block_.lines_.empty() || name_of(block_.lines_.front()) != ":status") return false;
    const std::string_view digits = value_of(block_.lines_.front());
    if (digits.size() != 3 || !all(digits, kDigitByte) || digits[0] == '0' || digits[0] > '5') return false;
    answer_.status = static_cast<std::uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    return true;
  }

  void begin_line(std::uint16_t status) {
    out_.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    out_.append(reason_phrase(status)).append("\r\n");
  }

  bool take_field(const H2Block::Line& line) {
    const std::string_view name = name_of(line);
    const std::string_view value = value_of(line);
    if (!is_token(name) || std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) return false;
    if (!all(value, kValueByte) || trim(value).size() != value.size()) return false;
    switch (field_id(name)) {
      case FieldId::Connection:
      case FieldId::Http2Settings:
      case FieldId::KeepAlive:
      case FieldId::ProxyConnection:
      case FieldId::Te:
      case FieldId::TransferEncoding:
      case FieldId::Upgrade: return false;  // RFC 9113 section 8.2.2
      case FieldId::ContentLength:
        if (!length_.empty() || value.empty() || !all(value, kDigitByte)) return false;
        length_ = value;
        return true;
      case FieldId::Trailer: trailers_ = true; break;
      default: break;
    }
    if (answer_.switched && name == "sec-websocket-accept") return true;
    if (name == "content-type") trailers_ = trailers_ || is_grpc(value);
    out_.append(name).append(": ").append(value).append("\r\n");
    return true;
  }

  // A body whose length is told may have no trailers behind it in HTTP/1.1: where some are to be expected it goes on in chunks.
  void settle_body(const H2Asked& asked, bool end) {
    const bool none = asked.head || answer_.status == 204 || answer_.status == 304;
    if (answer_.interim || answer_.switched) return;
    if (none || (!length_.empty() && (end || !trailers_))) {
      // A 204 has none (RFC 9110 section 8.6).
      if (!length_.empty() && answer_.status != 204) out_.append("Content-Length: ").append(length_).append("\r\n");
    } else if (end) {
      out_.append("Content-Length: 0\r\n");
    } else {
      answer_.chunked = true;
      out_.append("Transfer-Encoding: chunked\r\n");
    }
  }

  const H2Block& block_;
  const Limits& limits_;
  std::string& out_;
  const std::size_t before_;
  H2Answer answer_;
  std::string_view length_;
  bool trailers_ = false;  // some are to be expected
};

H2Answer append_h2_response(const H2Block& block, const Limits& limits, const H2Asked& asked, bool end,
                            std::string& out) {
  return H2AnswerReader(block, limits, out).read(asked, end);
}

}  // namespace ferrotunnel::http
