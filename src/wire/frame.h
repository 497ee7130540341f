// Frames of docs/wire-protocol.md: the preface, the 8-byte header, and the payloads that are not JSON.
//
// Bytes <-> values, no state, no I/O; any thread. A header is checked for everything that it alone can tell (type, stream, length), so
// that nothing of a wrong frame's payload is ever kept.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "wire/limits.h"

namespace ferrotunnel::wire {

// Bits of Preface::features, optional ones: in force where both sides set them.
inline constexpr std::uint64_t kFeatureDirect = 1;  // further connections may attach to a session, each for one visitor
inline constexpr std::uint64_t kFeatureLinks = 2;   // further connections may attach to a session, each a link of it
inline constexpr std::uint64_t kFeatureOrigin = 4;  // `register` may say what the local service speaks (`origin`)
// Register and Update may have rules, more hosts and paths. (4 is left free.)
inline constexpr std::uint64_t kFeatureRules = 8;
inline constexpr std::uint64_t kFeaturesOfAttach = kFeatureDirect | kFeatureLinks;

struct Preface {
  std::uint8_t major = 1;
  std::uint8_t minor = 0;
  std::uint64_t features = 0;
};
using PrefaceBytes = std::array<std::byte, kPrefaceSize>;
[[nodiscard]] PrefaceBytes encode(const Preface& preface);
// Errors: Protocol (not the magic; close without a word), Version.
[[nodiscard]] Result<Preface> decode_preface(std::span<const std::byte, kPrefaceSize> bytes);
// Whether the bytes, fewer than four or more, can still be the beginning of a preface.
[[nodiscard]] bool may_be_preface(ConstBytes bytes);

enum class FrameType : std::uint8_t {
  Data = 0,
  Open = 1,
  Credit = 2,
  Reset = 3,
  Ping = 4,
  Pong = 5,
  Goaway = 6,
  Control = 7
};
[[nodiscard]] std::string_view to_string(FrameType type);

inline constexpr std::uint8_t kFlagFin = 1;

struct FrameHeader {
  FrameType type = FrameType::Data;
  std::uint8_t flags = 0;    // 4 bits
  std::uint32_t length = 0;  // of the payload, 24 bits
  std::uint32_t stream = 0;

  [[nodiscard]] bool fin() const { return (flags & kFlagFin) != 0; }
};

void encode_header(const FrameHeader& header, std::byte* to);  // writes kHeaderSize bytes
// Errors: Protocol, with a sentence for the log.
[[nodiscard]] Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderSize> bytes);

// OPEN, section 3.
// That of the one OPEN on a direct link (section 8).
inline constexpr std::uint32_t kDirectStream = 2;
struct OpenPayload {
  std::uint32_t tunnel = 0;
  std::uint8_t kind = 1;
  std::uint8_t family = 0;  // 0, 4, 6
  std::uint16_t port = 0;
  std::array<std::byte, 16> address{};
};
inline constexpr std::size_t kMaxOpenEncoded = 24;
[[nodiscard]] std::size_t encode_open(const OpenPayload& open, std::span<std::byte, kMaxOpenEncoded> to);
[[nodiscard]] std::optional<OpenPayload> decode_open(
    ConstBytes payload);  // nothing: the payload does not hold its address

enum class GoawayCode : std::uint32_t {
  Done = 0,
  Protocol = 1,
  Version = 2,
  Limit = 3,
  Exhausted = 4,
  Replaced = 5,
  Unauthorized = 6,
  Internal = 7
};
[[nodiscard]] std::string_view to_string(GoawayCode code);

struct GoawayPayload {
  std::uint32_t last_stream = 0;
  std::uint32_t code = 0;
  std::string_view text;  // points into the payload; from outside: escape it where it is shown
};
[[nodiscard]] GoawayPayload decode_goaway(
    ConstBytes payload);  // payload.size() >= kMinGoaway, as the header check ensured

}  // namespace ferrotunnel::wire
