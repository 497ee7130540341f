// The commands that look after a server: token new, list and revoke; status; kick. Main thread.
#pragma once

#include <optional>
#include <string>

#include "app/cli/arguments.h"
#include "ferrotunnel/control.h"

namespace ferrotunnel::cli {

// Nothing: it is another command. Else its exit code; it has printed what there was to say.
[[nodiscard]] std::optional<int> run_administration(const Arguments& arguments);

// "the client of process 7 (web, ssh)"
[[nodiscard]] std::string name_of(const RunningClient& client);

}  // namespace ferrotunnel::cli
