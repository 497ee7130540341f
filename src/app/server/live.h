// ServerLive: the part of a server's configuration that a reload may change, as one immutable snapshot. Each shard keeps the one that holds;
// what is decided later (a sign-in, a registration, a visitor) asks the shard, what was decided earlier stays. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ferrotunnel/config.h"
#include "http/page_template.h"
#include "ingress/limits/visitor_gate.h"
#include "transport/tcp/ip_set.h"
#include "transport/tls/certificate_book.h"
#include "transport/tls/tls_context.h"

namespace ferrotunnel::app {

struct ServerLive {
  ServerConfig config;  // its grants are in the GrantBook
  std::optional<transport::TlsServerContext> tls;
  std::optional<transport::Fingerprint> fingerprint;
  transport::CertificateBookPtr https;  // none: there is no HTTPS port
  http::PageTemplatesPtr pages;         // of failures; none: the built-in ones
  transport::IpSet trusted_proxies;
  wire::Limits tunnel_limits;              // what no tunnel exceeds
  ingress::AddressRulesPtr visitor_rules;  // of these
  std::string public_host;                 // in the addresses of tunnels
  std::string domain;  // of HTTP tunnels that ask for one word, in the one spelling; "": none was given
};
using LivePtr = std::shared_ptr<const ServerLive>;

}  // namespace ferrotunnel::app
