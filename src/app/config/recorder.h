// Recorder: an Outside that remembers what was read, for whoever watches it (ProgramConfig::read_from). One thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "app/config/outside.h"

namespace ferrotunnel::app::config {

class Recorder final : public Outside {
 public:
  explicit Recorder(Outside& outside) : outside_(outside) {}

  [[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t most) override {
    paths_.insert(path);
    return outside_.read_file(path, most);
  }
  [[nodiscard]] Result<std::string> read_secret_file(const std::string& path) override {
    paths_.insert(path);
    return outside_.read_secret_file(path);
  }
  [[nodiscard]] Result<> check_private(const std::string& path) override { return outside_.check_private(path); }
  [[nodiscard]] std::string identity(const std::string& path) override { return outside_.identity(path); }
  [[nodiscard]] Result<std::vector<std::string>> matches(const std::string& pattern) override {
    // Where a file that matches would be new.
    const auto slash = pattern.substr(0, pattern.find_first_of("*?[")).rfind('/');
    paths_.insert(slash == std::string::npos ? "." : pattern.substr(0, slash + 1));
    return outside_.matches(pattern);
  }
  [[nodiscard]] std::optional<std::string> environment(const std::string& name) override {
    return outside_.environment(name);
  }
  [[nodiscard]] Result<std::string> run(const std::vector<std::string>& command,
                                        std::chrono::milliseconds most) override {
    return outside_.run(command, most);
  }
  [[nodiscard]] Result<> check_target(const std::string& to, std::string_view scheme) override {
    return outside_.check_target(to, scheme);
  }
  [[nodiscard]] Result<> check_files(FilesFor use, const std::string& path) override {
    if (use != FilesFor::Nothing) paths_.insert(path);
    return outside_.check_files(use, path);
  }
  [[nodiscard]] Result<> check_identity(const std::string& certificate, const std::string& key) override {
    paths_.insert({certificate, key});
    return outside_.check_identity(certificate, key);
  }

  [[nodiscard]] std::vector<std::string> paths() const { return {paths_.begin(), paths_.end()}; }

 private:
  Outside& outside_;
  std::set<std::string> paths_;
};

}  // namespace ferrotunnel::app::config
