// Root: a shared directory, opened once, and the files below it.
//
// No path leads out of it: not by "..", not by a symlink, not by one that is changed while it is followed. Symlinks that stay inside are
// followed, absolute ones never. The kernel sees to that where it can (openat2, Linux 5.6); elsewhere the path is walked component by
// component without following, and links are read here. Only regular files and directories are opened; nothing waits for a FIFO.
// The root itself may be a symlink. A directory that is removed and made anew under the same name is not noticed. Immutable; any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "base/error.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::origin::files {

struct OpenedFile {
  transport::UniqueFd fd;
  bool directory = false;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
};
using OpenResult = std::expected<OpenedFile, int>;  // or errno; ENXIO: neither file nor directory

class Root {
 public:
  // Error: BadInput, naming the path, where it is not there or no directory.
  [[nodiscard]] static Result<std::shared_ptr<const Root>> open(const std::string& path);

  // `path` without a slash at either end; "" is the root itself.
  [[nodiscard]] OpenResult find(const std::string& path) const;
  [[nodiscard]] const std::string& text() const { return text_; }  // absolute

  // The two ways of find(); the first fails with ENOSYS where there is no openat2.
  [[nodiscard]] OpenResult find_by_kernel(const std::string& path) const;
  [[nodiscard]] OpenResult find_by_walk(const std::string& path) const;

  Root(transport::UniqueFd fd, std::string text) : fd_(std::move(fd)), text_(std::move(text)) {}

 private:
  const transport::UniqueFd fd_;
  const std::string text_;
};
using RootPtr = std::shared_ptr<const Root>;

// Seconds and nanoseconds of a file's last change, as one number.
[[nodiscard]] std::int64_t modified_ns_of(const struct stat& status);

}  // namespace ferrotunnel::origin::files
