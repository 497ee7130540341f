// Output: what the command says while it runs. Human (output_human.h) or JSON lines (output_json.h); callers do not know which.
//
// Any thread: the library's callbacks call it directly. Each implementation locks for itself and hands whole lines to a LineSink, so
// nothing here waits. Text in events may come from outside; the implementations escape it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "app/cli/options.h"
#include "ferrotunnel/client.h"
#include "ferrotunnel/events.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel::cli {

class Output {
 public:
  virtual ~Output() = default;

  // At a server.
  virtual void ready(const ServerReady& ready, std::chrono::milliseconds took) = 0;
  virtual void session(const SessionEvent& event) = 0;
  virtual void tunnel(const TunnelEvent& event) = 0;
  virtual void request(const RequestEvent& event) = 0;
  // At a client.
  virtual void connecting(const Connecting& event) = 0;
  virtual void connected(const Connected& event) = 0;
  virtual void disconnected(const Disconnected& event) = 0;
  virtual void tunnel_up(const TunnelUp& event) = 0;
  virtual void tunnel_failed(const TunnelFailed& event) = 0;
  virtual void token_kept(const std::string& file) = 0;
  virtual void live(const ClientStatus& status) = 0;  // once a second
  // At both.
  virtual void visitor(const VisitorEvent& event) = 0;
  // The configuration was read anew; why not, is an error().
  virtual void reloaded(const Reloaded& reloaded) = 0;
  virtual void note(const std::string& text) = 0;  // worth knowing, and nothing has failed
  virtual void error(const Error& error) = 0;      // the program goes on
  virtual void fatal(const Error& error) = 0;      // it does not
  virtual void stopping(std::chrono::milliseconds patience) = 0;
  virtual void stopped(bool finished) = 0;  // false: it did not wait for whoever was left
};

using WallClock = std::function<std::chrono::system_clock::time_point()>;

// The same complaint again and again (each visitor of an origin that is down) is said once in a while, with how often it came since.
class Repeats {
 public:
  static constexpr std::chrono::seconds kQuiet{10};
  // Whether to say it now; then `since` is how often it was swallowed before.
  [[nodiscard]] bool say(const std::string& text, std::chrono::system_clock::time_point now, std::uint64_t& since);

 private:
  std::string last_;
  std::chrono::system_clock::time_point said_{};
  std::uint64_t swallowed_ = 0;
};

}  // namespace ferrotunnel::cli
