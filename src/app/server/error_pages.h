// The owner's own pages of failures, from a directory or a file (key error_pages). Any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "http/page_template.h"

namespace ferrotunnel::app {

inline constexpr std::size_t kMostErrorPages = 256;

// "": none. Of a directory each file that is called like a page (page_template.h); of a file that one, for all failures. Errors: Io, BadInput: with
// the file and what is wrong with it.
[[nodiscard]] Result<http::PageTemplatesPtr> load_error_pages(const std::string& path);

}  // namespace ferrotunnel::app
