#include <atomic>
#include <utility>

#include "app/cli/run.h"
#include "ferrotunnel/client.h"

namespace ferrotunnel::cli {
namespace {

// What the callbacks leave for the main thread, which does what may block.
struct Progress {
  std::atomic<bool> signed_in{false};
  std::atomic<bool> gave_up{false};
  std::atomic<std::size_t> tunnels_up{0};
  std::atomic<std::size_t> tunnels_refused{0};
};

Result<Client> build(const ClientOptions& options, Console& console, Signals& signals, Progress& progress) {
  auto builder = Client::builder();
  if (!options.join.empty()) builder.join(options.join);
  for (const std::string& server : options.servers) builder.server(server);
  if (options.grant) builder.grant(options.grant->name, options.grant->secret);
  if (options.tls) builder.tls(*options.tls);
  if (!options.tls_ca.empty()) builder.tls_ca(options.tls_ca);
  if (!options.tls_server_name.empty()) builder.tls_server_name(options.tls_server_name);
  builder.tls_skip_verify(options.tls_skip_verify);
  if (options.certificate) builder.tls_certificate(options.certificate->certificate, options.certificate->key);
  for (const TunnelOption& tunnel : options.tunnels) {
    if (tunnel.kind == TunnelOption::Kind::Http) {
      builder.http(tunnel.name, tunnel.target, tunnel.host);
    } else {
      builder.tcp(tunnel.name, tunnel.target, TcpTunnelOptions{tunnel.port, tunnel.proxy});
    }
  }
  if (options.origin_timeout) builder.origin_connect_timeout(*options.origin_timeout);
  if (options.run.memory_limit != 0) builder.memory_limit(options.run.memory_limit);
  builder.fail_fast(options.fail_fast);

  Output& out = *console;
  builder.on_connecting([&out](const Connecting& event) { out.connecting(event); });
  builder.on_connected([&](const Connected& event) {
    out.connected(event);
    progress.signed_in = true;
    signals.wake();
  });
  builder.on_disconnected([&](const Disconnected& event) {
    out.disconnected(event);
    if (event.why.retry) return;
    progress.gave_up = true;
    signals.wake();
  });
  builder.on_tunnel_up([&](const TunnelUp& event) {
    ++progress.tunnels_up;
    out.tunnel_up(event);
  });
  builder.on_tunnel_failed([&](const TunnelFailed& event) {
    out.tunnel_failed(event);
    if (event.why.retry) return;
    ++progress.tunnels_refused;
    signals.wake();
  });
  if (options.run.log_level >= LogLevel::Debug)
    builder.on_visitor([&out](const VisitorEvent& event) { out.visitor(event); });
  builder.on_error([&out](const Error& error) { out.error(error); });
  return builder.build();
}

int fail(Console& console, const Error& error, int code) {
  console->fatal(error);
  console.close();
  complain(error.context);
  return code;
}

void keep_token(const ClientOptions& options, const std::optional<TokenStore>& store, Console& console) {
  if (!options.keep_join || !store) return;
  const auto saved = store->save(options.join);
  if (!saved) {
    Error error = saved.error();
    error.context += " (the tunnel works; the token is not kept for next time)";
    console->error(error);
  } else if (*saved) {
    console->token_kept(store->file().string());
  }
}

}  // namespace

int run_client(const ClientOptions& options, const std::optional<TokenStore>& store) {
  Signals signals;
  Console console(options.run);
  Progress progress;
  auto client = build(options, console, signals, progress);
  if (!client) {
    Error why = client.error();
    if (!options.no_token.empty() && why.code == ErrorCode::Unauthorized)
      why = Error(ErrorCode::BadInput, Side::Local, false, options.no_token);
    return fail(console, why, exit_code_of(why));
  }
  if (const auto started = client->start(); !started)
    return fail(console, started.error(), exit_code_of(started.error()));

  bool kept = false;
  constexpr std::chrono::seconds kSecond(1);
  while (signals.wait(kSecond) != Signals::Woken::Stop) {
    if (progress.signed_in && !std::exchange(kept, true)) keep_token(options, store, console);
    const bool gave_up = progress.gave_up;
    if (auto failed = client->wait_failed(gave_up ? kSecond : std::chrono::milliseconds(0))) {
      client->stop();
      return fail(console, *failed, exit_code_of(*failed));
    }
    if (progress.tunnels_up == 0 && progress.tunnels_refused >= options.tunnels.size()) {
      client->stop();
      const Error none(
          ErrorCode::Refused, Side::Tunnel, false,
          options.tunnels.size() == 1 ? "the server refused the tunnel" : "the server refused every tunnel");
      return fail(console, none, kExitRefused);
    }
    if (console.has_live_line()) console->live(client->status());
  }
  const auto patience = options.run.drain_timeout;
  return drain_until_signal(
      signals, console, patience, [&] { return client->drain(patience); }, [&] { client->stop(); });
}

}  // namespace ferrotunnel::cli
