// Writer: writes one control message as a JSON object. For control.cc and tunnel_fields.cc alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "wire/base64.h"

namespace ferrotunnel::wire {

// Appends one JSON object, field by field.
class Writer {
 public:
  explicit Writer(std::string_view type) {
    out_.reserve(256);
    text("type", type);
  }

  void text(std::string_view field, std::string_view value) {
    key(field);
    quoted(value);
  }
  void texts(std::string_view field, const std::vector<std::string>& values) {
    key(field);
    out_ += '[';
    for (const std::string& value : values) {
      if (&value != &values.front()) out_ += ',';
      quoted(value);
    }
    out_ += ']';
  }
  void open(std::string_view field) {
    key(field);
    out_ += '{';
  }
  void close() { out_ += '}'; }
  void open_list(std::string_view field) {
    key(field);
    out_ += '[';
  }
  void open_item() {
    if (!out_.ends_with('[')) out_ += ',';
    out_ += '{';
  }
  void close_list() { out_ += ']'; }
  void bytes(std::string_view field, ConstBytes value) { text(field, base64url_encode(value)); }
  void number(std::string_view field, std::uint64_t value) {
    key(field);
    out_ += std::to_string(value);
  }
  void flag(std::string_view field) {
    key(field);
    out_ += "true";
  }
  std::string finish() { return std::move(out_ += '}'); }

 private:
  void quoted(std::string_view value) {
    constexpr std::string_view kShort = "\n\r\t\b\f";
    out_ += '"';
    for (const char c : value) {
      const auto u = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (const std::size_t at = kShort.find(c); at != std::string_view::npos) {
        out_ += '\\';
        out_ += "nrtbf"[at];  // never longer than what a peer wrote
      } else if (u < 0x20) {
        constexpr std::string_view kHex = "0123456789abcdef";
        out_.append("\\u00") += kHex[u >> 4];
        out_ += kHex[u & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }
  void key(std::string_view field) {
    if (out_.empty()) {
      out_ += '{';
    } else if (out_.back() != '{') {
      out_ += ',';
    }
    out_.append("\"").append(field).append("\":");
  }

  std::string out_;
};

}  // namespace ferrotunnel::wire
