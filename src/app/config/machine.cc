#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "app/config/outside.h"
#include "app/server/error_pages.h"
#include "origin/target.h"
#include "transport/tcp/socket.h"
#include "transport/tls/client_authority.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_identity.h"

namespace ferrotunnel::app::config {
namespace {

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

struct OpenFile {
  transport::UniqueFd fd;
  struct stat status{};
};

// Without waiting for whoever would write to a FIFO.
Result<OpenFile> open_regular(const std::string& path) {
  OpenFile file{transport::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY))};
  if (!file.fd || ::fstat(file.fd.get(), &file.status) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot read " + path));
  if (!S_ISREG(file.status.st_mode)) return bad(path + " is not a regular file");
  return file;
}

// A service's credential (systemd.exec(5), LoadCredential=): root's file, which a service of another user may read by an ACL. The mode shows that
// as a right of the group.
bool is_credential(const struct stat& status, const std::string& path) {
  constexpr mode_t kWithAcl = 0440;
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  return directory != nullptr && *directory == '/' && status.st_uid == 0 &&
         (status.st_mode & 07777u & ~kWithAcl) == 0 &&
         std::filesystem::path(path).parent_path() == std::filesystem::path(directory);
}

Result<> only_ours(const struct stat& status, const std::string& path) {
  constexpr mode_t kOwnerOnly = 0600;
  if (is_credential(status, path)) return {};
  if ((status.st_mode & 07777u & ~kOwnerOnly) != 0)
    return bad("others may read " + path + ": make it its owner's only (chmod 600 " + path + ")");
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return bad(path + " belongs to another user, who could change it: it has to be this user's, or root's");
  return {};
}

Result<std::string> read_all(const OpenFile& file, const std::string& path, std::size_t most) {
  std::string text;
  char piece[16 << 10];
  while (true) {
    const ssize_t n = ::read(file.fd.get(), piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(errno_error(errno, Side::Local, "cannot read " + path));
    if (n == 0) return text;
    text.append(piece, static_cast<std::size_t>(n));
    if (text.size() > most)
      return std::unexpected(
          Error(ErrorCode::Limit, Side::Local, false, path + " has more than " + std::to_string(most >> 10) + " KiB"));
  }
}

}  // namespace

Result<std::string> Machine::read_file(const std::string& path, std::size_t most) {
  auto file = open_regular(path);
  if (!file) return std::unexpected(std::move(file.error()));
  return read_all(*file, path, most);
}

Result<std::string> Machine::read_secret_file(const std::string& path) {
  auto file = open_regular(path);
  if (!file) return std::unexpected(std::move(file.error()));
  if (auto ours = only_ours(file->status, path); !ours) return std::unexpected(std::move(ours.error()));
  return read_all(*file, path, kMaxSecretSource);
}

Result<> Machine::check_private(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot look at " + path));
  return only_ours(status, path);
}

std::string Machine::identity(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::canonical(path, error);
  return error ? path : whole.string();
}

Result<std::vector<std::string>> Machine::matches(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&::globfree)> free_it(&found, &::globfree);
  const int failed = ::glob(pattern.c_str(), 0, nullptr, &found);
  if (failed == GLOB_NOMATCH) return std::vector<std::string>();
  if (failed != 0)
    return std::unexpected(Error(ErrorCode::Io, Side::Local, false, "cannot look for files like " + pattern));
  return std::vector<std::string>(found.gl_pathv, found.gl_pathv + found.gl_pathc);
}

std::optional<std::string> Machine::environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

Result<> Machine::check_files(FilesFor use, const std::string& path) {
  const auto said = [](auto&& read) -> Result<> {
    if (!read) return std::unexpected(std::move(read.error()));
    return {};
  };
  switch (use) {
    case FilesFor::Nothing: break;
    case FilesFor::Authority: return transport::check_authorities(path);
    case FilesFor::VisitorAuthority: return said(transport::ClientAuthority::read(path));
    case FilesFor::ErrorPages: return said(load_error_pages(path));
  }
  return {};
}

Result<> Machine::check_identity(const std::string& certificate, const std::string& key) {
  if (auto loaded = transport::TlsIdentity::load(certificate, key); !loaded)
    return std::unexpected(std::move(loaded.error()));
  return {};
}

Result<> Machine::check_target(const std::string& to, std::string_view scheme) {
  auto target = origin::parse_target(to, scheme);
  if (!target) return std::unexpected(std::move(target.error()));
  return {};
}

}  // namespace ferrotunnel::app::config
