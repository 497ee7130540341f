// GrantStore: the grants in a server's state directory, and what a join token for them needs. Any thread; writes are whole or not at all.
//
//   <state>/grants/<name>   a grant: JSON, or (as earlier versions wrote it) only its secret; mode 0600
//   <state>/server.json     how the server that ran last is reached: for tokens that are made while none runs
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "session/grant.h"
#include "session/join_token.h"

namespace ferrotunnel::app {

class GrantStore {
 public:
  static constexpr std::size_t kMaxGrants = 10'000;
  static constexpr std::size_t kMaxFile = 64 * 1024;  // bytes of a grant

  explicit GrantStore(std::filesystem::path state) : state_(std::move(state)) {}

  // By name. Files that no grant can be named after are none. Errors: Io, BadInput (not ours, or others may read it).
  [[nodiscard]] Result<std::vector<session::Grant>> load() const;
  // Nothing: there is none of that name. Errors as of load().
  [[nodiscard]] Result<std::optional<session::Grant>> load(std::string_view name) const;
  // The one of that name, made (any host, any port from 1024 on) where there is none.
  struct LoadedGrant {
    session::Grant grant;
    bool made = false;  // just now
  };
  [[nodiscard]] Result<LoadedGrant> load_or_make(std::string_view name) const;
  // Errors: Io, BadInput (there is one of that name).
  [[nodiscard]] Result<> add(const session::Grant& grant) const;
  // False: there was none.
  [[nodiscard]] Result<bool> remove(std::string_view name) const;

  // What a token for any grant has in common: addresses, fingerprint, TLS.
  [[nodiscard]] Result<> write_server(const session::JoinToken& token) const;
  [[nodiscard]] Result<session::JoinToken> read_server() const;

 private:
  [[nodiscard]] std::filesystem::path file_of(std::string_view name) const { return state_ / "grants" / name; }
  const std::filesystem::path state_;
};

}  // namespace ferrotunnel::app
