#include "app/cli/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace ferrotunnel::cli {

void FileWatch::watch(std::vector<std::string> files) {
  files_ = std::move(files);
  known_ = last_ = look();
}

bool FileWatch::changed() {
  std::vector<Look> now = look();
  const bool settled = now == last_;
  last_ = std::move(now);
  if (!settled || last_ == known_) return false;
  known_ = last_;
  return true;
}

std::vector<FileWatch::Look> FileWatch::look() const {
  std::vector<Look> looks;
  looks.reserve(files_.size());
  for (const std::string& file : files_) {
    struct stat info{};
    Look& one = looks.emplace_back();
    if (::stat(file.c_str(), &info) != 0) continue;
    one = {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, static_cast<std::uint64_t>(info.st_size),
           info.st_dev,         info.st_ino,          true};
  }
  return looks;
}

}  // namespace ferrotunnel::cli
