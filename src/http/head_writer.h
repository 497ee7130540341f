// HeadWriter: appends the lines of a head to a string that was made large enough beforehand, so that no line checks for room.
//
// This room's own. The caller gives an upper bound of what will be written; the string keeps what was.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "http/chars.h"
#include "http/message.h"

namespace ferrotunnel::http {

class HeadWriter {
 public:
  void put(std::string_view text) {
    if (text.empty()) return;  // its data() may be null
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put(char c) { *at_++ = c; }
  void field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put(value);
    put("\r\n");
  }
  // For values that were not parsed here: a byte that cannot stand in a value (a line end above all) is left out.
  void clean_field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put_clean(value);
    put("\r\n");
  }
  void put_clean(std::string_view text) {
    for (const char c : text)
      if (is(c, kValueByte)) put(c);
  }
  void put_number(std::uint64_t number) { at_ = std::to_chars(at_, at_ + kMaxDigits, number).ptr; }
  void framing(const Framing& framing) {
    if (framing.kind == Framing::Kind::Chunked) put("Transfer-Encoding: chunked\r\n");
    if (framing.kind != Framing::Kind::Length) return;
    put("Content-Length: ");
    put_number(framing.length);
    put("\r\n");
  }
  // Whether more may be asked on the connection, where the visitor's version does not take it for granted.
  void connection(bool keep_alive, std::uint8_t visitor_minor) {
    if (!keep_alive) {
      put("Connection: close\r\n");
    } else if (visitor_minor == 0) {
      put("Connection: keep-alive\r\n");
    }
  }

  // Runs write(HeadWriter&), which writes at most `bound` bytes.
  template <class Write>
  static void append(std::string& out, std::size_t bound, Write&& write) {
    const std::size_t before = out.size();
    out.resize_and_overwrite(before + bound, [&](char* data, std::size_t) {
      HeadWriter writer(data + before);
      write(writer);
      return static_cast<std::size_t>(writer.at_ - data);
    });
  }

  static constexpr std::size_t kMaxDigits = 20;
  static constexpr std::size_t kSeparators = 4;  // of a field line: ": " and CRLF

 private:
  explicit HeadWriter(char* at) : at_(at) {}
  char* at_;
};

// Room for every field of a head as it is.
[[nodiscard]] inline std::size_t bound_of(const Fields& fields) {
  std::size_t bound = 0;
  for (const Field& field : fields) bound += field.name.size() + field.value.size() + HeadWriter::kSeparators;
  return bound;
}

// Whether Connection names this field. Bounded by limits.connection_options.
[[nodiscard]] inline bool named_by_connection(const Fields& fields, std::string_view name) {
  for (const Field& field : fields)
    if (field.id == FieldId::Connection && list_has(field.value, name)) return true;
  return false;
}

}  // namespace ferrotunnel::http
