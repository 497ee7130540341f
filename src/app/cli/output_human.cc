#include "app/cli/output_human.h"

#include <ranges>

#include "app/cli/escape.h"
#include "app/cli/time_text.h"
#include "ferrotunnel/version.h"

namespace ferrotunnel::cli {
namespace {

constexpr std::size_t kLongest = 400;  // bytes of one thing from outside
constexpr std::string_view kClearLine = "\r\x1b[K";

// The words stand in bytes; all but the live line's are ASCII, and what is not is narrower than its bytes.
std::string cut(std::string text, std::size_t columns) {
  if (text.size() > columns) text.resize(columns);
  return text;
}

std::string join_line(const ServerReady& ready) {
  return (ready.http_listen.empty() && ready.https_listen.empty() ? "ferrotunnel tcp 22 --join "
                                                                  : "ferrotunnel http 3000 --join ") +
         ready.join_token;
}

}  // namespace

HumanOutput::HumanOutput(LineSink& sink, LogLevel level, HumanStyle style, WallClock now)
    : sink_(sink), level_(level), style_(std::move(style)), now_(std::move(now)) {}

std::string HumanOutput::painted(Colour colour, std::string_view text) const {
  if (!style_.colours) return std::string(text);
  std::string_view code;
  switch (colour) {
    case Colour::Bold: code = "\x1b[1m"; break;
    case Colour::Dim: code = "\x1b[2m"; break;
    case Colour::Green: code = "\x1b[32m"; break;
    case Colour::Yellow: code = "\x1b[33m"; break;
    case Colour::Red: code = "\x1b[31m"; break;
  }
  return std::string(code).append(text).append("\x1b[0m");
}

std::string HumanOutput::label(Colour colour, std::string_view word) const {
  constexpr std::size_t kColumn = 12;
  return painted(colour, word) + std::string(word.size() < kColumn ? kColumn - word.size() : 1, ' ');
}

void HumanOutput::redraw_live(std::string& out) {
  if (live_.empty()) return;
  out += cut(live_, style_.width() - 1);
  live_shown_ = true;
}

void HumanOutput::print(const std::string& lines) {
  const std::lock_guard lock(mutex_);
  std::string out;
  if (live_shown_) out += kClearLine;
  live_shown_ = false;
  out += lines;
  redraw_live(out);
  sink_.write(out);
}

void HumanOutput::print_event(const std::string& line) {
  const auto now = now_();
  print("  " + painted(Colour::Dim, style_.terminal ? clock_text(now) : rfc3339(now)) + "  " + line + "\n");
}

void HumanOutput::ready(const ServerReady& ready, std::chrono::milliseconds took) {
  std::string out = "  " + painted(Colour::Bold, "ferrotunnel " + std::string(version())) + "\n";
  out += "  " + label(Colour::Green, "listening") + ready.listen +
         (ready.tls ? " (tunnels, TLS)" : " (tunnels, plain TCP: only for a network that is trusted)");
  if (!ready.http_listen.empty()) out += "   " + ready.http_listen + " (http)";
  if (!ready.https_listen.empty()) out += "   " + ready.https_listen + " (https)";
  out += "\n  " + label(Colour::Dim, "state") + shown(ready.state_dir) +
         (ready.state_made ? " (made now: key, one grant \"default\")" : "") + "\n";
  if (ready.public_host == "localhost")
    out += "  " + label(Colour::Dim, "public") +
           "localhost: visitors of this machine only; --public-address NAME says what others call it\n";
  out += "  join from the other machine:\n      " + painted(Colour::Bold, join_line(ready)) + "\n";
  out += "  " + label(Colour::Green, "ready") + "in " + std::to_string(took.count()) + " ms\n";
  print(out);
}

void HumanOutput::session(const SessionEvent& event) {
  if (level_ < LogLevel::Info) return;
  std::string line;
  if (event.kind == SessionEvent::Kind::Up) {
    line = label(Colour::Green, "client up") + shown(event.id, kLongest) + "   " + shown(event.address, kLongest) +
           "   grant " + shown(event.grant, kLongest);
    if (!event.transport.empty()) line += "   " + shown(event.transport, kLongest);
  } else {
    line = label(Colour::Yellow, "client down") + shown(event.id, kLongest) + "   " + shown(event.address, kLongest);
    if (event.why) line += "   " + shown(event.why->context, kLongest);
  }
  print_event(line);
}

void HumanOutput::tunnel(const TunnelEvent& event) {
  const bool rejected = event.kind == TunnelEvent::Kind::Rejected;
  if (level_ < (rejected ? LogLevel::Warn : LogLevel::Info)) return;
  const bool up = event.kind == TunnelEvent::Kind::Up;
  std::string line = rejected ? label(Colour::Red, "refused")
                     : up     ? label(Colour::Green, "tunnel up")
                              : label(Colour::Yellow, "tunnel down");
  line += shown(event.name, kLongest);
  if (!event.url.empty()) line += "   " + shown(event.url, kLongest);
  if (event.why) line += "   " + shown(event.why->context, kLongest);
  print_event(line);
}

void HumanOutput::request(const RequestEvent& event) {
  const bool failed = event.failed_side && *event.failed_side != Side::Visitor;
  if (level_ < (failed ? LogLevel::Warn : LogLevel::Info)) return;
  const std::string status = event.status == 0 ? "left" : std::to_string(event.status);
  const Colour colour = event.status == 0 || event.status >= 500 ? Colour::Red
                        : event.status >= 400                    ? Colour::Yellow
                                                                 : Colour::Green;
  std::string line = label(colour, status);
  line += event.method.empty()
              ? "(not understood)"
              : shown(event.method, kLongest) + " " + shown(event.host, kLongest) + shown(event.path, kLongest);
  line += "   " + duration_text(event.took) + "   " + amount_text(event.bytes_out);
  if (event.failed_side)
    line += "   " + std::string(to_string(*event.failed_side)) + ": " + shown(event.failure, kLongest) + "   request " +
            shown(event.request_id, kLongest);
  print_event(line);
}

void HumanOutput::connecting(const Connecting& event) {
  if (level_ < LogLevel::Info || event.attempt > 1) return;  // "disconnected" announced the next attempt
  print("  " + label(Colour::Dim, "connecting") + shown(event.address, kLongest) + "\n");
}

void HumanOutput::connected(const Connected& event) {
  if (level_ < LogLevel::Info) return;
  std::string line = "  " + label(Colour::Green, "connected") + shown(event.address, kLongest) + "   " +
                     shown(event.transport, kLongest);
  if (event.rtt.count() > 0) line += "   " + duration_text(event.rtt);
  print(line + "\n");
}

void HumanOutput::disconnected(const Disconnected& event) {
  if (!event.why.retry || level_ < LogLevel::Warn) return;  // what is final, main() says on stderr
  print_event(label(Colour::Yellow, "no server") + shown(event.why.context, kLongest) + "; trying again in " +
              duration_text(event.retry_in));
}

void HumanOutput::tunnel_up(const TunnelUp& event) {
  print("  " + painted(Colour::Bold, shown(event.public_url, kLongest)) + "  ->  " + shown(event.to, kLongest) + "\n");
}

void HumanOutput::tunnel_failed(const TunnelFailed& event) {
  if (level_ < LogLevel::Warn) return;
  print_event(label(Colour::Red, "refused") + shown(event.name, kLongest) + ": " + shown(event.why.context, kLongest) +
              (event.why.retry ? "; asking again until it is free (--fail-fast gives up instead)" : ""));
}

void HumanOutput::token_kept(const std::string& file) {
  if (level_ < LogLevel::Info) return;
  print("  " + label(Colour::Dim, "token") + "kept for next time in " + shown(file) + "\n");
}

void HumanOutput::live(const ClientStatus& status) {
  if (!style_.terminal) return;
  std::string text;
  if (status.connected) {
    text = "  connections " + std::to_string(status.visitors_now) + " now, " + std::to_string(status.visitors) +
           " in all    in " + amount_text(status.bytes_in) + "   out " + amount_text(status.bytes_out);
    if (status.rtt.count() > 0) text += "    server " + duration_text(status.rtt);
  }
  const std::lock_guard lock(mutex_);
  if (text == live_ && live_shown_ == !live_.empty()) return;
  live_ = std::move(text);
  std::string out(kClearLine);
  live_shown_ = false;
  redraw_live(out);
  sink_.write(out);
}

void HumanOutput::visitor(const VisitorEvent& event) {
  if (level_ < LogLevel::Debug) return;
  print_event(label(Colour::Dim, event.opened ? "visitor" : "left") + shown(event.tunnel, kLongest) + "   " +
              std::to_string(event.now) + " now, " + std::to_string(event.total) + " in all");
}

void HumanOutput::reloaded(const Reloaded& reloaded) {
  std::string line = label(Colour::Green, "reloaded") + "the configuration";
  for (const std::string& key : reloaded.needs_restart)
    line += (&key == &reloaded.needs_restart.front() ? "; after a restart: " : ", ") + key;
  print_event(line);
}

void HumanOutput::note(const std::string& text) {
  if (level_ < LogLevel::Info) return;
  print_event(label(Colour::Dim, "note") + shown(text, kLongest));
}

void HumanOutput::error(const Error& error) {
  if (level_ < LogLevel::Warn) return;
  std::uint64_t repeated = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!repeats_.say(error.context, now_(), repeated)) return;
  }
  // Of a file's mistakes each has a line.
  std::string line;
  for (const auto part : std::views::split(error.context, '\n')) {
    line += line.empty() ? label(Colour::Red, "error") : "\n      ";
    line += shown(std::string_view(part.begin(), part.end()), kLongest);
  }
  if (repeated != 0) line += " (" + std::to_string(repeated) + " times more since)";
  print_event(line);
}

void HumanOutput::fatal(const Error&) {
  {
    const std::lock_guard lock(mutex_);
    live_.clear();
  }
  print("");  // what is said elsewhere finds a line of its own
}

void HumanOutput::stopping(std::chrono::milliseconds patience) {
  {
    const std::lock_guard lock(mutex_);
    live_.clear();
  }
  if (level_ < LogLevel::Info) return print("");
  // The terminal has written ^C where the cursor stood.
  const std::string_view clear = style_.terminal ? kClearLine : "";
  print(std::string(clear) + "  " + label(Colour::Yellow, "stopping") + "visitors may finish within " +
        duration_text(patience) + "; once more stops at once\n");
}

void HumanOutput::stopped(bool finished) {
  print("  " + label(Colour::Dim, "stopped") +
        (finished ? "all visitors had finished" : "without waiting any longer; whoever was left is cut off") + "\n");
}

std::string HumanOutput::dropped_line(std::uint64_t count) {
  return "  (" + std::to_string(count) + " lines were dropped: the output is read too slowly)\n";
}

}  // namespace ferrotunnel::cli
