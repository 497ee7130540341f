// Grant: what a client may do at a server, and the secrets that prove it.
//
// A value: once others see it, it is not changed; a change is another Grant under the same name (grant_book.h). Hosts are in the one
// spelling of http/host.h, and a pattern is "*" (any name), "*.example.com" or a name. Any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session/credentials.h"

namespace ferrotunnel::session {

struct PortRange {
  std::uint16_t first = 0, last = 0;  // both belong to it
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// Of all sessions of a grant together. 0: none allowed, but for bandwidth.
struct GrantLimits {
  std::uint32_t sessions = 1'000;
  std::uint32_t tunnels = 2'000;
  std::uint32_t streams = 50'000;         // visitors and warm origin connections at once
  std::uint64_t bandwidth = 0;            // bytes a second, each way; 0: no limit
  std::uint64_t tunnel_bytes = 4u << 20;  // of all that its tunnels say as they are registered: wire::size_of()
  // Of its HTTP tunnels together: hosts times paths, and the text of these and of the methods and headers that they ask for. With the
  // number of tunnels, and one tunnel's most at least.
  static constexpr std::uint64_t kPlacesPerTunnel = 4, kLeastPlaces = 256;
  static constexpr std::uint64_t kRouteBytesPerTunnel = 2 * 1024, kLeastRouteBytes = 256 * 1024;
  [[nodiscard]] std::uint64_t places() const { return std::max(kLeastPlaces, kPlacesPerTunnel * tunnels); }
  [[nodiscard]] std::uint64_t route_bytes() const { return std::max(kLeastRouteBytes, kRouteBytesPerTunnel * tunnels); }
  // Places and ports that are kept for it while its clients are away: all that they can have had at once.
  [[nodiscard]] std::uint64_t leases() const { return places() + tunnels; }
  friend bool operator==(const GrantLimits&, const GrantLimits&) = default;
};

struct Grant {
  using Time = std::chrono::sys_seconds;
  static constexpr std::size_t kMaxSecrets = 2;  // the one in use and, while clients move over, its successor

  std::string name;
  std::vector<Secret> secrets;
  std::vector<std::string> hosts{"*"};
  std::vector<PortRange> ports{{1024, 65535}};
  GrantLimits limits;
  std::optional<Time> expires;
  std::string from;  // where it is written, for messages: "server.toml:14", "the state directory"

  // A host, or a wildcard, which has to be inside of what is granted as a whole.
  [[nodiscard]] bool allows_host(std::string_view host) const;
  // One of those that allow it is less than `wildcard`, above it: it was granted as such, and not with all there is.
  [[nodiscard]] bool allows_host_within(std::string_view host, std::string_view wildcard) const;
  [[nodiscard]] bool allows_port(std::uint16_t port) const;
  [[nodiscard]] bool expired(Time now) const { return expires && now >= *expires; }
  // Whether what was proved by one of `earlier`'s secrets still is: every secret of it that is gone takes its sessions with it.
  [[nodiscard]] bool knows(const AuthKey& key) const;
};

[[nodiscard]] std::string to_string(PortRange range);  // "2222", "3000-3010"
// For messages: "*.example.com, app.example.org", "2222, 3000-3010".
[[nodiscard]] std::string hosts_text(const Grant& grant);
[[nodiscard]] std::string ports_text(const Grant& grant);
// "2222" or "3000-3010". Nothing where it is neither.
[[nodiscard]] std::optional<PortRange> parse_port_range(std::string_view text);

}  // namespace ferrotunnel::session
