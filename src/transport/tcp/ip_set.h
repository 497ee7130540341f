// IpSet: a list of IP networks, and whether an address is in one of them.
//
// A value, fixed once it is made; any thread. Networks are kept as sorted ranges that do not touch, so a look-up is a binary search.
// A v4-mapped IPv6 address is the IPv4 address; beyond that the families are apart: ::/0 holds no IPv4 address.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "transport/link.h"

namespace ferrotunnel::transport {

class IpSet {
 public:
  IpSet() = default;
  // "192.0.2.0/24", "2001:db8::/32", "10.0.0.1", or "all". Errors: BadInput, with what would be right.
  [[nodiscard]] static Result<IpSet> parse(std::span<const std::string> networks);

  // false for an address that is not known, also where the set is all.
  [[nodiscard]] bool contains(const PeerAddress& address) const;
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] std::size_t ranges() const { return ranges_.size(); }  // after joining those that overlap

 private:
  struct Key {
    std::uint8_t family = 0;
    std::uint64_t high = 0, low = 0;  // family 4: all of it in `low`
    auto operator<=>(const Key&) const = default;
  };
  struct Range {
    Key first, last;
  };
  [[nodiscard]] static Key key_of(const PeerAddress& address);
  [[nodiscard]] Result<> add(std::string_view text);
  void join();

  std::vector<Range> ranges_;
};

}  // namespace ferrotunnel::transport
