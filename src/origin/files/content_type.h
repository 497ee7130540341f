// Content-Type by a file's name: a small table of extensions, text in UTF-8, everything else octets. Pure; any thread.
#pragma once

#include <string_view>

namespace ferrotunnel::origin::files {

[[nodiscard]] std::string_view content_type(std::string_view path);

}  // namespace ferrotunnel::origin::files
