#include "app/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "transport/tcp/socket.h"

namespace ferrotunnel::app {
namespace {

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

// Hidden, so that what a crash leaves behind is nobody's grant.
std::string temporary_for(const std::filesystem::path& file) {
  return (file.parent_path() / ("." + file.filename().string() + ".XXXXXX")).string();
}

// What root writes into another user's directory has to be for that user, whose server reads it.
bool give_to_owner(int fd, const std::filesystem::path& directory) {
  struct stat owner{};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0 || owner.st_uid == 0) return true;
  return ::fchown(fd, owner.st_uid, owner.st_gid) == 0;
}

// Writes `text` to a new file of mode 0600; `name` ends in XXXXXX and becomes its name. 0, or errno.
int write_new(std::string& name, std::string_view text) {
  const transport::UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) return errno;
  const bool given = give_to_owner(fd.get(), std::filesystem::path(name).parent_path());
  if (given) errno = ENOSPC;  // a short write sets none
  if (given && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(fd.get()) == 0)
    return 0;
  const int why = errno;
  ::unlink(name.c_str());
  return why;
}

Error cannot_write(const std::filesystem::path& file, int why) {
  return errno_error(why, Side::Local, "cannot write " + file.string());
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

// Of two servers that start together one makes it, and the other reads all of it.
Result<bool> publish_private(const std::filesystem::path& state, const std::filesystem::path& file,
                             std::string_view text) {
  if (auto made = make_directories(state, state / "grants"); !made) return std::unexpected(made.error());
  std::string temporary = temporary_for(file);
  if (const int why = write_new(temporary, text); why != 0) return std::unexpected(cannot_write(file, why));
  int why = ::link(temporary.c_str(), file.c_str()) == 0 ? 0 : errno;
  // A file system without hard links: rename() is as whole, only not exclusive.
  if (why != 0 && why != EEXIST) {
    if (::access(file.c_str(), F_OK) == 0) {
      why = EEXIST;
    } else {
      why = ::rename(temporary.c_str(), file.c_str()) == 0 ? 0 : errno;
    }
  }
  ::unlink(temporary.c_str());
  if (why == 0) return true;
  if (why == EEXIST) return false;
  return std::unexpected(cannot_write(file, why));
}

Result<> replace_private(const std::filesystem::path& state, const std::filesystem::path& file, std::string_view text) {
  if (auto made = make_directories(state, state / "grants"); !made) return std::unexpected(made.error());
  std::string temporary = temporary_for(file);
  int why = write_new(temporary, text);
  if (why == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) {
    why = errno;
    ::unlink(temporary.c_str());
  }
  if (why != 0) return std::unexpected(cannot_write(file, why));
  return {};
}

}  // namespace ferrotunnel::app
