// Error and Result for the rooms: the public ones (include/ferrotunnel/error.h), and how errno becomes one.
//
// Input from outside and syscall results become Errors; a broken promise of our own is an assert
// (docs/decisions/0002-errors.md). The one header of include/ that lower rooms see. Any thread.
#pragma once

#include <string_view>

#include "ferrotunnel/error.h"

namespace ferrotunnel {

// "what: strerror". Retry is set for errors that may pass by themselves.
[[nodiscard]] Error errno_error(int err, Side side, std::string_view what);

}  // namespace ferrotunnel
