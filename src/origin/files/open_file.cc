#include "origin/files/open_file.h"

#include <fcntl.h>
#include <unistd.h>
#if defined(__linux__) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

namespace ferrotunnel::origin::files {
namespace {

using transport::UniqueFd;

constexpr int kOpen = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // O_NONBLOCK: a FIFO would wait for its writer
#ifdef O_PATH
constexpr int kPass = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;  // a directory on the way may be unreadable
#else
constexpr int kPass = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif
constexpr int kMaxLinks = 40;             // as the kernel's own walk
constexpr std::size_t kMaxDepth = 64;     // each level is a descriptor while it is walked
constexpr std::size_t kMaxWalked = 8192;  // bytes of a path with its links put in
constexpr int kTries = 4;                 // openat2 says EAGAIN where something was renamed under it

OpenResult opened(UniqueFd fd) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(errno);
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::unexpected(ENXIO);
  OpenedFile file;
  file.fd = std::move(fd);
  file.directory = S_ISDIR(status.st_mode);
  file.inode = status.st_ino;
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.modified_ns = modified_ns_of(status);
  return file;
}

// The target of a link, or errno; EINVAL: it is none.
std::expected<std::string, int> read_link(int directory, const std::string& name) {
  std::array<char, 4096> text;
  const ssize_t n = ::readlinkat(directory, name.c_str(), text.data(), text.size());
  if (n < 0) return std::unexpected(errno);
  if (n == 0) return std::unexpected(ENOENT);
  if (static_cast<std::size_t>(n) == text.size()) return std::unexpected(ENAMETOOLONG);
  return std::string(text.data(), static_cast<std::size_t>(n));
}

// Takes the first component off the front, and the slashes around it.
std::string next_component(std::string& path) {
  path.erase(0, path.find_first_not_of('/'));
  const std::size_t end = path.find('/');
  std::string component = path.substr(0, end);
  path.erase(0, end);
  return component;
}

}  // namespace

std::int64_t modified_ns_of(const struct stat& status) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kMost = 9'000'000'000;  // seconds; what a file system may say is bounded here
#ifdef __APPLE__
  const timespec& time = status.st_mtimespec;
#else
  const timespec& time = status.st_mtim;
#endif
  const auto seconds = static_cast<std::int64_t>(time.tv_sec);
  return (seconds > kMost ? kMost : seconds < -kMost ? -kMost : seconds) * kSecond + time.tv_nsec;
}

Result<RootPtr> Root::open(const std::string& path) {
  const auto bad = [&path](const std::string& why) {
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false, "'" + path + "' is no directory to share: " + why));
  };
  if (path.empty() || path.find('\0') != std::string::npos) return bad("it is not a path");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return bad(std::generic_category().message(errno));
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::canonical(path, error);
  if (error) absolute = std::filesystem::absolute(path, error);
  return std::make_shared<const Root>(std::move(fd), absolute.string());
}

OpenResult Root::find(const std::string& path) const {
  OpenResult found = find_by_kernel(path);
  // EPERM: a filter of system calls that does not know it. A file that truly may not be opened is told so by the walk.
  if (!found && (found.error() == ENOSYS || found.error() == EPERM)) return find_by_walk(path);
  return found;
}

OpenResult Root::find_by_kernel(const std::string& path) const {
#if defined(__linux__) && defined(RESOLVE_BENEATH) && defined(SYS_openat2)
  open_how how{};
  how.flags = kOpen;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kTries; ++i) {
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, fd_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how)));
    if (fd) return opened(std::move(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return std::unexpected(errno);
#else
  static_cast<void>(path);
  return std::unexpected(ENOSYS);
#endif
}

OpenResult Root::find_by_walk(const std::string& path) const {
  std::vector<UniqueFd> way;  // the directories below the root, down to where it stands: ".." goes back along it
  std::string left = path;
  int links = 0;
  while (true) {
    const int here = way.empty() ? fd_.get() : way.back().get();
    const std::string name = next_component(left);
    if (name.empty()) {  // it ends at a directory it stands on
      UniqueFd fd(::openat(here, ".", kOpen));
      if (!fd) return std::unexpected(errno);
      return opened(std::move(fd));
    }
    if (name == ".") continue;
    if (name == "..") {
      if (way.empty()) return std::unexpected(EXDEV);
      way.pop_back();
      continue;
    }
    UniqueFd fd(::openat(here, name.c_str(), left.empty() ? kOpen | O_NOFOLLOW : kPass));
    if (fd && left.empty()) return opened(std::move(fd));
    if (fd) {
      way.push_back(std::move(fd));
      if (way.size() > kMaxDepth) return std::unexpected(ENAMETOOLONG);
      continue;
    }
    // A link: systems differ in what they say of it.
    const int failure = errno;
    if (failure != ELOOP && failure != ENOTDIR && failure != EMLINK) return std::unexpected(failure);
    const auto target = read_link(here, name);
    if (!target) return std::unexpected(target.error() == EINVAL ? failure : target.error());
    if (++links > kMaxLinks) return std::unexpected(ELOOP);
    if (target->starts_with('/')) return std::unexpected(EXDEV);
    left.insert(0, *target);  // what is left begins with a slash, or is nothing
    if (left.size() > kMaxWalked) return std::unexpected(ENAMETOOLONG);
  }
}

}  // namespace ferrotunnel::origin::files
