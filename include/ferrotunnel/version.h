// The version of this library: "0.1.0". Any thread.
#pragma once

#include <string_view>

namespace ferrotunnel {

[[nodiscard]] std::string_view version();

}  // namespace ferrotunnel
