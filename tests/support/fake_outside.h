// FakeOutside: the machine as a configuration sees it, in maps.
#pragma once

#include <fnmatch.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "app/config/outside.h"
#include "origin/target.h"

namespace ferrotunnel::app::config {

class FakeOutside : public Outside {
 public:
  std::map<std::string, std::string> files, secret_files, variables;
  std::set<std::string> bad_files;     // of what is named for a use
  std::set<std::string> public_files;  // of `files`: the others are their owner's only
  std::function<Result<std::string>(const std::vector<std::string>&)> command;
  std::vector<std::vector<std::string>> commands_run;
  std::size_t files_read = 0;

  Result<std::string> read_file(const std::string& path, std::size_t most) override {
    const auto at = files.find(path);
    if (at == files.end()) return missing("cannot read " + path + ": No such file or directory");
    if (at->second.size() > most) return missing(path + " has more than " + std::to_string(most >> 10) + " KiB");
    ++files_read;
    return at->second;
  }
  Result<std::string> read_secret_file(const std::string& path) override {
    const auto at = secret_files.find(path);
    if (at == secret_files.end()) return missing("cannot read " + path + ": No such file or directory");
    return at->second;
  }
  Result<> check_private(const std::string& path) override {
    if (public_files.contains(path)) return missing("others may read " + path + ": chmod 600");
    return {};
  }
  std::string identity(const std::string& path) override { return path; }
  Result<std::vector<std::string>> matches(const std::string& pattern) override {
    std::vector<std::string> found;
    for (const auto& [path, text] : files)
      if (::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0) found.push_back(path);
    return found;
  }
  std::optional<std::string> environment(const std::string& name) override {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  }
  Result<std::string> run(const std::vector<std::string>& words, std::chrono::milliseconds) override {
    commands_run.push_back(words);
    if (!command) return missing("cannot run " + words[0] + ": No such file or directory");
    return command(words);
  }
  Result<> check_files(FilesFor use, const std::string& path) override {
    if (use != FilesFor::Nothing && bad_files.contains(path)) return missing(path + " cannot be read, or is empty");
    return {};
  }
  Result<> check_identity(const std::string& certificate, const std::string& key) override {
    for (const std::string& path : {certificate, key})
      if (bad_files.contains(path)) return missing("cannot read " + path + ": No such file or directory");
    return {};
  }
  // Directories are all there.
  Result<> check_target(const std::string& to, std::string_view scheme) override {
    if (scheme == "http" && (to.starts_with('/') || to.starts_with('.') || to.starts_with("dir:"))) return {};
    if (to.starts_with('/') || to.starts_with('.') || to.starts_with("dir:")) return missing("no directory for tcp");
    auto target = origin::parse_target(to, scheme);
    if (!target) return std::unexpected(target.error());
    return {};
  }

 private:
  static std::unexpected<Error> missing(std::string text) {
    return std::unexpected(Error(ErrorCode::Io, Side::Local, false, std::move(text)));
  }
};

}  // namespace ferrotunnel::app::config
