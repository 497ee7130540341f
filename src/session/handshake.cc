#include "session/handshake.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "session/constant_time.h"

namespace ferrotunnel::session {
namespace {

Error protocol(std::string text) { return {ErrorCode::Protocol, Side::Tunnel, false, std::move(text)}; }

void append(std::vector<std::byte>& to, ConstBytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

wire::Nonce fresh_nonce(const std::optional<wire::Nonce>& injected) {
  if (injected) return *injected;
  wire::Nonce nonce{};
  fill_random(nonce);
  return nonce;
}

// What the peer's GOAWAY in the middle of a handshake means to the owner.
Error goaway_error(ConstBytes payload) {
  const wire::GoawayPayload goaway = wire::decode_goaway(payload);
  const auto code = static_cast<wire::GoawayCode>(goaway.code);
  std::string text("the other end ended the handshake (");
  text.append(wire::to_string(code)).append(")");
  if (!goaway.text.empty()) text.append(": ").append(wire::clean_text(goaway.text));
  switch (code) {
    case wire::GoawayCode::Version: return {ErrorCode::Version, Side::Tunnel, false, std::move(text)};
    case wire::GoawayCode::Unauthorized: return {ErrorCode::Unauthorized, Side::Tunnel, false, std::move(text)};
    case wire::GoawayCode::Limit: return {ErrorCode::Limit, Side::Tunnel, true, std::move(text)};
    case wire::GoawayCode::Protocol: return {ErrorCode::Protocol, Side::Tunnel, false, std::move(text)};
    default: return {ErrorCode::Refused, Side::Tunnel, true, std::move(text)};
  }
}

}  // namespace

HandshakeBase::HandshakeBase(std::uint64_t features, std::optional<ExporterKey> exporter)
    : own_preface_(wire::encode(wire::Preface{.features = features})), features_(features) {
  transcript_.exporter = exporter;
}

void HandshakeBase::sent(std::size_t n) {
  sent_ += n;
  if (sent_ < output_.size()) return;
  output_.clear();
  sent_ = 0;
}

std::vector<std::byte> HandshakeBase::take_output() {
  output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
  return std::exchange(output_, {});
}

Result<std::size_t> HandshakeBase::feed(ConstBytes bytes) {
  std::size_t taken = 0;
  while (state_ == State::Preface || state_ == State::Frames) {
    std::size_t wanted = wire::kPrefaceSize;
    if (state_ == State::Frames) {
      wanted = wire::kHeaderSize;
      if (input_.size() >= wanted) wanted += frame_.length;
    }
    const std::size_t n = std::min(wanted - input_.size(), bytes.size() - taken);
    append(input_, bytes.subspan(taken, n));
    taken += n;
    const bool whole = input_.size() == wanted;
    Result<> step;
    if (state_ == State::Preface) {
      // Somebody's HTTP is told by its first bytes; it is not asked for sixteen.
      if (whole || !wire::may_be_preface(input_)) step = take_preface();
    } else if (whole) {
      step = wanted == wire::kHeaderSize ? take_header() : take_frame();
    }
    if (!step) return std::unexpected(fail(std::move(step.error())));
    if (!whole) break;
  }
  if (state_ == State::Failed) return std::unexpected(error_);
  return taken;
}

Result<> HandshakeBase::take_preface() {
  std::ranges::copy(input_, peer_preface_.begin());
  auto preface = wire::decode_preface(peer_preface_);
  if (!preface) {
    if (preface.error().code == ErrorCode::Version) {
      if (!preface_sent_) send_preface();
      send_goaway(wire::GoawayCode::Version, preface.error().context);
    } else {
      output_.clear();
      sent_ = 0;
    }
    return std::unexpected(std::move(preface.error()));
  }
  outcome_.features = features_ & preface->features;
  input_.clear();
  state_ = State::Frames;
  on_preface();
  return {};
}

Result<> HandshakeBase::take_header() {
  const auto header = wire::decode_header(ConstBytes(input_).first<wire::kHeaderSize>());
  Error wrong;
  if (!header) {
    wrong = header.error();
  } else if (header->type != wire::FrameType::Control && header->type != wire::FrameType::Goaway) {
    wrong = protocol(std::string(wire::to_string(header->type)) + " before the handshake was over");
  } else if (header->length > kMaxHandshakeFrame) {
    wrong = protocol("a handshake message of " + std::to_string(header->length) + " bytes");
  } else {
    frame_ = *header;
    return {};
  }
  send_goaway(wire::GoawayCode::Protocol, wrong.context);
  return std::unexpected(std::move(wrong));
}

Result<> HandshakeBase::take_frame() {
  const ConstBytes payload = ConstBytes(input_).subspan(wire::kHeaderSize);
  if (frame_.type == wire::FrameType::Goaway) return std::unexpected(goaway_error(payload));
  auto message = wire::decode(as_text(payload));
  input_.clear();
  if (!message || !*message) {
    Error wrong = message ? protocol("a message of unknown type in the handshake") : std::move(message.error());
    send_goaway(wire::GoawayCode::Protocol, wrong.context);
    return std::unexpected(std::move(wrong));
  }
  return on_message(std::move(**message));
}

Error HandshakeBase::fail(Error error) {
  state_ = State::Failed;
  error_ = std::move(error);
  input_.clear();
  return error_;
}

void HandshakeBase::finish() {
  state_ = State::Done;
  input_ = {};
}

void HandshakeBase::send_preface() {
  append(output_, own_preface_);
  preface_sent_ = true;
}

void HandshakeBase::send_frame(wire::FrameType type, ConstBytes payload) {
  std::array<std::byte, wire::kHeaderSize> header{};
  wire::encode_header({.type = type, .length = static_cast<std::uint32_t>(payload.size())}, header.data());
  append(output_, header);
  append(output_, payload);
}

void HandshakeBase::send_message(const wire::ControlMessage& message) {
  send_frame(wire::FrameType::Control, as_bytes(wire::encode(message)));
}

void HandshakeBase::send_goaway(wire::GoawayCode code, std::string_view text) {
  std::vector<std::byte> payload(wire::kMinGoaway);
  store_be<std::uint32_t>(payload.data() + 4, static_cast<std::uint32_t>(code));
  append(payload, as_bytes(wire::clean_text(text, wire::kMaxGoawayText)));
  send_frame(wire::FrameType::Goaway, payload);
}

Error HandshakeBase::out_of_turn() {
  Error wrong = protocol("a handshake message out of turn");
  send_goaway(wire::GoawayCode::Protocol, wrong.context);
  return wrong;
}

// --- server ---

namespace {

// One of two keys, by the same steps and reading the same memory whichever it is.
AuthKey chosen(std::uint32_t first, const AuthKey& a, const AuthKey& b) {
  const auto mask = static_cast<std::byte>(opaque(0U - first));
  AuthKey key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = (a.bytes[i] & mask) | (b.bytes[i] & ~mask);
  return key;
}

}  // namespace

ServerHandshake::ServerHandshake(ServerHandshakeOptions options, const SecretSource& secrets)
    : HandshakeBase(options.features, options.exporter),
      options_(std::move(options)),
      secrets_(secrets),
      decoy_(AuthKey::random()) {}

void ServerHandshake::on_preface() {
  transcript_.client_preface = peer_preface_;
  transcript_.server_preface = own_preface_;
  transcript_.server_nonce = fresh_nonce(options_.nonce);
  send_preface();
  send_message(wire::Challenge{transcript_.server_nonce, options_.version});
}

Result<> ServerHandshake::on_message(wire::ControlMessage message) {
  auto* auth = std::get_if<wire::Auth>(&message);
  if (auth == nullptr) return std::unexpected(out_of_turn());
  transcript_.client_nonce = auth->nonce;
  transcript_.grant = std::move(auth->grant);
  transcript_.instance = auth->instance;
  // Without the feature it is an unknown field, as it is to an older server.
  const bool attaches = (outcome_.features & wire::kFeaturesOfAttach) != 0 && options_.attachable != nullptr;
  if (attaches) transcript_.attach = auth->attach;
  if (attaches && (outcome_.features & wire::kFeatureLinks) != 0) transcript_.as = auth->as;

  // An unknown grant, a wrong secret, one secret and two take these same steps.
  const GrantKeys found = secrets_.keys(transcript_.grant);
  std::size_t proved = GrantKeys::kMost;
  for (std::size_t i = 0; i < GrantKeys::kMost; ++i) {
    const std::uint32_t is_key = opaque(static_cast<std::uint32_t>(i < found.count));
    const AuthKey key = chosen(is_key, found.keys[i], decoy_);
    const bool same = same_proof(make_proof(key, transcript_, Role::Client), auth->proof);
    if ((opaque(static_cast<std::uint32_t>(same)) & is_key) != 0) proved = i;
  }
  if (proved == GrantKeys::kMost) {
    send_message(wire::Refused{std::string(wire::kRefusedUnauthorized), "the token was not accepted"});
    return std::unexpected(Error(
        ErrorCode::Unauthorized, Side::Tunnel, false,
        "a client's token was not accepted: grant \"" + transcript_.grant + "\" is unknown or its secret is another"));
  }
  const AuthKey& key = found.keys[proved];
  // From here on it is somebody whom we owe the reason.
  if (auto admitted = admit(); !admitted) return admitted;
  wire::Welcome welcome{make_proof(key, transcript_, Role::Server), options_.session, options_.heartbeat_ms, {}};
  if (attaches && !outcome_.place) welcome.attach = outcome_.attach = options_.attach;
  send_message(welcome);
  outcome_.grant = transcript_.grant;
  outcome_.instance = transcript_.instance;
  outcome_.peer_version = wire::clean_text(auth->version, wire::kMaxVersion);
  outcome_.session = options_.session;
  outcome_.heartbeat_ms = options_.heartbeat_ms;
  outcome_.key = key;
  finish();
  return {};
}

// A sign-in asks the grant, a further connection its session.
Result<> ServerHandshake::admit() {
  Result<> admitted;
  if (!transcript_.attach) {
    admitted = secrets_.admits(transcript_.grant);
  } else if (auto place = options_.attachable->take(*transcript_.attach, transcript_.grant, transcript_.instance,
                                                    transcript_.as)) {
    outcome_.place = std::move(*place);
  } else {
    place_refused_ = true;
    admitted = std::unexpected(std::move(place.error()));
  }
  if (admitted) return {};
  const Error& why = admitted.error();
  const std::string_view code = why.code == ErrorCode::Unauthorized ? wire::kRefusedExpired
                                : why.code == ErrorCode::Closed     ? wire::kRefusedGone
                                                                    : wire::kRefusedLimit;
  send_message(wire::Refused{std::string(code), why.context});
  return admitted;
}

// --- client ---

ClientHandshake::ClientHandshake(ClientHandshakeOptions options)
    : HandshakeBase(options.features, options.exporter), options_(std::move(options)) {
  send_preface();
}

void ClientHandshake::on_preface() {
  transcript_.client_preface = own_preface_;
  transcript_.server_preface = peer_preface_;
}

Result<> ClientHandshake::on_message(wire::ControlMessage message) {
  if (const auto* challenge = std::get_if<wire::Challenge>(&message); challenge != nullptr && !challenged_) {
    challenged_ = true;
    answer(*challenge);
    return {};
  }
  if (!challenged_) return std::unexpected(out_of_turn());
  if (const auto* refused = std::get_if<wire::Refused>(&message)) return std::unexpected(refusal(*refused));
  const auto* welcome = std::get_if<wire::Welcome>(&message);
  if (welcome == nullptr) return std::unexpected(out_of_turn());

  if (!same_proof(make_proof(options_.key, transcript_, Role::Server), welcome->proof)) {
    send_goaway(wire::GoawayCode::Unauthorized, "the server's proof is wrong");
    return std::unexpected(
        Error(ErrorCode::Unauthorized, Side::Tunnel, false,
              "the server could not prove that it knows this token: it is another server, or someone is in between"));
  }
  outcome_.grant = options_.grant;
  outcome_.instance = options_.instance;
  outcome_.session = wire::clean_text(welcome->session, wire::kMaxSession);
  outcome_.heartbeat_ms = welcome->heartbeat_ms;
  if (!options_.attach && (outcome_.features & wire::kFeaturesOfAttach) != 0) outcome_.attach = welcome->attach;
  finish();
  return {};
}

void ClientHandshake::answer(const wire::Challenge& challenge) {
  outcome_.peer_version = wire::clean_text(challenge.version, wire::kMaxVersion);
  transcript_.server_nonce = challenge.nonce;
  transcript_.client_nonce = fresh_nonce(options_.nonce);
  transcript_.grant = options_.grant;
  transcript_.instance = options_.instance;
  transcript_.attach = options_.attach;
  transcript_.as = options_.as;
  wire::Auth auth;
  auth.grant = options_.grant;
  auth.nonce = transcript_.client_nonce;
  auth.proof = make_proof(options_.key, transcript_, Role::Client);
  auth.instance = options_.instance;
  auth.version = options_.version;
  auth.attach = options_.attach;
  auth.as = options_.as;
  send_message(auth);
}

Error ClientHandshake::refusal(const wire::Refused& refused) const {
  const std::string text = wire::clean_text(refused.text);
  if (refused.code == wire::kRefusedUnauthorized) {
    return {ErrorCode::Unauthorized, Side::Tunnel, false,
            "the server refused the token (it says: " + text + "). Ask for a new one."};
  }
  if (refused.code == wire::kRefusedExpired)
    return {ErrorCode::Unauthorized, Side::Tunnel, false,
            "the server refused the token: " + text + ". Ask for a new one."};
  if (refused.code == wire::kRefusedGone)
    return {ErrorCode::Closed, Side::Tunnel, true, "the session to attach to is gone (the server says: " + text + ")"};
  if (refused.code == wire::kRefusedLimit && options_.attach)
    return {ErrorCode::Limit, Side::Tunnel, true, "the server takes no further connection: " + text};
  // A code of a later version: for all we know it passes.
  return {ErrorCode::Refused, Side::Tunnel, true,
          "the server refused the connection (" + wire::clean_text(refused.code, wire::kMaxCode) + ": " + text + ")"};
}

}  // namespace ferrotunnel::session
