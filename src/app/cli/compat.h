// The command line of the Rust FerroTunnel, in the words of this one: its flags and variables (the groups COMPATIBILITY in commands.cc) become ours, and
// its defaults hold where one of them was used. What each means is a table in compat.cc. Values and free functions; main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/arguments.h"
#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

// "--tls" alone, which there is a switch, is "--tls on". `words` begin with the command.
[[nodiscard]] std::vector<std::string> with_bare_tls(const Command& command, std::vector<std::string> words);

// Rewrites what was typed and what the environment says. Gives lines to print: what was accepted and does nothing, what a default means.
// Reads --token-file. Errors: BadInput, Io.
[[nodiscard]] Result<std::vector<std::string>> translate(Arguments& arguments);

// Signs in with this: a join token, or a secret, which is the grant "default" and without TLS unless a TLS flag is there.
// Errors: BadInput (a secret of another length than 16 to 64 bytes).
[[nodiscard]] Result<> use_token(Arguments& arguments, Arguments::Value token);

// Of --tcp-bind; nothing where it was not given, or names port 0.
[[nodiscard]] std::optional<std::uint16_t> tcp_bind_port(const Arguments& arguments);

// The level nearest to what RUST_LOG says of ferrotunnel; nothing where it says nothing.
[[nodiscard]] std::optional<std::string> level_of_rust_log(std::string_view text);

}  // namespace ferrotunnel::cli
