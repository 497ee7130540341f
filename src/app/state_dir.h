// The server's state directory: where it is by default, and how files are written into it. Any thread.
//
//   <state>/tls-identity.pem     the server's key and certificate (transport/tls/tls_identity.h)
//   <state>/grants/<name>        a grant (app/grant_store.h)
//   <state>/server.json          how the server that ran last is reached (app/grant_store.h)
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace ferrotunnel::app {

[[nodiscard]] std::filesystem::path default_state_dir();

// Both make the state directory and its grants/ where they are missing (mode 0700), and leave no half of a file whatever happens.
// A file of mode 0600 that is not there yet. False: it is there already, and stays. Errors: Io.
[[nodiscard]] Result<bool> publish_private(const std::filesystem::path& state, const std::filesystem::path& file,
                                           std::string_view text);
// A file of mode 0600 in place of what was there. Errors: Io.
[[nodiscard]] Result<> replace_private(const std::filesystem::path& state, const std::filesystem::path& file,
                                       std::string_view text);

}  // namespace ferrotunnel::app
