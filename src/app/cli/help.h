// Help, laid out as a manual page, and what else the command says about itself. Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "app/cli/commands.h"

namespace ferrotunnel::cli {

inline constexpr std::size_t kHelpWidth = 100;

// What both the help and the manual page (man.h) say.
inline constexpr std::string_view kSummaryOfAll = "shares a local service through a server that can be reached";
extern const std::string_view kDescriptionOfAll;  // paragraphs, separated by empty lines
struct ExitStatus {
  int code;
  std::string_view means;
};
inline constexpr std::array kExitStatuses = {
    ExitStatus{0, "done: asked to end, and ended"},
    ExitStatus{1, "failed while running, such as a port that is in use"},
    ExitStatus{2, "wrong use or configuration"},
    ExitStatus{3, "refused by the server, or a server that is not the one in the token"},
};
struct FileOfOurs {
  std::string_view of_flag;  // of the commands that have it
  std::string_view path, holds;
};
inline constexpr std::array kFiles = {
    FileOfOurs{"state", "DIR/tls-identity.pem, DIR/grants/NAME, DIR/server.json, DIR/control.sock",
               "in the directory of --state"},
    FileOfOurs{"join", "$XDG_CONFIG_HOME/ferrotunnel/token or ~/.config/ferrotunnel/token", "the token that is kept"},
};

[[nodiscard]] std::string short_help();  // for who typed the name alone
[[nodiscard]] std::string help_of_all();
[[nodiscard]] std::string help_of(const Command& command);
[[nodiscard]] std::string version_text(bool json);  // with its line end

}  // namespace ferrotunnel::cli
