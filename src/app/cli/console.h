// Console: the command's stdout: which format it takes, and the Output that writes there. Main thread makes and closes it.
#pragma once

#include <memory>
#include <string_view>

#include "app/cli/line_sink.h"
#include "app/cli/output.h"

namespace ferrotunnel::cli {

class Console {
 public:
  explicit Console(const RunOptions& options);
  Output& operator*() { return *output_; }
  Output* operator->() { return output_.get(); }
  [[nodiscard]] bool has_live_line() const { return live_; }
  void close() { sink_->close(); }

 private:
  bool live_ = false;
  std::unique_ptr<FdSink> sink_;
  std::unique_ptr<Output> output_;
};

// "ferrotunnel: …" on stderr, escaped; one line.
void complain(std::string_view text);

inline constexpr int kExitDone = 0, kExitFailed = 1, kExitWrongUse = 2, kExitRefused = 3;
[[nodiscard]] int exit_code_of(const Error& error);
// Complains, of a configuration file of every mistake on a line of its own, and gives the exit code.
[[nodiscard]] int complain_of(const Error& error);
// What ends a program that ran: told where events go, and to the person. Gives the exit code.
[[nodiscard]] int end_with(Console& console, const Error& error);
// To stdout, at once. Gives the exit code.
[[nodiscard]] int print(std::string_view text);

}  // namespace ferrotunnel::cli
