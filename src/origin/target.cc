#include "origin/target.h"

#include <charconv>

namespace ferrotunnel::origin {
namespace {

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                               "'" + std::string(text) + "' is not a local service: " + std::string(why) +
                                   " (a PORT, HOST:PORT, URL or unix:PATH)"));
}

}  // namespace

Result<OriginTarget> parse_target(std::string_view text, std::string_view scheme) {
  std::string_view rest = text;
  if (const auto at = rest.find("://"); at != std::string_view::npos) {
    if (rest.substr(0, at) != scheme) return bad(text, "a " + std::string(scheme) + ":// address is asked for here");
    rest.remove_prefix(at + 3);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find('/') != std::string_view::npos) return bad(text, "a path after the address is not supported");
  }
  if (rest.starts_with("unix:")) {
    auto address = transport::unix_address(rest.substr(5));
    if (!address) return std::unexpected(address.error());
    return OriginTarget{*address, std::string(rest)};
  }
  std::string_view host = "127.0.0.1";
  std::string_view port = rest;
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos && !rest.ends_with(']')) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  } else if (rest.find_first_not_of("0123456789") != std::string_view::npos) {
    if (scheme != "http") return bad(text, "the port is missing");
    host = rest;
    port = "80";
  }
  if (host == "localhost" || host.empty()) host = "127.0.0.1";
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535)
    return bad(text, "the port has to be a number from 1 to 65535");
  auto address = transport::parse_ip(host, static_cast<std::uint16_t>(number));
  if (!address || host == "*") return bad(text, "the host has to be localhost or an IP address");
  return OriginTarget{*address, std::string(scheme) + "://" + address->text()};
}

}  // namespace ferrotunnel::origin
