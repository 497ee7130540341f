// TunnelConfig::rules as they cross the wire, and as they are run (plugin/builtin/rules.h). Values; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "ferrotunnel/config.h"
#include "plugin/builtin/rules.h"
#include "wire/control.h"

namespace ferrotunnel::app {

// Checks them, as the server will; hashes passwords that are not; `origin` is the authority that the rule host may name as "origin".
// Errors: BadInput, naming the rule.
[[nodiscard]] Result<std::vector<wire::Rule>> to_wire(const std::vector<TunnelRule>& rules, std::string_view origin);
// Null: there are none. Errors: BadInput, naming the rule.
[[nodiscard]] Result<plugin::ChainPtr> to_chain(const std::vector<wire::Rule>& rules, const plugin::WorkerPtr& worker,
                                                std::string_view grant = {});

// The "paths", "methods" or "headers" that a rule is for: as many, and as long, as a server takes. Errors: BadInput.
[[nodiscard]] Result<> check_matched(std::string_view what, const std::vector<std::string>& texts);

// What may be told of a hash or a password's place without telling it. Errors: BadInput. "NAME:HASH", as files have them.
[[nodiscard]] Result<> check_hashed_user(const std::string& user);

}  // namespace ferrotunnel::app
