#include <atomic>
#include <utility>

#include "app/cli/reload.h"
#include "app/cli/run.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel::cli {
namespace {

Result<Server> build(const ServerOptions& options, Console& console, Signals& signals, DrainAsked& drain,
                     Reloader& reloader) {
  ServerBuilder builder(options.config);

  // What would not be printed is not asked for: an event costs its shard time.
  Output& out = *console;
  builder.on_error([&out](const Error& error) { out.error(error); });
  builder.on_note([&out](const std::string& text) { out.note(text); });
  builder.on_tunnel([&out](const TunnelEvent& event) { out.tunnel(event); });
  if (options.run.log_level >= LogLevel::Info)
    builder.on_session([&out](const SessionEvent& event) { out.session(event); });
  if (options.run.log_level >= LogLevel::Warn)
    builder.on_request([&out](const RequestEvent& event) { out.request(event); });
  if (options.run.log_level >= LogLevel::Debug)
    builder.on_visitor([&out](const VisitorEvent& event) { out.visitor(event); });
  builder.on_drain_asked(
      [&signals, &drain](std::optional<std::chrono::milliseconds> patience) { return drain.ask(patience, signals); });
  builder.on_reload_asked([&reloader] { return reloader.reload(); });
  return builder.build();
}

}  // namespace

int run_server(const ServerOptions& options, const LoadServer& again) {
  const auto began = std::chrono::steady_clock::now();
  Signals signals;
  if (!options.run.file.empty()) signals.reload_on_hangup();
  Console console(options.run);
  DrainAsked asked;
  asked.patience.store(options.run.drain_timeout);
  Reloader reloader(options.run, console);
  auto server = build(options, console, signals, asked, reloader);
  if (!server) return end_with(console, server.error());
  reloader.set([&](std::vector<std::string>& files) -> Result<Reloaded> {
    auto anew = again(files);
    if (!anew) return std::unexpected(std::move(anew.error()));
    asked.patience.store(anew->run.drain_timeout);
    return server->reload(anew->config);
  });
  const auto ready = server->start();
  if (!ready) return end_with(console, ready.error());
  console->ready(*ready,
                 std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began));

  constexpr std::chrono::seconds kLook(1);
  while (!asked.asked.load()) {
    const Signals::Woken woken = signals.wait(kLook);
    if (woken == Signals::Woken::Stop) break;
    if (woken == Signals::Woken::Reload) [[maybe_unused]]
      const auto done = reloader.reload();
    reloader.look();
  }
  const std::chrono::milliseconds patience = asked.patience.load();
  return drain_until_signal(
      signals, console, patience, [&] { return server->drain(patience); }, [&] { server->stop(); });
}

}  // namespace ferrotunnel::cli
