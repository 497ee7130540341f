// Proofs of docs/wire-protocol.md section 4: what both ends sign, and how it is compared.
//
// The transcript covers both prefaces, both nonces, who asks for what, the signer's role and the TLS connection, so that a proof
// is worth nothing anywhere else: not replayed, not reflected, not on another connection. Pure functions; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "session/credentials.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::session {

inline constexpr std::string_view kExporterLabel = "EXPORTER-ferrotunnel-v1";
using ExporterKey = std::array<std::byte, 32>;

enum class Role : std::uint8_t { Client, Server };

struct Transcript {
  wire::PrefaceBytes client_preface{};
  wire::PrefaceBytes server_preface{};
  wire::Nonce server_nonce{};
  wire::Nonce client_nonce{};
  std::string grant;
  wire::InstanceId instance{};
  std::optional<ExporterKey> exporter;     // nothing without TLS
  std::optional<wire::AttachId> attach{};  // of a further connection: the session it belongs to
  wire::AttachAs as = wire::AttachAs::Direct;
};

// T(role).
[[nodiscard]] std::vector<std::byte> transcript_bytes(const Transcript& transcript, Role role);
// HMAC-SHA256(key, T(role)).
[[nodiscard]] wire::Proof make_proof(const AuthKey& key, const Transcript& transcript, Role role);
// In constant time.
[[nodiscard]] bool same_proof(const wire::Proof& a, const wire::Proof& b);

}  // namespace ferrotunnel::session
