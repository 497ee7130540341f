// Randomness: for secrets from the kernel, for jitter from a small seedable generator.
//
// fill_random is safe on any thread; a JitterRng belongs to its owner.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace ferrotunnel {

// Fills with bytes fit for keys and nonces (getrandom). A kernel that refuses ends the process: there is no safe way to go on
// without them, and no caller could do anything better.
void fill_random(MutBytes into);

// SplitMix64: spreads retries and sampling, never a secret.
class JitterRng {
 public:
  explicit JitterRng(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] static JitterRng from_system();

  [[nodiscard]] std::uint64_t next();
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);  // 0 … bound-1; 0 for a bound of 0

 private:
  std::uint64_t state_;
};

}  // namespace ferrotunnel
