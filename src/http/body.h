// BodyFramer: where a message's body ends, byte by byte, without holding any of it (RFC 9112 sections 6 and 7).
//
// The bytes it has consumed may be passed on verbatim: chunk lines and trailers were checked strictly, so the next parser reads the same
// body. With a sink it also gives the payload alone (for HTTP/1.0 visitors, inspectors, tests). Owner's thread; about 80 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/limits.h"
#include "http/message.h"

namespace ferrotunnel::http {

enum class BodyError : std::uint8_t {
  None,
  ChunkSize,         // not 1 to 16 hex digits, or more than 2^63-1
  ChunkExtension,    // not RFC 9112 section 7.1.1
  ChunkLineTooLong,  // limits.chunk_line_bytes
  ChunkOverhead,     // limits.chunk_overhead_bytes
  ChunkEnd,          // a line or a chunk's payload not ended by CRLF
  TrailerField,      // not a field line
  TrailerForbidden,  // a field that may not come after the body, such as content-length
  TrailersTooLarge,  // limits.trailer_bytes
};
[[nodiscard]] std::string_view slug(BodyError error);
[[nodiscard]] std::string_view sentence(BodyError error);

// Whether a field of this name may not come after the body (RFC 9110 section 6.5.1).
[[nodiscard]] bool forbidden_trailer(std::string_view name);

// Takes the lines out whose names are alike() to one of these. `section`: field lines that BodyFramer has checked, with or without the empty one.
void remove_trailers(std::string& section, std::span<const std::string_view> names);

class BodyFramer {
 public:
  struct Step {
    std::size_t consumed = 0;  // how many of the bytes belong to this message; on error, those before the wrong one
    bool done = false;         // the message ended with them
    BodyError error = BodyError::None;  // stays; both connections are of no more use
  };

  BodyFramer() : BodyFramer(Framing::none()) {}
  // White space in chunk lines, outside quoted strings: nobody may write it (RFC 9112 section 7.1.1), old servers do.
  enum class ChunkSpace : std::uint8_t { Passes, Refused };
  explicit BodyFramer(Framing framing, const Limits& limits = {}, ChunkSpace space = ChunkSpace::Passes);

  [[nodiscard]] Step feed(std::string_view in) {
    return feed(in, [](std::string_view) {});
  }
  // Calls sink(std::string_view payload) for each piece of payload, in order; views into `in`.
  template <class Sink>
  [[nodiscard]] Step feed(std::string_view in, Sink&& sink) {
    return feed(in, sink, [](std::string_view) {});
  }
  // And trailers(std::string_view bytes) for those of the trailer section, its empty line included.
  template <class Sink, class TrailerSink>
  [[nodiscard]] Step feed(std::string_view in, Sink&& sink, TrailerSink&& trailers) {
    Step all;
    do {
      std::string_view payload;
      const bool behind = in_trailers();
      const std::size_t n = advance(in.substr(all.consumed), payload);
      if (!payload.empty()) sink(payload);
      if (behind && n != 0) trailers(in.substr(all.consumed, n));
      all.consumed += n;
    } while (all.consumed < in.size() && !done() && error_ == BodyError::None);
    all.done = done();
    all.error = error_;
    return all;
  }

  // Bytes that will be payload whatever they are: they may be spliced unseen, then told to pass_opaque(). Without end for UntilClose.
  [[nodiscard]] std::uint64_t opaque() const { return state_ == State::Payload ? left_ : 0; }
  void pass_opaque(std::uint64_t n);

  // The same number by its other name: Length: payload bytes still to come. Chunked: those of the chunk at hand, 0 between chunks.
  [[nodiscard]] std::uint64_t remaining() const { return opaque(); }
  [[nodiscard]] bool done() const { return state_ == State::Done; }
  [[nodiscard]] BodyError error() const { return error_; }
  [[nodiscard]] Framing::Kind kind() const { return kind_; }
  // The sender's FIN came. True: the body is whole (and done() from now on). False: it was cut off.
  [[nodiscard]] bool finish_at_eof();

 private:
  enum class State : std::uint8_t {
    Payload,
    Size,
    ExtBegin,
    ExtNameBegin,
    ExtName,
    ExtNameGap,
    ExtValueBegin,
    ExtToken,
    ExtQuoted,
    ExtQuotedPair,
    ExtValueEnd,
    SizeLf,
    PayloadCr,
    PayloadLf,
    TrailerBegin,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
  };

  [[nodiscard]] bool in_trailers() const { return state_ >= State::TrailerBegin && state_ <= State::EndLf; }
  // At most one piece of payload, and nothing of the trailers with what is before them.
  std::size_t advance(std::string_view in, std::string_view& payload);
  std::size_t advance_payload(std::string_view in, std::string_view& payload);
  bool on_size(char c);
  bool on_extension(char c);
  bool on_size_lf(char c);
  bool next_in_extension(char c);
  bool on_trailer(char c);
  bool on_trailer_name(char c);
  bool fail(BodyError error);

  static constexpr std::size_t kNameKept = 20;  // more than the longest forbidden trailer name

  Framing::Kind kind_;
  ChunkSpace space_;
  State state_;
  BodyError error_ = BodyError::None;
  std::uint8_t digits_ = 0;
  std::uint8_t name_length_ = 0;  // of the trailer name at hand, at most kNameKept
  std::array<char, kNameKept> name_{};
  std::uint32_t line_ = 0;      // bytes of the chunk line at hand
  std::uint32_t trailers_ = 0;  // bytes of trailers
  std::uint32_t overhead_ = 0;  // chunk line bytes that no payload has paid for
  std::uint32_t max_line_;
  std::uint32_t max_overhead_;
  std::uint32_t max_trailers_;
  std::uint64_t left_;
};

}  // namespace ferrotunnel::http
