// The rules that one table of a file says, [tunnels.NAME] or [[tunnels.NAME.rules]]: each mistake at the place of the key that it is about. One thread.
#pragma once

#include <string>
#include <vector>

#include "app/config/document.h"
#include "app/config/keys.h"

namespace ferrotunnel::app::config {

// `where`: "tunnels.web.rules". What is wrong goes to `errors`; the rules go into `into` all the same.
void take_rules(ConfigErrors& errors, RuleDraft& draft, const std::string& where, const Value& table,
                std::vector<TunnelRule>& into);

}  // namespace ferrotunnel::app::config
