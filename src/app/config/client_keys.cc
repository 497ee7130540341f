// The keys of a client's file: [client] and [tunnels.NAME]. What a value has to be is asked of those who use it: plan_client().
#include <array>

#include "app/client/plan.h"
#include "app/config/checks.h"
#include "app/config/keys.h"

namespace ferrotunnel::app::config {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kDay = 24ull * 3'600'000;

// The value alone in a configuration that is right otherwise.
ClientConfig right() {
  ClientConfig probe;
  probe.servers = {"localhost"};
  probe.grant = "probe";
  probe.secret = "0123456789abcdef";
  TunnelConfig tunnel;
  tunnel.name = "probe";
  tunnel.to = "1";
  probe.tunnels = {tunnel};
  return probe;
}
// What is said of "the tunnel probe", whom nobody has written.
std::string without_probe(std::string text) {
  for (const auto& [from, to] :
       {std::pair<std::string_view, std::string_view>{"the tunnel probe: ", ""}, {"the tunnel probe ", "this tunnel "}})
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at))
      text.replace(at, from.size(), to);
  return text;
}
Result<> plans(const ClientConfig& config) {
  auto plan = plan_client(config);
  if (plan) return {};
  plan.error().context = without_probe(std::move(plan.error().context));
  return std::unexpected(std::move(plan.error()));
}
Result<> server(const std::string& text) {
  ClientConfig probe = right();
  probe.servers = {text};
  return plans(probe);
}
Result<> grant(const std::string& text) {
  ClientConfig probe = right();
  probe.grant = text;
  if (text.empty()) return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "a name is missing"));
  return plans(probe);
}

constexpr std::array kClientKeys = {
    Key{.name = "server",
        .type = Type::Texts,
        .fallback = "as the token says",
        .text = "The server's address, `HOST` or `HOST:PORT`: without a token, or to reach it another way than the "
                "token says. Several are tried in turn.",
        .example = "\"eu.example.com:7835\"",
        .flag = "server",
        .set = [](Target& t, Read&& r) { t.client->servers = std::move(r.texts); },
        .check = server},
    Key{.name = "token",
        .type = Type::Secret,
        .fallback = "the one that was kept at the first sign-in",
        .text = "The join token (`ft1_…`) that the server printed; or, with `grant` and `server`, the grant's secret "
                "alone. See [Secrets](#secrets).",
        .example = "{ file = \"/etc/ferrotunnel/token\" }",
        .flag = "join",
        .set = [](Target& t, Read&& r) { *t.token = std::move(r.text); }},
    Key{.name = "grant",
        .fallback = "as the token says",
        .text = "The grant whose secret `token` is.",
        .example = "\"laptop\"",
        .flag = "grant",
        .set = [](Target& t, Read&& r) { t.client->grant = std::move(r.text); },
        .check = grant},
    Key{.name = "tls",
        .type = Type::Bool,
        .fallback = "as the token says, and `true` without one",
        .text = "`false`: plain TCP, where the server does that too.",
        .example = "true",
        .flag = "tls",
        .set = [](Target& t, Read&& r) { t.client->tls = r.flag; }},
    Key{.name = "tls_ca",
        .type = Type::Path,
        .fallback = "the key in the token",
        .text = "Verify the server by these certificate authorities (PEM) and its name, not by the key in the token.",
        .example = "\"/etc/ferrotunnel/ca.pem\"",
        .flag = "tls-ca",
        .set = [](Target& t, Read&& r) { t.client->tls_ca = std::move(r.text); },
        .files = FilesFor::Authority},
    Key{.name = "tls_cert",
        .type = Type::Path,
        .fallback = "none",
        .text = "A certificate (PEM) to show to a server that asks for one. Needs `tls_key`.",
        .example = "\"/etc/ferrotunnel/client.pem\"",
        .flag = "tls-cert",
        .set = [](Target& t, Read&& r) { t.client->tls_certificate = std::move(r.text); }},
    Key{.name = "tls_key",
        .type = Type::Path,
        .fallback = "none",
        .text = "The private key (PEM) of `tls_cert`.",
        .example = "\"/etc/ferrotunnel/client.key\"",
        .flag = "tls-key",
        .set = [](Target& t, Read&& r) { t.client->tls_key = std::move(r.text); }},
    Key{.name = "tls_server_name",
        .fallback = "the host that is dialled",
        .text = "With `tls_ca`: the name that the server's certificate has to have.",
        .example = "\"eu.example.com\"",
        .flag = "tls-server-name",
        .set = [](Target& t, Read&& r) { t.client->tls_server_name = std::move(r.text); }},
    Key{.name = "tls_skip_verify",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "`true`: believe whoever answers. For trials only: anybody on the way can read all of it.",
        .example = "false",
        .flag = "tls-skip-verify",
        .set = [](Target& t, Read&& r) { t.client->tls_skip_verify = r.flag; }},
    Key{.name = "origin_timeout",
        .type = Type::Duration,
        .fallback = "`\"10s\"`",
        .text = "How long a local service may take to accept a connection.",
        .example = "\"5s\"",
        .flag = "origin-timeout",
        .set = [](Target& t, Read&& r) { t.client->origin_connect_timeout = r.time; },
        .least = 1,
        .most = kDay},
    Key{.name = "threads",
        .type = Type::Number,
        .fallback = "0: one for each core",
        .text = "Threads at most, over which the connections to the server are spread where it wants several.",
        .example = "2",
        .flag = "threads",
        .set = [](Target& t, Read&& r) { t.client->threads = static_cast<unsigned>(r.number); },
        .most = 256},
    Key{.name = "memory_limit",
        .type = Type::Size,
        .fallback = "`\"256M\"`",
        .text = "All buffers together.",
        .example = "\"64M\"",
        .flag = "memory-limit",
        .set = [](Target& t, Read&& r) { t.client->memory_limit = static_cast<std::size_t>(r.number); },
        .least = std::uint64_t{1} << 20,
        .most = kMostBytes},
    Key{.name = "busy_poll_us",
        .type = Type::Number,
        .fallback = "0: not at all",
        .text = "Microseconds for which a thread, when it had something to do, looks for more before it "
                "sleeps. Bytes wait less; a core is kept busy.",
        .example = "50",
        .flag = "busy-poll-us",
        .set = [](Target& t, Read&& r) { t.client->busy_poll = std::chrono::microseconds(r.number); },
        .most = 1000},
    Key{.name = "fail_fast",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "Give up when at first the server cannot be reached, or others have the host or port of every tunnel, "
                "instead of trying again until that changes.",
        .example = "true",
        .flag = "fail-fast",
        .set = [](Target& t, Read&& r) { t.client->fail_fast = r.flag; }},
    Key{.name = "control_socket",
        .type = Type::Path,
        .fallback = "this user's",
        .text = "A unix socket, made with mode 0600, where `status`, `reload` and `drain` of this client are answered. "
                "Of the command `client` it is by default `$RUNTIME_DIRECTORY/client.sock` (systemd), else "
                "`$XDG_RUNTIME_DIR/ferrotunnel-client.sock`, else for root `/run/ferrotunnel-client.sock`, which the "
                "first client of a user has: a second one needs a socket of its own. `http`, `tcp` and the library "
                "have none unless told.",
        .example = "\"/run/ferrotunnel/client.sock\"",
        .flag = "control-socket",
        .set = [](Target& t, Read&& r) { t.client->control_socket = std::move(r.text); }},
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

constexpr std::array kTunnelKeys = {
    Key{.name = "to",
        .fallback = "needed",
        .text = "The local service: `http://127.0.0.1:8080`, `tcp://127.0.0.1:22`, `HOST:PORT`, a port, `unix:PATH`, "
                "over TLS `https://localhost:8443` or `tls://HOST:PORT`, in HTTP/2 `h2c://HOST:PORT` or over TLS "
                "`h2s://HOST:PORT`, "
                "or a directory (`./dist`, `dir:PATH`) whose files are shared. See [Tunnels](#tunnels).",
        .example = "\"http://127.0.0.1:8080\"",
        .set = [](Target& t, Read&& r) { t.tunnel->config.to = std::move(r.text); }},
    Key{.name = "url",
        .fallback = "the server picks",
        .text = "What visitors use: `http://app.example.com`, `http://*.dev.example.com`, `tcp://:2222`; `http://` or "
                "`tcp://` lets the server pick.",
        .example = "\"http://app.example.com\"",
        .set = [](Target& t, Read&& r) { t.tunnel->url = std::move(r.text); }},
    Key{.name = "proxy_protocol",
        .type = Type::Choice,
        .fallback = "none",
        .text = "Tell the service each visitor's address in a PROXY header of this version before the first byte; it "
                "has to expect one. Of an HTTP tunnel each connection to the service then carries one request.",
        .example = "\"v2\"",
        .flag = "proxy-protocol",
        .set =
            [](Target& t, Read&& r) {
              t.tunnel->config.proxy_protocol = r.text == "v1" ? ProxyProtocol::V1 : ProxyProtocol::V2;
            },
        .choices = "v1 v2"},
    Key{.name = "carry",
        .type = Type::Choice,
        .fallback = "`\"auto\"`",
        .text = "How visitors of a TCP tunnel are carried: `mux`, all over the client's link to the server; "
                "`direct`, "
                "each over one of its own, at most the server's `max_direct` at once; `auto`, direct while the road "
                "between the "
                "two is longer than a millisecond and loses so much that visitors would wait for each other. HTTP "
                "tunnels: `mux` or `auto`.",
        .example = "\"direct\"",
        .flag = "carry",
        .set =
            [](Target& t, Read&& r) {
              t.tunnel->config.carry = r.text == "direct" ? Carry::Direct : r.text == "mux" ? Carry::Mux : Carry::Auto;
            },
        .choices = "auto mux direct"},
    Key{.name = "origin_tls_ca",
        .type = Type::Path,
        .fallback = "the system's authorities",
        .text = "For a service over TLS (`https://`, `tls://`): the certificate authorities (PEM) that its certificate "
                "has to lead to.",
        .example = "\"/etc/ferrotunnel/origin-ca.pem\"",
        .flag = "origin-tls-ca",
        .set = [](Target& t, Read&& r) { t.tunnel->config.origin_tls.ca = std::move(r.text); },
        .files = FilesFor::Authority},
    Key{.name = "origin_tls_server_name",
        .fallback = "the host in `to`",
        .text = "The name that a service over TLS is asked for (SNI), and that its certificate has to have.",
        .example = "\"app.internal\"",
        .flag = "origin-tls-server-name",
        .set = [](Target& t, Read&& r) { t.tunnel->config.origin_tls.server_name = std::move(r.text); }},
    Key{.name = "origin_tls_skip_verify",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "`true`: believe whoever answers at the service's address, with any certificate. For trials, or where "
                "nobody else can be there.",
        .example = "false",
        .flag = "origin-tls-skip-verify",
        .set = [](Target& t, Read&& r) { t.tunnel->config.origin_tls.skip_verify = r.flag; }},
    Key{.name = "origin_tls_cert",
        .type = Type::Path,
        .fallback = "none",
        .text = "A certificate (PEM) to show to a service that asks for one. Needs `origin_tls_key`.",
        .example = "\"/etc/ferrotunnel/to-origin.pem\"",
        .flag = "origin-tls-cert",
        .set = [](Target& t, Read&& r) { t.tunnel->config.origin_tls.certificate = std::move(r.text); }},
    Key{.name = "origin_tls_key",
        .type = Type::Path,
        .fallback = "none",
        .text = "The private key (PEM) of `origin_tls_cert`.",
        .example = "\"/etc/ferrotunnel/to-origin.key\"",
        .flag = "origin-tls-key",
        .set = [](Target& t, Read&& r) { t.tunnel->config.origin_tls.key = std::move(r.text); }},
};

}  // namespace

Result<> check_tunnel(const TunnelConfig& tunnel) {
  ClientConfig probe = right();
  const std::string to = probe.tunnels[0].to;
  probe.tunnels = {tunnel};
  if (tunnel.to.empty()) probe.tunnels[0].to = to;
  return plans(probe);
}

Result<> check_origin(const TunnelConfig& tunnel) {
  if (tunnel.origin_tls == OriginTls{}) return {};
  const bool http = tunnel.kind == TunnelConfig::Kind::Http;
  const bool secure = tunnel.to.starts_with(http ? "https://" : "tls://") || tunnel.to.starts_with("h2s://");
  ClientConfig probe = right();
  probe.tunnels[0].name = tunnel.name;
  probe.tunnels[0].kind = tunnel.kind;
  if (secure) probe.tunnels[0].to = http ? "https://localhost:1" : "tls://localhost:1";
  probe.tunnels[0].origin_tls = tunnel.origin_tls;
  return plans(probe);
}

Result<> check_sign_in(const ClientConfig& config) {
  const ClientConfig other = right();
  ClientConfig probe = config;
  probe.tunnels = other.tunnels;
  if (probe.servers.empty() && probe.join.empty()) probe.servers = other.servers;
  if (probe.secret.empty() && probe.join.empty()) {
    probe.grant = other.grant;
    probe.secret = other.secret;
  }
  return plans(probe);
}

std::span<const Key> client_keys() { return kClientKeys; }
std::span<const Key> tunnel_keys() { return kTunnelKeys; }

}  // namespace ferrotunnel::app::config
