// Machine::run(): a command without a shell, with a deadline and a bound on what it may say.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <system_error>
#include <thread>

#include "app/config/outside.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::app::config {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxComplaint = 4u << 10;  // of its standard error is kept
constexpr std::chrono::milliseconds kLook{10};   // how often its end is asked for
constexpr std::chrono::seconds kDying{1};        // for a child that was killed to be gone

std::unexpected<Error> failed(ErrorCode code, std::string text) {
  return std::unexpected(Error(code, Side::Local, false, std::move(text)));
}

struct Pipe {
  transport::UniqueFd read, write;
};
std::optional<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  return Pipe{transport::UniqueFd(ends[0]), transport::UniqueFd(ends[1])};
}

// posix_spawn's two parameter blocks, freed at the end.
struct SpawnSettings {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
};

// 0, or errno. In a process group of its own, so that what it starts is killed with it; with no signal blocked or ignored, as this program may
// have them.
int start(const std::vector<std::string>& command, const Pipe& out, const Pipe& complaints, pid_t& child) {
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&settings.files, out.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.files, complaints.write.get(), STDERR_FILENO);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &all);
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  ::posix_spawnattr_setflags(&settings.attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  return ::posix_spawnp(&child, words[0], &settings.files, &settings.attributes, words.data(), environ);
}

// A child that is being listened to. Kills it where it has not ended by itself, and reaps it; at most kDying is waited for that. One that may not be
// killed (sudo's) or cannot die is left to a thread of its own.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ == 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);  // where it has left its group
    const auto until = Clock::now() + kDying;
    while (!ended()) {
      if (Clock::now() >= until) {
        (void)reap_later(pid_);
        return;
      }
      std::this_thread::sleep_for(kLook);
    }
  }
  // Its status once it has ended.
  std::optional<int> ended() {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
    pid_ = 0;
    constexpr int kUnknown = 0xff00;  // somebody else has reaped it: taken as a failure
    return got < 0 ? kUnknown : status;
  }

 private:
  // False: there are no more threads, and a zombie will be left.
  static bool reap_later(pid_t pid) {
    try {
      std::thread([pid] {
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
      }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  pid_t pid_;
};

// What the pipe has now. True: there may be more.
bool take(const transport::UniqueFd& fd, std::string& into, std::size_t most) {
  std::array<char, 4096> piece;
  while (true) {
    const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    into.append(piece.data(), std::min(static_cast<std::size_t>(n), most - into.size()));
    if (into.size() >= most) return true;
  }
}

std::string first_line(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

}  // namespace

Result<std::string> Machine::run(const std::vector<std::string>& command, std::chrono::milliseconds most) {
  const auto deadline = Clock::now() + most;
  auto out = make_pipe(), complaints = make_pipe();
  pid_t pid = 0;
  if (!out || !complaints) return std::unexpected(errno_error(errno, Side::Local, "cannot run " + command[0]));
  if (const int why = start(command, *out, *complaints, pid); why != 0)
    return std::unexpected(errno_error(why, Side::Local, "cannot run " + command[0]));
  Child child(pid);
  out->write = {};
  complaints->write = {};
  for (const Pipe* pipe : {&*out, &*complaints}) ::fcntl(pipe->read.get(), F_SETFL, O_NONBLOCK);

  std::string text, complaint, dropped;
  std::optional<int> status;
  bool out_open = true, complaints_open = true;
  while (!status) {
    status = child.ended();  // before the pipes are read: what it said is in them by now
    if (out_open) out_open = take(out->read, text, kMaxSecretSource + 1);
    if (complaints_open) complaints_open = take(complaints->read, complaint, kMaxComplaint);
    if (complaint.size() >= kMaxComplaint) complaints_open = take(complaints->read, dropped = {}, kMaxComplaint);
    if (text.size() > kMaxSecretSource)
      return failed(ErrorCode::Limit,
                    command[0] + " prints more than " + std::to_string(kMaxSecretSource >> 10) + " KiB");
    if (status) break;
    if (Clock::now() >= deadline)
      return failed(ErrorCode::Timeout,
                    command[0] + " did not end within " + std::to_string(most.count()) + " ms and was killed");
    pollfd wait[] = {{out_open ? out->read.get() : -1, POLLIN, 0},
                     {complaints_open ? complaints->read.get() : -1, POLLIN, 0}};
    ::poll(wait, 2, static_cast<int>(kLook.count()));
  }
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return text;
  std::string says = command[0] + (WIFEXITED(*status) ? " failed with exit code " + std::to_string(WEXITSTATUS(*status))
                                                      : " was ended by signal " + std::to_string(WTERMSIG(*status)));
  if (const std::string line = first_line(complaint); !line.empty()) says += ": " + line;
  return failed(ErrorCode::Io, std::move(says));
}

}  // namespace ferrotunnel::app::config
