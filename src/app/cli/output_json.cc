#include "app/cli/output_json.h"

#include "app/cli/time_text.h"
#include "ferrotunnel/version.h"

namespace ferrotunnel::cli {
namespace {

JsonObject begin(std::chrono::system_clock::time_point now, std::string_view level, std::string_view event) {
  JsonObject line;
  line.text("time", rfc3339(now)).text("level", level).text("event", event);
  return line;
}

void add_error(JsonObject& line, const Error& error) {
  line.text("code", to_string(error.code)).text("side", to_string(error.side)).text("message", error.context);
}

// What a visitor got wrong is not worth a warning: scanners do that all day.
bool failed_by_us(const RequestEvent& event) { return event.failed_side && *event.failed_side != Side::Visitor; }

std::uint64_t count(std::chrono::microseconds time) {
  return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}

}  // namespace

void JsonOutput::send(JsonObject line) { sink_.write(line.finish() + "\n"); }

void JsonOutput::ready(const ServerReady& ready, std::chrono::milliseconds took) {
  auto line = begin(now_(), "info", "ready");
  line.text("version", version())
      .text("listen", ready.listen)
      .text("http", ready.http_listen)
      .text("https", ready.https_listen)
      .text("join", ready.join_token);
  line.text("state", ready.state_dir).boolean("state_made", ready.state_made).boolean("tls", ready.tls);
  line.text("public_host", ready.public_host);
  line.number("ms", static_cast<std::uint64_t>(took.count()));
  send(std::move(line));
}

void JsonOutput::session(const SessionEvent& event) {
  if (level_ < LogLevel::Info) return;
  const bool up = event.kind == SessionEvent::Kind::Up;
  auto line = begin(now_(), "info", up ? "session_up" : "session_down");
  line.text("session", event.id)
      .text("grant", event.grant)
      .text("address", event.address)
      .text_if("version", event.version)
      .text_if("transport", event.transport);
  if (event.why) add_error(line, *event.why);
  send(std::move(line));
}

void JsonOutput::tunnel(const TunnelEvent& event) {
  const bool rejected = event.kind == TunnelEvent::Kind::Rejected;
  if (level_ < (rejected ? LogLevel::Warn : LogLevel::Info)) return;
  auto line = begin(now_(), rejected ? "warn" : "info",
                    rejected                              ? "tunnel_rejected"
                    : event.kind == TunnelEvent::Kind::Up ? "tunnel_up"
                                                          : "tunnel_down");
  line.text("session", event.session).text("name", event.name).text_if("url", event.url);
  if (event.why) add_error(line, *event.why);
  send(std::move(line));
}

void JsonOutput::request(const RequestEvent& event) {
  if (level_ < (failed_by_us(event) ? LogLevel::Warn : LogLevel::Info)) return;
  auto line = begin(now_(), failed_by_us(event) ? "warn" : "info", "request");
  line.text("request", event.request_id)
      .text_if("tunnel", event.tunnel)
      .text("method", event.method)
      .text("host", event.host)
      .text("path", event.path);
  line.number("status", event.status < 0 ? 0 : static_cast<std::uint64_t>(event.status));
  line.number("bytes_in", event.bytes_in).number("bytes_out", event.bytes_out).milliseconds("ms", count(event.took));
  if (event.failed_side) line.text("side", to_string(*event.failed_side));
  line.text_if("failure", event.failure);
  send(std::move(line));
}

void JsonOutput::connecting(const Connecting& event) {
  if (level_ < LogLevel::Info) return;
  send(std::move(begin(now_(), "info", "connecting").text("address", event.address).number("attempt", event.attempt)));
}

void JsonOutput::connected(const Connected& event) {
  if (level_ < LogLevel::Info) return;
  auto line = begin(now_(), "info", "connected");
  line.text("address", event.address)
      .text("session", event.session)
      .text("transport", event.transport)
      .text_if("server_version", event.server_version);
  if (event.rtt.count() > 0) line.milliseconds("rtt_ms", count(event.rtt));
  send(std::move(line));
}

void JsonOutput::disconnected(const Disconnected& event) {
  if (level_ < LogLevel::Warn) return;
  auto line = begin(now_(), "warn", "disconnected");
  add_error(line, event.why);
  line.boolean("retry", event.why.retry);
  if (event.why.retry)
    line.number("retry_in_ms", event.retry_in.count() < 0 ? 0 : static_cast<std::uint64_t>(event.retry_in.count()));
  send(std::move(line));
}

void JsonOutput::tunnel_up(const TunnelUp& event) {
  auto line = begin(now_(), "info", "tunnel_up");
  line.text("name", event.name).text("url", event.public_url);
  if (event.port != 0) line.number("port", event.port);
  send(std::move(line.text("to", event.to)));
}

void JsonOutput::tunnel_failed(const TunnelFailed& event) {
  if (level_ < LogLevel::Warn) return;
  auto line = begin(now_(), "warn", "tunnel_rejected");
  line.text("name", event.name);
  add_error(line, event.why);
  send(std::move(line));
}

void JsonOutput::token_kept(const std::string& file) {
  if (level_ < LogLevel::Info) return;
  send(std::move(begin(now_(), "info", "token_kept").text("file", file)));
}

void JsonOutput::visitor(const VisitorEvent& event) {
  if (level_ < LogLevel::Debug) return;
  auto line = begin(now_(), "debug", "visitor");
  line.text("tunnel", event.tunnel)
      .boolean("opened", event.opened)
      .number("now", event.now)
      .number("total", event.total);
  send(std::move(line));
}

void JsonOutput::reloaded(const Reloaded& reloaded) {
  auto line = begin(now_(), "info", "reloaded");
  std::string keys;
  for (const std::string& key : reloaded.needs_restart) keys += (keys.empty() ? "" : ",") + key;
  line.text("needs_restart", keys);
  send(std::move(line));
}

void JsonOutput::note(const std::string& text) {
  if (level_ < LogLevel::Info) return;
  send(std::move(begin(now_(), "info", "note").text("message", text)));
}

void JsonOutput::error(const Error& error) {
  if (level_ < LogLevel::Warn) return;
  const auto now = now_();
  std::uint64_t repeated = 0;
  {
    const std::lock_guard lock(repeats_mutex_);
    if (!repeats_.say(error.context, now, repeated)) return;
  }
  auto line = begin(now, "warn", "error");
  add_error(line, error);
  if (repeated != 0) line.number("repeated", repeated);
  send(std::move(line));
}

void JsonOutput::fatal(const Error& error) {
  auto line = begin(now_(), "error", "error");
  add_error(line, error);
  send(std::move(line.boolean("fatal", true)));
}

void JsonOutput::stopping(std::chrono::milliseconds patience) {
  if (level_ < LogLevel::Info) return;
  send(std::move(begin(now_(), "info", "stopping").milliseconds("drain_ms", count(patience))));
}

void JsonOutput::stopped(bool finished) {
  send(std::move(begin(now_(), "info", "stopped").boolean("finished", finished)));
}

std::string JsonOutput::dropped_line(std::uint64_t dropped, std::chrono::system_clock::time_point now) {
  return begin(now, "warn", "lines_dropped").number("count", dropped).finish() + "\n";
}

}  // namespace ferrotunnel::cli
