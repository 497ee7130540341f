// FileWatch: whether files have changed, for whoever looks once a second or so. Editors replace files, and write them in pieces: a change counts
// once two looks in a row found the same. Main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ferrotunnel::cli {

class FileWatch {
 public:
  explicit FileWatch(std::vector<std::string> files) { watch(std::move(files)); }
  // These from now on, as they are now.
  void watch(std::vector<std::string> files);
  // And these.
  void watch_too(const std::vector<std::string>& files);
  // True once for each change.
  [[nodiscard]] bool changed();

 private:
  struct Look {
    std::int64_t seconds = 0, nanoseconds = 0;  // of the last change
    std::uint64_t size = 0, device = 0, inode = 0;
    std::uint32_t mode = 0;  // who may read it: of a secret's file that is a mistake, and its correction
    bool there = false;
    friend bool operator==(const Look&, const Look&) = default;
  };
  [[nodiscard]] static Look look_at(const std::string& file);
  [[nodiscard]] std::vector<Look> look() const;

  std::vector<std::string> files_;
  std::vector<Look> known_, last_;
};

}  // namespace ferrotunnel::cli
