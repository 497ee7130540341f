// What went wrong, on which side, and whether trying again can help.
//
// Every call of this library that can fail gives a Result (std::expected). An Error names the side at fault, so that whoever meets
// it knows who has to act. Values: they copy freely and hold no resources. Any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace ferrotunnel {

enum class Side : std::uint8_t {
  Visitor,  // whoever connects from outside
  Tunnel,   // the connection between client and server, or the program at its other end
  Origin,   // the local service
  Local,    // this program, its machine, its configuration
};

enum class ErrorCode : std::uint8_t {
  Io,            // a system call failed; the context has the system's words
  Closed,        // the other end closed in an orderly way
  Timeout,       // a deadline passed
  Protocol,      // the peer broke the wire protocol
  Version,       // the peer speaks another version
  Unauthorized,  // the token was not accepted
  Refused,       // understood and denied, by a rule or a limit
  Limit,         // a named limit was reached
  BadInput,      // an argument, an option or a configuration value is not valid
  AddressInUse,  // a port or a name is held by someone else
  Resolve,       // a name did not resolve
  Unreachable,   // nothing answers there
  Tls,           // the TLS handshake or a record failed
  PinMismatch,   // the server's key is not the one in the token
  Cancelled,     // stopped by our own side
  Internal,      // should not happen; not the caller's fault
};

struct Error {
  ErrorCode code = ErrorCode::Internal;
  Side side = Side::Local;
  bool retry = false;   // whether the same call may succeed later without anyone acting
  std::string context;  // one sentence for a person, ending with what to do where that is known

  Error() = default;
  Error(ErrorCode c, Side s, bool r, std::string text) : code(c), side(s), retry(r), context(std::move(text)) {}
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] std::string_view to_string(Side side);       // "visitor", …
[[nodiscard]] std::string_view to_string(ErrorCode code);  // "address-in-use", …

}  // namespace ferrotunnel
