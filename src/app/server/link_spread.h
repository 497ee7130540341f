// When a session gets a further link, and which TCP visitors go there. Handing a visitor to another thread costs more than letting him in, so
// it is for visitors who stay, of whom many gather, and for a thread that is busy.
#pragma once

#include <cstdint>

namespace ferrotunnel::app {

inline constexpr std::uint32_t kVisitorsPerLink = 32;  // without a busy thread
inline constexpr std::uint32_t kBusyVisitorsPerLink = 2;
// So many more here than elsewhere let one go there, where this thread is not busy.
inline constexpr std::uint32_t kSpreadMargin = 32;

// `visitors`: that any link may carry, over all `links` of the session. `busy`: the thread of its first link.
[[nodiscard]] constexpr bool wants_link(std::uint64_t visitors, std::uint32_t links, bool busy) {
  return visitors >= std::uint64_t{busy ? kBusyVisitorsPerLink : kVisitorsPerLink} * links;
}
[[nodiscard]] constexpr bool goes_elsewhere(std::uint32_t here, std::uint32_t there, bool busy) {
  return busy ? here > there : here >= there && here - there >= kSpreadMargin;
}

}  // namespace ferrotunnel::app
