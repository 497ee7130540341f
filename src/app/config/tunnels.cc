#include "app/config/tunnels.h"

#include <optional>
#include <utility>

#include "app/config/checks.h"
#include "app/config/sources.h"
#include "http/host.h"
#include "http/path.h"
#include "route/place.h"
#include "session/grant.h"
#include "wire/control.h"

namespace ferrotunnel::app::config {
namespace {

using session::PortRange;

std::size_t length(PortRange range) { return range.last - range.first + std::size_t{1}; }

// "3000-3010" at the end of `to`, behind its host.
struct ToRange {
  std::string before;
  PortRange ports;
};
std::optional<ToRange> range_of(const std::string& to) {
  if (to.starts_with("unix:") || to.starts_with("dir:") || to.starts_with('/') || to.starts_with('.'))
    return std::nullopt;
  const auto colon = to.rfind(':');
  const std::string_view ports = std::string_view(to).substr(colon == std::string::npos ? 0 : colon + 1);
  const auto range = session::parse_port_range(ports);
  if (!range || ports.find('-') == std::string_view::npos) return std::nullopt;
  return ToRange{to.substr(0, to.size() - ports.size()), *range};
}

// Paths are relative to the file they stand in; a program's working directory is nobody's business.
std::string target_beside(const std::string& to, Place place, const ConfigErrors& errors) {
  for (const std::string_view prefix :
       {"unix:", "dir:", "http://unix:", "https://unix:", "tcp://unix:", "tls://unix:"}) {
    if (to.starts_with(prefix) && to.size() > prefix.size() && to[prefix.size()] != '@')
      return std::string(prefix) + beside(to.substr(prefix.size()), place, errors);
  }
  if (to == "." || to == ".." || to.starts_with("./") || to.starts_with("../")) {
    const std::string path = beside(to, place, errors);
    return path == to ? to : "dir:" + path;
  }
  return to;
}

// The one spelling of http/host.h, wildcards too.
std::string spelling(std::string_view host) {
  const bool wild = host.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? host.substr(2) : host, name)) return std::string(host);
  return wild ? "*." + name : name;
}

// Hosts, or hosts with paths, of an http tunnel, in the one spelling and as they were written; what is wrong with them is said elsewhere.
std::vector<std::pair<std::string, std::string>> places_of(const TunnelConfig& tunnel) {
  std::vector<std::string> hosts = tunnel.hosts;
  if (tunnel.kind == TunnelConfig::Kind::Http && !tunnel.host.empty()) hosts.insert(hosts.begin(), tunnel.host);
  std::vector<std::pair<std::string, std::string>> places;
  for (const std::string& host : hosts) {
    const http::HeadMatch match = http::HeadMatch::parse(tunnel.methods, tunnel.headers).value_or(http::HeadMatch{});
    const auto add = [&](std::string_view prefix, std::string_view written) {
      places.emplace_back(route::place_of(spelling(host), prefix, match), route::place_of(host, written, match));
    };
    if (tunnel.paths.empty()) add({}, {});
    for (const std::string& path : tunnel.paths) add(http::normalise_prefix(path).value_or(path), path);
  }
  return places;
}

}  // namespace

// What visitors use.
struct TunnelMaker::Address {
  TunnelConfig::Kind kind = TunnelConfig::Kind::Http;
  std::string host;
  std::optional<PortRange> ports;
  bool range = false;
};

void TunnelMaker::wrong(Place place, const std::string& key, const std::string& text) {
  errors_.add(place, "tunnels." + name_ + "." + key + ": " + text);
}

bool TunnelMaker::read_url(const std::string& url, Place place, Address& into) {
  const auto bad = [&](const std::string& text) {
    wrong(place, "url", text);
    return false;
  };
  std::string_view rest = url;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find('/') != std::string_view::npos)
      return bad("'" + url + "' has a path; a part of a host's paths is paths = [\"/…\"], below");
    if (rest.find(':') != std::string_view::npos)
      return bad("'" + url + "' has a port; visitors come to the server's http_listen, so write the host alone");
    into.host = rest;
    return true;
  }
  if (rest.starts_with("tcp://")) {
    into.kind = TunnelConfig::Kind::Tcp;
    rest.remove_prefix(6);
    if (rest.empty() || rest == ":0") return true;
    if (!rest.starts_with(':'))
      return bad("'" + url + "' has a host; visitors tell TCP tunnels apart by their ports: tcp://:2222");
    into.ports = session::parse_port_range(rest.substr(1));
    into.range = rest.find('-') != std::string_view::npos;
    if (!into.ports) return bad("'" + url + "' has no port: write tcp://:2222, or tcp://:3000-3010 for a range");
    return true;
  }
  if (rest.starts_with("https://"))
    return bad("whether visitors come by https is the server's to say (its https_listen): write http://HOST");
  return bad("'" + url + "' is neither http://HOST nor tcp://:PORT");
}

void TunnelMaker::add(const std::string& name, const Value& table, TunnelDraft draft) {
  name_ = name;
  wrong_ = draft.wrong;
  TunnelConfig& tunnel = draft.config;
  const Value* to = table.find("to");
  const Value* url = table.find("url");
  if (to == nullptr) {
    if (!errors_.left_out())
      errors_.add(table.place, "tunnels." + name + " needs its local service: to = \"http://127.0.0.1:8080\"");
    return;
  }
  const auto could_not_be_read = [](const Value* value, const std::string& text) {
    return value != nullptr && text.empty() && (value->kind != Value::Kind::String || !value->text.empty());
  };
  if (could_not_be_read(to, tunnel.to) || could_not_be_read(url, draft.url)) return;
  Address address;
  if (!draft.url.empty() && url != nullptr) {
    if (!read_url(draft.url, url->place, address)) return;
  } else if (tunnel.to.starts_with("tcp://") || tunnel.to.starts_with("tls://")) {
    address.kind = TunnelConfig::Kind::Tcp;
  }
  const Place place = url != nullptr ? url->place : to->place;
  tunnel.name = name;
  tunnel.kind = address.kind;
  tunnel.host = address.host;
  tunnel.to = target_beside(tunnel.to, to->place, errors_);
  const auto range = address.kind == TunnelConfig::Kind::Tcp ? range_of(tunnel.to) : std::nullopt;
  if (!range && !address.range) {
    tunnel.port = address.ports ? address.ports->first : 0;
    return add_one(std::move(tunnel), table);
  }
  if (!range || !address.ports || length(range->ports) != length(*address.ports)) {
    if (url == nullptr && errors_.left_out()) return;
    const auto many = [](std::size_t n) { return n == 1 ? std::string("one port") : std::to_string(n) + " ports"; };
    return wrong(place, "url",
                 "to has " + many(range ? length(range->ports) : 1) + " and url " +
                     (address.ports ? many(length(*address.ports)) : "none") + "; ranges have to be equally long");
  }
  if (length(range->ports) > kMaxRange)
    return wrong(place, "url", "a range has at most " + std::to_string(kMaxRange) + " ports");
  for (std::size_t i = 0; i < length(range->ports); ++i) {
    TunnelConfig one = tunnel;
    one.port = static_cast<std::uint16_t>(address.ports->first + i);
    one.name = name + "-" + std::to_string(one.port);
    one.to = range->before + std::to_string(range->ports.first + i);
    const std::size_t before = tunnels_.size();
    add_one(std::move(one), table);
    if (tunnels_.size() == before) return;  // what is wrong with one is wrong with all
  }
}

void TunnelMaker::add_one(TunnelConfig tunnel, const Value& table) {
  const auto place = [&](std::string_view key) {
    const Value* value = table.find(key);
    return value != nullptr ? value->place : table.place;
  };
  if (tunnels_.size() >= kMaxTunnels) {
    if (!std::exchange(full_, true)) errors_.add(table.place, "more than " + std::to_string(kMaxTunnels) + " tunnels");
    return;
  }
  const auto good = [&](std::string_view key, const Result<>& result) {
    if (!result) wrong(place(key), std::string(key), result.error().context);
    return result.has_value();
  };
  const bool http = tunnel.kind == TunnelConfig::Kind::Http;
  TunnelConfig named, addressed, proxied, carried, connects;
  named.name = tunnel.name;
  addressed.name = proxied.name = carried.name = connects.name = "probe";
  addressed.host = tunnel.host;
  proxied.kind = tunnel.kind;
  proxied.proxy_protocol = tunnel.proxy_protocol;
  if (tunnel.to.starts_with("h2")) proxied.to = tunnel.to;
  carried.kind = tunnel.kind;
  carried.carry = tunnel.carry;
  connects.kind = tunnel.kind;
  connects.connect = tunnel.connect;
  connects.to = tunnel.to;
  bool right = true;
  TunnelConfig ruled;
  ruled.name = wire::valid_name(tunnel.name) ? tunnel.name : "probe";
  ruled.kind = tunnel.kind;
  if (http && !tunnel.host.empty()) ruled.host = "a.b";  // short: `whole` has the one that is asked for
  ruled.hosts = tunnel.hosts;
  ruled.paths = tunnel.paths;
  ruled.methods = tunnel.methods;
  ruled.headers = tunnel.headers;
  ruled.client_ca = tunnel.client_ca;
  if (!http) ruled.rules = tunnel.rules;
  if (const auto checked = check_tunnel(ruled); !checked) {
    errors_.add(table.place, checked.error().context);
    right = false;
  }
  if (const auto checked = check_tunnel(named); !checked) {
    errors_.add(table.place, checked.error().context);
    right = false;
  }
  right = good("to", outside_.check_target(tunnel.to, http ? "http" : "tcp")) && right;
  right = good("url", check_tunnel(addressed)) && right;
  if (const auto checked = check_tunnel(proxied); !checked) {
    wrong(place("proxy_protocol"), "proxy_protocol", checked.error().context);
    right = false;
  }
  if (const auto checked = check_tunnel(carried); !checked) {
    wrong(place("carry"), "carry",
          "this is an http tunnel, whose visitors share connections to the client: carry is \"mux\" or \"auto\" there");
    right = false;
  }
  if (tunnel.connect && right && !check_tunnel(connects)) {
    wrong(place("connect"), "connect",
          http ? "this shares a directory, which is no proxy: leave it out"
               : "this is a tcp tunnel, which passes whatever visitors say: leave it out");
    right = false;
  }
  // A value that could not be read was told of, and its absence is no mistake.
  const auto read = [&](std::string_view key, const std::string& text) {
    return (table.find(key) == nullptr) == text.empty();
  };
  const bool pair_read =
      read("origin_tls_cert", tunnel.origin_tls.certificate) && read("origin_tls_key", tunnel.origin_tls.key);
  if (const auto checked = check_origin(tunnel); right && pair_read && !checked) {
    const OriginTls& tls = tunnel.origin_tls;
    const std::string_view key = !tls.ca.empty()            ? "origin_tls_ca"
                                 : !tls.server_name.empty() ? "origin_tls_server_name"
                                 : tls.skip_verify          ? "origin_tls_skip_verify"
                                 : !tls.certificate.empty() ? "origin_tls_cert"
                                                            : "origin_tls_key";
    wrong(place(key), std::string(key), checked.error().context);
    right = false;
  }
  if (const OriginTls& tls = tunnel.origin_tls; right && pair_read && !tls.certificate.empty()) {
    if (const auto usable = outside_.check_identity(tls.certificate, tls.key); !usable) {
      const std::string key = usable.error().context.contains(tls.certificate) ? "origin_tls_cert" : "origin_tls_key";
      wrong(place(key), key, usable.error().context);
      right = false;
    }
  }
  if (!right) return;
  const Place at = place("url");
  if (!only_one(names_, tunnel.name, "the name " + tunnel.name, {name_, table.place})) return;
  for (const auto& [key, written] : places_of(tunnel))
    if (!only_one(addresses_, key, "the host " + written, {name_, at})) return;
  if (!http && tunnel.port != 0 &&
      !only_one(addresses_, ":" + std::to_string(tunnel.port), "port " + std::to_string(tunnel.port), {name_, at}))
    return;
  // What is too much of it all together, wherever it leads to.
  TunnelConfig whole = tunnel;
  whole.to = proxied.to;
  whole.origin_tls = {};
  if (const auto checked = check_tunnel(whole); !wrong_ && !checked)
    return errors_.add(table.place, checked.error().context);
  tunnels_.push_back(std::move(tunnel));
}

bool TunnelMaker::only_one(std::map<std::string, Owner>& of, const std::string& key, const std::string& what,
                           const Owner& owner) {
  const auto [at, added] = of.try_emplace(key, owner);
  if (!added)
    errors_.add(owner.place, "tunnels." + owner.name + ": " + what + " is that of tunnels." + at->second.name + " (" +
                                 errors_.text_of(at->second.place) + ") too; it can lead to one of them only");
  return added;
}

}  // namespace ferrotunnel::app::config
