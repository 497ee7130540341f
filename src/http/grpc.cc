#include "http/grpc.h"

#include <algorithm>
#include <chrono>

#include "http/chars.h"

namespace ferrotunnel::http {

namespace {
// The type, or a kind of it ("TYPE+proto"), parameters or none.
bool is_of_type(std::string_view content_type, std::string_view type) {
  if (content_type.size() < type.size() || !iequals(content_type.substr(0, type.size()), type)) return false;
  const std::string_view rest = content_type.substr(type.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';' || rest.front() == ' ' || rest.front() == '\t';
}
}  // namespace

bool is_grpc(std::string_view content_type) { return is_of_type(content_type, "application/grpc"); }

bool is_grpc_web(std::string_view content_type) {
  return is_of_type(content_type, "application/grpc-web") || is_of_type(content_type, "application/grpc-web-text");
}

std::optional<Duration> grpc_timeout(std::string_view value) {
  constexpr std::size_t kMostDigits = 8;
  if (value.size() < 2 || value.size() > kMostDigits + 1) return {};
  const std::string_view digits = value.substr(0, value.size() - 1);
  if (!all(digits, kDigitByte)) return {};
  std::int64_t number = 0;
  for (const char c : digits) number = number * 10 + (c - '0');
  const auto of = [](auto duration) {  // eight digits of hours are more than a Duration holds
    using Unit = decltype(duration);
    return std::chrono::duration_cast<Duration>(std::min(duration, std::chrono::duration_cast<Unit>(Duration::max())));
  };
  switch (value.back()) {
    case 'H': return of(std::chrono::hours(number));
    case 'M': return of(std::chrono::minutes(number));
    case 'S': return of(std::chrono::seconds(number));
    case 'm': return of(std::chrono::milliseconds(number));
    case 'u': return of(std::chrono::microseconds(number));
    case 'n': return of(std::chrono::nanoseconds(number));
    default: return {};
  }
}

GrpcStatus grpc_status_of(std::uint16_t http_status) {
  switch (http_status) {
    case 400:
    case 413:
    case 414:
    case 417: return GrpcStatus::InvalidArgument;
    case 401: return GrpcStatus::Unauthenticated;
    case 403: return GrpcStatus::PermissionDenied;
    case 404:
    case 501: return GrpcStatus::Unimplemented;
    case 408:
    case 499: return GrpcStatus::Cancelled;
    case 504: return GrpcStatus::DeadlineExceeded;
    case 429:
    case 431: return GrpcStatus::ResourceExhausted;
    case 500:
    case 508: return GrpcStatus::Internal;
    case 421:
    case 502:
    case 503: return GrpcStatus::Unavailable;
    default: return GrpcStatus::Unknown;
  }
}

namespace {

// grpc-message: per cent encoded (PROTOCOL-HTTP2.md, "Percent-Byte-Encoded").
void append_message(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

}  // namespace

std::string make_grpc_error_response(const ErrorPage& page) {
  std::string out = "HTTP/1.1 200 OK\r\nContent-Type: ";
  out += is_grpc_web(page.asked_type) ? trim(page.asked_type.substr(0, page.asked_type.find(';'))) : "application/grpc";
  if (!page.date.empty()) out.append("\r\nDate: ").append(page.date);
  out.append("\r\nContent-Length: 0\r\ngrpc-status: ");
  out.append(std::to_string(static_cast<unsigned>(grpc_status_of(page.status)))).append("\r\ngrpc-message: ");
  append_message(out, page.slug);
  out += ": ";
  append_message(out, trim(page.sentence));
  out.append("\r\nFerrotunnel-Error: ").append(page.slug);
  out.append("\r\nFerrotunnel-Side: ").append(to_string(page.side)).append("\r\n");
  if (!page.request_id.empty()) out.append("X-Request-Id: ").append(page.request_id).append("\r\n");
  if (!page.hsts.empty()) out.append("Strict-Transport-Security: ").append(page.hsts).append("\r\n");
  if (!page.keep_alive) out.append("Connection: close\r\n");
  out.append(page.more).append("\r\n");
  return out;
}

}  // namespace ferrotunnel::http
