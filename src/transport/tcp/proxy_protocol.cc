#include "transport/tcp/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <optional>
#include <string>

namespace ferrotunnel::transport {
namespace {

using namespace std::string_view_literals;

constexpr auto kV1Start = "PROXY "sv;
constexpr auto kV2Signature = "\r\n\r\n\0\r\nQUIT\n"sv;

// Version 2: the thirteenth byte is version and command, the fourteenth the family.
constexpr std::uint8_t kVersion2 = 0x20;
constexpr std::uint8_t kLocal = 0, kProxy = 1;
constexpr std::uint8_t kUnspecified = 0x00, kTcp4 = 0x11, kUdp4 = 0x12, kTcp6 = 0x21, kUdp6 = 0x22;
constexpr std::uint8_t kUnixStream = 0x31, kUnixDatagram = 0x32;
constexpr std::size_t kAddresses4 = 12, kAddresses6 = 36, kAddressesUnix = 216;
constexpr std::size_t kTlvHeader = 3;
constexpr std::uint8_t kTlvCrc32c = 0x03;
constexpr std::size_t kCrcSize = 4;

constexpr std::array<std::byte, 12> kMappedPrefix = {std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                     std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                     std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};

std::uint8_t at(ConstBytes bytes, std::size_t i) { return std::to_integer<std::uint8_t>(bytes[i]); }
std::uint16_t get16(ConstBytes bytes, std::size_t i) { return load_be<std::uint16_t>(bytes.subspan(i, 2).data()); }
void put16(MutBytes bytes, std::size_t i, std::uint16_t value) { store_be(bytes.subspan(i, 2).data(), value); }

PeerAddress address_of(std::uint8_t family, ConstBytes ip, std::uint16_t port) {
  PeerAddress address{family, port, {}};
  if (family == 6 && std::ranges::equal(ip.first(kMappedPrefix.size()), kMappedPrefix)) {
    address.family = 4;
    ip = ip.subspan(kMappedPrefix.size());
  }
  std::ranges::copy(ip, address.bytes.begin());
  return address;
}

PeerAddress as_v6(const PeerAddress& address) {
  if (address.family == 6) return address;
  PeerAddress mapped{6, address.port, {}};
  std::ranges::copy(kMappedPrefix, mapped.bytes.begin());
  std::copy_n(address.bytes.begin(), 4, mapped.bytes.begin() + kMappedPrefix.size());
  return mapped;
}

struct Pair {
  PeerAddress source, destination;
};
// Both of one family, which is the source's unless they differ. The source is known.
Pair of_one_family(const PeerAddress& source, PeerAddress destination) {
  if (destination.family == 0) destination = {source.family, 0, {}};
  if (source.family == 4 && destination.family == 4) return {source, destination};
  return {as_v6(source), as_v6(destination)};
}

// An IP address of version 1. inet_pton is used for what it takes everywhere; what only some take is refused before or after.
std::optional<PeerAddress> parse_ip_v1(std::string_view text, std::uint8_t family) {
  const auto allowed = family == 4 ? "0123456789."sv : "0123456789abcdefABCDEF:."sv;
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size() || text.find_first_not_of(allowed) != std::string_view::npos) return std::nullopt;
  std::ranges::copy(text, copy.begin());
  std::array<std::byte, 16> ip{};
  if (::inet_pton(family == 4 ? AF_INET : AF_INET6, copy.data(), ip.data()) != 1) return std::nullopt;
  if (family == 4) {
    std::array<char, INET_ADDRSTRLEN> canonical{};
    ::inet_ntop(AF_INET, ip.data(), canonical.data(), canonical.size());
    if (text != canonical.data()) return std::nullopt;  // 010.0.0.1
  }
  return address_of(family, ConstBytes(ip).first(family == 4 ? 4 : 16), 0);
}

std::optional<std::uint16_t> parse_port_v1(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return port;
}

// Cuts the text before the first space off the front of `line`.
std::string_view next_field(std::string_view& line) {
  const std::string_view field = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), field.size() + 1));
  return field;
}

// Whether the shorter of the two begins the other.
bool agree(std::string_view a, std::string_view b) {
  const std::size_t n = std::min(a.size(), b.size());
  return a.substr(0, n) == b.substr(0, n);
}

}  // namespace

// ---- reading ------------------------------------------------------------------------------------------------------

ProxyHeaderParser::Step ProxyHeaderParser::feed(ConstBytes bytes) {
  const std::size_t before = have_;
  const ConstBytes taken = bytes.first(std::min(bytes.size(), bytes_.size() - have_));
  std::ranges::copy(taken, bytes_.begin() + static_cast<std::ptrdiff_t>(have_));
  have_ += taken.size();
  const State state = parse();
  if (state == State::Done) return {state, size_ - before};
  return {state, state == State::NeedMore ? taken.size() : 0};
}

ProxyHeaderParser::State ProxyHeaderParser::invalid(std::string_view reason) {
  reason_ = reason;
  return State::Invalid;
}

ProxyHeaderParser::State ProxyHeaderParser::parse() {
  const std::string_view text = as_text(ConstBytes(bytes_).first(have_));
  if (agree(text, kV1Start)) return parse_v1(text);
  if (agree(text, kV2Signature)) return parse_v2();
  return invalid("it does not begin with a PROXY header");
}

ProxyHeaderParser::State ProxyHeaderParser::parse_v1(std::string_view text) {
  text = text.substr(0, kMaxProxyV1);
  const auto end = text.find_first_of("\r\n");
  if (end == std::string_view::npos || (text[end] == '\r' && end + 1 == text.size())) {
    return text.size() == kMaxProxyV1 ? invalid("no CRLF in 107 bytes") : State::NeedMore;
  }
  if (text.substr(end, 2) != "\r\n") return invalid("the line does not end with CRLF");
  size_ = end + 2;
  std::string_view line = text.substr(0, end);
  if (line.size() < kV1Start.size()) return invalid("the line is cut");
  line.remove_prefix(kV1Start.size());
  // What follows UNKNOWN is to be ignored.
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return State::Done;
  const std::string_view protocol = next_field(line);
  if (protocol != "TCP4" && protocol != "TCP6") return invalid("neither TCP4, TCP6 nor UNKNOWN");
  const std::uint8_t family = protocol == "TCP4" ? 4 : 6;
  const auto source = parse_ip_v1(next_field(line), family);
  const auto destination = parse_ip_v1(next_field(line), family);
  if (!source || !destination) return invalid("not two IP addresses of its family");
  const auto source_port = parse_port_v1(next_field(line));
  const auto destination_port = parse_port_v1(line);
  if (!source_port || !destination_port) return invalid("not two ports");
  header_ = {true, *source, *destination};
  header_.source.port = *source_port;
  header_.destination.port = *destination_port;
  return State::Done;
}

ProxyHeaderParser::State ProxyHeaderParser::parse_v2() {
  if (have_ < kProxyV2Fixed) return State::NeedMore;
  const std::uint8_t command = at(bytes_, 12);
  if ((command & 0xf0) != kVersion2) return invalid("a version other than 2");
  if ((command & 0x0f) > kProxy) return invalid("a command that is not known");
  const std::size_t length = get16(bytes_, 14);
  if (length > kMaxProxyV2Rest) return invalid("more than 536 bytes of addresses and TLVs");
  if (have_ < kProxyV2Fixed + length) return State::NeedMore;
  size_ = kProxyV2Fixed + length;
  // LOCAL: the proxy's own connection (a health check). Family and rest are to be ignored.
  if ((command & 0x0f) == kLocal) return State::Done;
  return parse_v2_rest(ConstBytes(bytes_).subspan(kProxyV2Fixed, length));
}

ProxyHeaderParser::State ProxyHeaderParser::parse_v2_rest(ConstBytes rest) {
  const std::uint8_t family = at(bytes_, 13);
  std::size_t addresses = 0;
  switch (family) {
    case kUnspecified: return State::Done;
    case kTcp4:
    case kUdp4: addresses = kAddresses4; break;
    case kTcp6:
    case kUdp6: addresses = kAddresses6; break;
    case kUnixStream:
    case kUnixDatagram: addresses = kAddressesUnix; break;
    default: return invalid("an address family that is not known");
  }
  if (rest.size() < addresses) return invalid("too short for its addresses");
  if (!check_tlvs(kProxyV2Fixed + addresses)) return State::Invalid;
  if (family == kTcp4) {
    header_ = {true, address_of(4, rest.first(4), get16(rest, 8)), address_of(4, rest.subspan(4, 4), get16(rest, 10))};
  } else if (family == kTcp6) {
    header_ = {true, address_of(6, rest.first(16), get16(rest, 32)),
               address_of(6, rest.subspan(16, 16), get16(rest, 34))};
  }
  return State::Done;
}

bool ProxyHeaderParser::check_tlvs(std::size_t at_byte) {
  const MutBytes whole = MutBytes(bytes_).first(size_);
  while (at_byte < size_) {
    if (size_ - at_byte < kTlvHeader || size_ - at_byte - kTlvHeader < get16(whole, at_byte + 1)) {
      reason_ = "a TLV goes past the end";
      return false;
    }
    const std::uint8_t type = at(whole, at_byte);
    const MutBytes value = whole.subspan(at_byte + kTlvHeader, get16(whole, at_byte + 1));
    at_byte += kTlvHeader + value.size();
    if (type != kTlvCrc32c) continue;
    if (value.size() != kCrcSize) {
      reason_ = "a CRC32c TLV that has not 4 bytes";
      return false;
    }
    // The sum is over the header with zeros where it stands.
    std::array<std::byte, kCrcSize> told{};
    std::ranges::copy(value, told.begin());
    std::ranges::fill(value, std::byte{0});
    const std::uint32_t sum = crc32c(whole);
    std::ranges::copy(told, value.begin());
    if (load_be<std::uint32_t>(told.data()) != sum) {
      reason_ = "its CRC32c is wrong";
      return false;
    }
  }
  return true;
}

std::uint32_t crc32c(ConstBytes bytes) {
  constexpr std::uint32_t kReversed = 0x82f63b78;
  std::uint32_t sum = 0xffffffff;
  for (const std::byte byte : bytes) {
    sum ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kReversed : 0);
  }
  return ~sum;
}

// ---- writing ------------------------------------------------------------------------------------------------------

std::size_t write_proxy_v1(const PeerAddress& source, const PeerAddress& destination, MutBytes into) {
  assert(into.size() >= kMaxProxyV1);
  std::string line = "PROXY UNKNOWN\r\n";
  if (source.family != 0) {
    const auto [from, to] = of_one_family(source, destination);
    const auto text = [](const PeerAddress& address) {
      std::array<char, INET6_ADDRSTRLEN> buffer{};
      ::inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes.data(), buffer.data(), buffer.size());
      return std::string(buffer.data());
    };
    line = (from.family == 4 ? "PROXY TCP4 " : "PROXY TCP6 ") + text(from) + ' ' + text(to) + ' ' +
           std::to_string(from.port) + ' ' + std::to_string(to.port) + "\r\n";
  }
  std::ranges::copy(as_bytes(line), into.begin());
  return line.size();
}

std::size_t write_proxy_v2(const PeerAddress& source, const PeerAddress& destination, MutBytes into) {
  assert(into.size() >= kMaxProxyV1);
  std::ranges::copy(as_bytes(kV2Signature), into.begin());
  if (source.family == 0) {
    into[12] = std::byte{kVersion2 | kLocal};
    into[13] = std::byte{kUnspecified};
    put16(into, 14, 0);
    return kProxyV2Fixed;
  }
  const auto [from, to] = of_one_family(source, destination);
  const std::size_t ip = from.family == 4 ? 4 : 16;
  const std::size_t length = from.family == 4 ? kAddresses4 : kAddresses6;
  into[12] = std::byte{kVersion2 | kProxy};
  into[13] = std::byte{from.family == 4 ? kTcp4 : kTcp6};
  put16(into, 14, static_cast<std::uint16_t>(length));
  const MutBytes rest = into.subspan(kProxyV2Fixed, length);
  std::ranges::copy(ConstBytes(from.bytes).first(ip), rest.begin());
  std::ranges::copy(ConstBytes(to.bytes).first(ip), rest.subspan(ip).begin());
  put16(rest, 2 * ip, from.port);
  put16(rest, 2 * ip + 2, to.port);
  return kProxyV2Fixed + length;
}

}  // namespace ferrotunnel::transport
