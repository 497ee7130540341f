// GrantOptions as the server keeps them: checked, in the one spelling. Any thread.
#pragma once

#include <vector>

#include "base/error.h"
#include "ferrotunnel/server.h"
#include "session/grant.h"

namespace ferrotunnel::app {

// Errors: BadInput, naming the grant and what is wrong with it; two of one name are wrong too.
[[nodiscard]] Result<std::vector<session::Grant>> to_grants(const std::vector<GrantOptions>& options);

}  // namespace ferrotunnel::app
