// TokenStore: the join token that is kept after a first successful sign-in, so that the next command needs none.
//
// One file, $XDG_CONFIG_HOME/ferrotunnel/token or ~/.config/ferrotunnel/token, mode 0600 in a directory of mode 0700. Any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

class TokenStore {
 public:
  // Nothing where the environment names no home: then there is no store.
  [[nodiscard]] static std::optional<TokenStore> of_user();
  explicit TokenStore(std::filesystem::path file) : file_(std::move(file)) {}

  // Nothing where none is kept. Errors: BadInput (others may read the file), Io.
  [[nodiscard]] Result<std::optional<std::string>> load() const;
  // Replaces what is there as a whole or not at all. True: something changed.
  [[nodiscard]] Result<bool> save(std::string_view token) const;
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
};

// The secret or token in a file that the user names, without white space around it. The file is a regular one of mode 0600 or stricter, and this
// user's or root's. Errors: BadInput, Io.
[[nodiscard]] Result<std::string> read_small_file(const std::filesystem::path& file);

}  // namespace ferrotunnel::cli
