#include "app/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

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
  if (!S_ISREG(info.st_mode)) return std::unexpected(bad_file(file, "this is not a file"));
  if ((info.st_mode & 077) != 0)
    return std::unexpected(bad_file(file, "others may read this secret: chmod 600 it, and make a new one if they did"));
  std::array<char, 256> text{};
  const ssize_t n = ::read(fd, text.data(), text.size());
  if (n < 0) return std::unexpected(errno_error(errno, Side::Local, "cannot read " + file.string()));
  std::string_view line(text.data(), static_cast<std::size_t>(n));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  const auto bytes = wire::base64url_decode(line);
  session::Secret secret;
  if (bytes) secret = session::Secret(*bytes);
  if (!secret.valid())
    return std::unexpected(
        bad_file(file, "this is not a secret that ferrotunnel wrote: remove the file to have a new one made"));
  return secret;
}

// The state directory may be there already, with a mode of its owner's choice; what is made here is for the owner only.
Result<> make_directories(const std::filesystem::path& state, const std::filesystem::path& grants) {
  std::error_code error;
  const std::filesystem::path top = state.has_filename() ? state : state.parent_path();  // "dir/"
  if (top.has_parent_path()) std::filesystem::create_directories(top.parent_path(), error);
  for (const std::filesystem::path& directory : {top, grants}) {
    if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return std::unexpected(Error(ErrorCode::Io, Side::Local, false,
                                 "cannot make " + directory.string() + ": " + std::generic_category().message(errno) +
                                     " (choose another place with --state DIR)"));
  }
  return {};
}

// Puts `text` under `file` whole or not at all, so that of two servers that start together one makes it and the other reads all of it.
// False: it is there already, and stays.
Result<bool> publish(const std::filesystem::path& file, std::string_view text) {
  std::string temporary = file.string() + ".XXXXXX";
  const transport::UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot make " + file.string()));
  bool made = false;
  int why = 0;
  errno = ENOSPC;  // a short write sets none
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd.get()) < 0) {
    why = errno;
  } else if (::link(temporary.c_str(), file.c_str()) == 0) {
    made = true;
  } else if (errno != EEXIST) {
    // A file system without hard links: rename() is as whole, only not exclusive.
    made = ::rename(temporary.c_str(), file.c_str()) == 0;
    if (!made) why = errno;
  }
  ::unlink(temporary.c_str());
  if (why != 0) return std::unexpected(errno_error(why, Side::Local, "cannot write " + file.string()));
  return made;
}

}  // namespace

std::filesystem::path default_state_dir() {
  if (const char* systemd = std::getenv("STATE_DIRECTORY"); systemd != nullptr && *systemd != '\0') return systemd;
  if (::geteuid() == 0) return "/var/lib/ferrotunnel";
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg != '\0')
    return std::filesystem::path(xdg) / "ferrotunnel";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : ".") / ".local/state/ferrotunnel";
}

Result<LoadedSecret> load_or_make_secret(const std::filesystem::path& state, std::string_view grant) {
  const std::filesystem::path directory = state / "grants";
  const std::filesystem::path file = directory / grant;
  transport::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) {
    if (auto made = make_directories(state, directory); !made) return std::unexpected(made.error());
    LoadedSecret loaded{session::Secret::generate(), true};
    auto published = publish(file, wire::base64url_encode(loaded.secret.bytes) + "\n");
    if (!published) return std::unexpected(published.error());
    if (*published) return loaded;
    fd.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  }
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot open " + file.string()));
  auto secret = read_secret(fd.get(), file);
  if (!secret) return std::unexpected(secret.error());
  return LoadedSecret{std::move(*secret), false};
}

}  // namespace ferrotunnel::app
