#include "app/cli/token_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "app/cli/escape.h"

namespace ferrotunnel::cli {
namespace {

constexpr std::size_t kMaxText = 16 * 1024;
constexpr int kReadSecret = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // waits for nobody who would write to a FIFO

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

Error system_error(int err, std::string_view what, const std::filesystem::path& file) {
  return {ErrorCode::Io, Side::Local, false,
          std::string(what) + " " + shown(file.string()) + ": " + std::generic_category().message(err)};
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

// A service's credential (systemd.exec(5), LoadCredential=): root's file, which a service of another user may read by an ACL. The mode shows that
// as a right of the group.
bool is_credential(const struct stat& info, const std::filesystem::path& file) {
  constexpr mode_t kWithAcl = 0440;
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  return directory != nullptr && *directory == '/' && info.st_uid == 0 && (info.st_mode & 07777u & ~kWithAcl) == 0 &&
         file.parent_path() == std::filesystem::path(directory);
}

// The rule that the files of { file = "..." } in a configuration have (app/config/machine.cc).
Result<> only_ours(const File& from, const std::filesystem::path& file) {
  constexpr mode_t kOwnerOnly = 0600;
  struct stat info{};
  if (::fstat(from.fd(), &info) < 0) return std::unexpected(system_error(errno, "cannot read", file));
  if (!S_ISREG(info.st_mode)) return bad(shown(file.string()) + " is not a regular file");
  if (is_credential(info, file)) return {};
  if ((info.st_mode & 07777u & ~kOwnerOnly) != 0)
    return bad("others may read " + shown(file.string()) + ": make it its owner's only (chmod 600 " +
               shown(file.string()) + "), and take another secret if they did");
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return bad(shown(file.string()) +
               " belongs to another user, who could change it: it has to be this user's, or root's");
  return {};
}

Result<std::string> read_all(const File& from, const std::filesystem::path& file) {
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const ssize_t n = ::read(from.fd(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(system_error(errno, "cannot read", file));
    if (n == 0) return trimmed(text);
    text.append(piece.data(), static_cast<std::size_t>(n));
    if (text.size() > kMaxText) return bad(shown(file.string()) + " is too large to be what is asked for");
  }
}

bool write_all(const File& to, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(to.fd(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

std::optional<TokenStore> TokenStore::of_user() {
  if (const char* xdg = std::getenv("XDG_CONFIG_HOME"); xdg != nullptr && *xdg == '/')
    return TokenStore(std::filesystem::path(xdg) / "ferrotunnel/token");
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return TokenStore(std::filesystem::path(home) / ".config/ferrotunnel/token");
  return std::nullopt;
}

Result<std::optional<std::string>> TokenStore::load() const {
  const File from(::open(file_.c_str(), kReadSecret));
  if (!from) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return std::unexpected(system_error(errno, "cannot read the kept token,", file_));
  }
  struct stat info{};
  if (::fstat(from.fd(), &info) == 0 && (info.st_mode & 077) != 0)
    return bad("others may read the kept token: chmod 600 " + shown(file_.string()) +
               ", and ask for a new one if they did");
  if (auto ours = only_ours(from, file_); !ours) return std::unexpected(std::move(ours.error()));
  auto text = read_all(from, file_);
  if (!text) return std::unexpected(std::move(text.error()));
  if (text->empty()) return std::nullopt;
  return std::move(*text);
}

Result<bool> TokenStore::save(std::string_view token) const {
  if (const auto kept = load(); kept && *kept == token) return false;
  const std::filesystem::path directory = file_.parent_path();
  std::error_code failed;
  std::filesystem::create_directories(directory.parent_path(), failed);
  if (::mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST)
    return std::unexpected(system_error(errno, "cannot make", directory));

  std::string fresh = file_.string() + ".XXXXXX";  // mkostemp makes it 0600
  {
    const File to(::mkostemp(fresh.data(), O_CLOEXEC));
    if (!to) return std::unexpected(system_error(errno, "cannot write", file_));
    if (!write_all(to, std::string(token) + "\n") || ::fsync(to.fd()) < 0) {
      const int why = errno;
      ::unlink(fresh.c_str());
      return std::unexpected(system_error(why, "cannot write", file_));
    }
  }
  if (::rename(fresh.c_str(), file_.c_str()) < 0) {
    const int why = errno;
    ::unlink(fresh.c_str());
    return std::unexpected(system_error(why, "cannot write", file_));
  }
  return true;
}

Result<std::string> read_small_file(const std::filesystem::path& file) {
  const File from(::open(file.c_str(), kReadSecret));
  if (!from) return std::unexpected(system_error(errno, "cannot read", file));
  if (auto ours = only_ours(from, file); !ours) return std::unexpected(std::move(ours.error()));
  auto text = read_all(from, file);
  if (text && text->empty()) return bad(shown(file.string()) + " is empty");
  return text;
}

}  // namespace ferrotunnel::cli
