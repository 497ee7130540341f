// Asking a person for a secret at the terminal that is stdin, without showing it. Main thread, before any other is started.
#pragma once

#include <string>
#include <string_view>

#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

[[nodiscard]] bool can_ask();  // stdin is a terminal

// One line, without the white space around it; at most what a terminal gives as a line (4 KiB). While it waits nothing typed is shown; a signal that
// would end the program does so after the terminal is as it was. Errors: Io.
[[nodiscard]] Result<std::string> ask_secret(std::string_view prompt);

}  // namespace ferrotunnel::cli
