#include "app/client/plan.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "app/limits.h"
#include "app/rules.h"
#include "app/times.h"
#include "http/host.h"
#include "http/path.h"
#include "route/place.h"
#include "session/dialer.h"
#include "transport/tls/client_authority.h"
#include "transport/tls/tls_identity.h"
#include "wire/utf8.h"

namespace ferrotunnel::app {
namespace {

constexpr std::size_t kLeastMemory = 1u << 20;  // a link that is busy borrows two buffers of 128 KiB

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

transport::ProxyVersion version_of(ProxyProtocol protocol) {
  switch (protocol) {
    case ProxyProtocol::Off: break;
    case ProxyProtocol::V1: return transport::ProxyVersion::V1;
    case ProxyProtocol::V2: return transport::ProxyVersion::V2;
  }
  return transport::ProxyVersion::Off;
}

wire::Carry carry_of(Carry carry) {
  switch (carry) {
    case Carry::Auto: break;
    case Carry::Mux: return wire::Carry::Mux;
    case Carry::Direct: return wire::Carry::Direct;
  }
  return wire::Carry::Auto;
}

Result<> check_host(const std::string& host) {
  if (host.empty()) return {};
  const bool wild = host.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? std::string_view(host).substr(2) : std::string_view(host), name) ||
      host.find(':') != std::string::npos || host.size() > wire::kMaxHost)
    return bad("'" + host + "' is not a host name (app.example.com, or *.dev.example.com)");
  return {};
}

// As the server will compare it; check_host() has passed.
std::string spelling_of(std::string_view host) {
  const bool wild = host.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? host.substr(2) : host, name)) return {};
  return wild ? "*." + name : name;
}

// Token and options become one JoinToken.
Result<session::JoinToken> what_to_join(const ClientConfig& config) {
  session::JoinToken token;
  if (!config.join.empty()) {
    auto decoded = session::decode_join_token(config.join);
    if (!decoded) return decoded;
    token = std::move(*decoded);
    if (config.tls && *config.tls != token.tls)
      return bad(token.tls ? "the token is for a server that speaks TLS: leave TLS on"
                           : "the token is for a server without TLS");
  } else {
    token.tls = config.tls.value_or(true);
  }
  if (!config.servers.empty()) token.addresses = config.servers;
  if (!config.grant.empty() || !config.secret.empty()) {
    token.grant = config.grant.empty() ? "default" : config.grant;
    token.secret = session::Secret(as_bytes(config.secret));
    if (!token.secret.valid()) return bad("the secret of grant " + token.grant + " has to have 16 to 64 bytes");
  }
  if (token.addresses.empty())
    return std::unexpected(Error(ErrorCode::Unauthorized, Side::Local, false,
                                 "which server? give its join token, or its address with a grant and a secret"));
  if (!token.secret.valid())
    return std::unexpected(
        Error(ErrorCode::Unauthorized, Side::Local, false,
              "a secret of 16 to 64 bytes is needed to sign in: give the server's join token, or a grant"));
  if (!wire::valid_name(token.grant))
    return bad("a grant's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)");
  for (const std::string& address : token.addresses) {
    auto parts = session::split_host_port(address, 7835);
    if (!parts) return std::unexpected(parts.error());
    const bool odd = parts->host.find_first_of(" \t\r\n/\\@?#") != std::string::npos;
    if (parts->host.empty() || parts->port == 0 || odd) return bad("'" + address + "' is not HOST:PORT of a server");
  }
  return token;
}

Result<> check_origin_tls(const TunnelConfig& config, const origin::OriginTarget& target) {
  const OriginTls& tls = config.origin_tls;
  if (tls == OriginTls{}) return {};
  if (!target.secure)
    return bad("the tunnel " + config.name +
               " says how its service is verified over TLS, but the service is spoken to without: with TLS it is " +
               (config.kind == TunnelConfig::Kind::Http ? "https://" : "tls://") + "HOST:PORT");
  if (tls.certificate.empty() != tls.key.empty())
    return bad("the tunnel " + config.name +
               ": a certificate to show to the service and its key go together: give both");
  if (tls.skip_verify && !tls.ca.empty())
    return bad("the tunnel " + config.name +
               " gives a CA to verify its service by, and says not to verify it: leave one out");
  std::string name;
  if (!tls.server_name.empty() &&
      (!http::normalise_host(tls.server_name, name) || tls.server_name.find(':') != std::string::npos))
    return bad("the tunnel " + config.name + ": '" + tls.server_name + "' is no name that a certificate could have");
  return {};
}

// The authority of a local service, for a rule that names it.
std::string authority_of(const origin::OriginTarget& target) {
  if (!target.host.empty()) return target.host + ":" + std::to_string(target.port);
  std::string_view text = target.text;
  if (const auto at = text.find("://"); at != std::string_view::npos) text.remove_prefix(at + 3);
  return http::split_authority(text) ? std::string(text) : "localhost";
}

std::size_t total_size(const std::vector<std::string>& texts) {
  std::size_t size = 0;
  for (const std::string& text : texts) size += text.size();
  return size;
}

// Where visitors find it, of which the server tells: its first host with its first path. One that it picks, or completes, may be as long as any.
Result<> check_url(const TunnelConfig& config, const std::vector<std::string>& paths) {
  if (paths.empty()) return {};
  const std::string first = !config.host.empty() || config.hosts.empty() ? config.host : config.hosts.front();
  const std::size_t host = first.contains('.') ? spelling_of(first).size() : wire::kMaxHost;
  if (std::string_view("https://:65535").size() + host + paths.front().size() <= wire::kMaxUrl) return {};
  return bad("its host and its first path make a URL of more than " + std::to_string(wire::kMaxUrl) + " bytes");
}

// Hosts, paths and rules of an http tunnel.
Result<> plan_rules(const origin::OriginTarget& target, PlannedTunnel& tunnel) {
  const TunnelConfig& config = tunnel.config;
  if (config.hosts.size() > wire::kMaxHosts || config.paths.size() > wire::kMaxPaths)
    return bad("it may have " + std::to_string(wire::kMaxHosts) + " more hosts and " + std::to_string(wire::kMaxPaths) +
               " paths");
  for (const std::string& host : config.hosts) {
    if (auto checked = check_host(host); !checked) return checked;
    if (host.empty()) return bad("one of its hosts is empty");
  }
  for (const std::string& path : config.paths) {
    auto prefix = http::normalise_prefix(path);
    if (!prefix || path.size() > wire::kMaxPath || prefix->size() > wire::kMaxPath)
      return bad("'" + path.substr(0, 64) + "' is no path: write it as /api, without %2F, ';' and '?'");
    tunnel.paths.push_back(prefix->empty() ? "/" : std::move(*prefix));
  }
  if (auto checked = check_url(config, tunnel.paths); !checked) return checked;
  if (config.methods.size() > wire::kMaxPaths || config.headers.size() > wire::kMaxPaths)
    return bad("it may have " + std::to_string(wire::kMaxPaths) + " methods and as many headers");
  if (total_size(config.methods) + total_size(config.headers) > wire::kMaxMatchBytes)
    return bad("its methods and headers have more than " + std::to_string(wire::kMaxMatchBytes) + " bytes together");
  auto match = http::HeadMatch::parse(config.methods, config.headers);
  if (!match) return std::unexpected(std::move(match.error()));
  for (const std::string& method : config.methods)
    if (method.size() > wire::kMaxName) return bad("one of its methods is too long");
  for (const std::string& header : config.headers)
    if (header.size() > wire::kMaxPath || !wire::valid_utf8(header))
      return bad("one of its headers is too long, or not UTF-8");
  tunnel.match = std::move(*match);
  auto rules = to_wire(config.rules, authority_of(target));
  if (!rules) return std::unexpected(std::move(rules.error()));
  tunnel.rules = std::move(*rules);
  return {};
}

// Both messages that the server hears of it, at their longest. One that it does not take ends the link, with all other tunnels, and comes again
// with the next one.
Result<> check_messages(const PlannedTunnel& tunnel) {
  wire::Register first = register_of(tunnel);
  first.req = UINT32_MAX;
  if (first.host.empty())
    first.host.assign(wire::kMaxHost, 'x');  // the server picks it, and is asked for it from then on
  const wire::Update later{UINT32_MAX, true, first.limits, wire::Carry::Direct, first.rules};
  for (const wire::ControlMessage& message : {wire::ControlMessage(std::move(first)), wire::ControlMessage(later)}) {
    const std::string text = wire::encode(message);
    if (text.size() > wire::kMaxControl)
      return bad("the tunnel " + tunnel.config.name +
                 " has more rules, hosts, networks and authorities than one message to the server holds");
    if (auto taken = wire::decode(text); !taken)
      return bad("the tunnel " + tunnel.config.name + " is more than a server takes: " + taken.error().context);
  }
  return {};
}

Result<PlannedTunnel> plan_tunnel(const TunnelConfig& config) {
  if (!wire::valid_name(config.name))
    return bad("a tunnel's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -), not '" + config.name + "'");
  PlannedTunnel tunnel{config, nullptr, {}, {}, {}, {}, {}, {}};
  if (auto checked = check_host(config.host); !checked) return std::unexpected(checked.error());
  auto target = origin::parse_target(config.to, wire::to_string(tunnel.proto()));
  if (!target) return std::unexpected(target.error());
  if (tunnel.single_use() && target->h2)
    return bad("the tunnel " + config.name +
               " shares a service that speaks HTTP/2, where one connection carries the requests of many visitors: it "
               "reads their "
               "addresses in X-Forwarded-For, not in a PROXY header");
  if (tunnel.single_use() && target->files)
    return bad("the tunnel " + config.name +
               " shares a directory, which no PROXY header is for: leave proxy_protocol out");
  if (config.connect && config.kind != TunnelConfig::Kind::Http)
    return bad("the tunnel " + config.name + " is a tcp one, which passes whatever visitors say: leave connect out");
  if (config.connect && target->files)
    return bad("the tunnel " + config.name + " shares a directory, which is no proxy: leave connect out");
  if (!config.client_ca.empty() && config.kind != TunnelConfig::Kind::Http)
    return bad("the tunnel " + config.name +
               " is a tcp one, whose visitors the server does no TLS with: leave client_ca out");
  if (config.carry == Carry::Direct && config.kind != TunnelConfig::Kind::Tcp)
    return bad("the tunnel " + config.name +
               " is an http one, whose visitors share connections to the client: carry is \"mux\" or \"auto\" there");
  if (auto checked = check_origin_tls(config, *target); !checked) return std::unexpected(checked.error());
  tunnel.carry = carry_of(config.carry);
  auto limits = to_wire(config.limits);
  if (!limits) return bad("the tunnel " + config.name + ": " + limits.error().context);
  tunnel.limits = std::move(*limits);
  if (!config.rules.empty() || has_routes(config)) {
    if (config.kind != TunnelConfig::Kind::Http)
      return bad("the tunnel " + config.name + " is a tcp one: hosts, paths and rules are for http tunnels");
    if (auto planned = plan_rules(*target, tunnel); !planned)
      return bad("the tunnel " + config.name + ": " + planned.error().context);
  }
  target->proxy = version_of(config.proxy_protocol);
  tunnel.target = std::make_shared<const origin::OriginTarget>(std::move(*target));
  if (auto checked = check_messages(tunnel); !checked) return std::unexpected(std::move(checked.error()));
  return tunnel;
}

// As the server names them: host, or host and path.
std::vector<std::string> places_of(const PlannedTunnel& tunnel) {
  std::vector<std::string> hosts = tunnel.config.hosts, places;
  if (!tunnel.config.host.empty()) hosts.push_back(tunnel.config.host);
  for (const std::string& host : hosts) {
    if (tunnel.paths.empty()) places.push_back(route::place_of(spelling_of(host), "", tunnel.match));
    for (const std::string& path : tunnel.paths)
      places.push_back(route::place_of(spelling_of(host), path == "/" ? "" : path, tunnel.match));
  }
  return places;
}

}  // namespace

wire::Register register_of(const PlannedTunnel& tunnel) {
  const TunnelConfig& config = tunnel.config;
  wire::Register message;
  message.name = config.name;
  message.proto = tunnel.proto();
  message.host = config.host;
  message.port = config.port;
  message.limits = tunnel.limits;
  message.carry = tunnel.carry;
  if (tunnel.target->h2) message.origin = tunnel.target->secure ? wire::OriginProto::H2Tls : wire::OriginProto::H2;
  message.hosts = config.hosts;
  message.paths = tunnel.paths;
  message.methods = config.methods;
  message.headers = config.headers;
  message.single_use = tunnel.single_use();
  message.connect = config.connect;
  message.client_ca = tunnel.client_ca;
  message.rules = tunnel.rules;
  return message;
}

Result<ClientPlan> plan_client(const ClientConfig& config) {
  if (config.tls_certificate.empty() != config.tls_key.empty())
    return bad("a TLS certificate and its key go together: give both");
  if (config.origin_connect_timeout <= std::chrono::milliseconds::zero() || config.origin_connect_timeout > kMostTime)
    return bad("the timeout for connecting to a local service has to be more than 0, and no more than a year");
  if (config.memory_limit < kLeastMemory) return bad("a memory limit of less than 1 MiB leaves no room to work in");
  if (config.busy_poll < std::chrono::microseconds::zero() || config.busy_poll > std::chrono::milliseconds(1))
    return bad("busy_poll has to be a time from 0 to 1 ms");
  if (config.threads > 256) return bad("at most 256 threads");
  if (config.tunnels.empty()) return bad("there is no tunnel to make: add one with http() or tcp()");
  ClientPlan plan;
  std::set<std::string> names, hosts;
  std::set<std::uint16_t> ports;
  for (const TunnelConfig& tunnel : config.tunnels) {
    auto planned = plan_tunnel(tunnel);
    if (!planned) return std::unexpected(planned.error());
    if (!names.insert(tunnel.name).second) return bad("two tunnels are named " + tunnel.name);
    for (const std::string& place : places_of(*planned)) {
      if (!hosts.insert(place).second)
        return bad("two tunnels ask for the host " + place + ": a host leads to one of them");
    }
    if (tunnel.port != 0 && !ports.insert(tunnel.port).second)
      return bad("two tunnels ask for port " + std::to_string(tunnel.port) + ": a port leads to one of them");
    plan.tunnels.push_back(std::move(*planned));
  }
  // Last, so that whoever has no token yet hears of the other mistakes first.
  auto token = what_to_join(config);
  if (!token) return std::unexpected(token.error());
  plan.token = std::move(*token);
  if (!plan.token.tls && !(config.tls_ca.empty() && config.tls_certificate.empty()))
    return bad("a TLS CA or certificate is given, but the connection to the server would be without TLS");
  return plan;
}

Result<> load_origin_tls(std::vector<PlannedTunnel>& tunnels) {
  // To read the system's authorities takes a while; tunnels of one kind share them.
  std::map<std::pair<origin::OriginTlsOptions, bool>, transport::TlsClientContext> contexts;
  for (PlannedTunnel& tunnel : tunnels) {
    if (!tunnel.config.client_ca.empty()) {
      auto pem = transport::ClientAuthority::read(tunnel.config.client_ca);
      if (!pem) return std::unexpected(std::move(pem.error()));
      tunnel.client_ca = std::move(*pem);
      if (auto checked = check_messages(tunnel); !checked) return checked;
    }
    if (!tunnel.target->secure) continue;
    const OriginTls& config = tunnel.config.origin_tls;
    const origin::OriginTlsOptions options{config.ca, config.skip_verify, config.certificate, config.key,
                                           tunnel.config.kind == TunnelConfig::Kind::Http};
    const auto key = std::make_pair(options, tunnel.target->h2);
    auto found = contexts.find(key);
    if (found == contexts.end()) {
      auto made = origin::make_context(options, tunnel.target->h2);
      if (!made) {
        made.error().context = "the tunnel " + tunnel.config.name + ": " + made.error().context;
        return std::unexpected(std::move(made.error()));
      }
      found = contexts.emplace(key, std::move(*made)).first;
    }
    origin::OriginTarget target = *tunnel.target;
    target.tls = std::make_shared<const origin::OriginTls>(
        origin::OriginTls{found->second, config.server_name.empty() ? target.tls_name : config.server_name,
                          std::make_shared<transport::TlsSessions>()});
    tunnel.target = std::make_shared<const origin::OriginTarget>(std::move(target));
  }
  return {};
}

Result<std::optional<transport::TlsClientContext>> load_client_tls(const ClientConfig& config,
                                                                   const session::JoinToken& token) {
  if (!token.tls) return std::nullopt;
  transport::TlsClientOptions tls;
  if (config.tls_ca.empty()) {
    tls.pin = token.fingerprint;
  } else {
    tls.ca = config.tls_ca;
  }
  tls.skip_verify = config.tls_skip_verify;
  if (!config.tls_certificate.empty()) {
    auto identity = transport::TlsIdentity::load(config.tls_certificate, config.tls_key);
    if (!identity) return std::unexpected(identity.error());
    tls.identity = std::move(*identity);
  }
  auto context = transport::TlsClientContext::make(tls);
  if (!context) return std::unexpected(context.error());
  return std::move(*context);
}

}  // namespace ferrotunnel::app
