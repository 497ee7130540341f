// CONTROL messages of docs/wire-protocol.md section 4: JSON text <-> values.
//
// decode() takes whatever a peer sends: every field of a value it gives was present, of the right type, and within the limits
// below. Text fields (text, version, session, url, host) are valid UTF-8 and otherwise as the peer chose them: escape them where
// they are shown (clean_text). No state, no I/O; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "wire/limits.h"

namespace ferrotunnel::wire {

// Bytes of UTF-8. A handshake message stays under 4,096 bytes even when JSON escapes every one of them.
inline constexpr std::size_t kMaxName = 64;  // grant, name
inline constexpr std::size_t kMaxVersion = 64;
inline constexpr std::size_t kMaxSession = 128;
inline constexpr std::size_t kMaxCode = 64;
inline constexpr std::size_t kMaxText = 512;
inline constexpr std::size_t kMaxHost = 253;  // RFC 1035
inline constexpr std::size_t kMaxUrl = 1024;
inline constexpr std::size_t kMaxDepth = 8;  // nesting of the JSON
inline constexpr std::uint32_t kMinHeartbeatMs = 100;
inline constexpr std::uint32_t kMaxHeartbeatMs = 600'000;

using Nonce = std::array<std::byte, 32>;
using Proof = std::array<std::byte, 32>;
using InstanceId = std::array<std::byte, 16>;

struct Challenge {
  Nonce nonce{};
  std::string version;
  bool operator==(const Challenge&) const = default;
};

struct Auth {
  std::string grant;
  Nonce nonce{};
  Proof proof{};
  InstanceId instance{};
  std::string version;
  bool operator==(const Auth&) const = default;
};

struct Welcome {
  Proof proof{};
  std::string session;
  std::uint32_t heartbeat_ms = 3000;
  bool operator==(const Welcome&) const = default;
};

// Codes of `refused`. A later server may know others: they may pass.
inline constexpr std::string_view kRefusedUnauthorized = "unauthorized";
inline constexpr std::string_view kRefusedExpired = "expired";  // proved, but over
inline constexpr std::string_view kRefusedLimit = "limit";      // proved; as many sessions as the grant may have

struct Refused {
  std::string code;
  std::string text;
  bool operator==(const Refused&) const = default;
};

enum class TunnelProto : std::uint8_t { Tcp, Http };
[[nodiscard]] std::string_view to_string(TunnelProto proto);

struct Register {
  std::uint32_t req = 0;
  std::string name;
  TunnelProto proto = TunnelProto::Tcp;
  std::string host;        // Http; empty: the server picks
  std::uint16_t port = 0;  // Tcp; 0: the server picks
  bool operator==(const Register&) const = default;
};

struct Registered {
  std::uint32_t req = 0;
  std::uint32_t tunnel = 0;  // > 0
  std::string url;
  std::uint16_t port = 0;  // Tcp; 0 otherwise
  bool operator==(const Registered&) const = default;
};

// Codes of `rejected`. A later server may know others: take them as "not-allowed".
inline constexpr std::string_view kRejectHostTaken = "host-taken";
inline constexpr std::string_view kRejectPortTaken = "port-taken";
inline constexpr std::string_view kRejectPortInUse = "port-in-use";
inline constexpr std::string_view kRejectNotAllowed = "not-allowed";
inline constexpr std::string_view kRejectLimit = "limit";
inline constexpr std::string_view kRejectBadRequest = "bad-request";

struct Rejected {
  std::uint32_t req = 0;
  std::string code;
  std::string text;
  bool operator==(const Rejected&) const = default;
};

struct Unregister {
  std::uint32_t tunnel = 0;
  bool operator==(const Unregister&) const = default;
};

// The client's tunnel stays where it is, but what is behind it is another local service: warm connections to the old one are not used for new
// requests; those in flight finish.
struct Update {
  std::uint32_t tunnel = 0;
  bool new_origin = false;
  bool operator==(const Update&) const = default;
};

// The server takes a tunnel back: its grant has changed. The codes are those of `rejected`.
struct Withdrawn {
  std::uint32_t tunnel = 0;
  std::string code;
  std::string text;
  bool operator==(const Withdrawn&) const = default;
};

using ControlMessage =
    std::variant<Challenge, Auth, Welcome, Refused, Register, Registered, Rejected, Unregister, Withdrawn, Update>;

// The JSON of a message. Text meant for people (version, session, text) goes through clean_text() first; every other field is
// the caller's promise to keep within its limit.
[[nodiscard]] std::string encode(const ControlMessage& message);

// Nothing: a type this version does not know. Errors: Protocol, naming the field.
[[nodiscard]] Result<std::optional<ControlMessage>> decode(std::string_view json);

// Text on one line: valid UTF-8 of at most `limit` bytes, cut between characters; broken bytes, control characters and those that
// turn the direction of text become '?'. For what a peer wrote, before a person sees it.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t limit = kMaxText);

// 1-64 of A-Za-z0-9._-
[[nodiscard]] bool valid_name(std::string_view name);

}  // namespace ferrotunnel::wire
