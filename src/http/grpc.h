// gRPC over HTTP/2, as far as a proxy has to know it: which requests are calls, how long they may take, and how a failure of ours is said.
//
// After PROTOCOL-HTTP2.md of gRPC. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/error_page.h"

namespace ferrotunnel::http {

// Of a Content-Type. gRPC-Web is not: it is a request like any other.
[[nodiscard]] bool is_grpc(std::string_view content_type);

// That one: "application/grpc-web", or "application/grpc-web-text", with "+proto" and the like or without.
[[nodiscard]] bool is_grpc_web(std::string_view content_type);

// Of grpc-timeout: up to 8 digits and a unit. Nothing: it is none, or not well-formed; a client that sends such a thing waits as long as it likes.
[[nodiscard]] std::optional<Duration> grpc_timeout(std::string_view value);

enum class GrpcStatus : std::uint8_t {
  Cancelled = 1,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  Unauthenticated = 16,
};
// What an HTTP status of ours is as one of gRPC's. `retry`: it may go better at once.
[[nodiscard]] GrpcStatus grpc_status_of(std::uint16_t http_status);

// A whole HTTP/1.1 response whose head, and there is nothing else, is gRPC's "Trailers-Only" answer: 200, grpc-status, grpc-message.
// gRPC-Web has the same, in its own type; make_error_response() sees to that.
[[nodiscard]] std::string make_grpc_error_response(const ErrorPage& page);

}  // namespace ferrotunnel::http
