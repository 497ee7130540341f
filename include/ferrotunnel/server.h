// Server: where visitors arrive and clients sign in, as a library.
//
//   auto server = ferrotunnel::Server::builder().listen("0.0.0.0:7835").http_listen("0.0.0.0:8080").state_dir("/var/lib/ferrotunnel").build();
//   if (!server) return fail(server.error().context);
//   auto ready = server->start();
//   if (!ready) return fail(ready.error().context);
//   std::cout << ready->join_token << '\n';    // for clients; the addresses are in there too
//   sigwait(&signals, &signal);                // it has its own threads; wait for what ends your program
//   server->drain(std::chrono::seconds(10));   // finish what runs; or stop(), or the destructor
//
// The whole program: tests/examples/server.cc, explained in docs/library.md.
//
// Owner: yours; it moves, it does not copy. Threads: its own, one a shard. Calls are safe from any thread but its own callbacks; the
// callbacks run on its threads, several at once, must not block or destroy the server, and must not throw: an exception that leaves one ends the process.
// A Server or ServerBuilder that was moved from is for destroying or assigning to only: start() and build() on it return an error, the other
// calls of a Server do nothing. A builder builds once: build() after one that succeeded returns an error.
#pragma once

#include <version>

#ifndef __cpp_lib_expected
#error "ferrotunnel needs C++23 with std::expected: compile with -std=c++23 (GCC 12 or newer, Clang 19 or newer)"
#endif

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ferrotunnel/config.h"
#include "ferrotunnel/error.h"
#include "ferrotunnel/events.h"
#include "ferrotunnel/grants.h"

namespace ferrotunnel {

// What start() found and made.
struct ServerReady {
  std::string listen;        // "0.0.0.0:7835", with the port that the system picked where 0 was asked for
  std::string http_listen;   // empty: off
  std::string https_listen;  // empty: off
  std::string join_token;    // for the grant "default"; a secret
  std::string state_dir;
  bool state_made = false;  // just now
  bool tls = true;
  // The host in the addresses of tunnels. "localhost" where none was given: good for a trial on one machine.
  std::string public_host;
};

struct SessionStatus {
  std::string id, grant, address, version, transport;
  std::chrono::microseconds rtt{};  // 0: not measured yet
  std::chrono::seconds up{};
  std::size_t streams = 0;
  std::size_t links = 1;                      // connections that carry them, each on a thread of the server's own
  std::uint64_t bytes_in = 0, bytes_out = 0;  // from and to the client
  // Direct links (Carry): in use and waiting for a visitor, now; and visitors so far who got one, or asked for one in vain and went over the
  // client's link.
  std::size_t direct = 0, direct_warm = 0;
  std::uint64_t direct_taken = 0, direct_missed = 0;
  std::uint64_t direct_limited = 0;  // times that max_direct stood in the way of more
};

// Visitors who were not let in, by the limit that said no (docs/limits.md). Of HTTP tunnels these are requests.
struct RefusedVisitors {
  std::uint64_t denied = 0;        // allow, deny
  std::uint64_t tunnel_limit = 0;  // the tunnel's max_visitors
  std::uint64_t address_limit =
      0;                   // max_visitors_per_address; or the server's last places, of which their address has its part
  std::uint64_t rate = 0;  // max_new_visitors_per_second
  std::uint64_t server_limit = 0;  // the server's max_visitors
  std::uint64_t memory = 0;        // memory_limit
  [[nodiscard]] std::uint64_t total() const {
    return denied + tunnel_limit + address_limit + rate + server_limit + memory;
  }
  friend bool operator==(const RefusedVisitors&, const RefusedVisitors&) = default;
};

// TLS handshakes of visitors at the HTTPS port.
struct VisitorTlsStatus {
  std::uint64_t done = 0;
  std::uint64_t resumed = 0;      // of those, by a session ticket
  std::uint64_t failed = 0;       // nothing in common, no certificate for the name, rubbish; or the visitor left
  std::uint64_t timed_out = 0;    // took longer than 10 s
  std::uint64_t crowded_out = 0;  // were the oldest of too many at once on a thread, or went for a newcomer
  std::uint64_t plain_http = 0;   // were none: HTTP without TLS, which was told so
  std::size_t waiting = 0;        // under way
  friend bool operator==(const VisitorTlsStatus&, const VisitorTlsStatus&) = default;
};

// Visitors of HTTP over HTTP/2 whose connection was ended (GOAWAY ENHANCE_YOUR_CALM), by what they did too often (docs/limits.md).
struct Http2Abuse {
  std::uint64_t resets = 0, made_resets = 0;  // streams that they reset, and that they made the server reset
  std::uint64_t settings = 0, pings = 0, empty_frames = 0, priorities = 0, window_updates = 0, unknown = 0;
  std::uint64_t continuations = 0, header_bytes = 0;  // in one header block
  std::uint64_t queued = 0;                           // answers that they did not read
  friend bool operator==(const Http2Abuse&, const Http2Abuse&) = default;
};

// What the HTTP ports do, for all tunnels.
struct HttpStatus {
  // Now: connections; of them those over HTTP/2, and upgraded ones (of HTTP/2: streams); warm connections to local services.
  std::uint64_t visitors = 0, h2_visitors = 0, upgraded = 0, idle_origins = 0;
  std::uint64_t accepted = 0, moved = 0;        // connections so far; those that went to another thread
  std::uint64_t requests = 0, h2_requests = 0;  // that found a tunnel; of them those over HTTP/2
  std::uint64_t errors = 0, redirects = 0;      // answered by the server itself: by a page, by a 308 to HTTPS
  std::uint64_t cut = 0;                        // answers that broke off
  std::uint64_t timeouts = 0, too_slow = 0;     // of any kind; of them those by min_visitor_rate
  std::uint64_t half_closed = 0;  // of them, requests whose visitor had sent his FIN and got no answer in 10 s
  std::uint64_t made_room =
      0;  // connections ended for a newcomer: nothing was asked on them, or nobody there for the answer
  std::uint64_t no_memory = 0;  // refused because memory_limit was reached
  std::uint64_t retries = 0;    // of requests whose warm connection was dead
  std::uint64_t origins_opened = 0, origins_reused = 0, origins_dropped = 0;  // connections to local services
  std::uint64_t rule_timeouts = 0,
                auth_busy = 0;     // requests whose rules, or whose password, could not be decided in time
  std::uint64_t auth_limited = 0;  // requests of visitors who had their share of passwords to be checked waiting
  std::uint64_t h2_upgrades = 0;   // connections that came by Upgrade: h2c
  std::uint64_t h2_malformed = 0,
                h2_stalled = 0;       // requests that were none; streams and connections that read nothing for a minute
  std::uint64_t h2_origin_abuse = 0;  // connections to local services over HTTP/2, ended because of what these did
  // Answers that `compress` changed; bytes of their bodies as the local services sent them, and as visitors got them.
  std::uint64_t compressed = 0, compressed_in = 0, compressed_out = 0;
  Http2Abuse h2_abuse{};
  friend bool operator==(const HttpStatus&, const HttpStatus&) = default;
};

struct TunnelStatus {
  std::string name, session, url;
  std::uint64_t visitors_now = 0, visitors = 0;  // of HTTP tunnels: requests
  RefusedVisitors refused{};
  std::uint64_t idle_ended = 0;  // visitors, by idle_timeout
  std::uint64_t throttled = 0;   // times that a visitor's bytes had to wait for bandwidth
};

// What connections take of the descriptors that the process may have. Visitors; connections that clients open for one visitor each (direct
// links); clients' links; ports of TCP tunnels; those that have not signed in yet.
struct DescriptorUses {
  std::uint64_t visitors = 0, data = 0, clients = 0, ports = 0, handshakes = 0;
  friend bool operator==(const DescriptorUses&, const DescriptorUses&) = default;
};
struct DescriptorStatus {
  std::uint64_t limit = 0;  // of the process, now; 0: none
  // None of these is let in once all of them together are so many; 0: no limit.
  std::uint64_t visitors_line = 0, data_line = 0, clients_line = 0;
  DescriptorUses now, refused;  // refused: for want of a descriptor
  friend bool operator==(const DescriptorStatus&, const DescriptorStatus&) = default;
};

struct ServerStatus {
  std::vector<SessionStatus> sessions;
  std::vector<TunnelStatus> tunnels;
  std::chrono::seconds up{};
  std::uint64_t sign_ins = 0, sign_ins_refused = 0, handshakes_failed = 0;
  std::uint64_t direct_refused = 0;      // further connections of sessions that were gone, or had max_direct
  std::uint64_t sign_ins_throttled = 0;  // connections of addresses that had failed too often
  std::size_t handshakes_waiting = 0;
  // Of handshakes_failed: ended to make room for newcomers, of all or of their own address.
  std::uint64_t handshakes_crowded_out = 0, handshakes_crowded_out_address = 0;
  std::uint64_t proxy_headers_refused = 0;  // connections of trusted proxies that ended for want of a good PROXY header
  std::size_t buffer_bytes = 0;             // lent for bytes in hand, all shards
  std::uint64_t memory_resets = 0;  // visitors who were ended to make room for others' bytes: the longest stalled
  bool draining = false;
  std::uint64_t visitors = 0, max_visitors = 0;  // connections now, and how many there may be
  RefusedVisitors refused{};
  std::uint64_t idle_ended = 0, throttled = 0;  // of all tunnels, also of those that are gone
  std::uint64_t accepts_failed = 0;             // for want of descriptors or memory; tried again, nobody is lost
  DescriptorStatus descriptors{};
  VisitorTlsStatus visitor_tls{};
  HttpStatus http{};
};

class Server;

class ServerBuilder {
 public:
  // Where clients sign in. "HOST:PORT"; ":7835" is every address, port 0 lets the system pick. Default ":7835".
  ServerBuilder& listen(std::string address);
  // Where HTTP visitors arrive. Default ":8080"; "" turns it off.
  ServerBuilder& http_listen(std::string address);
  // Where HTTPS visitors arrive. Needs a certificate at least. Default "": nowhere.
  ServerBuilder& https_listen(std::string address);
  // A certificate (PEM, chain behind it) and its key, for visitors who ask for one of its names, and for all whose name no certificate has. Without
  // it those are refused.
  ServerBuilder& https_certificate(std::string certificate_file, std::string key_file);
  // One more (HttpsCertificate). May be repeated.
  ServerBuilder& certificate(HttpsCertificate files);
  // Those in a directory: NAME.crt or NAME.pem with NAME.key, and directories with fullchain.pem and privkey.pem, as certbot has them.
  ServerBuilder& certificates_dir(std::string path);
  // Of TLS at the HTTPS port. Default V12.
  ServerBuilder& http_tls_minimum(TlsMinimum minimum);
  // HTTP/2 is offered at the HTTPS port. Default true.
  ServerBuilder& http2(bool on);
  // What of HTTP/2 visitors of http_listen() may speak, without TLS. Default PriorKnowledge.
  ServerBuilder& h2c(H2c what);
  // Requests at http_listen() are answered with a 308 to the same URL with https. Default false.
  ServerBuilder& https_redirect(bool on);
  // Pages of your own for what the server answers itself: a directory with 404.html, 5xx.json, error.txt and the like, or one file for all; with
  // placeholders such as {status} and {sentence} (docs/http/errors.md). Default "": the built-in ones.
  ServerBuilder& error_pages(std::string path);
  // For how long browsers that were here over HTTPS may come back by HTTPS only (Strict-Transport-Security). Default 0: nothing is said.
  ServerBuilder& hsts(std::chrono::milliseconds time);
  // The address on which TCP tunnels get their ports. Default: every address.
  ServerBuilder& tcp_listen_host(std::string host);
  // "HOST:PORT" that clients reach listen() by; it goes into the join token. Default: this machine's name, or the listening
  // address where that is a specific one. May be repeated.
  ServerBuilder& public_address(std::string address);
  // Under which HTTP tunnels get their names: "web" asked for is web.DOMAIN, and who asks for none gets one of random words there. What a grant
  // allows holds for the whole name. Default: none; then one word is a host as it stands, and random names are under the first
  // public_address()'s host, or localhost.
  ServerBuilder& domain(std::string name);
  // Where the key and the grants' secrets are kept, made with mode 0700. Default: $STATE_DIRECTORY, else /var/lib/ferrotunnel for
  // root, else $XDG_STATE_HOME/ferrotunnel (~/.local/state/ferrotunnel).
  ServerBuilder& state_dir(std::string path);
  // false: clients sign in over plain TCP. Only for a network that is trusted, or inside another tunnel.
  ServerBuilder& tls(bool on);
  // A certificate (PEM, chain behind it) and key of your own instead of the one in the state directory.
  ServerBuilder& tls_certificate(std::string certificate_file, std::string key_file);
  // Mutual TLS: clients must show a certificate signed by one of these (PEM).
  ServerBuilder& tls_client_ca(std::string ca_file);
  // Who may sign in, and what for, beside the grants of the state directory (grants.h). May be repeated. Without any, and where the state
  // directory has none, the grant "default" is made there: any host, and any port from 1024 on. Where some are given, a "default" of the
  // state directory does not count: it is for servers that were told nothing.
  ServerBuilder& grant(GrantOptions grant);
  ServerBuilder& grant(std::string name, std::string secret);  // any host, any port from 1024 on
  // Networks ("192.0.2.0/24", "2001:db8::/32", "10.0.0.1", "all") of proxies whose word is taken: a visitor's connection from there has
  // to begin with a PROXY header, version 1 or 2, within 3 s, and counts as coming from the address in it. Default: none.
  ServerBuilder& trusted_proxies(std::vector<std::string> networks);
  // Threads, one shard each. Default 0: one for each core.
  ServerBuilder& threads(unsigned count);
  // All buffers together, bytes. Default 256 MiB.
  ServerBuilder& memory_limit(std::size_t bytes);
  // After something to do, a thread looks for more for so long before it sleeps: bytes wait less, and its core rests less. At most 1 ms.
  // Default 0: it sleeps at once.
  ServerBuilder& busy_poll(std::chrono::microseconds time);

  // Visitors at once, of all tunnels. Default 0: as many as there are descriptors for.
  ServerBuilder& max_visitors(std::uint32_t count);
  // Direct links of a client at once (Carry). Default 64; 0: none, all visitors are carried by its link.
  ServerBuilder& max_direct(std::uint32_t count);
  // ServerConfig::min_visitor_rate. Default 240.
  ServerBuilder& min_visitor_rate(std::uint32_t bytes_per_second);
  // How long a host or port stays its grant's when the client that had it is gone. Default 30 s.
  ServerBuilder& host_lease(std::chrono::milliseconds time);
  // Silence of a visitor after which the kernel asks its machine whether it is there. Default 60 s; 0: never.
  ServerBuilder& tcp_keepalive(std::chrono::milliseconds time);
  // What no tunnel exceeds, whatever its client asks for. Default: no limits.
  ServerBuilder& tunnel_limits(TunnelLimits limits);

  ServerBuilder& on_session(std::function<void(const SessionEvent&)> call);
  ServerBuilder& on_tunnel(std::function<void(const TunnelEvent&)> call);
  ServerBuilder& on_visitor(std::function<void(const VisitorEvent&)> call);
  ServerBuilder& on_request(std::function<void(const RequestEvent&)> call);
  ServerBuilder& on_error(std::function<void(const Error&)> call);
  // Somebody of this user asks that the server end (`ferrotunnel drain`, drain_server()), with the patience that he wants, if he says so.
  // Called once, on a thread that may not call drain() or stop(): tell the one that does. Gives how long it will take at most, so that the
  // asker knows how long to wait. Without it such a question is refused.
  using DrainAsked = std::function<std::chrono::milliseconds(std::optional<std::chrono::milliseconds> patience)>;
  ServerBuilder& on_drain_asked(DrainAsked call);

  // Somebody of this user asks that it reload (`ferrotunnel reload`, reload_program()): called on a thread that may call reload(). What it gives is
  // told to the asker. Without it such a question is refused.
  using ReloadAsked = std::function<Result<Reloaded>()>;
  ServerBuilder& on_reload_asked(ReloadAsked call);

  // Checks the options; touches nothing outside the process.
  [[nodiscard]] Result<Server> build();

  ServerBuilder();
  explicit ServerBuilder(ServerConfig config);  // of a file, or filled in
  ServerBuilder(ServerBuilder&&) noexcept;
  ServerBuilder& operator=(ServerBuilder&&) noexcept;
  ~ServerBuilder();

 private:
  struct Options;
  friend class Server;
  friend class ServerImpl;
  std::unique_ptr<Options> options_;
};

class Server {
 public:
  [[nodiscard]] static ServerBuilder builder() { return {}; }

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // stop()

  // Makes the state where there is none, listens, starts the threads. Errors: AddressInUse, Io, BadInput. Once.
  [[nodiscard]] Result<ServerReady> start();
  // No new clients or visitors; what runs may finish within the deadline; then stop(). Blocks until then. True: all finished in time.
  bool drain(std::chrono::milliseconds deadline);
  // Ends everything and joins the threads.
  void stop();
  // These grants in place of those that it was built with, at once: when it returns, sessions of grants that are gone (or whose secret is, or that have
  // expired) have ended, and tunnels outside of what is left are withdrawn. Nothing else notices. Errors: BadInput, and nothing has changed.
  [[nodiscard]] Result<> set_grants(const std::vector<GrantOptions>& grants);
  // This configuration in place of the one it was built with, or told since: grants as by set_grants(), certificates and CAs read anew (also
  // where only the files have changed), limits, trusted proxies, public addresses. Connections that are still allowed go on. All or nothing:
  // on an Error everything is as before. Errors: BadInput, Io, Tls.
  [[nodiscard]] Result<Reloaded> reload(const ServerConfig& config);
  [[nodiscard]] ServerStatus status() const;

 private:
  friend class ServerBuilder;
  explicit Server(std::unique_ptr<class ServerImpl> impl);
  std::unique_ptr<class ServerImpl> impl_;
};

}  // namespace ferrotunnel
