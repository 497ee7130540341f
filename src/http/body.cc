#include "http/body.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint8_t kMaxSizeDigits = 16;
constexpr std::uint64_t kMaxChunk = std::numeric_limits<std::int64_t>::max();
constexpr std::uint32_t kFreeLineBytes = 16;  // of each chunk line; past them, extensions are paid for by payload
constexpr std::uint32_t kPayloadPays = 2;     // line bytes for each byte of payload

// RFC 9110 section 6.5.1: what would change authority or the meaning of the payload, read too late. The fields that this room knows
// (framing, connection, routing, who the visitor is) are forbidden besides. Shorter than kNameKept.
constexpr std::array<std::string_view, 15> kForbiddenTrailers = {
    "authorization", "cache-control", "content-encoding",  "content-range",    "content-type",
    "cookie",        "if-match",      "if-modified-since", "if-none-match",    "if-range",
    "max-forwards",  "range",         "set-cookie",        "www-authenticate", "if-unmodified-since",
};

unsigned hex_value(char c) {
  return is(c, kDigitByte) ? static_cast<unsigned>(c - '0') : static_cast<unsigned>((c | 0x20) - 'a') + 10;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string_view slug(BodyError error) {
  switch (error) {
    case BodyError::None: return "none";
    case BodyError::ChunkSize: return "chunk-size";
    case BodyError::ChunkExtension: return "chunk-extension";
    case BodyError::ChunkLineTooLong: return "chunk-line-too-long";
    case BodyError::ChunkOverhead: return "chunk-overhead";
    case BodyError::ChunkEnd: return "chunk-end";
    case BodyError::TrailerField: return "trailer-field";
    case BodyError::TrailerForbidden: return "trailer-forbidden";
    case BodyError::TrailersTooLarge: return "trailers-too-large";
  }
  return "unknown";
}

std::string_view sentence(BodyError error) {
  switch (error) {
    case BodyError::None: return "No error.";
    case BodyError::ChunkSize: return "A chunk size is not 1 to 16 hexadecimal digits below 2^63.";
    case BodyError::ChunkExtension: return "A chunk extension is malformed.";
    case BodyError::ChunkLineTooLong: return "A chunk line is longer than the limit.";
    case BodyError::ChunkOverhead: return "Chunk extensions outweigh the payload.";
    case BodyError::ChunkEnd: return "A chunk does not end where its size says, by CR LF.";
    case BodyError::TrailerField: return "A trailer is not a field line ended by CR LF.";
    case BodyError::TrailerForbidden: return "A trailer names a field that may not come after the body.";
    case BodyError::TrailersTooLarge: return "The trailers are larger than the limit.";
  }
  return "Unknown error.";
}

bool forbidden_trailer(std::string_view name) {
  return field_id(name) != FieldId::Other ||
         std::ranges::any_of(kForbiddenTrailers, [name](std::string_view one) { return alike(one, name); });
}

void remove_trailers(std::string& section, std::span<const std::string_view> names) {
  std::string left;
  for (std::string_view rest = section; !rest.empty();) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = end == std::string_view::npos ? rest : rest.substr(0, end + 2);
    rest.remove_prefix(line.size());
    const std::size_t colon = line.find(':');
    const auto is_its = [&](std::string_view name) { return alike(name, line.substr(0, colon)); };
    if (colon == std::string_view::npos || std::ranges::none_of(names, is_its)) left.append(line);
  }
  section = std::move(left);
}

BodyFramer::BodyFramer(Framing framing, const Limits& limits, ChunkSpace space)
    : kind_(framing.kind),
      space_(space),
      state_(State::Payload),
      max_line_(limits.chunk_line_bytes),
      max_overhead_(limits.chunk_overhead_bytes),
      max_trailers_(limits.trailer_bytes),
      left_(0) {
  switch (kind_) {
    case Framing::Kind::None: state_ = State::Done; break;
    case Framing::Kind::Length:
      left_ = framing.length;
      if (left_ == 0) state_ = State::Done;
      break;
    case Framing::Kind::Chunked: state_ = State::Size; break;
    case Framing::Kind::UntilClose: left_ = kEndless; break;
  }
}

bool BodyFramer::finish_at_eof() {
  if (kind_ == Framing::Kind::UntilClose) {
    state_ = State::Done;
    left_ = 0;
  }
  return done();
}

void BodyFramer::pass_opaque(std::uint64_t n) {
  if (kind_ == Framing::Kind::UntilClose || n == 0) return;
  left_ -= std::min(n, left_);
  if (left_ == 0) state_ = kind_ == Framing::Kind::Chunked ? State::PayloadCr : State::Done;
}

bool BodyFramer::fail(BodyError error) {
  error_ = error;
  return false;
}

std::size_t BodyFramer::advance_payload(std::string_view in, std::string_view& payload) {
  payload = in.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), left_)));
  pass_opaque(payload.size());
  return payload.size();
}

std::size_t BodyFramer::advance(std::string_view in, std::string_view& payload) {
  if (error_ != BodyError::None || done()) return 0;
  if (state_ == State::Payload) return advance_payload(in, payload);
  std::size_t used = 0;
  while (used < in.size()) {
    const char c = in[used];
    bool good = false;
    switch (state_) {
      case State::Size: good = on_size(c); break;
      case State::SizeLf:
        good = on_size_lf(c);
        if (good && state_ == State::TrailerBegin) return used + 1;
        break;
      case State::PayloadCr:
        good = c == '\r' || fail(BodyError::ChunkEnd);
        if (good) state_ = State::PayloadLf;
        break;
      case State::PayloadLf:
        good = c == '\n' || fail(BodyError::ChunkEnd);
        if (good) state_ = State::Size;
        break;
      case State::TrailerBegin:
      case State::TrailerName:
      case State::TrailerValue:
      case State::TrailerLf:
      case State::EndLf: good = on_trailer(c); break;
      default: good = on_extension(c); break;
    }
    if (!good) return used;
    ++used;
    if (state_ == State::Payload || done()) return used;
  }
  return used;
}

bool BodyFramer::on_size(char c) {
  if (is(c, kHexByte)) {
    if (digits_ == kMaxSizeDigits || left_ > kMaxChunk / 16) return fail(BodyError::ChunkSize);
    if (line_ == max_line_) return fail(BodyError::ChunkLineTooLong);
    left_ = left_ * 16 + hex_value(c);
    ++digits_;
    ++line_;
    return true;
  }
  if (digits_ == 0) return fail(BodyError::ChunkSize);
  if (c == '\r') {
    state_ = State::SizeLf;
    return true;
  }
  if (c != ';' && !is_space(c)) return fail(BodyError::ChunkSize);
  state_ = State::ExtBegin;
  return on_extension(c);
}

bool BodyFramer::on_extension(char c) {
  if (space_ == ChunkSpace::Refused && is_space(c) && state_ != State::ExtQuoted && state_ != State::ExtQuotedPair)
    return fail(BodyError::ChunkExtension);
  if (c != '\r') {
    if (line_ == max_line_) return fail(BodyError::ChunkLineTooLong);
    ++line_;
  }
  return next_in_extension(c) || fail(BodyError::ChunkExtension);
}

// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), RFC 9112 section 7.1.1. White space that leads to nothing
// is refused: some read "5 \r\n" as a size and some as no size.
bool BodyFramer::next_in_extension(char c) {
  const bool space = is_space(c);
  const bool token = is(c, kTokenByte);
  const auto go = [this](State next) {
    state_ = next;
    return true;
  };
  switch (state_) {
    case State::ExtBegin:
      if (space) return true;
      return c == ';' && go(State::ExtNameBegin);
    case State::ExtNameBegin:
      if (space) return true;
      return token && go(State::ExtName);
    case State::ExtName:
      if (token) return true;
      if (c == '\r') return go(State::SizeLf);
      if (space) return go(State::ExtNameGap);
      [[fallthrough]];
    case State::ExtNameGap:
      if (space) return true;
      if (c == '=') return go(State::ExtValueBegin);
      return c == ';' && go(State::ExtNameBegin);
    case State::ExtValueBegin:
      if (space) return true;
      if (c == '"') return go(State::ExtQuoted);
      return token && go(State::ExtToken);
    case State::ExtQuoted:
      if (c == '"') return go(State::ExtValueEnd);
      if (c == '\\') return go(State::ExtQuotedPair);
      return is(c, kValueByte);
    case State::ExtQuotedPair: return is(c, kValueByte) && go(State::ExtQuoted);
    case State::ExtToken:
      if (token) return true;
      [[fallthrough]];
    case State::ExtValueEnd:
      if (c == '\r') return go(State::SizeLf);
      if (space) return go(State::ExtBegin);
      return c == ';' && go(State::ExtNameBegin);
    default: return false;
  }
}

bool BodyFramer::on_size_lf(char c) {
  if (c != '\n') return fail(BodyError::ChunkEnd);
  const std::uint64_t paid =
      left_ > std::uint64_t{max_overhead_} + max_line_ ? kEndless : kFreeLineBytes + kPayloadPays * left_;
  overhead_ = static_cast<std::uint32_t>(overhead_ + line_ - std::min<std::uint64_t>(overhead_ + line_, paid));
  if (overhead_ > max_overhead_) return fail(BodyError::ChunkOverhead);
  line_ = 0;
  digits_ = 0;
  state_ = left_ == 0 ? State::TrailerBegin : State::Payload;
  return true;
}

bool BodyFramer::on_trailer(char c) {
  if (trailers_ == max_trailers_) return fail(BodyError::TrailersTooLarge);
  ++trailers_;
  switch (state_) {
    case State::TrailerBegin:
      name_length_ = 0;
      if (c == '\r') {
        state_ = State::EndLf;
        return true;
      }
      state_ = State::TrailerName;
      return on_trailer_name(c);
    case State::TrailerName: return on_trailer_name(c);
    case State::TrailerValue:
      if (c == '\r') state_ = State::TrailerLf;
      return c == '\r' || is(c, kValueByte) || fail(BodyError::TrailerField);
    case State::TrailerLf: state_ = State::TrailerBegin; return c == '\n' || fail(BodyError::TrailerField);
    default:
      if (c != '\n') return fail(BodyError::TrailerField);
      state_ = State::Done;
      return true;
  }
}

bool BodyFramer::on_trailer_name(char c) {
  if (is(c, kTokenByte)) {
    if (name_length_ < kNameKept) name_[name_length_++] = to_lower(c);
    return true;
  }
  if (c != ':' || name_length_ == 0) return fail(BodyError::TrailerField);
  const std::string_view name(name_.data(), name_length_);
  if (forbidden_trailer(name)) return fail(BodyError::TrailerForbidden);
  state_ = State::TrailerValue;
  return true;
}

}  // namespace ferrotunnel::http
