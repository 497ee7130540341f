#include "app/cli/signals.h"

#include <unistd.h>

#include <cerrno>

namespace ferrotunnel::cli {
namespace {
constexpr int kWake = SIGUSR1;
}

Signals::Signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::sigemptyset(&set_);
  ::sigaddset(&set_, SIGINT);
  ::sigaddset(&set_, SIGTERM);
  ::sigaddset(&set_, kWake);
  // Under nohup it stays ignored.
  struct sigaction hangup{};
  if (::sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) ::sigaddset(&set_, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

Signals::Woken Signals::wait(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - std::chrono::steady_clock::now());
    const auto nanoseconds = left.count() < 0 ? 0 : left.count();
    const timespec limit{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
    const int signal = ::sigtimedwait(&set_, nullptr, &limit);
    if (signal == kWake) return Woken::Wake;
    if (signal == SIGHUP) return hangup_;
    if (signal > 0) return Woken::Stop;
    if (errno != EINTR) return Woken::Timeout;
  }
}

void Signals::reload_on_hangup() {
  hangup_ = Woken::Reload;
  ::signal(SIGHUP, SIG_DFL);
  ::sigaddset(&set_, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

void Signals::wake() { ::kill(::getpid(), kWake); }

void Signals::restore() {
  ::signal(kWake, SIG_IGN);  // one may be pending
  ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
}

}  // namespace ferrotunnel::cli
