// Client: makes local services reachable at a server, as a library.
//
//   auto client = ferrotunnel::Client::builder()
//                     .join("ft1_…")
//                     .http("web", "http://127.0.0.1:8080", "app.example.com")
//                     .on_tunnel_up([](const ferrotunnel::TunnelUp& t) { std::cout << t.public_url << '\n'; })
//                     .build();
//   if (!client) return fail(client.error().context);
//   if (auto started = client->start(); !started) return fail(started.error().context);
//   // It has its own threads, and reconnects by itself until stop(), drain() or the destructor. Wait:
//   while (!asked_to_end)
//     if (auto failed = client->wait_failed(std::chrono::seconds(1))) return fail(failed->context);
//   client->drain(std::chrono::seconds(10));
//
// The whole program: tests/examples/client.cc, explained in docs/library.md.
//
// Owner: yours; it moves, it does not copy. Calls are safe from any thread but its own callbacks; the callbacks run on its first thread, must not
// block or destroy the client, and must not throw: an exception that leaves one ends the process.
// A Client or ClientBuilder that was moved from is for destroying or assigning to only: start() and build() on it return an error, the other
// calls of a Client do nothing. A builder builds once: build() after one that succeeded returns an error.
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

namespace ferrotunnel {

struct ClientStatus {
  bool connected = false;
  std::string address, session, transport;
  std::chrono::microseconds rtt{};
  std::uint64_t visitors_now = 0, visitors = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  // from and to visitors
  std::uint64_t connects = 0;                 // how often it signed in
  std::uint64_t memory_resets = 0;            // visitors who were ended to make room for others' bytes
  std::size_t links = 0;                      // connections that carry visitors' streams now
  // Times that the server wanted more connections of the client than it opens: direct links, links.
  std::uint64_t direct_limited = 0, links_limited = 0;
  struct Tunnel {
    std::string name, public_url, to;
    bool up = false;
  };
  std::vector<Tunnel> tunnels;
};

struct TcpTunnelOptions {
  std::uint16_t port = 0;  // 0: the server picks one
  ProxyProtocol proxy_protocol = ProxyProtocol::Off;
  Carry carry = Carry::Auto;
};

class Client;

class ClientBuilder {
 public:
  // A token of the server's: addresses, grant, secret and key fingerprint in one.
  ClientBuilder& join(std::string token);
  // Instead of, or on top of, a token:
  ClientBuilder& server(std::string address);  // "HOST:PORT"; may be repeated
  ClientBuilder& grant(std::string name, std::string secret);
  ClientBuilder& tls(bool on);                 // false: plain TCP, and only if the server does that too
  ClientBuilder& tls_ca(std::string ca_file);  // verify the server by this CA and its name, not by the token's pin
  ClientBuilder& tls_certificate(std::string certificate_file, std::string key_file);  // mutual TLS

  ClientBuilder& tls_server_name(
      std::string name);                    // with tls_ca: the name that is verified. Default: the host that is dialled
  ClientBuilder& tls_skip_verify(bool on);  // whoever answers is believed: for trials only
  // Where status, reload and drain of this client are answered: a unix socket of mode 0600. Default "": nowhere.
  ClientBuilder& control_socket(std::string path);

  // A tunnel. `to`: "http://127.0.0.1:8080", "127.0.0.1:8080", "8080", "unix:/run/app.sock". Names are 1-64 of A-Za-z0-9._-
  ClientBuilder& http(std::string name, std::string to, std::string host = "");  // host "": the server picks one
  ClientBuilder& tcp(std::string name, std::string to, std::uint16_t port = 0);  // port 0: the server picks one
  ClientBuilder& tcp(std::string name, std::string to, TcpTunnelOptions options);

  // Any of both, with all that a tunnel may have.
  ClientBuilder& tunnel(TunnelConfig tunnel);

  ClientBuilder& origin_connect_timeout(std::chrono::milliseconds timeout);  // default 10 s
  // Threads at most, over which the connections to the server are spread, where it wants several. The callbacks run on the first. Default 0: one
  // for each core.
  ClientBuilder& threads(unsigned count);
  ClientBuilder& memory_limit(std::size_t bytes);  // all buffers together; default 256 MiB
  // After something to do, the thread looks for more for so long before it sleeps: bytes wait less, and its core rests less. At most 1 ms.
  // Default 0: it sleeps at once.
  ClientBuilder& busy_poll(std::chrono::microseconds time);
  // Give up, with on_disconnected saying so, when the server cannot be reached at first. Default: keep trying.
  ClientBuilder& fail_fast(bool on);

  ClientBuilder& on_connecting(std::function<void(const Connecting&)> call);
  ClientBuilder& on_connected(std::function<void(const Connected&)> call);
  ClientBuilder& on_disconnected(std::function<void(const Disconnected&)> call);
  ClientBuilder& on_tunnel_up(std::function<void(const TunnelUp&)> call);
  ClientBuilder& on_tunnel_failed(std::function<void(const TunnelFailed&)> call);
  ClientBuilder& on_visitor(std::function<void(const VisitorEvent&)> call);
  ClientBuilder& on_error(std::function<void(const Error&)> call);  // origins that do not answer, and the like

  // Somebody of this user asks over the control socket that it end, or reload: as at ServerBuilder.
  using DrainAsked = std::function<std::chrono::milliseconds(std::optional<std::chrono::milliseconds> patience)>;
  ClientBuilder& on_drain_asked(DrainAsked call);
  using ReloadAsked = std::function<Result<Reloaded>()>;
  ClientBuilder& on_reload_asked(ReloadAsked call);

  // Checks the options; touches nothing outside the process. Errors: BadInput.
  [[nodiscard]] Result<Client> build();

  ClientBuilder();
  explicit ClientBuilder(ClientConfig config);  // of a file, or filled in
  ClientBuilder(ClientBuilder&&) noexcept;
  ClientBuilder& operator=(ClientBuilder&&) noexcept;
  ~ClientBuilder();

 private:
  struct Options;
  friend class Client;
  friend class ClientImpl;
  std::unique_ptr<Options> options_;
};

class Client {
 public:
  [[nodiscard]] static ClientBuilder builder() { return {}; }

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // stop()

  // Starts the threads and returns; what happens is told by the callbacks. Once.
  [[nodiscard]] Result<> start();
  // No new visitors; those there may finish within the deadline; then stop(). Blocks until then. True: nobody was left at
  // the end, be it that they finished or that the server or the network cut them off.
  bool drain(std::chrono::milliseconds deadline);
  // Ends everything and joins the threads; may wait for a look-up of the server's name, which the system's resolver lets nobody interrupt.
  void stop();
  // Blocks until the client has given up for good (a refused token, a wrong key; before it was ever connected, any
  // mistake that trying again would not mend), or `timeout` passed: then nothing.
  [[nodiscard]] std::optional<Error> wait_failed(std::chrono::milliseconds timeout);
  // This configuration in place of the one it was built with, or told since. Tunnels that are the same keep their connections; one whose
  // local service alone has changed keeps its address, and new visitors go to the new service; others are given up or made. Where
  // addresses, token or TLS have changed, or it had given up, it signs in anew, and everything that runs ends. All or nothing. Errors: BadInput, Io, Tls.
  [[nodiscard]] Result<Reloaded> reload(const ClientConfig& config);
  [[nodiscard]] ClientStatus status() const;

 private:
  friend class ClientBuilder;
  explicit Client(std::unique_ptr<class ClientImpl> impl);
  std::unique_ptr<class ClientImpl> impl_;
};

}  // namespace ferrotunnel
