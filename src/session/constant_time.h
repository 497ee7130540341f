// Steps that take the same time whatever they are about: no branch, no address that depends on what must not be told. Values; any thread.
#pragma once

#include <cstdint>

namespace ferrotunnel::session {

// Hides from the compiler what a value may be: of a comparison that it sees through it makes a branch.
inline std::uint32_t opaque(std::uint32_t value) {
  asm volatile("" : "+r"(value));  // NOLINT(hicpp-no-assembler): there is no other way to say so
  return value;
}

// 1 for 0, 0 for anything else. For what CRYPTO_memcmp() says: 1 where it was the same.
inline std::uint32_t is_zero(std::uint32_t value) { return opaque((~value & (value - 1)) >> 31); }

}  // namespace ferrotunnel::session
