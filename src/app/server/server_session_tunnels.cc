// ServerSession, the part that gives tunnels and takes them back: what the grant says, hosts and ports.
#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <set>

#include "app/limits.h"
#include "app/rules.h"
#include "app/server/random_name.h"
#include "app/server/server_session.h"
#include "base/random.h"
#include "http/host.h"
#include "http/path.h"

namespace ferrotunnel::app {

namespace {

constexpr int kPortTries = 64;
constexpr std::size_t kMaxPlaces = 256;  // hosts times paths of a tunnel
// Wall clocks jump: an expiry is looked for this often, however far it seems.
constexpr Duration kExpiryLook = std::chrono::minutes(1);

std::unexpected<Error> refused(ErrorCode code, std::string text, bool retry = false) {
  return std::unexpected(Error(code, Side::Local, retry, std::move(text)));
}

session::Grant::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::uint32_t random_number() {
  std::array<std::byte, 4> bytes;
  fill_random(bytes);
  return load_be<std::uint32_t>(bytes.data());
}

std::size_t total_size(const std::vector<std::string>& texts) {
  std::size_t size = 0;
  for (const std::string& text : texts) size += text.size();
  return size;
}

// Each path asked for once, with what is asked for besides; one for all where there is none.
Result<std::vector<route::PartPtr>> parts_of(const wire::Register& request) {
  if (total_size(request.methods) + total_size(request.headers) > wire::kMaxMatchBytes)
    return refused(ErrorCode::Limit, "the methods and headers of a tunnel have at most " +
                                         std::to_string(wire::kMaxMatchBytes) + " bytes together");
  auto parsed = http::HeadMatch::parse(request.methods, request.headers);
  if (!parsed) return std::unexpected(parsed.error());
  const auto match = route::shared_match(std::move(*parsed));
  std::set<std::string> prefixes;
  std::vector<route::PartPtr> parts;
  for (const std::string& path : request.paths) {
    auto prefix = http::normalise_prefix(path);
    if (!prefix) return refused(ErrorCode::BadInput, "a path asked for is none");
    if (prefixes.insert(*prefix).second) parts.push_back(route::part_of(*prefix, match));
  }
  if (parts.empty()) parts.push_back(route::part_of({}, match));
  return parts;
}

Result<transport::ClientAuthorityPtr> client_ca_of(const wire::Register& request, std::uint16_t https_port) {
  if (request.client_ca.empty()) return nullptr;
  if (https_port == 0)
    return refused(ErrorCode::BadInput,
                   "visitors show certificates over TLS only, and this server has no HTTPS port (https_listen)");
  return transport::ClientAuthority::parse(request.client_ca);
}

Result<> kept_for_another(std::uint16_t port) {
  return refused(ErrorCode::AddressInUse,
                 "port " + std::to_string(port) + " is kept for another client, which lost its connection", true);
}

std::optional<route::OriginSpeech> speech_of(const wire::Register& request) {
  if (request.proto != wire::TunnelProto::Http) return route::OriginSpeech::Http1;
  switch (request.origin) {
    case wire::OriginProto::H1: return route::OriginSpeech::Http1;
    case wire::OriginProto::H2: return route::OriginSpeech::Http2;
    case wire::OriginProto::H2Tls: return route::OriginSpeech::Http2Tls;
    case wire::OriginProto::Other: break;
  }
  return std::nullopt;
}

// Under which hosts are that nobody asked for by name.
const std::string& own_domain(const ServerLive& live) { return live.domain.empty() ? live.public_host : live.domain; }

// One word is a name under the server's own domain, where it has one.
Result<std::string> one_spelling(const std::string& asked, const std::string& domain) {
  const bool wild = asked.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? std::string_view(asked).substr(2) : std::string_view(asked), name))
    return refused(ErrorCode::BadInput, "the host asked for is not a host name");
  if (!domain.empty() && !wild && !name.contains('.') && name != "localhost" && name.front() != '[')
    name.append(".").append(domain);
  std::string host = wild ? "*." + name : name;
  if (wild && !http::is_wildcard(host))
    return refused(ErrorCode::BadInput, "a wildcard host is '*.' and a name, such as *.dev.example.com");
  return host;
}

}  // namespace

void ServerSession::on_register(const wire::Register& request) {
  if (shard_.server().draining())
    return reject(request, Error(ErrorCode::Refused, Side::Local, true, "the server is draining"));
  if (grant_ == nullptr || use_ == nullptr) return;  // revoked: the link is ending
  if (!session::GrantUse::take(use_->tunnels, grant_->limits.tunnels)) {
    return reject(request, Error(ErrorCode::Limit, Side::Local, false,
                                 "the grant " + grant_->name + " may have " + std::to_string(grant_->limits.tunnels) +
                                     " tunnels (max_tunnels)"));
  }
  const std::uint32_t number = next_tunnel_++;
  Tunnel tunnel;
  if (const Result<> done = make_tunnel(request, number, tunnel); !done) {
    session::GrantUse::give_back(use_->tunnels);
    if (done.error().code == ErrorCode::AddressInUse) contest(tunnel.wanted, request.port);
    return reject(request, done.error());
  }
  wire::Registered answer{request.req, number, tunnel.url, tunnel.tcp ? tunnel.tcp->port() : std::uint16_t{0}};
  tunnel.number = number;
  tunnel.asked = request.limits;
  tunnel.gate = std::make_shared<ingress::VisitorGate>(shard_.shard(), use_);
  tunnel.carry = request.carry;
  if (tunnel.tcp) tunnel.tcp->limit(tunnel.gate, &shard_.server().visitors);
  if (tunnel.tcp) tunnel.tcp->carry(tunnel.carry, direct_.get());
  book_->add(number, tunnel.counts);
  limit(tunnel);
  say_tunnel(TunnelEvent::Kind::Up, tunnel.name, tunnel.url);
  tunnels_.emplace(number, std::move(tunnel));
  carry_changed();
  link_->send_control(wire::encode(answer));
}

// What costs least is asked first, so that who asks in vain costs little: what the grant may have, then whether it is to be had, and rules and
// certificates are read last.
Result<> ServerSession::make_tunnel(const wire::Register& request, std::uint32_t number, Tunnel& tunnel) {
  tunnel.said_limits = wire::size_of(request.limits);
  tunnel.said_rules = wire::size_of(request.rules);
  if (auto may = tunnel.said.set(use_, *grant_, wire::size_of(request)); !may) {
    shard_.server().counters.over_tunnel_bytes.fetch_add(1, std::memory_order_relaxed);
    return may;
  }
  const auto speech = speech_of(request);
  if (!speech)
    return refused(ErrorCode::BadInput,
                   "this server speaks HTTP/1.1 and HTTP/2 to local services, and not what this client asks for: "
                   "update it");
  Asked asked;
  if (request.proto == wire::TunnelProto::Http) {
    auto told = asked_of(request, number, tunnel);
    if (!told) return std::unexpected(told.error());
    asked = std::move(*told);
  } else if (auto may = may_listen(request.port); !may) {
    return may;
  }
  auto rules = to_rules(request.limits);
  if (!rules) return std::unexpected(rules.error());
  auto chain = to_chain(request.rules, shard_.server().worker(), grant_name());
  if (!chain) return std::unexpected(chain.error());
  auto client_ca = client_ca_of(request, shard_.server().https_port());
  if (!client_ca) return std::unexpected(client_ca.error());
  tunnel.name = request.name;
  tunnel.rules = std::move(*rules);
  tunnel.chain = std::move(*chain);
  tunnel.single_use = request.single_use;
  tunnel.connect = request.connect;
  tunnel.client_ca = std::move(*client_ca);
  tunnel.speech = *speech;
  tunnel.counts = std::make_shared<TunnelCounts>(request.name);
  return request.proto == wire::TunnelProto::Http ? register_http(std::move(asked), number, tunnel)
                                                  : register_tcp(request, number, tunnel);
}

// ---- who has it already -------------------------------------------------------------------------------------------

// The client asks again in a moment. Until then whoever has it under the same grant has shown to be alive, or has lost it; under another
// grant it keeps it whatever it does.
void ServerSession::contest(const std::optional<route::Place>& host, std::uint16_t port) {
  shard_.server().probe(outcome_.grant, id_, host, port);
}

bool ServerSession::has(const std::optional<route::Place>& host, std::uint16_t port) const {
  return std::ranges::any_of(tunnels_, [&](const auto& one) {
    const Tunnel& tunnel = one.second;
    return (host && std::ranges::find(tunnel.places, *host) != tunnel.places.end()) ||
           (port != 0 && tunnel.tcp && tunnel.tcp->port() == port);
  });
}

void ServerSession::prove_alive() {
  if (probe_.armed() || outlived_) return;  // the client has left, and asks for nothing
  probe_.began = shard_.shard().now();
  link_->ping();
  shard_.shard().arm(probe_, kProbe);
}

void ServerSession::on_probe_over() {
  if (link_->status().last_received >= probe_.began) return;
  close(Error(ErrorCode::Timeout, Side::Tunnel, true,
              "the client was silent, and another of its grant asked for what it had"));
}

// ---- hosts --------------------------------------------------------------------------------------------------------

Result<> ServerSession::register_http(Asked asked, std::uint32_t number, Tunnel& tunnel) {
  ServerImpl& server = shard_.server();
  if (auto claimed = claim_all(std::move(asked), number, tunnel); !claimed) {
    // Some were to be had, and one is gone since: what may have been kept for the grant is kept again.
    auto lease = lease_of(Places::LetGo);
    give_up_places(tunnel, lease ? &*lease : nullptr, Places::LetGo);
    if (lease) shard_.keep(std::move(*lease));
    return claimed;
  }
  const route::Place& first = tunnel.places.front();
  tunnel.host = first.host;
  const bool https = server.https_port() != 0;
  const std::uint16_t port = https ? server.https_port() : server.http_port();
  tunnel.url = (https ? "https://" : "http://") + first.host;
  if (port != (https ? 443 : 80)) tunnel.url += ":" + std::to_string(port);
  tunnel.url += first.part->prefix;
  return {};
}

// Every host with every path, where all of them are to be had now: what is kept for the grant stays so where another is not.
Result<ServerSession::Asked> ServerSession::asked_of(const wire::Register& request, std::uint32_t number,
                                                     Tunnel& tunnel) {
  if (shard_.server().http_port() == 0 && shard_.server().https_port() == 0)
    return refused(ErrorCode::Refused, "this server has no HTTP port (its --http-listen is off)");
  auto parts = parts_of(request);
  if (!parts) return std::unexpected(parts.error());
  Asked asked;
  asked.parts = std::move(*parts);
  const auto add = [&](const std::string& name) -> Result<> {
    auto host = one_spelling(name, shard_.live().domain);
    if (!host) return std::unexpected(host.error());
    if (std::ranges::find(asked.hosts, *host) == asked.hosts.end()) asked.hosts.push_back(std::move(*host));
    return {};
  };
  if (!request.host.empty()) {
    if (auto added = add(request.host); !added) return std::unexpected(added.error());
  }
  for (const std::string& name : request.hosts) {
    if (auto added = add(name); !added) return std::unexpected(added.error());
  }
  const std::size_t places = std::max<std::size_t>(asked.hosts.size(), 1) * asked.parts.size();
  if (places > kMaxPlaces)
    return refused(ErrorCode::Limit, "a tunnel has at most " + std::to_string(kMaxPlaces) + " hosts times paths");
  const std::size_t bytes = total_size(request.paths) + total_size(request.methods) + total_size(request.headers) +
                            std::max<std::size_t>(total_size(asked.hosts), wire::kMaxHost) * asked.parts.size();
  auto hold = RouteHold::take(use_, *grant_, places, bytes);
  if (!hold) return std::unexpected(hold.error());
  tunnel.route_hold = std::move(*hold);
  for (const std::string& host : asked.hosts) {
    for (const route::PartPtr& part : asked.parts) {
      tunnel.wanted.emplace(host, part);
      if (auto may = claim(*tunnel.wanted, number, tunnel, Chosen::Asked, Take::No); !may)
        return std::unexpected(may.error());
    }
  }
  return asked;
}

Result<> ServerSession::claim_all(Asked asked, std::uint32_t number, Tunnel& tunnel) {
  const bool picked = asked.hosts.empty();
  if (picked) {
    auto host = pick_host(number, tunnel, asked.parts.front());
    if (!host) return std::unexpected(host.error());
    asked.hosts.push_back(std::move(*host));
  }
  for (const std::string& host : asked.hosts) {
    for (const route::PartPtr& part : asked.parts) {
      if (picked && part == asked.parts.front()) continue;
      tunnel.wanted.emplace(host, part);
      if (auto claimed = claim(*tunnel.wanted, number, tunnel); !claimed) return claimed;
    }
  }
  tunnel.wanted.reset();
  return {};
}

Result<> ServerSession::claim(const route::Place& place, std::uint32_t number, Tunnel& of, Chosen chosen, Take take) {
  if (!grant_->allows_host(place.host)) {
    return refused(ErrorCode::Refused, place.host + " is outside the hosts of grant " + grant_->name + " (" +
                                           session::hosts_text(*grant_) + ")");
  }
  const auto granted_in = [&](std::string_view wildcard) {
    return chosen == Chosen::Random || grant_->allows_host_within(place.host, wildcard);
  };
  const route::RouteTarget target{id_,       number,        shard_.shard().index(), !further_.empty(),
                                  of.chain,  of.single_use, of.client_ca,           of.speech,
                                  of.connect};
  const route::ClaimRights rights{reserves(place.host), granted_in};
  route::Router& router = shard_.server().router();
  if (take == Take::No) return router.could_claim(place, owner_, target, rights);
  auto claimed = router.claim(place, owner_, target, rights);
  if (claimed) of.places.push_back(place);
  return claimed;
}

// A wildcard that the grant has with all there is ("*") keeps nobody from names under the server's own domain, where everybody's are, nor
// under a whole top-level domain.
bool ServerSession::reserves(std::string_view host) const {
  if (!host.starts_with("*.") || grant_->allows_host_within(host, "*")) return true;
  const std::string& domain = own_domain(shard_.live());
  return host.substr(2).contains('.') && domain != host.substr(2) && !http::wildcard_match(host, domain);
}

// A name under the server's own, where any is granted; under the first wildcard, else; or the first granted name that is free.
Result<std::string> ServerSession::pick_host(std::uint32_t number, Tunnel& tunnel, const route::PartPtr& part) {
  std::string domain;
  for (const std::string& pattern : grant_->hosts) {
    if (pattern == "*") {
      domain = own_domain(shard_.live());
      break;
    }
    if (domain.empty() && pattern.starts_with("*.")) domain = pattern.substr(2);
  }
  if (!domain.empty()) {
    std::string host = random_name().append(".").append(domain);
    if (auto claimed = claim({host, part}, number, tunnel, Chosen::Random); !claimed)
      return std::unexpected(claimed.error());
    return host;
  }
  for (const std::string& name : grant_->hosts) {
    if (claim({name, part}, number, tunnel)) return name;
  }
  return refused(grant_->hosts.empty() ? ErrorCode::Refused : ErrorCode::AddressInUse,
                 "no host of grant " + grant_->name + " is free (" + session::hosts_text(*grant_) + ")",
                 !grant_->hosts.empty());
}

// ---- ports --------------------------------------------------------------------------------------------------------

// 0: any. Whether nobody else listens there only the system knows.
Result<> ServerSession::may_listen(std::uint16_t port) const {
  if (port == 0) return {};
  if (!grant_->allows_port(port)) {
    return refused(ErrorCode::Refused, "port " + std::to_string(port) + " is outside the ports of grant " +
                                           grant_->name + " (" + session::ports_text(*grant_) + ")");
  }
  return shard_.server().ports().allows(port, owner_) ? Result<>() : kept_for_another(port);
}

Result<> ServerSession::register_tcp(const wire::Register& request, std::uint32_t number, Tunnel& tunnel) {
  tunnel.listener = session::GrantDescriptor::take(shard_.server().descriptors, DescriptorUse::Port, use_);
  if (!tunnel.listener) {
    shard_.server().say_short();
    return refused(ErrorCode::Limit,
                   "the server has no descriptor left to listen with (ulimit -n), or none for the grant " +
                       grant_->name + ", which has its share of them",
                   true);
  }
  auto tcp = request.port != 0 ? listen(number, request.port) : pick_port(number);
  if (!tcp) return std::unexpected(tcp.error());
  const std::string ip = shard_.server().tcp_listen().ip_text();
  const bool any = ip == "::" || ip == "0.0.0.0";
  tunnel.url = "tcp://" +
               (any                                 ? shard_.live().public_host
                : ip.find(':') == std::string::npos ? ip
                                                    : "[" + ip + "]") +
               ":" + std::to_string((*tcp)->port());
  tunnel.tcp = std::move(*tcp);
  return {};
}

Result<std::unique_ptr<ingress::TcpIngress>> ServerSession::listen(std::uint32_t number, std::uint16_t port) {
  transport::SocketAddress address = shard_.server().tcp_listen();
  address.set_port(port);
  auto tcp = std::make_unique<ingress::TcpIngress>(shard_.shard(), *link_, number,
                                                   static_cast<ingress::TcpIngressHost&>(*this));
  tcp->read_proxy_headers(&shard_.proxies());
  const auto taken = shard_.server().ports().take(port, owner_, [&] { return tcp->listen(address); });
  if (!taken) return std::unexpected(kept_for_another(port).error());
  if (auto bound = *taken; !bound) {
    // Errors that the client may see say what, not more than it needs of this machine.
    if (bound.error().code == ErrorCode::AddressInUse)
      bound.error().context = "port " + std::to_string(port) + " is in use at the server";
    return std::unexpected(bound.error());
  }
  if (port == 0 && !shard_.server().ports().allows(tcp->port(), owner_))
    return refused(ErrorCode::AddressInUse, "the port that the system picked is kept for another client", true);
  shard_.server().ports().taken(tcp->port());
  return tcp;
}

// What the system picks, where that is granted; else one of the grant's, all of them tried where they are few.
Result<std::unique_ptr<ingress::TcpIngress>> ServerSession::pick_port(std::uint32_t number) {
  std::uint32_t count = 0;
  for (const session::PortRange range : grant_->ports) count += range.last - range.first + 1u;
  if (count == 0) return refused(ErrorCode::Refused, "the grant " + grant_->name + " has no ports, so no TCP tunnels");
  if (grant_->allows_port(65535)) {  // the system picks from the upper ones
    auto tcp = listen(number, 0);
    if (tcp ? grant_->allows_port((*tcp)->port()) : tcp.error().code != ErrorCode::AddressInUse) return tcp;
  }
  const std::uint32_t start = random_number() % count;
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, kPortTries); ++i) {
    std::uint32_t at = (start + i) % count;
    for (const session::PortRange range : grant_->ports) {
      const std::uint32_t size = range.last - range.first + 1u;
      if (at >= size) {
        at -= size;
        continue;
      }
      auto tcp = listen(number, static_cast<std::uint16_t>(range.first + at));
      if (tcp || tcp.error().code != ErrorCode::AddressInUse) return tcp;
      break;
    }
  }
  return refused(ErrorCode::AddressInUse,
                 "no port of grant " + grant_->name + " is free (" + session::ports_text(*grant_) + ")", true);
}

void ServerSession::on_update(const wire::Update& request) {
  const auto found = tunnels_.find(request.tunnel);
  if (found == tunnels_.end()) return;
  Tunnel& tunnel = found->second;
  if (request.new_origin && !tunnel.host.empty()) {
    const ingress::TunnelKey key{id_, request.tunnel};
    shard_.http().forget_tunnel(key);
    on_further([key](ServerShard& shard) { shard.http().forget_tunnel(key); });
  }
  if (request.carry && tunnel.tcp) {
    tunnel.carry = *request.carry;
    tunnel.tcp->carry(tunnel.carry, direct_.get());
    carry_changed();
  }
  const std::size_t limits = request.limits ? wire::size_of(*request.limits) : tunnel.said_limits;
  const std::size_t rules_said = request.rules ? wire::size_of(*request.rules) : tunnel.said_rules;
  const std::size_t said = tunnel.said.bytes() - tunnel.said_limits - tunnel.said_rules + limits + rules_said;
  if (auto may = tunnel.said.set(use_, *grant_, said); !may) {
    shard_.server().counters.over_tunnel_bytes.fetch_add(1, std::memory_order_relaxed);
    return withdraw(request.tunnel, may.error(), wire::kRejectLimit, Places::LetGo);
  }
  tunnel.said_limits = limits;
  tunnel.said_rules = rules_said;
  if (request.rules && !tunnel.host.empty()) {
    auto chain = to_chain(*request.rules, shard_.server().worker(), grant_name());
    // What the client wants done is not known: nobody comes in.
    if (!chain) return withdraw(request.tunnel, chain.error(), wire::kRejectBadRequest, Places::LetGo);
    tunnel.chain = std::move(*chain);
    for (const route::Place& place : tunnel.places) shard_.server().router().set_chain(place, id_, tunnel.chain);
  }
  if (!request.limits) return;
  auto rules = to_rules(*request.limits);
  // Whom the client wants to keep out is not known: nobody comes in.
  if (!rules) return withdraw(request.tunnel, rules.error(), wire::kRejectBadRequest, Places::LetGo);
  tunnel.asked = *request.limits;
  tunnel.rules = std::move(*rules);
  limit(tunnel);
  carry_changed();
}

// ---- limits -------------------------------------------------------------------------------------------------------

void ServerSession::limit(Tunnel& tunnel) {
  const ServerLive& live = shard_.live();
  tunnel.gate->set(lower_of(tunnel.asked, live.tunnel_limits), tunnel.rules, live.visitor_rules);
  if (tunnel.tcp) tunnel.tcp->keep_alive(live.config.tcp_keepalive);
  if (!tunnel.host.empty()) shard_.http().set_gate({id_, tunnel.number}, tunnel.gate->open() ? nullptr : tunnel.gate);
  // What a gate counts it counts on this shard.
  if (further_.empty()) return;
  for (const route::Place& place : tunnel.places) shard_.server().router().pin(place, id_, !tunnel.gate->open());
}

void ServerSession::limits_changed() {
  for (auto& [number, tunnel] : tunnels_) limit(tunnel);
  if (direct_) {
    home_->direct.limit = shard_.live().config.max_direct;
    direct_->set_most(shard_.live().config.max_direct);
  }
  carry_changed();
}

// ---- the grant changes --------------------------------------------------------------------------------------------

void ServerSession::grants_changed() {
  if (!up_) return;  // start() asks
  auto grant = shard_.server().grants().find(outcome_.grant);
  if (grant == nullptr || !grant->knows(outcome_.key))
    return end_for_good(Error(ErrorCode::Unauthorized, Side::Tunnel, false, "the token was revoked"));
  grant_ = std::move(grant);
  if (grant_->expired(now())) {
    return end_for_good(
        Error(ErrorCode::Unauthorized, Side::Tunnel, false, "the grant " + grant_->name + " has expired"));
  }
  std::vector<std::pair<std::uint32_t, Error>> outside;
  for (const auto& [number, tunnel] : tunnels_) {
    if (auto why = outside_grant(tunnel)) outside.emplace_back(number, std::move(*why));
  }
  for (const auto& [number, why] : outside) withdraw(number, why);
  limits_changed();
  watch_expiry();
}

std::optional<Error> ServerSession::outside_grant(const Tunnel& tunnel) const {
  for (const route::Place& place : tunnel.places) {
    if (grant_->allows_host(place.host)) continue;
    return Error(ErrorCode::Refused, Side::Local, false,
                 place.host + " is no longer among the hosts of grant " + grant_->name + " (" +
                     session::hosts_text(*grant_) + ")");
  }
  if (tunnel.tcp && !grant_->allows_port(tunnel.tcp->port())) {
    return Error(ErrorCode::Refused, Side::Local, false,
                 "port " + std::to_string(tunnel.tcp->port()) + " is no longer among the ports of grant " +
                     grant_->name + " (" + session::ports_text(*grant_) + ")");
  }
  return {};
}

void ServerSession::withdraw(std::uint32_t number, const Error& why, std::string_view code, Places places) {
  link_->send_control(wire::encode(wire::Withdrawn{number, std::string(code), why.context}));
  take_out(number, places);
}

void ServerSession::end_for_good(const Error& why) {
  give_up_all();  // now: whoever revoked it is told that nobody comes in any more
  link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Unauthorized), why.context);
  close(why);
}

void ServerSession::watch_expiry() {
  Deadline::disarm();
  if (!grant_->expires) return;
  const Duration left = *grant_->expires - now();
  shard_.shard().arm(*this, std::min(left, kExpiryLook));
}

void ServerSession::on_deadline() { grants_changed(); }

}  // namespace ferrotunnel::app
