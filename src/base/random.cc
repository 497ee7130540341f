#include "base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace ferrotunnel {

void fill_random(MutBytes into) {
  while (!into.empty()) {
    const ssize_t n = ::getrandom(into.data(), into.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    into = into.subspan(static_cast<std::size_t>(n));
  }
}

JitterRng JitterRng::from_system() {
  std::array<std::byte, 8> seed{};
  fill_random(seed);
  return JitterRng(load_be<std::uint64_t>(seed.data()));
}

std::uint64_t JitterRng::next() {
  state_ += 0x9e37'79b9'7f4a'7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}

// The high half of a 128-bit product: even enough for jitter, and no division.
std::uint64_t JitterRng::below(std::uint64_t bound) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
}

}  // namespace ferrotunnel
