// Two handshakes without a wire: bytes are carried, cut and changed by hand.
#pragma once

#include <optional>
#include <vector>

#include "memory_secrets.h"
#include "session/handshake.h"

namespace ferrotunnel::session {

using Bytes = std::vector<std::byte>;

inline Bytes frame(wire::FrameType type, std::string_view payload, std::uint32_t stream = 0) {
  Bytes bytes(wire::kHeaderSize);
  wire::encode_header({.type = type, .length = static_cast<std::uint32_t>(payload.size()), .stream = stream},
                      bytes.data());
  const ConstBytes rest = as_bytes(payload);
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return bytes;
}
inline Bytes frame(const wire::ControlMessage& message) {
  return frame(wire::FrameType::Control, wire::encode(message));
}
inline Bytes preface(std::uint64_t features = 0) {
  const auto bytes = wire::encode(wire::Preface{.features = features});
  return {bytes.begin(), bytes.end()};
}
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The message of the last frame in `bytes`, which begin with a preface when `skip` says so.
inline std::optional<wire::ControlMessage> last_message(ConstBytes bytes, std::size_t skip) {
  std::optional<wire::ControlMessage> last;
  while (bytes.size() > skip) {
    bytes = bytes.subspan(skip);
    const auto header = wire::decode_header(bytes.first<wire::kHeaderSize>());
    if (!header) return std::nullopt;
    last.reset();
    if (header->type == wire::FrameType::Control) {
      auto message = wire::decode(as_text(bytes.subspan(wire::kHeaderSize, header->length)));
      if (message && *message) last = **message;
    }
    skip = wire::kHeaderSize + header->length;
  }
  return last;
}
inline std::optional<wire::GoawayCode> last_goaway(ConstBytes bytes, std::size_t skip) {
  std::optional<wire::GoawayCode> last;
  while (bytes.size() > skip) {
    bytes = bytes.subspan(skip);
    const auto header = wire::decode_header(bytes.first<wire::kHeaderSize>());
    if (!header) return std::nullopt;
    last.reset();
    if (header->type == wire::FrameType::Goaway)
      last = static_cast<wire::GoawayCode>(wire::decode_goaway(bytes.subspan(wire::kHeaderSize, header->length)).code);
    skip = wire::kHeaderSize + header->length;
  }
  return last;
}

inline ExporterKey exporter_of(std::uint8_t n) {
  ExporterKey key{};
  key.fill(std::byte{n});
  return key;
}

struct HandshakePair {
  HandshakePair() {
    secrets.add("default", secret);
    server_options.version = "server 1";
    server_options.session = "s-1";
    server_options.heartbeat_ms = 2500;
    client_options.grant = "default";
    client_options.key = AuthKey::of(secret);
    client_options.version = "client 1";
    client_options.instance.fill(std::byte{7});
  }

  void start() {
    server.emplace(server_options, secrets);
    client.emplace(client_options);
  }
  // Carries bytes both ways, `chunk` at a time, until both are at rest.
  void run(std::size_t chunk = 1 << 20) {
    if (!client) start();
    bool moved = true;
    while (moved) {
      moved = false;
      for (const bool from_client : {true, false}) {
        HandshakeBase& from = from_client ? static_cast<HandshakeBase&>(*client) : *server;
        HandshakeBase& to = from_client ? static_cast<HandshakeBase&>(*server) : *client;
        const ConstBytes output = from.output().first(std::min(chunk, from.output().size()));
        if (output.empty()) continue;
        moved = true;
        Bytes bytes(output.begin(), output.end());
        from.sent(bytes.size());
        (from_client ? to_server : to_client) = (from_client ? to_server : to_client) + bytes;
        if (to.failed() || to.done()) continue;
        const auto fed = to.feed(bytes);
        if (!fed) (from_client ? server_error : client_error) = fed.error();
      }
    }
  }

  Secret secret = Secret(as_bytes("0123456789abcdef0123456789abcdef"));
  MemorySecrets secrets;
  ServerHandshakeOptions server_options;
  ClientHandshakeOptions client_options;
  std::optional<ServerHandshake> server;
  std::optional<ClientHandshake> client;
  Bytes to_server, to_client;
  std::optional<Error> server_error, client_error;
};

}  // namespace ferrotunnel::session
