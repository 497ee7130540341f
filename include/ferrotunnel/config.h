// Config: all that a Server or Client is told, as values; read from a TOML file, or filled in by a program.
//
//   auto config = ferrotunnel::load_server_config("/etc/ferrotunnel/server.toml");
//   if (!config) return fail(ferrotunnel::to_text(config.error()));      // every mistake in the file, each with file:line:column
//   auto server = ferrotunnel::ServerBuilder(*config).build();
//   …
//   server->reload(*ferrotunnel::load_server_config("/etc/ferrotunnel/server.toml"));
//
// Every key is in docs/configuration.md, which is made from the table that reads the file (app/config/). Values and free functions; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ferrotunnel/error.h"
#include "ferrotunnel/grants.h"
#include "ferrotunnel/rules.h"

namespace ferrotunnel {

// haproxy's PROXY protocol: before the visitor's first byte the local service is told, in a line (V1) or in binary (V2), from which address
// the visitor came. The service has to be set up to read it.
enum class ProxyProtocol : std::uint8_t { Off, V1, V2 };

// How the visitors of a TCP tunnel are carried: as streams of the client's link (Mux), each over a connection of his own between client
// and server (Direct), or the one or the other, as the road between the two is (Auto): Direct while it loses so much that visitors would wait
// for each other, and is longer than a millisecond.
enum class Carry : std::uint8_t { Auto, Mux, Direct };

// What a tunnel's visitors may do. At a client: what the tunnel asks for. At a server (ServerConfig::tunnel_limits): what no tunnel exceeds;
// of two limits the lower one holds. 0 is no limit.
struct TunnelLimits {
  std::uint32_t max_visitors = 0;                 // at once. TCP: connections; HTTP: requests
  std::uint32_t max_visitors_per_address = 0;     // at once, from one address (of IPv6: from one /64)
  std::uint32_t max_new_visitors_per_second = 0;  // with a burst of as many
  std::uint64_t bandwidth = 0;                    // bytes a second, each way, of all visitors together
  std::uint64_t visitor_bandwidth = 0;            // of each
  std::chrono::milliseconds idle_timeout{0};      // a visitor's connection without a byte either way ends. TCP tunnels
  // Networks ("192.0.2.0/24", "2001:db8::/32", "10.0.0.1", "all"). Who is in `deny` is refused; where `allow` has any, who is not in it too.
  std::vector<std::string> allow{}, deny{};
  friend bool operator==(const TunnelLimits&, const TunnelLimits&) = default;
};

// How a local service over TLS is verified: as anything is in the world outside, unless said otherwise. Files are PEM.
struct OriginTls {
  std::string ca;                // its certificate leads to one of these authorities; "": to one of the system's
  std::string server_name;       // the name that it is asked for, and has to show; "": the host that is dialled
  bool skip_verify = false;      // whoever answers is believed: for trials
  std::string certificate, key;  // shown to a service that asks; both or none
  friend bool operator==(const OriginTls&, const OriginTls&) = default;
};

// A certificate that visitors of the HTTPS port get who ask for a name of its subjectAltNames: that name exactly, or one label in place of the *.
// Two may have a name in common if their keys are of different kinds (RSA and ECDSA). All are files.
struct HttpsCertificate {
  std::string name;         // for messages
  std::string certificate;  // PEM, its chain behind it
  std::string key;          // PEM, without a password, of a mode that gives others nothing
  std::string
      ocsp;  // an OCSP response (DER) to staple; "": the certificate's name with .ocsp, where there is such a file
  std::string client_ca;    // visitors have to show a certificate that one of these (PEM) signed; "": none
  bool is_default = false;  // also for visitors who ask for a name that no certificate has, or for none
  friend bool operator==(const HttpsCertificate&, const HttpsCertificate&) = default;
};

enum class TlsMinimum : std::uint8_t { V12, V13 };

// HTTP/2 without TLS: not at all; by prior knowledge (the connection begins with it); and by `Upgrade: h2c` too, which RFC 9113 has dropped. Behind a proxy that
// passes Upgrade on without knowing it, the latter lets visitors past that proxy's rules.
enum class H2c : std::uint8_t { Off, PriorKnowledge, Upgrade };

struct TunnelConfig {
  enum class Kind : std::uint8_t { Http, Tcp } kind = Kind::Http;
  std::string name;  // 1-64 of A-Za-z0-9._-
  // The local service: "http://127.0.0.1:8080", "127.0.0.1:8080", "8080", "unix:/run/app.sock"; of Http also "./dist". Over TLS
  // "https://…", of Tcp "tls://…".
  std::string to;
  std::string host;        // Http; "": the server picks one
  std::uint16_t port = 0;  // Tcp; 0: the server picks one
  // Who the visitor is, in front of each connection to the local service. Of Http none carries a second request then.
  ProxyProtocol proxy_protocol = ProxyProtocol::Off;
  TunnelLimits limits;
  Carry carry = Carry::Auto;         // Tcp; of Http Direct is an error
  OriginTls origin_tls{};            // of a service over TLS: "https://…", "tls://…"
  std::vector<std::string> hosts{};  // Http: more of them
  // Http: of each host the requests below one of these paths ("/api"), and no others: other tunnels may have the rest. Empty: all.
  std::vector<std::string> paths{};
  // Http: of those only requests with one of these methods and all of these headers ("Name", "Name: value"), and no others.
  std::vector<std::string> methods{}, headers{};
  // Http: visitors come over TLS and show a certificate that one of these (PEM) signed. A file of the client's machine. "": they show none.
  std::string client_ca{};
  bool connect = false;  // Http: CONNECT is passed to the local service, which is a proxy; else it is refused
  std::vector<TunnelRule> rules{};  // Http
  friend bool operator==(const TunnelConfig&, const TunnelConfig&) = default;
};

// For the program around the library, which the library itself does not look at.
struct ProgramConfig {
  std::string log_format = "auto";  // auto, human, json
  std::string log_level = "info";   // error, warn, info, debug
  std::chrono::milliseconds drain_timeout{10'000};
  bool watch = false;  // reload when the file changes
  // What to watch then, made by the loaders: the file, those that it includes, the files of secrets, and the directories in which an include
  // with a pattern looked for more.
  std::vector<std::string> read_from{};
  friend bool operator==(const ProgramConfig&, const ProgramConfig&) = default;
};

// The members are explained at the calls of ServerBuilder that have their names.
struct ServerConfig {
  std::string listen = ":7835";
  std::string http_listen = ":8080";
  std::string https_listen;  // "": no HTTPS
  std::string https_certificate,
      https_key;  // of visitors who ask for its names, and of all whose name no certificate has
  std::vector<HttpsCertificate> certificates;  // more
  std::string certificates_dir;                // and those in here
  TlsMinimum http_tls_minimum = TlsMinimum::V12;
  bool http2 = true;              // HTTP/2 is offered to visitors of the HTTPS port
  H2c h2c = H2c::PriorKnowledge;  // and, without TLS, to those of the HTTP port
  bool https_redirect = false;    // requests at http_listen are sent to the HTTPS port by a 308
  std::string
      error_pages;  // a directory (404.html, 5xx.json, error.txt) or a file of pages for failures. "": the built-in ones
  std::chrono::milliseconds hsts{0};  // Strict-Transport-Security: max-age, in answers over TLS. 0: not said
  std::string tcp_listen_host;
  std::vector<std::string> public_addresses;
  std::string domain;
  std::string state_dir;
  bool tls = true;
  std::string tls_certificate, tls_key, tls_client_ca;
  std::vector<GrantOptions> grants;
  std::vector<std::string> trusted_proxies;
  unsigned threads = 0;
  std::size_t memory_limit = 256u << 20;   // bytes
  std::chrono::microseconds busy_poll{0};  // how long a thread that had something to do looks for more before it sleeps
  // Visitors at once, of all tunnels; past it newcomers are refused. 0: as many as there are descriptors for, less a reserve that keeps
  // clients able to sign in.
  std::uint32_t max_visitors = 0;
  // Direct links of a client at once, warm and in use (Carry); past it visitors are streams of its link. 0: none.
  std::uint32_t max_direct = 64;
  // Bytes a second that a visitor over HTTP has to move while it is he whom a request waits for: of a body that he sends, of an answer that he
  // reads. 0: no such floor.
  std::uint32_t min_visitor_rate = 240;
  std::chrono::milliseconds host_lease{
      30'000};  // how long a host or port stays its grant's when its client is gone. 0: not at all
  std::chrono::milliseconds tcp_keepalive{
      60'000};  // silence after which the kernel asks a visitor's machine whether it is there. 0: never
  TunnelLimits tunnel_limits;
  ProgramConfig program;
};

// The members are explained at the calls of ClientBuilder that have their names.
struct ClientConfig {
  std::string join;
  std::vector<std::string> servers;
  std::string grant, secret;  // beside or instead of `join`
  std::optional<bool> tls;    // nothing: as the token says, and on without one
  std::string tls_ca, tls_certificate, tls_key;
  std::string tls_server_name;   // with tls_ca: the name in the server's certificate. "": the host that is dialled
  bool tls_skip_verify = false;  // any certificate will do: for trials only
  std::vector<TunnelConfig> tunnels;
  unsigned threads = 0;
  std::chrono::milliseconds origin_connect_timeout{10'000};
  std::size_t memory_limit = 256u << 20;   // bytes
  std::chrono::microseconds busy_poll{0};  // how long a thread that had something to do looks for more before it sleeps
  bool fail_fast = false;
  std::string control_socket;  // where status, reload and drain are answered; "": nowhere
  ProgramConfig program;
};

// What a reload did.
struct Reloaded {
  // What differs and takes effect only when the program is started anew, by its key in the file: "server.listen". All else holds now.
  std::vector<std::string> needs_restart;
};

// One mistake in a file.
struct ConfigError {
  std::string file;
  std::uint32_t line = 0, column = 0;  // from 1; 0: of the file as a whole
  std::string text;                    // what is wrong, and what would be right
};
[[nodiscard]] std::string to_text(const ConfigError& error);                // "server.toml:14:3: unknown key …"
[[nodiscard]] std::string to_text(const std::vector<ConfigError>& errors);  // one a line

template <class T>
using ConfigResult = std::expected<T, std::vector<ConfigError>>;

// A file that holds tables of the other kind only is an error of its own. Secrets are read here: from files (which must be 0600 or
// stricter), the environment, or commands (10 s each). Every mistake is found, not only the first.
// `read_from`, where it is given, gets ProgramConfig::read_from even if the file has mistakes: who watches learns of their correction.
[[nodiscard]] ConfigResult<ServerConfig> load_server_config(const std::string& file,
                                                            std::vector<std::string>* read_from = nullptr);
[[nodiscard]] ConfigResult<ClientConfig> load_client_config(const std::string& file,
                                                            std::vector<std::string>* read_from = nullptr);

// Either kind, told by its tables: what is wrong with it, or nothing.
[[nodiscard]] std::optional<std::vector<ConfigError>> check_config(const std::string& file);

// The files that hold the certificates of its HTTPS port as they are now, with the directory that it looks for them in: for whoever watches them.
[[nodiscard]] std::vector<std::string> certificate_files(const ServerConfig& config);

// The JSON Schema (draft 2020-12) of both kinds of file, for editors.
[[nodiscard]] std::string config_schema();
// docs/configuration.md.
[[nodiscard]] std::string config_reference();

}  // namespace ferrotunnel
