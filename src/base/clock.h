// Time as the sans-I/O cores see it: handed in by the shell, never read. Monotonic, so that clock changes alter nothing.
#pragma once

#include <chrono>

namespace ferrotunnel {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

}  // namespace ferrotunnel
