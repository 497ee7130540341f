// Outside: all that reading a configuration asks of the machine: files, the environment, commands. An interface, so that tests and the fuzzer
// read files that are not there. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxSecretSource = 64u << 10;  // bytes of a secret's file, or of what a command prints
inline constexpr std::chrono::milliseconds kMaxCommand{10'000};   // then it is killed
inline constexpr std::chrono::milliseconds kMaxCommands{60'000};  // of all commands of one load together

// What a key names files for, where they are looked at when the configuration is read: so that what is wrong is said with its place.
enum class FilesFor : std::uint8_t { Nothing, Authority, VisitorAuthority, ErrorPages };

class Outside {
 public:
  Outside() = default;
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;
  virtual ~Outside() = default;

  // A regular file of at most `most` bytes. Errors: Io, Limit, BadInput.
  [[nodiscard]] virtual Result<std::string> read_file(const std::string& path, std::size_t most) = 0;
  // The same, and it has to be of mode 0600 or stricter, and ours or root's. Errors: Io, Limit, BadInput.
  [[nodiscard]] virtual Result<std::string> read_secret_file(const std::string& path) = 0;
  // Whether the file may hold a secret: of mode 0600 or stricter, and ours or root's. Errors: Io, BadInput (who else may have read it).
  [[nodiscard]] virtual Result<> check_private(const std::string& path) = 0;
  // The same text for two paths to one file.
  [[nodiscard]] virtual std::string identity(const std::string& path) = 0;
  // Paths that match, sorted; none is no error. Errors: Io.
  [[nodiscard]] virtual Result<std::vector<std::string>> matches(const std::string& pattern) = 0;
  [[nodiscard]] virtual std::optional<std::string> environment(const std::string& name) = 0;
  // What the command prints. Without a shell; its standard input is empty. Errors: Io (with the first line of what it says), Timeout, Limit.
  [[nodiscard]] virtual Result<std::string> run(const std::vector<std::string>& command,
                                                std::chrono::milliseconds most) = 0;
  // Whether `to` is a local service (origin::parse_target), of which a directory has to be there. Errors: BadInput.
  [[nodiscard]] virtual Result<> check_target(const std::string& to, std::string_view scheme) = 0;
  // Whether they are there, and good for that. Errors: Io, BadInput; they name the file.
  [[nodiscard]] virtual Result<> check_files(FilesFor use, const std::string& path) = 0;
  // Whether they are there, good, and of each other. Errors: Io, BadInput; they name the file.
  [[nodiscard]] virtual Result<> check_identity(const std::string& certificate, const std::string& key) = 0;
};

// The machine as it is.
class Machine final : public Outside {
 public:
  [[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t most) override;
  [[nodiscard]] Result<std::string> read_secret_file(const std::string& path) override;
  [[nodiscard]] Result<> check_private(const std::string& path) override;
  [[nodiscard]] std::string identity(const std::string& path) override;
  [[nodiscard]] Result<std::vector<std::string>> matches(const std::string& pattern) override;
  [[nodiscard]] std::optional<std::string> environment(const std::string& name) override;
  [[nodiscard]] Result<std::string> run(const std::vector<std::string>& command,
                                        std::chrono::milliseconds most) override;
  [[nodiscard]] Result<> check_target(const std::string& to, std::string_view scheme) override;
  [[nodiscard]] Result<> check_files(FilesFor use, const std::string& path) override;
  [[nodiscard]] Result<> check_identity(const std::string& certificate, const std::string& key) override;
};

}  // namespace ferrotunnel::app::config
