// The server's state directory: where it is by default, and the secrets kept in it. Any thread.
//
//   <state>/tls-identity.pem     the server's key and certificate (transport/tls/tls_identity.h)
//   <state>/grants/<name>        a grant's secret, base64url, mode 0600
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "session/credentials.h"

namespace ferrotunnel::app {

[[nodiscard]] std::filesystem::path default_state_dir();

struct LoadedSecret {
  session::Secret secret;
  bool made = false;  // just now
};
// Reads the grant's secret, or makes it (and the directories, mode 0700). Errors: Io, BadInput (a file that others may read).
[[nodiscard]] Result<LoadedSecret> load_or_make_secret(const std::filesystem::path& state, std::string_view grant);

}  // namespace ferrotunnel::app
