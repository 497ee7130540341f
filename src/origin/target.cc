#include "origin/target.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace ferrotunnel::origin {
namespace {

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                               "'" + std::string(text) + "' is not a local service: " + std::string(why) +
                                   " (a PORT, HOST:PORT, URL or unix:PATH)"));
}

// "./dist", "../x", "/srv/www", "." and "dir:anything": the path, or nothing.
std::string_view directory_of(std::string_view text) {
  if (text.starts_with("dir:")) return text.substr(4);
  const bool path =
      text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text == "." || text == "..";
  return path ? text : std::string_view();
}

Result<OriginTarget> parse_directory(std::string_view text, std::string_view path, std::string_view scheme) {
  if (scheme != "http")
    return bad(text, "a directory is shared over HTTP only, and a unix socket is written unix:" + std::string(path));
  auto root = files::Root::open(std::string(path));
  if (!root) {
    if (text == path) root.error().context += " (a unix socket is written unix:" + std::string(path) + ")";
    return std::unexpected(std::move(root.error()));
  }
  OriginTarget target;
  target.text = "files in " + (*root)->text();
  target.files = std::move(*root);
  return target;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 1123: labels of letters, digits and inner hyphens. One whose last label is a number is an address gone wrong.
bool is_host_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > 253) return false;
  std::string_view label;
  while (true) {
    label = host.substr(0, host.find('.'));
    if (label.empty() || label.size() > 63 || label.starts_with('-') || label.ends_with('-')) return false;
    if (!std::ranges::all_of(label, [](char c) { return is_digit(c) || is_letter(c) || c == '-'; })) return false;
    if (label.size() == host.size()) break;
    host.remove_prefix(label.size() + 1);
  }
  return !std::ranges::all_of(label, is_digit);
}

// What may stand before "://".
struct Scheme {
  std::string_view name, tunnel, port;  // "": the port has to be said
  bool secure = false, h2 = false;
};
constexpr std::array kSchemes = {Scheme{"http", "http", "80"},
                                 Scheme{"tcp", "tcp", ""},
                                 Scheme{"https", "http", "443", true},
                                 Scheme{"tls", "tcp", "", true},
                                 Scheme{"h2c", "http", "80", false, true},
                                 Scheme{"h2s", "http", "443", true, true}};
const Scheme* find_scheme(std::string_view name) {
  const auto* found = std::ranges::find(kSchemes, name, &Scheme::name);
  return found == kSchemes.end() ? nullptr : found;
}

// For a certificate: without brackets, or the dot at the end of a name.
std::string name_of(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.ends_with('.')) host.remove_suffix(1);
  return std::string(host.empty() ? "localhost" : host);
}

}  // namespace

Result<OriginTarget> parse_target(std::string_view text, std::string_view scheme) {
  std::string_view rest = text;
  if (text.starts_with("dir:") || !directory_of(text).empty()) return parse_directory(text, directory_of(text), scheme);
  OriginTarget target;
  const Scheme* way = find_scheme(scheme);
  bool said = false;
  if (const auto at = rest.find("://"); at != std::string_view::npos) {
    way = find_scheme(rest.substr(0, at));
    if (way == nullptr || way->tunnel != scheme)
      return bad(text, scheme == "tcp" ? "a tcp:// or tls:// address is asked for here"
                                       : "an address of http://, https://, h2c:// or h2s:// is asked for here");
    rest.remove_prefix(at + 3);
    said = true;
    if (!rest.starts_with("unix:") && rest.ends_with('/')) rest.remove_suffix(1);
    if (!rest.starts_with("unix:") && rest.find('/') != std::string_view::npos)
      return bad(text, "a path after the address is not supported");
  }
  target.secure = way->secure;
  target.h2 = way->h2;
  const std::string prefix = std::string(way->name) + "://";
  if (rest.starts_with("unix:")) {
    auto address = transport::unix_address(rest.substr(5));
    if (!address) return std::unexpected(address.error());
    target.address = *address;
    target.text = (said && way->name != scheme ? prefix : "") + std::string(rest);
    if (target.secure) target.tls_name = "localhost";
    return target;
  }
  if (rest.find('/') != std::string_view::npos)
    return bad(text, "a directory is written dir:" + std::string(rest) + ", a unix socket unix:" + std::string(rest));
  std::string_view host = "localhost";
  std::string_view port = rest;
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos && !rest.ends_with(']')) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  } else if (rest.find_first_not_of("0123456789") != std::string_view::npos) {
    if (way->port.empty()) return bad(text, "the port is missing");
    host = rest;
    port = way->port;
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535)
    return bad(text, "the port has to be a number from 1 to 65535");
  target.port = static_cast<std::uint16_t>(number);
  if (target.secure) target.tls_name = name_of(host);
  if (host == "localhost" || host.empty()) {
    host = "127.0.0.1";
    target.fallback = *transport::parse_ip("::1", target.port);
  }
  if (auto address = transport::parse_ip(host, target.port); address && host != "*") {
    target.address = *address;
    target.text = prefix + address->text();
  } else if (is_host_name(host)) {
    target.host = host;
    target.text = prefix + target.host + ":" + std::to_string(number);
  } else {
    return bad(text, "the host has to be a name or an IP address, an IPv6 one in brackets: [::1]:8080");
  }
  return target;
}

}  // namespace ferrotunnel::origin
