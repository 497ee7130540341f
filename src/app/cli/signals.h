// Signals: SIGINT, SIGTERM and SIGHUP (Reload where that was asked for, Stop otherwise) as something the main thread waits for, and a way for other threads to wake it.
//
// Make it in main() before any thread starts: it blocks the signals in this thread, and threads inherit that. SIGPIPE is ignored.
// wait() is for the main thread, wake() for any.
#pragma once

#include <signal.h>

#include <chrono>

namespace ferrotunnel::cli {

class Signals {
 public:
  enum class Woken { Stop, Reload, Wake, Timeout };

  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] Woken wait(std::chrono::milliseconds timeout);
  void wake();
  // SIGHUP is Reload from now on, also where it was ignored. Before any thread starts.
  void reload_on_hangup();
  // From now on the signals do what they do in any program: end it.
  void restore();

 private:
  sigset_t set_{};
  Woken hangup_ = Woken::Stop;
};

}  // namespace ferrotunnel::cli
