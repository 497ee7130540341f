// HumanOutput: for a person. On a terminal with colours (never alone: the words say it too) and, at a client, one live line that is
// updated in place; elsewhere the same words as plain lines.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

#include "app/cli/line_sink.h"
#include "app/cli/output.h"

namespace ferrotunnel::cli {

struct HumanStyle {
  bool terminal = false;
  bool colours = false;
  std::function<std::size_t()> width = [] { return std::size_t{80}; };  // columns
};

class HumanOutput final : public Output {
 public:
  HumanOutput(LineSink& sink, LogLevel level, HumanStyle style, WallClock now);

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
  void live(const ClientStatus& status) override;
  void visitor(const VisitorEvent& event) override;
  void reloaded(const Reloaded& reloaded) override;
  void note(const std::string& text) override;
  void error(const Error& error) override;
  void fatal(const Error& error) override;  // main() says it on stderr, which is where a person looks
  void stopping(std::chrono::milliseconds patience) override;
  void stopped(bool finished) override;

  [[nodiscard]] static std::string dropped_line(std::uint64_t count);

 private:
  enum class Colour : std::uint8_t { Bold, Dim, Green, Yellow, Red };
  [[nodiscard]] std::string painted(Colour colour, std::string_view text) const;
  [[nodiscard]] std::string label(Colour colour, std::string_view word) const;  // as wide as its column
  // Lines, each with its end; the live line stands below them again afterwards.
  void print(const std::string& lines);
  void print_event(const std::string& line);  // with the time of day before it
  void redraw_live(std::string& out);

  LineSink& sink_;
  const LogLevel level_;
  const HumanStyle style_;
  const WallClock now_;
  // Guarded by mutex_.
  std::mutex mutex_;
  std::string live_;  // without control codes; empty: none
  bool live_shown_ = false;
  Repeats repeats_;
};

}  // namespace ferrotunnel::cli
