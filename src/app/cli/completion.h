// Completion for shells, made from the table of commands, so that it knows every command and flag that this program does. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ferrotunnel::cli {

// A script to be sourced by bash, zsh or fish; nothing for another shell.
[[nodiscard]] std::optional<std::string> completion_of(std::string_view shell);

}  // namespace ferrotunnel::cli
