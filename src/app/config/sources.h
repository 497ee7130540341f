// A file and all that it includes, as one table. One thread.
#pragma once

#include "app/config/document.h"
#include "app/config/outside.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxFile = 1u << 20;       // bytes
inline constexpr std::size_t kMaxAllFiles = 16u << 20;  // bytes, all files of one load together
inline constexpr std::size_t kMaxFiles = 1'000;
inline constexpr std::size_t kMaxDepth = 8;  // files that include files

// Variables are filled in. What is wrong goes to `errors`, whose file 0 is `path`.
[[nodiscard]] Value read_sources(const std::string& path, Outside& outside, ConfigErrors& errors);

// `path` as the file that `place` is in means it: relative to its directory.
[[nodiscard]] std::string beside(const std::string& path, Place place, const ConfigErrors& errors);

}  // namespace ferrotunnel::app::config
