// The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): what a proxy says of its visitor before the visitor's first byte.
//
// Sans-I/O: bytes in, an address out, and the other way round. Values; any thread. What a peer sends never needs more than
// kMaxProxyHeader bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "transport/link.h"

namespace ferrotunnel::transport {

inline constexpr std::size_t kMaxProxyV1 = 107;   // a line with its CRLF: the specification's own limit
inline constexpr std::size_t kProxyV2Fixed = 16;  // signature, version and command, family, length
inline constexpr std::size_t kMaxProxyV2Rest =
    536;  // addresses and TLVs: what the specification lets a sender count on
inline constexpr std::size_t kMaxProxyHeader = kProxyV2Fixed + kMaxProxyV2Rest;

struct ProxyHeader {
  // false: the header names nobody (UNKNOWN, LOCAL, a family that is not TCP over IP). The socket's own addresses hold.
  bool named = false;
  PeerAddress source, destination;  // a v4-mapped IPv6 address is told as the IPv4 one
};

// Reads one header, in pieces as they come.
class ProxyHeaderParser {
 public:
  enum class State : std::uint8_t { NeedMore, Done, Invalid };
  struct Step {
    State state = State::NeedMore;
    std::size_t consumed =
        0;  // of the bytes just fed, those of the header; all of them with NeedMore, none with Invalid
  };

  // Not after Done or Invalid.
  [[nodiscard]] Step feed(ConstBytes bytes);
  [[nodiscard]] const ProxyHeader& header() const { return header_; }  // after Done
  [[nodiscard]] std::string_view reason() const { return reason_; }    // after Invalid

 private:
  [[nodiscard]] State parse();
  [[nodiscard]] State parse_v1(std::string_view text);
  [[nodiscard]] State parse_v2();
  [[nodiscard]] State parse_v2_rest(ConstBytes rest);
  [[nodiscard]] bool check_tlvs(std::size_t at);
  [[nodiscard]] State invalid(std::string_view reason);

  std::array<std::byte, kMaxProxyHeader> bytes_{};
  std::size_t have_ = 0;
  std::size_t size_ = 0;  // of the header, after Done
  ProxyHeader header_;
  std::string_view reason_;
};

enum class ProxyVersion : std::uint8_t { Off, V1, V2 };

// Write a header to the front of `into`, which has room for kMaxProxyV1 bytes, and return its size. A source that is not known gives
// UNKNOWN or LOCAL; a destination that is not known stands as the unspecified address and port 0. Where the families differ, the
// IPv4 address stands as a v4-mapped IPv6 one.
[[nodiscard]] std::size_t write_proxy_v1(const PeerAddress& source, const PeerAddress& destination, MutBytes into);
[[nodiscard]] std::size_t write_proxy_v2(const PeerAddress& source, const PeerAddress& destination, MutBytes into);

// Of a TLV: Castagnoli's polynomial, as in iSCSI.
[[nodiscard]] std::uint32_t crc32c(ConstBytes bytes);

}  // namespace ferrotunnel::transport
