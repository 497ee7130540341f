// The handshake of docs/wire-protocol.md, from the first byte to `welcome`: prefaces, challenge, auth, proofs.
//
// Two state machines without I/O and without a clock. The owner feeds what it received and sends what output() holds, until done()
// or an Error. feed() takes only what belongs to the handshake: bytes behind its last message are left for the link.
//
// After an Error the owner still sends output() (a `refused` or a GOAWAY, where the peer is owed one; often nothing), then closes;
// the deadline of 5 s is the owner's too. One owner, one thread; what a peer can make it hold is one frame of kMaxHandshakeFrame.
//
// A client that was told an `attach` may open further connections of its session: the same handshake, which ends in a place at that session
// instead of a session (server), and behind which the connection is the owner's to use.
//
// Errors, side Tunnel: Protocol (the magic is wrong, a message is out of turn, malformed or too long), Version, Unauthorized (not
// to be retried), Refused and Limit (the peer's GOAWAY or
// another `refused` code; Closed: the session to attach to is gone). A peer's text in them went through wire::clean_text().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "session/attach_book.h"
#include "session/credentials.h"
#include "session/proof.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::session {

inline constexpr std::size_t kMaxHandshakeFrame = 4096;  // payload; far above what the messages need
inline constexpr Duration kHandshakeDeadline = std::chrono::seconds(5);

// What both ends know when it is over.
struct HandshakeOutcome {
  std::string grant;
  wire::InstanceId instance{};  // the client's
  std::string peer_version;     // through clean_text()
  std::uint64_t features = 0;   // in force: set by both
  std::string session;          // the server's name for this session, for logs; through clean_text()
  std::uint32_t heartbeat_ms = 0;
  AuthKey key;  // at the server: what the client proved the grant with
  // Of a sign-in with one of kFeaturesOfAttach in force: what further connections of the session say.
  std::optional<wire::AttachId> attach{};
  // At the server, of a further connection: its place at the session. No sign-in then.
  AttachPlacePtr place;
};

// Cuts the input into a preface and frames, and keeps what is to be sent. The part that both roles share.
class HandshakeBase {
 public:
  virtual ~HandshakeBase() = default;
  [[nodiscard]] Result<std::size_t> feed(ConstBytes bytes);

  // Bytes to send; sent(n) drops the first n. Or all at once.
  [[nodiscard]] ConstBytes output() const { return ConstBytes(output_).subspan(sent_); }
  void sent(std::size_t n);
  [[nodiscard]] std::vector<std::byte> take_output();

  [[nodiscard]] bool done() const { return state_ == State::Done; }
  [[nodiscard]] bool failed() const { return state_ == State::Failed; }
  [[nodiscard]] const HandshakeOutcome& outcome() const { return outcome_; }  // once done()
  // Failed, at the server: a further connection that its session does not take. The AttachBook has counted it.
  [[nodiscard]] bool place_refused() const { return place_refused_; }

 protected:
  enum class State : std::uint8_t { Preface, Frames, Done, Failed };

  explicit HandshakeBase(std::uint64_t features, std::optional<ExporterKey> exporter);

  virtual void on_preface() = 0;
  virtual Result<> on_message(wire::ControlMessage message) = 0;

  void send_preface();
  void send_message(const wire::ControlMessage& message);
  void send_goaway(wire::GoawayCode code, std::string_view text);
  [[nodiscard]] Error out_of_turn();
  void finish();

  const wire::PrefaceBytes own_preface_;
  wire::PrefaceBytes peer_preface_{};
  Transcript transcript_;
  bool place_refused_ = false;
  HandshakeOutcome outcome_;

 private:
  Result<> take_preface();
  Result<> take_header();
  Result<> take_frame();
  void send_frame(wire::FrameType type, ConstBytes payload);
  Error fail(Error error);

  const std::uint64_t features_;
  State state_ = State::Preface;
  Error error_;
  wire::FrameHeader frame_;       // of the frame in input_, once that holds its header
  std::vector<std::byte> input_;  // the preface or frame that is being collected
  std::vector<std::byte> output_;
  std::size_t sent_ = 0;
  bool preface_sent_ = false;
};

struct ServerHandshakeOptions {
  std::uint64_t features = 0;
  std::string version;  // told to the client
  std::string session;  // told to the client, for logs
  std::uint32_t heartbeat_ms = 3000;
  std::optional<ExporterKey> exporter;  // of the TLS connection, where there is one
  std::optional<wire::Nonce> nonce;     // tests only; random otherwise
  // With one of kFeaturesOfAttach among the features, both: what this session's further connections shall say, and where theirs is looked up. The book
  // outlives the handshake.
  std::optional<wire::AttachId> attach{};
  AttachBook* attachable = nullptr;
};

// The server says nothing at all until it has seen a whole preface: a scanner learns nothing of it.
class ServerHandshake final : public HandshakeBase {
 public:
  // `secrets` outlives the handshake.
  ServerHandshake(ServerHandshakeOptions options, const SecretSource& secrets);

 private:
  void on_preface() override;
  Result<> on_message(wire::ControlMessage message) override;
  [[nodiscard]] Result<> admit();

  const ServerHandshakeOptions options_;
  const SecretSource& secrets_;
  const AuthKey
      decoy_;  // stands in for keys that are not there; made for every handshake, so that having to costs no time
};

struct ClientHandshakeOptions {
  std::uint64_t features = 0;
  std::string grant;  // valid_name()
  AuthKey key;
  wire::InstanceId instance{};  // random, the same for the life of the process
  std::string version;          // told to the server, once it has shown a preface
  std::optional<ExporterKey> exporter;
  std::optional<wire::Nonce> nonce;  // tests only
  // A further connection of the session that was told this. Only to a server that did, and has the feature for `as`.
  std::optional<wire::AttachId> attach{};
  wire::AttachAs as = wire::AttachAs::Direct;
};

class ClientHandshake final : public HandshakeBase {
 public:
  explicit ClientHandshake(ClientHandshakeOptions options);

 private:
  void on_preface() override;
  Result<> on_message(wire::ControlMessage message) override;
  void answer(const wire::Challenge& challenge);
  [[nodiscard]] Error refusal(const wire::Refused& refused) const;

  ClientHandshakeOptions options_;
  bool challenged_ = false;
};

}  // namespace ferrotunnel::session
