// Passwords as hashes: bcrypt and yescrypt by libcrypt. Slow by design: not on a shard's thread. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace ferrotunnel::plugin {

// What a server is ready to spend on one, since a client chooses and the server pays: bcrypt's cost (each more doubles it; 12: about 0.2 s of a
// core), and 16 MiB of memory for yescrypt (libxcrypt's cost 5: about 0.02 s).
inline constexpr int kMaxBcryptCost = 12;
inline constexpr std::size_t kMaxPassword = 256;  // bytes; bcrypt looks at the first 72

// "$2b$10$…", also $2a$ and $2y$; "$y$j9T$…". Errors: BadInput, and what to do.
[[nodiscard]] Result<> check_hash(std::string_view hash);
// The hash has passed check_hash(). Takes as long for a wrong password.
[[nodiscard]] bool password_matches(std::string_view password, const std::string& hash);
// bcrypt of cost 10. Errors: BadInput (too long, a NUL in it), Internal.
[[nodiscard]] Result<std::string> hash_password(std::string_view password);

}  // namespace ferrotunnel::plugin
