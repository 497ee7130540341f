#include "http/h2/h2_request.h"

#include <algorithm>
#include <array>

#include "http/body.h"
#include "http/chars.h"
#include "http/h1_fault.h"
#include "http/h1_fields.h"
#include "http/host.h"

namespace ferrotunnel::http {
namespace {

constexpr std::string_view kWebSocket = "websocket";

H2Read refuse_h2(HeadFault fault) { return {H2Read::Status::Refused, &refusal_of(fault, HeadScanner::Kind::Request)}; }
constexpr H2Read kMalformed{H2Read::Status::Malformed, nullptr};

bool is_lower_token(std::string_view name) {
  if (!is_token(name)) return false;
  return std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// RFC 9113 section 8.2.1.
bool is_value(std::string_view value) { return all(value, kValueByte) && trim(value).size() == value.size(); }

// RFC 9113 section 8.2.2.
bool connection_specific(const Field& field) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return true;
    case FieldId::Te: return !iequals(field.value, "trailers");
    default: return false;
  }
}

struct Pseudo {
  bool method = false, scheme = false, authority = false, path = false, protocol = false;
  std::string_view protocol_value;
};

// Each once, and before the others.
bool take_pseudo(std::string_view name, std::string_view value, Pseudo& seen, RequestHead& out) {
  const auto once = [value](bool& flag, std::string_view& into) {
    if (flag) return false;
    flag = true;
    into = value;
    return true;
  };
  if (name == ":method") return once(seen.method, out.method_text) && is_token(value);
  if (name == ":scheme") return once(seen.scheme, out.scheme);
  if (name == ":authority") return once(seen.authority, out.authority);
  if (name == ":path") return once(seen.path, out.target) && !value.empty();
  if (name == ":protocol") return once(seen.protocol, seen.protocol_value) && is_token(value);
  return false;
}

}  // namespace

void H2Block::clear() {
  text_.clear();
  lines_.clear();
  decoded_ = 0;
  too_large_ = too_many_ = false;
}

void H2Block::add(std::string_view name, std::string_view value, const Limits& limits) {
  decoded_ += name.size() + value.size() + kFieldOverhead;
  // The overhead is not counted here: as HTTP/1.1 the line has four bytes of it.
  if (text_.size() + name.size() + value.size() + 4 > limits.head_bytes) too_large_ = true;
  if (lines_.size() >= limits.fields + std::size_t{5}) too_many_ = true;
  if (overflow()) return;
  lines_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                    static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(value);
}

// One pass over a block, then what its parts say together.
class H2Reader {
 public:
  H2Reader(H2Block& block, const Limits& limits, bool end, RequestHead& out)
      : block_(block), limits_(limits), end_(end), out_(out) {}

  H2Read read() {
    out_.reset();
    join_cookies();
    if (H2Read lines = read_lines(); lines.status != H2Read::Status::Good) return lines;
    out_.method = method_of(out_.method_text);
    // Before what is missing: that may be among what was dropped.
    if (block_.too_large_) return refuse_h2(HeadFault::HeadTooLarge);
    if (block_.too_many_ || out_.fields.size() > limits_.fields) return refuse_h2(HeadFault::TooManyFields);
    if (!seen_.method) return kMalformed;
    if (H2Read form = settle_form(); form.status != H2Read::Status::Good) return form;
    if (out_.method_text.size() > limits_.method_bytes) return refuse_h2(HeadFault::MethodTooLong);
    if (H2Read target = settle_target(); target.status != H2Read::Status::Good) return target;
    if (H2Read host = settle_host(); host.status != H2Read::Status::Good) return host;
    return settle_body();
  }

  static bool trailers(const H2Block& block, const Limits& limits, std::string& out);

 private:
  [[nodiscard]] static std::string_view name_of(const H2Block& block, const H2Block::Line& line) {
    return std::string_view(block.text_).substr(line.begin, line.name);
  }
  [[nodiscard]] static std::string_view value_of(const H2Block& block, const H2Block::Line& line) {
    return std::string_view(block.text_).substr(line.begin + line.name, line.value);
  }

  // RFC 9113 section 8.2.3: crumbs become one field again, where the first of them stood.
  void join_cookies() {
    const auto is_cookie = [this](const H2Block::Line& line) { return name_of(block_, line) == "cookie"; };
    auto& lines = block_.lines_;
    const auto first = std::ranges::find_if(lines, is_cookie);
    if (first == lines.end() || std::none_of(first + 1, lines.end(), is_cookie)) return;
    const std::size_t begin = block_.text_.size();
    std::string& text = block_.text_;
    text += "cookie";
    std::size_t size = 0;
    for (auto line = first; line != lines.end(); ++line) {
      if (!is_cookie(*line)) continue;
      if (line != first) {
        text += "; ";
        size += 2;
      }
      text.append(std::string(value_of(block_, *line)));
      size += line->value;
    }
    *first = {static_cast<std::uint32_t>(begin), 6, static_cast<std::uint32_t>(size)};
    lines.erase(std::remove_if(first + 1, lines.end(), is_cookie), lines.end());
  }

  H2Read read_lines() {
    bool fields_began = false;
    for (const H2Block::Line& line : block_.lines_) {
      const std::string_view name = name_of(block_, line);
      const std::string_view value = value_of(block_, line);
      if (!is_value(value)) return kMalformed;
      if (name.starts_with(':')) {
        if (fields_began || !take_pseudo(name, value, seen_, out_)) return kMalformed;
        continue;
      }
      fields_began = true;
      if (!is_lower_token(name)) return kMalformed;
      const Field field{name, value, field_id(name)};
      if (connection_specific(field)) return kMalformed;
      if (H2Read fact = take_fact(field); fact.status != H2Read::Status::Good) return fact;
      out_.fields.add(field);
    }
    return {};
  }

  H2Read take_fact(const Field& field) {
    switch (field.id) {
      case FieldId::ContentLength: return take_length(field.value);
      case FieldId::Host:
        if (has_host_) return kMalformed;
        has_host_ = true;
        host_ = field.value;
        return {};
      case FieldId::Expect:
        expect_ = true;
        if (!iequals(field.value, "100-continue")) unmet_ = true;
        return {};
      default: return {};
    }
  }

  H2Read take_length(std::string_view value) {
    if (has_length_ || value.empty() || !all(value, kDigitByte)) return kMalformed;
    has_length_ = true;
    for (const char c : value) {
      const auto digit = static_cast<std::uint64_t>(c - '0');
      if (length_ > (static_cast<std::uint64_t>(INT64_MAX) - digit) / 10) return kMalformed;
      length_ = length_ * 10 + digit;
    }
    return {};
  }

  // Which pseudo-headers there have to be (RFC 9113 section 8.3.1 and 8.5, RFC 8441 section 4).
  H2Read settle_form() {
    if (out_.method == Method::Connect && !seen_.protocol)
      return seen_.scheme || seen_.path || !seen_.authority ? kMalformed : H2Read{};
    if (seen_.protocol && out_.method != Method::Connect) return kMalformed;
    if (seen_.protocol && !seen_.authority) return kMalformed;
    if (!seen_.scheme || !seen_.path) return kMalformed;
    if (!iequals(out_.scheme, "http") && !iequals(out_.scheme, "https")) return refuse_h2(HeadFault::Scheme);
    return {};
  }

  // RFC 9113 section 8.5: :authority is the target, and has a port.
  H2Read settle_connect_target() {
    const auto authority = split_authority(out_.authority);
    if (!authority || authority->port == 0) return refuse_h2(HeadFault::ConnectTarget);
    out_.form = TargetForm::Authority;
    out_.target = out_.authority;
    return {};
  }

  H2Read settle_target() {
    if (connects()) return settle_connect_target();
    if (out_.target.size() > limits_.target_bytes) return refuse_h2(HeadFault::TargetTooLong);
    if (!all(out_.target, kTargetByte))
      return out_.target.contains('#') ? refuse_h2(HeadFault::TargetFragment) : refuse_h2(HeadFault::TargetByte);
    if (out_.target == "*") {
      if (out_.method != Method::Options) return kMalformed;
      out_.form = TargetForm::Asterisk;
    } else if (out_.target.front() != '/') {
      return kMalformed;
    }
    out_.path_and_query = out_.target;
    const std::size_t mark = out_.target.find('?');
    out_.path = out_.target.substr(0, mark);
    if (mark != std::string_view::npos) out_.query = out_.target.substr(mark + 1);
    return {};
  }

  H2Read settle_host() {
    if (!seen_.authority && !has_host_) return refuse_h2(HeadFault::HostMissing);
    if (!seen_.authority) out_.authority = host_;
    if (out_.authority.contains('@')) return refuse_h2(HeadFault::Userinfo);
    const auto authority = split_authority(out_.authority);
    if (!authority) return refuse_h2(HeadFault::HostInvalid);
    out_.host = authority->host;
    out_.port = authority->port;
    if (!has_host_ || !seen_.authority || host_ == out_.authority) return {};
    if (!split_authority(host_)) return refuse_h2(HeadFault::HostInvalid);
    const std::uint16_t port = connects() || iequals(out_.scheme, "https") ? 443 : 80;
    return same_authority(host_, out_.authority, port) ? H2Read{} : refuse_h2(HeadFault::HostDiffers);
  }

  H2Read settle_body() {
    if (seen_.protocol) return settle_protocol();
    if (connects()) return settle_connect();
    if (end_ && has_length_ && length_ != 0) return kMalformed;
    if (has_length_) {
      out_.framing = Framing::of_length(length_);
    } else if (!end_) {
      out_.framing = Framing::chunked();
    } else if (out_.method == Method::Post || out_.method == Method::Put || out_.method == Method::Patch) {
      out_.framing = Framing::of_length(0);  // else the origin cannot tell it from a forgotten one
    }
    if (unmet_) return refuse_h2(HeadFault::Expectation);
    out_.expect_continue = expect_ && !out_.framing.empty();
    return {};
  }

  [[nodiscard]] bool connects() const { return out_.method == Method::Connect && !seen_.protocol; }

  // What follows is no body, but the tunnel's.
  H2Read settle_connect() {
    if (has_length_) return refuse_h2(HeadFault::ConnectBody);
    out_.keep_alive = false;
    return unmet_ ? refuse_h2(HeadFault::Expectation) : H2Read{};
  }

  H2Read settle_protocol() {
    if (!iequals(seen_.protocol_value, kWebSocket)) return refuse_h2(HeadFault::Connect);
    if (has_length_ || end_) return kMalformed;
    out_.method = Method::Get;
    out_.method_text = "GET";
    out_.upgrade = true;
    out_.upgrade_protocol = kWebSocket;
    return {};
  }

  H2Block& block_;
  const Limits& limits_;
  const bool end_;
  RequestHead& out_;
  Pseudo seen_;
  std::string_view host_;
  std::uint64_t length_ = 0;
  bool has_host_ = false, has_length_ = false, expect_ = false, unmet_ = false;
};

bool H2Reader::trailers(const H2Block& block, const Limits& limits, std::string& out) {
  if (block.overflow() || block.decoded_ > limits.trailer_bytes) return false;
  for (const H2Block::Line& line : block.lines_) {
    const Field field{name_of(block, line), value_of(block, line), field_id(name_of(block, line))};
    if (!is_lower_token(field.name) || !is_value(field.value) || connection_specific(field)) return false;
    if (forbidden_trailer(field.name)) continue;
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return true;
}

H2Read read_h2_request(H2Block& block, const Limits& limits, bool end, RequestHead& out) {
  return H2Reader(block, limits, end, out).read();
}

bool append_h2_trailers(const H2Block& block, const Limits& limits, std::string& out) {
  return H2Reader::trailers(block, limits, out);
}

}  // namespace ferrotunnel::http
