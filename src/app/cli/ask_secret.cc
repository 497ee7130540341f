#include "app/cli/ask_secret.h"

#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ferrotunnel::cli {
namespace {

volatile sig_atomic_t g_caught = 0;  // written by the handler, which can be handed nothing
void on_signal(int number) { g_caught = number; }

constexpr std::array kEnding = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// While it lives, the signals that end a program are held back, except within wait(); whoever was caught is delivered at the end.
class HeldSignals {
 public:
  HeldSignals() {
    g_caught = 0;
    sigset_t held;
    ::sigemptyset(&held);
    for (const int number : kEnding) ::sigaddset(&held, number);
    ::sigprocmask(SIG_BLOCK, &held, &before_);
    struct sigaction action{};
    action.sa_handler = &on_signal;
    for (std::size_t i = 0; i < kEnding.size(); ++i) ::sigaction(kEnding[i], &action, &actions_[i]);
  }
  ~HeldSignals() {
    for (std::size_t i = 0; i < kEnding.size(); ++i) ::sigaction(kEnding[i], &actions_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    if (g_caught != 0) ::raise(g_caught);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // False: a signal came.
  [[nodiscard]] bool wait_readable(int fd) const {
    while (g_caught == 0) {
      pollfd one{fd, POLLIN, 0};
      if (::ppoll(&one, 1, nullptr, &before_) > 0) return true;
      if (errno != EINTR) return true;  // read() will say what is wrong
    }
    return false;
  }

 private:
  sigset_t before_{};
  std::array<struct sigaction, kEnding.size()> actions_{};
};

// Restores the terminal. Made after HeldSignals and gone before it, so that no signal finds the terminal changed.
class HiddenInput {
 public:
  explicit HiddenInput(int fd) : fd_(fd), changed_(::tcgetattr(fd, &before_) == 0) {
    if (!changed_) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    hidden.c_lflag |= ICANON | ECHONL;
    hidden.c_cc[VSUSP] = _POSIX_VDISABLE;  // a shell would get the terminal back as it is now
    changed_ = ::tcsetattr(fd, TCSAFLUSH, &hidden) == 0;
  }
  ~HiddenInput() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;
  [[nodiscard]] bool hidden() const { return changed_; }

 private:
  const int fd_;
  termios before_{};
  bool changed_;
};

Error io(std::string text) { return {ErrorCode::Io, Side::Local, false, std::move(text)}; }

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(kSpace) - from + 1));
}

}  // namespace

bool can_ask() { return ::isatty(STDIN_FILENO) == 1; }

Result<std::string> ask_secret(std::string_view prompt) {
  const HeldSignals held;
  const HiddenInput input(STDIN_FILENO);
  if (!input.hidden())
    return std::unexpected(io("the terminal cannot hide what is typed; give --token-file FILE instead"));
  [[maybe_unused]] const ssize_t shown = ::write(STDERR_FILENO, prompt.data(), prompt.size());
  constexpr std::size_t kLine = 4096;
  std::array<char, kLine> line{};
  if (!held.wait_readable(STDIN_FILENO)) return std::unexpected(io("interrupted"));
  const ssize_t n = ::read(STDIN_FILENO, line.data(), line.size());
  if (n < 0) return std::unexpected(io(std::string("the terminal cannot be read: ") + std::strerror(errno)));
  return trimmed({line.data(), static_cast<std::size_t>(n)});
}

}  // namespace ferrotunnel::cli
