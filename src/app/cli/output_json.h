// JsonOutput: one JSON object a line: time (RFC 3339, milliseconds, UTC), level, event, and what belongs to the event (docs/cli.md).
#pragma once

#include <mutex>

#include "app/cli/json_line.h"
#include "app/cli/line_sink.h"
#include "app/cli/output.h"

namespace ferrotunnel::cli {

class JsonOutput final : public Output {
 public:
  JsonOutput(LineSink& sink, LogLevel level, WallClock now) : sink_(sink), level_(level), now_(std::move(now)) {}

  void ready(const ServerReady& ready, std::chrono::milliseconds took) override;
  void session(const SessionEvent& event) override;
  void tunnel(const TunnelEvent& event) override;
  void request(const RequestEvent& event) override;
  void connecting(const Connecting& event) override;
  void connected(const Connected& event) override;
  void disconnected(const Disconnected& event) override;
  void tunnel_up(const TunnelUp& event) override;
  void tunnel_failed(const TunnelFailed& event) override;
  void token_kept(const std::string& file) override;
  void live(const ClientStatus&) override {}
  void visitor(const VisitorEvent& event) override;
  void reloaded(const Reloaded& reloaded) override;
  void note(const std::string& text) override;
  void error(const Error& error) override;
  void fatal(const Error& error) override;
  void stopping(std::chrono::milliseconds patience) override;
  void stopped(bool finished) override;

  [[nodiscard]] static std::string dropped_line(std::uint64_t count, std::chrono::system_clock::time_point now);

 private:
  void send(JsonObject line);

  LineSink& sink_;
  const LogLevel level_;
  const WallClock now_;
  std::mutex repeats_mutex_;
  Repeats repeats_;
};

}  // namespace ferrotunnel::cli
