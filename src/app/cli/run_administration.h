// The commands that look after a server: token new, list and revoke; status; kick. Main thread.
#pragma once

#include <optional>

#include "app/cli/arguments.h"

namespace ferrotunnel::cli {

// Nothing: it is another command. Else its exit code; it has printed what there was to say.
[[nodiscard]] std::optional<int> run_administration(const Arguments& arguments);

}  // namespace ferrotunnel::cli
