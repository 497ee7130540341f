// Fingerprint: the SHA-256 of a public key (its SubjectPublicKeyInfo), by which a client knows its server without any CA.
// It outlives certificates: a new one for the same key keeps it. Values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace ferrotunnel::transport {

using Fingerprint = std::array<std::byte, 32>;

[[nodiscard]] std::string to_string(const Fingerprint& fingerprint);  // "sha256:" and hex

}  // namespace ferrotunnel::transport
