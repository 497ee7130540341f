// The manual page ferrotunnel(1), made from the same table as --help. Pure functions.
#pragma once

#include <string>

namespace ferrotunnel::cli {

[[nodiscard]] std::string man_page();  // man(7) source, UTF-8

}  // namespace ferrotunnel::cli
