// The filters of this program, each made from the settings of its rule. Errors: BadInput, without the rule's name. Private to builtin/.
#pragma once

#include "plugin/builtin/rules.h"
#include "plugin/builtin/settings.h"

namespace ferrotunnel::plugin {

[[nodiscard]] Result<FilterPtr> make_cors(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_basic_auth(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_max_body(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_redirect(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_answer(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_strip_prefix(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_add_prefix(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_host(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_request_headers(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_response_headers(Settings& settings, const Tools& tools);
[[nodiscard]] Result<FilterPtr> make_compress(Settings& settings, const Tools& tools);

}  // namespace ferrotunnel::plugin
