// Sizes of docs/wire-protocol.md that are part of the protocol: both ends know them without asking.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferrotunnel::wire {

inline constexpr std::size_t kPrefaceSize = 16;
inline constexpr std::size_t kHeaderSize = 8;
inline constexpr std::uint32_t kMaxData = 256 * 1024;
inline constexpr std::uint32_t kMinOpen = 8;
inline constexpr std::uint32_t kMaxOpen = 1024;
inline constexpr std::uint32_t kMinGoaway = 8;
inline constexpr std::uint32_t kMaxGoawayText = 256;
inline constexpr std::uint32_t kMinControl = 2;
inline constexpr std::uint32_t kMaxControl = 64 * 1024;
inline constexpr std::uint32_t kInitialCredit = 64 * 1024;
inline constexpr std::uint32_t kMaxCredit = 1u << 30;
inline constexpr std::uint32_t kMaxStreamId = 0x7fff'ffff;

}  // namespace ferrotunnel::wire
