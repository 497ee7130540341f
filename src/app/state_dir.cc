#include "app/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "transport/tcp/socket.h"
#include "wire/base64.h"

namespace ferrotunnel::app {
namespace {

Error bad_file(const std::filesystem::path& file, std::string_view why) {
  return {ErrorCode::BadInput, Side::Local, false, file.string() + ": " + std::string(why)};
}

Result<session::Secret> read_secret(int fd, const std::filesystem::path& file) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return std::unexpected(errno_error(errno, Side::Local, "cannot read " + file.string()));
  if ((info.st_mode & 077) != 0) return std::unexpected(bad_file(file, "others may read this secret: chmod 600 it, and make a new one if they did"));
  std::array<char, 256> text{};
  const ssize_t n = ::read(fd, text.data(), text.size());
  if (n < 0) return std::unexpected(errno_error(errno, Side::Local, "cannot read " + file.string()));
  std::string_view line(text.data(), static_cast<std::size_t>(n));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  const auto bytes = wire::base64url_decode(line);
  session::Secret secret;
  if (bytes) secret = session::Secret(*bytes);
  if (!secret.valid()) return std::unexpected(bad_file(file, "this is not a secret that ferrotunnel wrote: remove the file to have a new one made"));
  return secret;
}

}  // namespace

std::filesystem::path default_state_dir() {
  if (const char* systemd = std::getenv("STATE_DIRECTORY"); systemd != nullptr && *systemd != '\0') return systemd;
  if (::geteuid() == 0) return "/var/lib/ferrotunnel";
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg != '\0') return std::filesystem::path(xdg) / "ferrotunnel";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : ".") / ".local/state/ferrotunnel";
}

Result<LoadedSecret> load_or_make_secret(const std::filesystem::path& state, std::string_view grant) {
  const std::filesystem::path directory = state / "grants";
  const std::filesystem::path file = directory / grant;
  transport::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return std::unexpected(Error(ErrorCode::Io, Side::Local, false, "cannot make " + directory.string() + ": " + error.message() + " (choose another place with --state DIR)"));
    ::chmod(directory.c_str(), 0700);
    // O_EXCL: of two servers that start together, one makes it and the other reads it.
    const transport::UniqueFd made(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (made) {
      LoadedSecret loaded{session::Secret::generate(), true};
      const std::string line = wire::base64url_encode(loaded.secret.bytes) + "\n";
      if (::write(made.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(made.get()) < 0) {
        const int why = errno;
        ::unlink(file.c_str());
        return std::unexpected(errno_error(why, Side::Local, "cannot write " + file.string()));
      }
      return loaded;
    }
    if (errno != EEXIST) return std::unexpected(errno_error(errno, Side::Local, "cannot make " + file.string()));
    fd.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot open " + file.string()));
  auto secret = read_secret(fd.get(), file);
  if (!secret) return std::unexpected(secret.error());
  return LoadedSecret{std::move(*secret), false};
}

}  // namespace ferrotunnel::app
