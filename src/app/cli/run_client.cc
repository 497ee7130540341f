#include <atomic>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#include "app/cli/reload.h"
#include "app/cli/run.h"
#include "app/cli/run_administration.h"
#include "ferrotunnel/client.h"
#include "ferrotunnel/control.h"

namespace ferrotunnel::cli {
namespace {

// What the callbacks leave for the main thread, which does what may block.
struct Progress {
  std::atomic<bool> signed_in{false};
  std::atomic<bool> gave_up{false};
  std::atomic<std::size_t> tunnels_up{0};
  std::atomic<std::size_t> tunnels_refused{0};
  std::mutex mutex;
  std::string refusal;  // the last one
};

// Of the first client of this user; the others have none unless they are given one, and are told so. Asked before there is a client of our own.
std::string free_socket(Console& console) {
  std::string socket = default_client_socket();
  if (socket.empty()) return {};
  const auto other = running_client(socket);
  if (!other) return socket;
  console->note(
      name_of(*other) + " answers at " + socket +
      ", and is whom status, reload and drain --client ask; control_socket = \"PATH\" (--control-socket PATH) "
      "gives this one a socket of its own");
  return {};
}

Result<Client> build(const ClientConfig& config, LogLevel log_level, Console& console, Signals& signals,
                     Progress& progress, DrainAsked& drain, Reloader& reloader) {
  ClientBuilder builder(config);

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
  builder.on_tunnel_failed([&, fail_fast = config.fail_fast](const TunnelFailed& given) {
    TunnelFailed event = given;
    if (fail_fast && progress.tunnels_up == 0) event.why.retry = false;  // in use by another: not waited for
    out.tunnel_failed(event);
    if (event.why.retry) return;
    {
      const std::lock_guard lock(progress.mutex);
      progress.refusal = event.name + ": " + event.why.context;
    }
    ++progress.tunnels_refused;
    signals.wake();
  });
  if (log_level >= LogLevel::Debug) builder.on_visitor([&out](const VisitorEvent& event) { out.visitor(event); });
  builder.on_error([&out](const Error& error) { out.error(error); });
  builder.on_drain_asked(
      [&signals, &drain](std::optional<std::chrono::milliseconds> patience) { return drain.ask(patience, signals); });
  builder.on_reload_asked([&reloader] { return reloader.reload(); });
  return builder.build();
}

void keep_token(const ClientOptions& options, const std::optional<TokenStore>& store, Console& console) {
  if (!options.keep_join || !store) return;
  const auto saved = store->save(options.config.join);
  if (!saved) {
    Error error = saved.error();
    error.context += " (the tunnel works; the token is not kept for next time)";
    console->error(error);
  } else if (*saved) {
    console->token_kept(store->file().string());
  }
}

}  // namespace

int run_client(const ClientOptions& options, const std::optional<TokenStore>& store, const LoadClient& again) {
  Signals signals;
  if (!options.run.file.empty()) signals.reload_on_hangup();
  Console console(options.run);
  Progress progress;
  DrainAsked asked;
  asked.patience.store(options.run.drain_timeout);
  Reloader reloader(options.run, console);
  ClientConfig config = options.config;
  if (options.default_socket) config.control_socket = free_socket(console);
  auto client = build(config, options.run.log_level, console, signals, progress, asked, reloader);
  if (!client) {
    Error why = client.error();
    if (!options.no_token.empty() && why.code == ErrorCode::Unauthorized)
      why = Error(ErrorCode::BadInput, Side::Local, false, options.no_token);
    return end_with(console, why);
  }
  std::atomic<std::size_t> tunnels = options.config.tunnels.size();
  reloader.set([&](std::vector<std::string>& files) -> Result<Reloaded> {
    auto anew = again(files);
    if (!anew) return std::unexpected(std::move(anew.error()));
    if (anew->default_socket && options.default_socket) anew->config.control_socket = config.control_socket;
    const std::size_t before = tunnels.exchange(std::numeric_limits<std::size_t>::max());  // not to be judged now
    auto done = client->reload(anew->config);
    if (done) asked.patience.store(anew->run.drain_timeout);
    tunnels = done ? std::numeric_limits<std::size_t>::max() : before;
    return done;
  });
  if (const auto started = client->start(); !started) return end_with(console, started.error());

  bool kept = false;
  constexpr std::chrono::seconds kSecond(1);
  while (!asked.asked.load()) {
    const Signals::Woken woken = signals.wait(kSecond);
    if (woken == Signals::Woken::Stop) break;
    if (woken == Signals::Woken::Reload) [[maybe_unused]]
      const auto done = reloader.reload();
    reloader.look();
    if (progress.signed_in && !std::exchange(kept, true)) keep_token(options, store, console);
    const bool gave_up = progress.gave_up;
    if (auto failed = client->wait_failed(gave_up ? kSecond : std::chrono::milliseconds(0))) {
      // Of two ends whose files were changed, the other one may have been the first to read its own.
      const bool by_file = !options.run.file.empty() && failed->code == ErrorCode::Unauthorized;
      if (by_file && reloader.reload()) {
        progress.gave_up = false;
        continue;
      }
      client->stop();
      return end_with(console, *failed);
    }
    // At the start somebody stands there to mend it; a reload that is refused all it asked for goes on.
    if (progress.tunnels_up == 0 && progress.tunnels_refused >= tunnels) {
      client->stop();
      const std::lock_guard lock(progress.mutex);
      const Error none(ErrorCode::Refused, Side::Tunnel, false,
                       options.config.tunnels.size() == 1
                           ? "the server refused the tunnel " + progress.refusal
                           : "the server refused every tunnel, the last one " + progress.refusal);
      return end_with(console, none);
    }
    if (console.has_live_line()) console->live(client->status());
  }
  const std::chrono::milliseconds patience = asked.patience.load();
  return drain_until_signal(
      signals, console, patience, [&] { return client->drain(patience); }, [&] { client->stop(); });
}

}  // namespace ferrotunnel::cli
