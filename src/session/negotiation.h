// Negotiation: a connected socket becomes a proven peer. TLS (where asked for), then the handshake, within one deadline.
//
// The same for both roles: what differs is the TLS stream and the handshake that the owner brings. Once it calls back with a value, the
// connection is watched by nobody and its next byte belongs to the link. Destroying it cancels and closes. The shard's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "session/handshake.h"
#include "transport/byte_stream.h"
#include "transport/deadline.h"
#include "transport/poller.h"
#include "transport/shard.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::session {

struct Negotiated {
  transport::ByteStreamPtr stream;
  HandshakeOutcome outcome;
  std::vector<std::byte> early;  // bytes read behind the handshake
  std::string transport;         // "tls 1.3" or "tcp, plain"
};

class Negotiation final : private transport::PollHandler, private transport::TurnTask, private transport::Deadline {
 public:
  using MakeHandshake = std::function<std::unique_ptr<HandshakeBase>(std::optional<ExporterKey>)>;
  // Called once, from the top of a turn; may destroy the negotiation.
  using OnDone = std::function<void(Result<Negotiated>)>;

  Negotiation(transport::Shard& shard, transport::ByteStreamPtr plain, MakeHandshake make, Duration deadline,
              OnDone on_done);
  Negotiation(transport::Shard& shard, std::unique_ptr<transport::TlsStream> tls, MakeHandshake make, Duration deadline,
              OnDone on_done);
  ~Negotiation();

  void start();
  // As HandshakeBase::place_refused().
  [[nodiscard]] bool place_refused() const { return handshake_ && handshake_->place_refused(); }

 private:
  void on_ready(std::uint32_t what) override;
  void on_deadline() override;
  void run_turn() override;
  void step();
  bool step_tls();
  bool read_some();
  bool write_some();
  void finish(Result<Negotiated> result);

  transport::Shard& shard_;
  transport::ByteStreamPtr stream_;
  transport::TlsStream* tls_;  // the same object, while it is to be handshaken
  MakeHandshake make_;
  const Duration limit_;
  OnDone on_done_;
  std::unique_ptr<HandshakeBase> handshake_;
  std::vector<std::byte> early_;
  static constexpr std::string_view kPlain = "tcp, plain";
  std::string transport_{kPlain};
  std::optional<Error> failed_;  // what is left to send goes out first
  std::optional<Result<Negotiated>> result_;
  bool watched_ = false;
};

}  // namespace ferrotunnel::session
