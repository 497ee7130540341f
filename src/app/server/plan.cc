#include "app/server/plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "app/limits.h"
#include "app/server/grants.h"
#include "app/times.h"
#include "base/descriptor_budget.h"
#include "http/host.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::app {
namespace {

constexpr std::chrono::hours kMostHsts{10 * 366 * 24};
constexpr std::size_t kLeastMemory = 1u << 20;  // a link that is busy borrows two buffers of 128 KiB

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

// What is of the HTTPS port alone. Whether its files are good, CertificateBook says.
Result<> check_https(const ServerConfig& config) {
  if (config.https_certificate.empty() != config.https_key.empty())
    return bad("https_cert and https_key go together: give both");
  for (const HttpsCertificate& one : config.certificates) {
    if (one.certificate.empty() || one.key.empty())
      return bad("the certificate " + one.name + " needs both of its files: certificate and key");
  }
  const bool some =
      !config.https_certificate.empty() || !config.certificates.empty() || !config.certificates_dir.empty();
  if (config.hsts < std::chrono::milliseconds::zero() || config.hsts > kMostHsts)
    return bad("hsts has to be a time from 0 to ten years");
  if (!config.https_listen.empty() && !some)
    return bad(
        "HTTPS (https_listen) needs a certificate: https_cert and https_key, [certificates.NAME], or "
        "certificates_dir");
  if (!config.https_listen.empty()) return {};
  if (some) return bad("a certificate for HTTPS is given, but https_listen is off");
  if (config.https_redirect) return bad("https_redirect sends visitors to https_listen, which is off");
  if (config.hsts.count() != 0) return bad("hsts is said to visitors of https_listen, which is off");
  return {};
}

}  // namespace

Result<ServerPlan> plan_server(const ServerConfig& config) {
  if (config.listen.empty()) return bad("the address to listen on is empty");
  for (const std::string* address : {&config.listen, &config.http_listen, &config.https_listen}) {
    if (address->empty()) continue;
    auto parts = session::split_host_port(*address, 1);
    if (!parts) return std::unexpected(parts.error());
    if (address->find_first_not_of("0123456789") == std::string::npos)
      return bad("cannot listen on '" + *address + "': a port alone is written :" + *address);
    if (parts->host != "localhost" && !transport::parse_ip(parts->host, 0) && !address->contains(':'))
      return bad("cannot listen on '" + *address +
                 "': write :PORT for all addresses of this machine, or ADDRESS:PORT, such as 127.0.0.1:7835");
    if (parts->host != "localhost" && !transport::parse_ip(parts->host, 0))
      return bad("cannot listen on '" + *address +
                 "': the host has to be an IP address of this machine, localhost, or nothing for all");
  }
  if (config.tcp_listen_host != "localhost" && !transport::parse_ip(config.tcp_listen_host, 0))
    return bad("cannot listen on '" + config.tcp_listen_host +
               "' for TCP tunnels: it has to be an IP address of this machine or localhost");
  if (config.public_addresses.size() > session::kMaxJoinAddresses)
    return bad("more than " + std::to_string(session::kMaxJoinAddresses) + " public addresses");
  for (const std::string& address : config.public_addresses) {
    if (const auto scheme = address.find("://"); scheme != std::string::npos)
      return bad("the public address '" + address +
                 "' is HOST or HOST:PORT, where clients reach --listen: write it "
                 "without " +
                 address.substr(0, scheme + 3));
    auto parts = session::split_host_port(address, 1);
    if (!parts) return std::unexpected(parts.error());
    if (parts->host.empty()) return bad("the public address '" + address + "' has no host");
    const std::string host = parts->host.contains(':') ? "[" + parts->host + "]" : parts->host;
    if (!session::valid_join_address(host + ":" + std::to_string(parts->port)))
      return bad("the public address '" + address +
                 "' is no HOST or HOST:PORT that a client could dial, such as "
                 "eu.example.com");
  }
  ServerPlan plan;
  if (!config.domain.empty() && (!http::normalise_host(config.domain, plan.domain) || plan.domain.front() == '['))
    return bad("the domain '" + config.domain + "' is no host name, such as example.com");
  auto grants = to_grants(config.grants);
  if (!grants) return std::unexpected(grants.error());
  plan.grants = std::move(*grants);
  if (config.tls_certificate.empty() != config.tls_key.empty())
    return bad("a TLS certificate and its key go together: give both");
  if (!config.tls && !config.tls_certificate.empty()) return bad("a TLS certificate is given, but TLS is off");
  if (!config.tls && !config.tls_client_ca.empty()) return bad("mutual TLS needs TLS, which is off");
  if (auto https = check_https(config); !https) return std::unexpected(std::move(https.error()));
  if (config.memory_limit < kLeastMemory) return bad("a memory limit of less than 1 MiB leaves no room to work in");
  if (config.busy_poll < std::chrono::microseconds::zero() || config.busy_poll > std::chrono::milliseconds(1))
    return bad("busy_poll has to be a time from 0 to 1 ms");
  if (config.threads > 256) return bad("at most 256 threads");
  auto proxies = transport::IpSet::parse(config.trusted_proxies);
  if (!proxies) return bad("trusted proxies: " + proxies.error().context);
  plan.trusted_proxies = std::move(*proxies);
  for (const auto& [what, time] :
       {std::pair{"tcp_keepalive", config.tcp_keepalive}, {"host_lease", config.host_lease}}) {
    if (time < std::chrono::milliseconds::zero() || time > kMostTime)
      return bad(std::string(what) + " has to be a time from 0 to a year");
  }
  auto limits = to_wire(config.tunnel_limits);
  if (!limits) return bad("the limits of tunnels: " + limits.error().context);
  auto rules = to_rules(*limits);
  if (!rules) return bad("the limits of tunnels: " + rules.error().context);
  plan.tunnel_limits = std::move(*limits);
  plan.visitor_rules = std::move(*rules);
  return plan;
}

std::uint32_t visitor_limit(const ServerConfig& config) {
  if (config.max_visitors != 0) return config.max_visitors;
  const std::uint64_t all = descriptor_limit();
  if (all == UINT64_MAX) return UINT32_MAX;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(all - descriptor_reserve(all), 1, UINT32_MAX));
}

}  // namespace ferrotunnel::app
