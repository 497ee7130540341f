#include "app/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ranges>
#include <string>

#include "app/cli/escape.h"
#include "app/cli/output_human.h"
#include "app/cli/output_json.h"

namespace ferrotunnel::cli {
namespace {

bool set_and_not_empty(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool dumb_terminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb";
}

std::size_t terminal_width() {
  constexpr std::size_t kUnknown = 80, kNarrow = 20;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return kUnknown;
  return size.ws_col < kNarrow ? kNarrow : size.ws_col;
}

}  // namespace

Console::Console(const RunOptions& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const WallClock now = [] { return std::chrono::system_clock::now(); };
  if (options.log_format == LogFormat::Json || (options.log_format == LogFormat::Auto && !terminal)) {
    sink_ = std::make_unique<FdSink>(STDOUT_FILENO,
                                     [now](std::uint64_t count) { return JsonOutput::dropped_line(count, now()); });
    output_ = std::make_unique<JsonOutput>(*sink_, options.log_level, now);
    return;
  }
  HumanStyle style;
  style.terminal = terminal && !dumb_terminal();
  style.colours = style.terminal && !set_and_not_empty("NO_COLOR");
  style.width = terminal_width;
  live_ = style.terminal;
  sink_ = std::make_unique<FdSink>(STDOUT_FILENO, [](std::uint64_t count) { return HumanOutput::dropped_line(count); });
  output_ = std::make_unique<HumanOutput>(*sink_, options.log_level, style, now);
}

void complain(std::string_view text) {
  std::string line = "ferrotunnel: ";
  append_shown(line, text);
  line += '\n';
  // Best effort: where stderr is gone, nobody is left to tell.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

int complain_of(const Error& error) {
  for (const auto line : std::views::split(std::string_view(error.context), '\n'))
    complain(std::string_view(line.begin(), line.end()));
  return exit_code_of(error);
}

int end_with(Console& console, const Error& error) {
  console->fatal(error);
  console.close();
  return complain_of(error);
}

int print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return kExitFailed;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return kExitDone;
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::BadInput: return kExitWrongUse;
    case ErrorCode::Unauthorized:
    case ErrorCode::Refused:
    case ErrorCode::PinMismatch: return kExitRefused;
    default: return kExitFailed;
  }
}

}  // namespace ferrotunnel::cli
