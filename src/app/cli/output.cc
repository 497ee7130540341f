#include "app/cli/output.h"

#include <utility>

namespace ferrotunnel::cli {

bool Repeats::say(const std::string& text, std::chrono::system_clock::time_point now, std::uint64_t& since) {
  if (text == last_ && now >= said_ && now - said_ < kQuiet) {
    ++swallowed_;
    return false;
  }
  since = text == last_ ? swallowed_ : 0;
  swallowed_ = 0;
  last_ = text;
  said_ = now;
  return true;
}

}  // namespace ferrotunnel::cli
