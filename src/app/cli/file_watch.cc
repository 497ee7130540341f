#include "app/cli/file_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace ferrotunnel::cli {

void FileWatch::watch(std::vector<std::string> files) {
  files_ = std::move(files);
  known_ = last_ = look();
}

void FileWatch::watch_too(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (std::ranges::find(files_, file) != files_.end()) continue;
    files_.push_back(file);
    known_.push_back(look_at(file));
    last_.push_back(known_.back());
  }
}

bool FileWatch::changed() {
  std::vector<Look> now = look();
  const bool settled = now == last_;
  last_ = std::move(now);
  if (!settled || last_ == known_) return false;
  known_ = last_;
  return true;
}

FileWatch::Look FileWatch::look_at(const std::string& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(info.st_size),
          info.st_dev,
          info.st_ino,
          info.st_mode,
          true};
}

std::vector<FileWatch::Look> FileWatch::look() const {
  std::vector<Look> looks;
  looks.reserve(files_.size());
  for (const std::string& file : files_) looks.push_back(look_at(file));
  return looks;
}

}  // namespace ferrotunnel::cli
