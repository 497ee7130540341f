#include "transport/tcp/ip_set.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {
namespace {

constexpr std::uint64_t kOnes = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kMostShown = 80;

std::unexpected<Error> bad(std::string_view text, const std::string& why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                               "'" + std::string(text.substr(0, kMostShown)) + "' is not an IP network: " + why));
}

std::optional<PeerAddress> parse_address(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  // Through a C string: no zeros inside, and what parse_ip() also takes ("", "*", brackets) is not meant here.
  if (text.size() >= copy.size() || text.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos)
    return std::nullopt;
  std::ranges::copy(text, copy.begin());
  PeerAddress address;
  if (::inet_pton(AF_INET, copy.data(), address.bytes.data()) == 1) {
    address.family = 4;
    if (to_string(address) != text) return std::nullopt;  // 010.0.0.1, where a system takes it
  } else if (::inet_pton(AF_INET6, copy.data(), address.bytes.data()) == 1) {
    address.family = 6;
  } else {
    return std::nullopt;
  }
  return address;
}

std::optional<unsigned> parse_prefix(std::string_view text, unsigned most) {
  unsigned prefix = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), prefix);
  if (failed != std::errc() || end != text.data() + text.size() || prefix > most) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return prefix;
}

// The address with zeros behind its first `prefix` bits.
PeerAddress network_of(PeerAddress address, unsigned prefix) {
  for (unsigned i = 0; i < address.bytes.size(); ++i) {
    const unsigned kept = std::clamp<unsigned>(prefix, 8 * i, 8 * i + 8) - 8 * i;
    address.bytes[i] &= static_cast<std::byte>(0xff00 >> kept);
  }
  return address;
}

// The lowest `count` bits of 64.
std::uint64_t low_bits(unsigned count) { return count == 0 ? 0 : kOnes >> (64 - std::min(count, 64u)); }

}  // namespace

IpSet::Key IpSet::key_of(const PeerAddress& address) {
  const auto number = [&address](std::size_t from, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = from; i < from + bytes; ++i)
      value = value << 8 | std::to_integer<std::uint64_t>(address.bytes[i]);
    return value;
  };
  if (address.family == 4) return {4, 0, number(0, 4)};
  const Key key{6, number(0, 8), number(8, 8)};
  if (key.high == 0 && key.low >> 32 == 0xffff) return {4, 0, key.low & 0xffffffff};
  return key;
}

Result<IpSet> IpSet::parse(std::span<const std::string> networks) {
  IpSet set;
  for (const std::string& network : networks) {
    if (auto added = set.add(network); !added) return std::unexpected(std::move(added.error()));
  }
  set.join();
  return set;
}

Result<> IpSet::add(std::string_view text) {
  if (text == "all") {
    ranges_.push_back({{4, 0, 0}, {4, 0, 0xffffffff}});
    ranges_.push_back({{6, 0, 0}, {6, kOnes, kOnes}});
    return {};
  }
  const auto slash = text.find('/');
  const std::string_view ip = text.substr(0, slash);
  const auto address = parse_address(ip);
  if (!address) {
    return bad(text, "it is written as an address, 10.0.0.1, a network, 192.0.2.0/24 or 2001:db8::/32, or all");
  }
  const unsigned most = address->family == 4 ? 32 : 128;
  std::optional<unsigned> prefix = most;
  if (slash != std::string_view::npos) prefix = parse_prefix(text.substr(slash + 1), most);
  if (!prefix) return bad(text, "behind the / stands a number from 0 to " + std::to_string(most));
  const PeerAddress network = network_of(*address, *prefix);
  if (network.bytes != address->bytes) {
    return bad(text, "its address has bits set behind the first " + std::to_string(*prefix) + "; the network is " +
                         to_string(network) + "/" + std::to_string(*prefix) + ", the one address " + std::string(ip));
  }
  const Key first = key_of(network);
  // What begins with ::ffff: lies in ::ffff:0:0/96 whole, or it would have bits set behind its prefix: a network of IPv4.
  const unsigned host_bits = most - *prefix;
  Key last = first;
  last.low |= low_bits(host_bits);
  if (host_bits > 64) last.high |= low_bits(host_bits - 64);
  ranges_.push_back({first, last});
  return {};
}

void IpSet::join() {
  std::ranges::sort(ranges_, {}, &Range::first);
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (!joined.empty() && range.first <= joined.back().last) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  ranges_ = std::move(joined);
}

bool IpSet::contains(const PeerAddress& address) const {
  if (address.family == 0 || ranges_.empty()) return false;
  const Key key = key_of(address);
  const auto behind = std::ranges::upper_bound(ranges_, key, {}, &Range::first);
  return behind != ranges_.begin() && key <= std::prev(behind)->last;
}

}  // namespace ferrotunnel::transport
