#include <atomic>
#include <utility>

#include "app/cli/run.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel::cli {
namespace {

// What `ferrotunnel drain` says to it.
struct DrainAsked {
  std::atomic<bool> asked{false};
  std::atomic<std::chrono::milliseconds> patience;
};

Result<Server> build(const ServerOptions& options, Console& console, Signals& signals, DrainAsked& drain) {
  auto builder = Server::builder();
  builder.listen(options.listen).http_listen(options.http_listen).tls(options.tls).threads(options.threads);
  if (!options.tcp_listen_host.empty()) builder.tcp_listen_host(options.tcp_listen_host);
  for (const std::string& address : options.public_addresses) builder.public_address(address);
  if (!options.state.empty()) builder.state_dir(options.state);
  if (options.certificate) builder.tls_certificate(options.certificate->certificate, options.certificate->key);
  if (!options.client_ca.empty()) builder.tls_client_ca(options.client_ca);
  if (!options.trusted_proxies.empty()) builder.trusted_proxies(options.trusted_proxies);
  if (options.grant) {
    GrantOptions grant;
    grant.name = options.grant->name;
    grant.secrets = {options.grant->secret};
    if (!options.grant->ports.empty()) grant.ports = options.grant->ports;
    builder.grant(std::move(grant));
  }
  if (options.run.memory_limit != 0) builder.memory_limit(options.run.memory_limit);

  // What would not be printed is not asked for: an event costs its shard time.
  Output& out = *console;
  builder.on_error([&out](const Error& error) { out.error(error); });
  builder.on_tunnel([&out](const TunnelEvent& event) { out.tunnel(event); });
  if (options.run.log_level >= LogLevel::Info)
    builder.on_session([&out](const SessionEvent& event) { out.session(event); });
  if (options.run.log_level >= LogLevel::Warn)
    builder.on_request([&out](const RequestEvent& event) { out.request(event); });
  if (options.run.log_level >= LogLevel::Debug)
    builder.on_visitor([&out](const VisitorEvent& event) { out.visitor(event); });
  builder.on_drain_asked([&signals, &drain](std::optional<std::chrono::milliseconds> patience) {
    if (patience) drain.patience.store(*patience);
    drain.asked.store(true);
    signals.wake();
    return drain.patience.load();
  });
  return builder.build();
}

int fail(Console& console, const Error& error) {
  console->fatal(error);
  console.close();
  complain(error.context);
  return exit_code_of(error);
}

}  // namespace

int run_server(const ServerOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  Signals signals;
  Console console(options.run);
  DrainAsked asked;
  asked.patience.store(options.run.drain_timeout);
  auto server = build(options, console, signals, asked);
  if (!server) return fail(console, server.error());
  const auto ready = server->start();
  if (!ready) return fail(console, ready.error());
  console->ready(*ready,
                 std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began));

  while (!asked.asked.load() && signals.wait(std::chrono::hours(1)) != Signals::Woken::Stop) {
  }
  const std::chrono::milliseconds patience = asked.patience.load();
  return drain_until_signal(
      signals, console, patience, [&] { return server->drain(patience); }, [&] { server->stop(); });
}

}  // namespace ferrotunnel::cli
