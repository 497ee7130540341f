#include <algorithm>
#include <cstring>

#include "http/chars.h"
#include "http/h1_fault.h"
#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

constexpr std::string_view kResponseStart = "HTTP/";

// Bytes of a request line, without its CRLF, that could still be within the limits of its parts.
std::uint32_t longest_request_line(const Limits& limits) {
  return limits.method_bytes + 1 + limits.target_bytes +
         static_cast<std::uint32_t>(std::string_view(" HTTP/1.1").size());
}

}  // namespace

Parse HeadScanner::fail(HeadFault fault) {
  refusal_ = &refusal_of(fault, kind_);
  return {Parse::Status::Bad, 0, refusal_};
}

// Looks at the first bytes, so that what is no HTTP at all (TLS, SSH) is told at once and not when a line end never comes.
HeadFault HeadScanner::check_start(std::string_view buffer) {
  if (kind_ == Kind::Response) {
    const std::size_t n = std::min(buffer.size(), kResponseStart.size());
    if (buffer.substr(0, n) != kResponseStart.substr(0, n)) return HeadFault::NotHttp;
    started_ = n == kResponseStart.size();
    return HeadFault::None;
  }
  // RFC 9112 section 2.2: an empty line before a request is to be ignored. One is enough for the old clients that it is for.
  if (begin_ == 0 && buffer[0] == '\r') {
    if (buffer.size() < 2) return HeadFault::None;
    if (buffer[1] != '\n') return HeadFault::BareCr;
    begin_ = scanned_ = line_start_ = 2;
  }
  if (buffer.size() == begin_) return HeadFault::None;
  const char first = buffer[begin_];
  if (first == '\n') return HeadFault::BareLf;
  if (first == '\r') return HeadFault::EmptyLines;
  if (!is(first, kTokenByte)) return HeadFault::NotHttp;
  started_ = true;
  return HeadFault::None;
}

Parse HeadScanner::scan(std::string_view buffer, const Limits& limits) {
  if (refusal_ != nullptr) return {Parse::Status::Bad, 0, refusal_};
  if (!started_) {
    if (buffer.empty()) return {};
    if (const HeadFault fault = check_start(buffer); fault != HeadFault::None) return fail(fault);
    if (!started_) return {};
  }
  const std::size_t limit = std::size_t{begin_} + limits.head_bytes;
  const char* const data = buffer.data();
  const auto size = static_cast<std::uint32_t>(std::min(buffer.size(), limit));
  const std::uint32_t longest_first = kind_ == Kind::Request ? longest_request_line(limits) : limits.head_bytes;
  while (scanned_ < size) {
    const void* found = std::memchr(data + scanned_, '\n', size - scanned_);
    const auto lf = found != nullptr ? static_cast<std::uint32_t>(static_cast<const char*>(found) - data) : size;
    scanned_ = lf;
    if (lines_ == 0 && lf - line_start_ > longest_first + 1) return fail(HeadFault::TargetTooLong);  // + 1: its CR
    if (found == nullptr) break;
    if (lf == line_start_ || data[lf - 1] != '\r') return fail(HeadFault::BareLf);
    scanned_ = lf + 1;
    if (lf - line_start_ == 1) return {Parse::Status::Done, scanned_, nullptr};
    if (++lines_ > limits.fields + 1) return fail(HeadFault::TooManyFields);  // + 1: the start line
    line_start_ = scanned_;
  }
  if (buffer.size() >= limit) return fail(HeadFault::HeadTooLarge);
  return {};
}

}  // namespace ferrotunnel::http
