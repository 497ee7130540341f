// Whether text can stand in JSON, and so in a CONTROL message. Pure; any thread.
#pragma once

#include <string_view>

namespace ferrotunnel::wire {

[[nodiscard]] bool valid_utf8(std::string_view text);

}  // namespace ferrotunnel::wire
