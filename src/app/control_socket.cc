#include "app/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ferrotunnel::app {
namespace {

namespace json = boost::json;

using Clock = std::chrono::steady_clock;

// 0, or errno. EAGAIN: somebody listens there who takes no more connections.
int dial(const transport::SocketAddress& address, std::chrono::milliseconds patience, transport::UniqueFd& fd) {
  fd = transport::UniqueFd(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!fd) return errno;
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
  timeval limit{};
  limit.tv_sec = static_cast<decltype(limit.tv_sec)>(seconds.count());
  limit.tv_usec = static_cast<decltype(limit.tv_usec)>(std::chrono::microseconds(patience - seconds).count());
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // connect() waits for a place in the queue
  if (::connect(fd.get(), address.get(), address.length) != 0) return errno;
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return 0;
}

// A connection that does not block. Whoever waits for it waits until `deadline` in all, or until there is something to be read at `wake`.
struct Peer {
  int fd = -1;
  int wake = -1;  // none: -1
  Clock::time_point deadline;

  [[nodiscard]] bool wait(short events) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) return false;
      pollfd wanted[2] = {{fd, events, 0}, {wake, POLLIN, 0}};
      const int n = ::poll(wanted, 2, static_cast<int>(left.count()));
      if (n < 0 && errno != EINTR) return false;
      if (n > 0) return wanted[1].revents == 0;
    }
  }

  // What can be sent at once is, whatever the time.
  [[nodiscard]] bool send_all(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (n > 0)
        text.remove_prefix(static_cast<std::size_t>(n));
      else if (n < 0 && errno != EINTR && (errno != EAGAIN || !wait(POLLOUT)))
        return false;
    }
    return true;
  }

  // Up to the end of the line, which is left out. Nothing: it did not come, or is too long.
  [[nodiscard]] std::optional<std::string> read_line(std::size_t most) const {
    std::string line;
    char buffer[4096];
    while (line.size() <= most) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n == 0 || (n < 0 && errno != EINTR && (errno != EAGAIN || !wait(POLLIN)))) return {};
      if (n < 0) continue;
      const std::string_view piece(buffer, static_cast<std::size_t>(n));
      const std::size_t end = piece.find('\n');
      line += piece.substr(0, end);
      if (end == std::string_view::npos) continue;
      if (line.size() > most) return {};
      return line;
    }
    return {};
  }
};

// What somebody who died left there. Whoever is alive answers a connection.
Result<> remove_stale(const std::filesystem::path& path, const transport::SocketAddress& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false, path.string() + " is there and is no socket"));
  transport::UniqueFd there;
  if (const int why = dial(address, ControlSocket::kPatience, there); why == 0 || why == EAGAIN) {
    return std::unexpected(Error(ErrorCode::AddressInUse, Side::Local, false,
                                 "another server runs with this state: it answers at " + path.string()));
  }
  ::unlink(path.c_str());
  return {};
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(const std::filesystem::path& path, Answer answer) {
  const auto address = transport::unix_address(path.string());
  if (!address) return std::unexpected(address.error());
  if (auto removed = remove_stale(path, *address); !removed) return std::unexpected(removed.error());
  transport::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  int wake[2] = {-1, -1};
  if (!listener || ::pipe(wake) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot make the control socket"));
  transport::UniqueFd wake_read(wake[0]), wake_write(wake[1]);
  for (const int fd : {listener.get(), wake[0], wake[1]}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
  // Nobody can connect before listen(): so the mode is right before anybody may.
  if (::bind(listener.get(), address->get(), address->length) != 0 || ::chmod(path.c_str(), 0600) != 0 ||
      ::listen(listener.get(), 16) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot listen on " + path.string()));
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot look at " + path.string()));
  std::unique_ptr<ControlSocket> made(
      new ControlSocket(path, std::move(listener), std::move(wake_read), std::move(wake_write), std::move(answer)));
  made->device_ = info.st_dev;
  made->inode_ = info.st_ino;
  made->thread_ = std::thread([raw = made.get()] { raw->run(); });
  return made;
}

ControlSocket::ControlSocket(std::filesystem::path path, transport::UniqueFd listener, transport::UniqueFd wake_read,
                             transport::UniqueFd wake_write, Answer answer)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      wake_read_(std::move(wake_read)),
      wake_write_(std::move(wake_write)),
      answer_(std::move(answer)) {}

ControlSocket::~ControlSocket() {
  wake_write_.reset();
  if (thread_.joinable()) thread_.join();
  struct stat info{};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());
}

void ControlSocket::run() {
  for (;;) {
    pollfd ready[2] = {{listener_.get(), POLLIN, 0}, {wake_read_.get(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
    if (ready[1].revents != 0) return;
    if (ready[0].revents == 0) continue;
    const transport::UniqueFd fd(::accept(listener_.get(), nullptr, nullptr));
    if (!fd) {
      ::poll(ready + 1, 1, 100);  // no descriptors: not in a loop
      continue;
    }
    ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    serve(fd.get());
  }
}

void ControlSocket::serve(int fd) const {
  const auto line = Peer{fd, wake_read_.get(), Clock::now() + kPatience}.read_line(kMaxQuestion);
  if (!line) return;
  boost::system::error_code wrong;
  const json::value question = json::parse(*line, wrong);
  Result<json::object> answer =
      wrong || !question.is_object()
          ? std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "a question is one JSON object"))
          : answer_(question.get_object());
  json::object out;
  if (answer) {
    out = std::move(*answer);
    out["ok"] = true;
  } else {
    out["ok"] = false;
    out["error"] = answer.error().context;
    out["code"] = std::string(to_string(answer.error().code));
  }
  (void)Peer{fd, wake_read_.get(), Clock::now() + kAnswerPatience}.send_all(json::serialize(out) + "\n");
}

namespace {

// What the other program's error is to the one that asked. Unreachable and Timeout are its own, of that program.
ErrorCode code_of(std::string_view said) {
  if (said == to_string(ErrorCode::BadInput)) return ErrorCode::BadInput;
  for (const ErrorCode code : {ErrorCode::Unreachable, ErrorCode::Resolve, ErrorCode::Timeout, ErrorCode::Tls,
                               ErrorCode::Closed, ErrorCode::Io})
    if (said == to_string(code)) return ErrorCode::Io;
  return ErrorCode::Refused;
}

}  // namespace

Result<json::object> ask_control(const std::filesystem::path& path, const json::object& question,
                                 std::chrono::milliseconds patience) {
  const auto address = transport::unix_address(path.string());
  if (!address) return std::unexpected(address.error());
  const Clock::time_point deadline = Clock::now() + patience;
  transport::UniqueFd fd;
  const int why = dial(*address, patience, fd);
  if (why != 0 && why != EAGAIN) {
    Error error = errno_error(why, Side::Local, "nothing answers at " + address->text());
    error.code = ErrorCode::Unreachable;
    return std::unexpected(std::move(error));
  }
  const Peer peer{.fd = fd.get(), .deadline = deadline};
  std::optional<std::string> line;
  if (why == 0 && peer.send_all(json::serialize(question) + "\n")) line = peer.read_line(ControlSocket::kMaxAnswer);
  boost::system::error_code wrong;
  json::value answer = line ? json::parse(*line, wrong) : json::value();
  if (!line || wrong || !answer.is_object())
    return std::unexpected(
        Error(ErrorCode::Timeout, Side::Local, true, "the server at " + path.string() + " did not answer"));
  json::object& object = answer.get_object();
  const json::value* ok = object.if_contains("ok");
  if (ok != nullptr && ok->is_bool() && ok->get_bool()) return std::move(object);
  const auto text = [&object](std::string_view key, std::string otherwise) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::move(otherwise);
  };
  return std::unexpected(Error(code_of(text("code", "")), Side::Local, false, text("error", "it refused")));
}

}  // namespace ferrotunnel::app
