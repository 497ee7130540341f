#include "base/error.h"

#include <cerrno>
#include <system_error>

#include "base/descriptor_budget.h"

namespace ferrotunnel {

std::string_view to_string(Side side) {
  switch (side) {
    case Side::Visitor: return "visitor";
    case Side::Tunnel: return "tunnel";
    case Side::Origin: return "origin";
    case Side::Local: return "local";
  }
  return "?";
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::Io: return "io";
    case ErrorCode::Closed: return "closed";
    case ErrorCode::Timeout: return "timeout";
    case ErrorCode::Protocol: return "protocol";
    case ErrorCode::Version: return "version";
    case ErrorCode::Unauthorized: return "unauthorized";
    case ErrorCode::Refused: return "refused";
    case ErrorCode::Limit: return "limit";
    case ErrorCode::BadInput: return "bad-input";
    case ErrorCode::AddressInUse: return "address-in-use";
    case ErrorCode::Resolve: return "resolve";
    case ErrorCode::Unreachable: return "unreachable";
    case ErrorCode::Tls: return "tls";
    case ErrorCode::PinMismatch: return "pin-mismatch";
    case ErrorCode::Cancelled: return "cancelled";
    case ErrorCode::Internal: return "internal";
  }
  return "?";
}

namespace {

std::string limit_text() {
  const std::uint64_t limit = descriptor_limit();
  return "this process may have " + (limit == UINT64_MAX ? std::string("no more") : std::to_string(limit));
}

}  // namespace

Error errno_error(int err, Side side, std::string_view what) {
  ErrorCode code = ErrorCode::Io;
  bool retry = true;
  switch (err) {
    case EADDRINUSE: code = ErrorCode::AddressInUse; break;
    case ETIMEDOUT: code = ErrorCode::Timeout; break;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOENT: code = ErrorCode::Unreachable; break;
    case EACCES:
    case EPERM: retry = false; break;
    default: break;
  }
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(err);
  if (err == EMFILE || err == ENFILE) {
    code = ErrorCode::Limit;
    text += err == ENFILE ? " (of this machine: fs.file-max)" : " (" + limit_text() + ", as ulimit -n says)";
  }
  return {code, side, retry, std::move(text)};
}

}  // namespace ferrotunnel
