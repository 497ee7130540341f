// The keys of a server's file: [server] and [grants.NAME]. What a value has to be is asked of those who use it: plan_server(), to_grants().
#include <array>
#include <limits>

#include "app/config/checks.h"
#include "app/config/keys.h"
#include "app/server/grants.h"
#include "app/server/plan.h"

namespace ferrotunnel::app::config {
namespace {

constexpr std::uint64_t kMostCount = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMostDirect = 4096;
constexpr std::uint64_t kMostHsts = 10ull * 366 * 24 * 3'600'000;
constexpr std::uint64_t kDay = 24ull * 3'600'000;
constexpr std::uint64_t kMostKeepalive = 9ull * 3'600'000;  // Linux has 15 bits of seconds for it

Result<> plans(const ServerConfig& config) {
  auto plan = plan_server(config);
  if (!plan) return std::unexpected(std::move(plan.error()));
  return {};
}

// The value alone in a configuration that is right otherwise.
Result<> listen(const std::string& text) {
  ServerConfig probe;
  probe.listen = text;
  return plans(probe);
}
Result<> http_listen(const std::string& text) {
  ServerConfig probe;
  if (text.empty()) return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "\"off\" is for none"));
  probe.http_listen = text == "off" ? "" : text;
  return plans(probe);
}
Result<> https_listen(const std::string& text) {
  ServerConfig probe;
  if (text.empty()) return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "\"off\" is for none"));
  if (text == "off") return {};
  probe.https_listen = text;
  probe.https_certificate = probe.https_key = "probe";
  return plans(probe);
}
Result<> tcp_listen_host(const std::string& text) {
  ServerConfig probe;
  probe.tcp_listen_host = text;
  return plans(probe);
}
Result<> public_address(const std::string& text) {
  ServerConfig probe;
  probe.public_addresses = {text};
  return plans(probe);
}
Result<> domain(const std::string& text) {
  ServerConfig probe;
  probe.domain = text;
  return plans(probe);
}
Result<> proxy(const std::string& text) {
  ServerConfig probe;
  probe.trusted_proxies = {text};
  return plans(probe);
}

constexpr std::string_view kProbeName = "probe";
constexpr std::string_view kProbeSecret = "0123456789abcdef";

Result<> grants(GrantOptions probe) {
  probe.name = kProbeName;
  if (probe.secrets.empty()) probe.secrets = {std::string(kProbeSecret)};
  auto made = to_grants({probe});
  if (made) return {};
  // "grant probe: …": who it is, the caller says.
  Error error = std::move(made.error());
  if (const auto colon = error.context.find(": "); colon != std::string::npos) error.context.erase(0, colon + 2);
  return std::unexpected(std::move(error));
}
Result<> host(const std::string& text) {
  GrantOptions probe;
  probe.hosts = {text};
  return grants(std::move(probe));
}
Result<> ports(const std::string& text) {
  GrantOptions probe;
  probe.ports = {text};
  return grants(std::move(probe));
}
Result<> secret(const std::string& text) {
  GrantOptions probe;
  probe.secrets = {text};
  return grants(std::move(probe));
}

constexpr std::array kServerKeys = {
    Key{.name = "listen",
        .fallback = "`\":7835\"`",
        .text = "Where clients sign in: `HOST:PORT`, or `:PORT` for every address. Port 0 lets the system pick one.",
        .example = "\":7835\"",
        .flag = "listen",
        .set = [](Target& t, Read&& r) { t.server->listen = std::move(r.text); },
        .check = listen},
    Key{.name = "http_listen",
        .fallback = "`\":8080\"`",
        .text = "Where HTTP visitors arrive: `HOST:PORT` or `:PORT`; `\"off\"` for none.",
        .example = "\":80\"",
        .flag = "http-listen",
        .set = [](Target& t, Read&& r) { t.server->http_listen = r.text == "off" ? std::string() : std::move(r.text); },
        .check = http_listen},
    Key{.name = "https_listen",
        .fallback = "`\"off\"`",
        .text =
            "Where HTTPS visitors arrive: `HOST:PORT` or `:PORT`. Needs a certificate: `https_cert` and `https_key`, "
            "[certificates.NAME], or `certificates_dir`.",
        .example = "\":443\"",
        .flag = "https-listen",
        .set = [](Target& t,
                  Read&& r) { t.server->https_listen = r.text == "off" ? std::string() : std::move(r.text); },
        .check = https_listen},
    Key{.name = "https_cert",
        .type = Type::Path,
        .fallback = "none: visitors who ask for a name that no certificate has are refused",
        .text = "The certificate (PEM, its chain behind it) of visitors who ask for one of its names, and of all whose "
                "name no other has. Needs `https_key`.",
        .example = "\"/etc/ferrotunnel/https.pem\"",
        .flag = "https-cert",
        .set = [](Target& t, Read&& r) { t.server->https_certificate = std::move(r.text); }},
    Key{.name = "https_key",
        .type = Type::Path,
        .fallback = "none",
        .text = "The private key (PEM) of `https_cert`. No others than its owner and group may read it.",
        .example = "\"/etc/ferrotunnel/https.key\"",
        .flag = "https-key",
        .set = [](Target& t, Read&& r) { t.server->https_key = std::move(r.text); }},
    Key{.name = "certificates_dir",
        .type = Type::Path,
        .fallback = "none",
        .text = "A directory of more certificates: `NAME.crt` or `NAME.pem` with `NAME.key`, and directories with "
                "`fullchain.pem` and `privkey.pem`, as certbot has them.",
        .example = "\"/etc/letsencrypt/live\"",
        .flag = "certificates-dir",
        .set = [](Target& t, Read&& r) { t.server->certificates_dir = std::move(r.text); }},
    Key{.name = "http_tls_minimum",
        .type = Type::Choice,
        .fallback = "`\"1.2\"`",
        .text = "The oldest TLS that visitors of `https_listen` may speak.",
        .example = "\"1.3\"",
        .set = [](Target& t,
                  Read&& r) { t.server->http_tls_minimum = r.text == "1.3" ? TlsMinimum::V13 : TlsMinimum::V12; },
        .choices = "1.2 1.3"},
    Key{.name = "http2",
        .type = Type::Bool,
        .fallback = "`true`",
        .text = "Whether HTTP/2 is offered to visitors of `https_listen`.",
        .example = "false",
        .set = [](Target& t, Read&& r) { t.server->http2 = r.flag; }},
    Key{.name = "h2c",
        .type = Type::Choice,
        .fallback = "`\"prior-knowledge\"`",
        .text = "HTTP/2 without TLS, at `http_listen`: `off`; `prior-knowledge`, where the connection begins with it; "
                "`upgrade`, by "
                "`Upgrade: h2c` too, which is not for servers behind a proxy that passes Upgrade on.",
        .example = "\"off\"",
        .set =
            [](Target& t, Read&& r) {
              t.server->h2c = r.text == "off" ? H2c::Off : r.text == "upgrade" ? H2c::Upgrade : H2c::PriorKnowledge;
            },
        .choices = "off prior-knowledge upgrade"},
    Key{.name = "error_pages",
        .type = Type::Path,
        .fallback = "the built-in pages",
        .text = "Pages of your own for what the server answers itself: a directory with `404.html`, `5xx.json`, "
                "`error.txt` and the "
                "like, or one file for all ([how](http/errors.md)).",
        .example = "\"/etc/ferrotunnel/pages\"",
        .set = [](Target& t, Read&& r) { t.server->error_pages = std::move(r.text); },
        .files = FilesFor::ErrorPages},
    Key{.name = "https_redirect",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "Requests at `http_listen` are answered with a 308 to the same URL at `https_listen`.",
        .example = "true",
        .flag = "https-redirect",
        .set = [](Target& t, Read&& r) { t.server->https_redirect = r.flag; }},
    Key{.name = "hsts",
        .type = Type::Duration,
        .fallback = "0: nothing is said",
        .text =
            "For how long browsers that were here over HTTPS are to come by HTTPS only (`Strict-Transport-Security`, "
            "where the service does not say it itself).",
        .example = "\"365d\"",
        .set = [](Target& t, Read&& r) { t.server->hsts = r.time; },
        .most = kMostHsts},
    Key{.name = "tcp_listen_host",
        .fallback = "every address",
        .text = "The address on which TCP tunnels get their ports.",
        .example = "\"192.0.2.1\"",
        .flag = "tcp-listen-host",
        .set = [](Target& t, Read&& r) { t.server->tcp_listen_host = std::move(r.text); },
        .check = tcp_listen_host},
    Key{.name = "public_address",
        .type = Type::Texts,
        .fallback = "this machine's name, or the address of `listen` where that is a specific one",
        .text = "How clients reach `listen` from where they are: `HOST` or `HOST:PORT`. It goes into the join token, "
                "and the first one's host into the addresses of tunnels.",
        .example = "\"eu.example.com:7835\"",
        .flag = "public-address",
        .set = [](Target& t, Read&& r) { t.server->public_addresses = std::move(r.texts); },
        .check = public_address},
    Key{.name = "domain",
        .type = Type::Text,
        .fallback = "none: one word is a host as it stands, and names of random words are under the host of the first "
                    "`public_address`",
        .text = "Under which HTTP tunnels get their names: one that asks for `web` gets `web.DOMAIN`, one that asks "
                "for none "
                "a name of random words there. DNS has to lead `*.DOMAIN` here.",
        .example = "\"tunnels.example.com\"",
        .flag = "domain",
        .set = [](Target& t, Read&& r) { t.server->domain = std::move(r.text); },
        .check = domain},
    Key{.name = "state",
        .type = Type::Path,
        .fallback = "`$STATE_DIRECTORY`, else `/var/lib/ferrotunnel` for root, else `~/.local/state/ferrotunnel`",
        .text = "The directory where the server keeps its key, and the grants that `ferrotunnel token new` makes. It "
                "is made when missing.",
        .example = "\"/var/lib/ferrotunnel\"",
        .flag = "state",
        .set = [](Target& t, Read&& r) { t.server->state_dir = std::move(r.text); }},
    Key{.name = "tls",
        .type = Type::Bool,
        .fallback = "`true`",
        .text = "`false`: clients sign in over plain TCP. Only for a network that is trusted.",
        .example = "true",
        .flag = "tls",
        .set = [](Target& t, Read&& r) { t.server->tls = r.flag; }},
    Key{.name = "tls_cert",
        .type = Type::Path,
        .fallback = "the key in the state directory",
        .text = "A certificate (PEM, its chain behind it) of your own. Needs `tls_key`.",
        .example = "\"/etc/ferrotunnel/cert.pem\"",
        .flag = "tls-cert",
        .set = [](Target& t, Read&& r) { t.server->tls_certificate = std::move(r.text); }},
    Key{.name = "tls_key",
        .type = Type::Path,
        .fallback = "none",
        .text = "The private key (PEM) of `tls_cert`.",
        .example = "\"/etc/ferrotunnel/key.pem\"",
        .flag = "tls-key",
        .set = [](Target& t, Read&& r) { t.server->tls_key = std::move(r.text); }},
    Key{.name = "tls_client_ca",
        .type = Type::Path,
        .fallback = "none",
        .text = "Clients must show a certificate that one of these (PEM) has signed.",
        .example = "\"/etc/ferrotunnel/clients.pem\"",
        .flag = "tls-client-ca",
        .set = [](Target& t, Read&& r) { t.server->tls_client_ca = std::move(r.text); }},
    Key{.name = "trusted_proxies",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Networks of proxies in front: whoever comes from there has to begin with a PROXY header (version 1 or "
                "2), and the visitor's address is the one in it.",
        .example = "[\"10.0.0.0/8\", \"2001:db8::7\"]",
        .flag = "trusted-proxies",
        .set = [](Target& t, Read&& r) { t.server->trusted_proxies = std::move(r.texts); },
        .check = proxy},
    Key{.name = "threads",
        .type = Type::Number,
        .fallback = "0: one for each core",
        .text = "Threads, each with its share of the connections.",
        .example = "2",
        .flag = "threads",
        .set = [](Target& t, Read&& r) { t.server->threads = static_cast<unsigned>(r.number); },
        .most = 256},
    Key{.name = "memory_limit",
        .type = Type::Size,
        .fallback = "`\"256M\"`",
        .text = "All buffers together.",
        .example = "\"256M\"",
        .flag = "memory-limit",
        .set = [](Target& t, Read&& r) { t.server->memory_limit = static_cast<std::size_t>(r.number); },
        .least = std::uint64_t{1} << 20,
        .most = kMostBytes},
    Key{.name = "busy_poll_us",
        .type = Type::Number,
        .fallback = "0: not at all",
        .text = "Microseconds for which a thread that had something to do looks for more before it sleeps. Bytes wait "
                "less; a core is kept busy.",
        .example = "50",
        .flag = "busy-poll-us",
        .set = [](Target& t, Read&& r) { t.server->busy_poll = std::chrono::microseconds(r.number); },
        .most = 1000},
    Key{.name = "max_visitors",
        .type = Type::Number,
        .fallback = "0: as many as there are descriptors for, less a reserve for clients that sign in",
        .text = "Visitors at once, of all tunnels; past it newcomers are refused.",
        .example = "10000",
        .flag = "max-visitors",
        .set = [](Target& t, Read&& r) { t.server->max_visitors = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "max_direct",
        .type = Type::Number,
        .fallback = "64",
        .text = "Direct links of a client at once, each of which carries one visitor (`carry` of a tunnel). Past it "
                "visitors "
                "are streams of the client's link, as all are with 0.",
        .example = "200",
        .flag = "max-direct",
        .set = [](Target& t, Read&& r) { t.server->max_direct = static_cast<std::uint32_t>(r.number); },
        .most = kMostDirect},
    Key{.name = "min_visitor_rate",
        .type = Type::Number,
        .fallback = "240",
        .text = "Bytes a second that a visitor over HTTP has to move, over 6 seconds each, while it is he whom a "
                "request waits "
                "for: of a body that he sends (but for gRPC), of an answer that he reads. Who is slower is cut off. 0: "
                "no such floor.",
        .example = "240",
        .set = [](Target& t, Read&& r) { t.server->min_visitor_rate = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "host_lease",
        .type = Type::Duration,
        .fallback = "`\"30s\"`",
        .text = "How long a host or port stays its grant's when its client is gone. 0: not at all.",
        .example = "\"30s\"",
        .flag = "host-lease",
        .set = [](Target& t, Read&& r) { t.server->host_lease = r.time; },
        .most = kDay},
    Key{.name = "tcp_keepalive",
        .type = Type::Duration,
        .fallback = "`\"60s\"`",
        .text = "Silence after which the kernel asks a visitor's machine whether it is still there. 0: never.",
        .example = "\"60s\"",
        .flag = "tcp-keepalive",
        .set = [](Target& t, Read&& r) { t.server->tcp_keepalive = r.time; },
        .most = kMostKeepalive},
    Key{.name = "drain_timeout",
        .type = Type::Duration,
        .fallback = "`\"10s\"`",
        .text = "When the program is told to end, how long visitors that are there may take to finish.",
        .example = "\"30s\"",
        .flag = "drain-timeout",
        .set = [](Target& t, Read&& r) { t.program->drain_timeout = r.time; },
        .most = kDay},
    Key{.name = "watch",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "Reload when this file, or one that it includes, has changed.",
        .example = "true",
        .flag = "watch",
        .set = [](Target& t, Read&& r) { t.program->watch = r.flag; }},
};

constexpr std::array kCertificateKeys = {
    Key{.name = "certificate",
        .type = Type::Path,
        .fallback = "it is needed",
        .text = "PEM, its chain behind it.",
        .example = "\"/etc/ferrotunnel/app.pem\"",
        .set = [](Target& t, Read&& r) { t.certificate->certificate = std::move(r.text); }},
    Key{.name = "key",
        .type = Type::Path,
        .fallback = "it is needed",
        .text = "The private key, PEM. No others than its owner and group may read it.",
        .example = "\"/etc/ferrotunnel/app.key\"",
        .set = [](Target& t, Read&& r) { t.certificate->key = std::move(r.text); }},
    Key{.name = "ocsp",
        .type = Type::Path,
        .fallback = "the certificate's name with `.ocsp`, where there is such a file",
        .text = "An OCSP response (DER) that is shown with it, until it expires.",
        .example = "\"/etc/ferrotunnel/app.ocsp\"",
        .set = [](Target& t, Read&& r) { t.certificate->ocsp = std::move(r.text); }},
    Key{.name = "client_ca",
        .type = Type::Path,
        .fallback = "none",
        .text =
            "Mutual TLS: visitors who ask for its names have to show a certificate that one of these (PEM) has signed.",
        .example = "\"/etc/ferrotunnel/visitors.pem\"",
        .set = [](Target& t, Read&& r) { t.certificate->client_ca = std::move(r.text); }},
    Key{.name = "default",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "Also for visitors who ask for a name that no certificate has, or for none; as `https_cert` is.",
        .example = "true",
        .set = [](Target& t, Read&& r) { t.certificate->is_default = r.flag; }},
};

constexpr std::array kGrantKeys = {
    Key{.name = "secret",
        .type = Type::Secret,
        .fallback = "one of `secret` and `secrets` is needed",
        .text = "What proves the grant: 16 to 64 bytes. See [Secrets](#secrets).",
        .example = "{ file = \"/etc/ferrotunnel/grants/laptop\" }",
        .set = [](Target& t, Read&& r) { t.grant->secrets = {std::move(r.text)}; },
        .check = secret},
    Key{.name = "secrets",
        .type = Type::Secrets,
        .fallback = "none",
        .text = "One or two secrets: two while clients move from one to the other.",
        .example = "[{ file = \"/etc/ferrotunnel/grants/old\" }, { file = \"/etc/ferrotunnel/grants/new\" }]",
        .set = [](Target& t, Read&& r) { t.grant->secrets = std::move(r.texts); },
        .check = secret},
    Key{.name = "hosts",
        .type = Type::Texts,
        .fallback = "`[\"*\"]`",
        .text = "Hosts that its clients may have: names, `*.example.com` for every name under it, `*` for any. A name "
                "under a wildcard that another grant has, has to be among them. `[]`: no HTTP tunnels.",
        .example = "[\"app.example.com\", \"*.dev.example.com\"]",
        .set = [](Target& t, Read&& r) { t.grant->hosts = std::move(r.texts); },
        .check = host},
    Key{.name = "ports",
        .type = Type::Ports,
        .fallback = "`[\"1024-65535\"]`",
        .text = "Ports that its clients may have. `[]`: no TCP tunnels.",
        .example = "[2222, \"3000-3010\"]",
        .set = [](Target& t, Read&& r) { t.grant->ports = std::move(r.texts); },
        .check = ports},
    Key{.name = "expires",
        .type = Type::Date,
        .fallback = "never",
        .text = "When it ends: a date (its beginning, UTC), or a date and time with a zone, without quotes.",
        .example = "2027-01-31",
        .set = [](Target& t, Read&& r) { t.grant->expires = r.date; }},
    Key{.name = "max_sessions",
        .type = Type::Number,
        .fallback = "1000",
        .text = "Clients that are signed in at once.",
        .example = "2",
        .set = [](Target& t, Read&& r) { t.grant->max_sessions = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "max_tunnels",
        .type = Type::Number,
        .fallback = "2000",
        .text = "Tunnels at once.",
        .example = "10",
        .set = [](Target& t, Read&& r) { t.grant->max_tunnels = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "max_tunnel_bytes",
        .type = Type::Size,
        .fallback = "`\"4M\"`",
        .text = "What all its tunnels say as they are registered: hosts, paths, rules, networks, certificates.",
        .example = "\"16M\"",
        .set = [](Target& t, Read&& r) { t.grant->max_tunnel_bytes = r.number; },
        .most = kMostBytes},
    Key{.name = "max_streams",
        .type = Type::Number,
        .fallback = "50000",
        .text = "Visitors, and warm connections to local services, at once.",
        .example = "1000",
        .set = [](Target& t, Read&& r) { t.grant->max_streams = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "bandwidth",
        .type = Type::Size,
        .fallback = "0: no limit",
        .text = "Bytes a second, each way.",
        .example = "\"10M\"",
        .set = [](Target& t, Read&& r) { t.grant->bandwidth = r.number; },
        .most = kMostBytes},
};

}  // namespace

Result<> check_grant_name(const std::string& name) {
  GrantOptions probe;
  probe.name = name;
  probe.secrets = {std::string(kProbeSecret)};
  if (auto made = to_grants({probe}); !made) return std::unexpected(std::move(made.error()));
  return {};
}

std::span<const Key> server_keys() { return kServerKeys; }
std::span<const Key> certificate_keys() { return kCertificateKeys; }
std::span<const Key> grant_keys() { return kGrantKeys; }

}  // namespace ferrotunnel::app::config
