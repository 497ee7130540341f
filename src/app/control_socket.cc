#include "app/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <string>
#include <utility>

namespace ferrotunnel::app {
namespace {

namespace json = boost::json;

void limit_waits(int fd, std::chrono::milliseconds patience) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
  timeval limit{};
  limit.tv_sec = static_cast<decltype(limit.tv_sec)>(seconds.count());
  limit.tv_usec = static_cast<decltype(limit.tv_usec)>(std::chrono::microseconds(patience - seconds).count());
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Result<transport::UniqueFd> dial(const transport::SocketAddress& address) {
  transport::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot make a socket"));
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  if (::connect(fd.get(), address.get(), address.length) == 0) return fd;
  return std::unexpected(errno_error(errno, Side::Local, "nothing answers at " + address.text()));
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// Up to the end of the line, which is left out. Nothing: it did not come, or is too long.
std::optional<std::string> read_line(int fd, std::size_t most) {
  std::string line;
  char buffer[4096];
  while (line.size() <= most) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return {};
    line.append(buffer, static_cast<std::size_t>(n));
    if (const std::size_t end = line.find('\n'); end != std::string::npos) {
      line.resize(end);
      if (line.size() > most) return {};
      return line;
    }
  }
  return {};
}

// What somebody who died left there. Whoever is alive answers a connection.
Result<> remove_stale(const std::filesystem::path& path, const transport::SocketAddress& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false, path.string() + " is there and is no socket"));
  if (dial(address)) {
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
  std::unique_ptr<ControlSocket> made(
      new ControlSocket(path, std::move(listener), std::move(wake_read), std::move(wake_write), std::move(answer)));
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
  ::unlink(path_.c_str());
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
    ::fcntl(fd.get(), F_SETFL, 0);
    limit_waits(fd.get(), kPatience);
    serve(fd.get());
  }
}

void ControlSocket::serve(int fd) const {
  const auto line = read_line(fd, kMaxQuestion);
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
  }
  send_all(fd, json::serialize(out) + "\n");
}

Result<json::object> ask_control(const std::filesystem::path& path, const json::object& question,
                                 std::chrono::milliseconds patience) {
  const auto address = transport::unix_address(path.string());
  if (!address) return std::unexpected(address.error());
  auto fd = dial(*address);
  if (!fd) {
    fd.error().code = ErrorCode::Unreachable;
    return std::unexpected(fd.error());
  }
  limit_waits(fd->get(), patience);
  if (!send_all(fd->get(), json::serialize(question) + "\n"))
    return std::unexpected(errno_error(errno, Side::Local, "cannot ask the server at " + path.string()));
  const auto line = read_line(fd->get(), ControlSocket::kMaxAnswer);
  boost::system::error_code wrong;
  json::value answer = line ? json::parse(*line, wrong) : json::value();
  if (!line || wrong || !answer.is_object())
    return std::unexpected(
        Error(ErrorCode::Timeout, Side::Local, true, "the server at " + path.string() + " did not answer"));
  json::object& object = answer.get_object();
  const json::value* ok = object.if_contains("ok");
  if (ok != nullptr && ok->is_bool() && ok->get_bool()) return std::move(object);
  const json::value* said = object.if_contains("error");
  return std::unexpected(Error(ErrorCode::Refused, Side::Local, false,
                               said != nullptr && said->is_string() ? std::string(said->get_string()) : "it refused"));
}

}  // namespace ferrotunnel::app
