// Help, laid out as a manual page, and what else the command says about itself. Pure functions.
#pragma once

#include <cstddef>
#include <string>

#include "app/cli/commands.h"

namespace ferrotunnel::cli {

inline constexpr std::size_t kHelpWidth = 100;

[[nodiscard]] std::string short_help();  // for who typed the name alone
[[nodiscard]] std::string help_of_all();
[[nodiscard]] std::string help_of(const Command& command);
[[nodiscard]] std::string version_text(bool json);  // with its line end

}  // namespace ferrotunnel::cli
