#include "session/grant.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>

namespace ferrotunnel::session {
namespace {

// "*.example.com" as ".example.com"; nothing for a name.
std::string_view suffix_of(std::string_view pattern) {
  return pattern.starts_with("*.") ? pattern.substr(1) : std::string_view();
}

bool covers(std::string_view pattern, std::string_view host) {
  if (pattern == "*" || pattern == host) return true;
  const std::string_view suffix = suffix_of(pattern);
  if (suffix.empty()) return false;
  // A wildcard is inside another where what it stands for is.
  const std::string_view name = host.starts_with("*.") ? host.substr(1) : host;
  return name.size() > suffix.size() && name.ends_with(suffix);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0 || number > 65535) return {};
  return static_cast<std::uint16_t>(number);
}

}  // namespace

bool Grant::allows_host(std::string_view host) const {
  return std::ranges::any_of(hosts, [host](const std::string& pattern) { return covers(pattern, host); });
}

bool Grant::allows_host_within(std::string_view host, std::string_view wildcard) const {
  return std::ranges::any_of(hosts, [&](const std::string& pattern) {
    return pattern != "*" && pattern != wildcard && covers(wildcard, pattern) && covers(pattern, host);
  });
}

bool Grant::allows_port(std::uint16_t port) const {
  return std::ranges::any_of(ports, [port](PortRange range) { return port >= range.first && port <= range.last; });
}

bool Grant::knows(const AuthKey& key) const {
  return std::ranges::any_of(secrets, [&key](const Secret& secret) {
    const AuthKey mine = AuthKey::of(secret);
    return CRYPTO_memcmp(mine.bytes.data(), key.bytes.data(), mine.bytes.size()) == 0;
  });
}

std::string hosts_text(const Grant& grant) {
  std::string text;
  for (const std::string& host : grant.hosts) text += (text.empty() ? "" : ", ") + host;
  return text.empty() ? "none" : text;
}

std::string to_string(PortRange range) {
  const std::string first = std::to_string(range.first);
  return range.first == range.last ? first : first + "-" + std::to_string(range.last);
}

std::string ports_text(const Grant& grant) {
  std::string text;
  for (const PortRange range : grant.ports) text += (text.empty() ? "" : ", ") + to_string(range);
  return text.empty() ? "none" : text;
}

std::optional<PortRange> parse_port_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return {};
  return PortRange{*first, *last};
}

}  // namespace ferrotunnel::session
