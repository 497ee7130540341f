// CONTROL messages of docs/wire-protocol.md section 4: JSON text <-> values.
//
// decode() takes whatever a peer sends: every field of a value it gives was present, of the right type, and within the limits
// below. Text fields (text, version, session, url, host) are valid UTF-8 and otherwise as the peer chose them: escape them where
// they are shown (clean_text). No state, no I/O; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "wire/limits.h"

namespace ferrotunnel::wire {

// Bytes of UTF-8. A handshake message stays under 4,096 bytes even when JSON escapes every one of them.
inline constexpr std::size_t kMaxName = 64;  // grant, name
inline constexpr std::size_t kMaxVersion = 64;
inline constexpr std::size_t kMaxSession = 128;
inline constexpr std::size_t kMaxCode = 64;
inline constexpr std::size_t kMaxText = 512;
inline constexpr std::size_t kMaxHost = 253;  // RFC 1035
inline constexpr std::size_t kMaxUrl = 1024;
inline constexpr std::size_t kMaxDepth = 8;  // nesting of the JSON
inline constexpr std::uint32_t kMinHeartbeatMs = 100;
inline constexpr std::uint32_t kMaxHeartbeatMs = 600'000;
inline constexpr std::size_t kMaxNetworks = 256;          // of a list of `limits`
inline constexpr std::size_t kMaxNetwork = 64;            // bytes of one
inline constexpr std::size_t kMaxHosts = 64;              // of a tunnel
inline constexpr std::size_t kMaxPaths = 64;              // of a tunnel, or of a rule
inline constexpr std::size_t kMaxPath = 1024;             // bytes of one
inline constexpr std::size_t kMaxMatchBytes = 4 * 1024;   // of all methods and headers that a tunnel asks for
inline constexpr std::size_t kMaxRules = 64;              // of a tunnel
inline constexpr std::size_t kMaxRulesBytes = 32 * 1024;  // of all their text
inline constexpr std::size_t kMaxClientCa = 16 * 1024;    // of a tunnel
inline constexpr std::size_t kMaxRuleSettings = 256;      // of one rule
// What every JSON reader takes for a whole number.
inline constexpr std::uint64_t kMaxBandwidth = (std::uint64_t{1} << 53) - 1;

using Nonce = std::array<std::byte, 32>;
using Proof = std::array<std::byte, 32>;
using InstanceId = std::array<std::byte, 16>;
using AttachId = std::array<std::byte, 16>;  // names a session to its client's further connections

struct Challenge {
  Nonce nonce{};
  std::string version;
  bool operator==(const Challenge&) const = default;
};

// What a further connection of a session is to be.
enum class AttachAs : std::uint8_t { Direct, Link };
[[nodiscard]] std::string_view to_string(AttachAs as);

struct Auth {
  std::string grant;
  Nonce nonce{};
  Proof proof{};
  InstanceId instance{};
  std::string version;
  std::optional<AttachId> attach{};  // not a sign-in: a further connection of that session
  AttachAs as = AttachAs::Direct;    // with `attach`; left out where it is that
  bool operator==(const Auth&) const = default;
};

struct Welcome {
  Proof proof{};
  std::string session;
  std::uint32_t heartbeat_ms = 3000;
  std::optional<AttachId> attach{};  // what further connections of the session say; only with kFeaturesOfAttach
  bool operator==(const Welcome&) const = default;
};

// Codes of `refused`. A later server may know others: they may pass.
inline constexpr std::string_view kRefusedUnauthorized = "unauthorized";
inline constexpr std::string_view kRefusedExpired = "expired";  // proved, but over
inline constexpr std::string_view kRefusedLimit = "limit";      // proved; as many as there may be
inline constexpr std::string_view kRefusedGone = "gone";        // proved; the session to attach to is no more

struct Refused {
  std::string code;
  std::string text;
  bool operator==(const Refused&) const = default;
};

// How the visitors of a TCP tunnel are carried: as streams of the link, each over a direct link, or as the road asks for.
enum class Carry : std::uint8_t { Auto, Mux, Direct };
[[nodiscard]] std::string_view to_string(Carry carry);

enum class TunnelProto : std::uint8_t { Tcp, Http };
[[nodiscard]] std::string_view to_string(TunnelProto proto);

// What the local service of an HTTP tunnel speaks.
enum class OriginProto : std::uint8_t { H1, H2, H2Tls, Other };
[[nodiscard]] std::string_view to_string(OriginProto proto);

// What a client asks for its tunnel's visitors. 0 and an empty list: no limit. Networks are text here ("192.0.2.0/24"); whether
// they are any is the server's to find out.
struct Limits {
  std::uint32_t max_visitors = 0;
  std::uint32_t max_visitors_per_address = 0;
  std::uint32_t max_new_visitors_per_second = 0;
  std::uint64_t bandwidth = 0;          // bytes a second, each way; at most kMaxBandwidth
  std::uint64_t visitor_bandwidth = 0;  // the same, of each
  std::uint32_t idle_timeout_ms = 0;
  std::vector<std::string> allow, deny;  // at most kMaxNetworks each
  bool operator==(const Limits&) const = default;
};

// What the server does to a request of an HTTP tunnel, or instead of sending it on: text, which the server makes a filter of (plugin/builtin).
struct Rule {
  std::string name;                                           // as valid_name()
  std::vector<std::pair<std::string, std::string>> settings;  // those of one name stand together
  std::vector<std::string> paths, methods, headers;           // which requests; empty: all
  bool operator==(const Rule&) const = default;
};
// Bytes of text in it.
[[nodiscard]] std::size_t size_of(const Rule& rule);

struct Register {
  std::uint32_t req = 0;
  std::string name;
  TunnelProto proto = TunnelProto::Tcp;
  std::string host;                      // Http; empty: the server picks
  std::uint16_t port = 0;                // Tcp; 0: the server picks
  Limits limits{};                       // left out where there are none
  Carry carry = Carry::Auto;             // Tcp; left out where it is that
  OriginProto origin = OriginProto::H1;  // Http; left out where it is that, and said only with kFeatureOrigin
  std::vector<std::string> hosts{};      // Http: more of them, with kFeatureRules
  std::vector<std::string> paths{};      // Http: of each host these prefixes, and not all; with kFeatureRules
  // Http: of these only requests with one of these methods and all of these headers ("Name", "Name: value"); with kFeatureRules
  std::vector<std::string> methods{}, headers{};
  // Http: no connection to its service may carry more than one request, since what is said in front of it is of one visitor; left out
  // where it is not so; with kFeatureRules
  bool single_use = false;
  bool connect = false;  // its service takes CONNECT
  // Http: its visitors have to show a certificate that one of these (PEM) signed; with kFeatureRules
  std::string client_ca{};
  std::vector<Rule> rules{};  // Http; with kFeatureRules
  bool operator==(const Register&) const = default;
};

// What these take as they are told, about: their text, and kTextBytes for each of them, however short.
inline constexpr std::size_t kTextBytes = 16;
[[nodiscard]] std::size_t size_of(const Limits& limits);
[[nodiscard]] std::size_t size_of(const std::vector<Rule>& rules);
[[nodiscard]] std::size_t size_of(const Register& request);  // with limits and rules

struct Registered {
  std::uint32_t req = 0;
  std::uint32_t tunnel = 0;  // > 0
  std::string url;
  std::uint16_t port = 0;  // Tcp; 0 otherwise
  bool operator==(const Registered&) const = default;
};

// Codes of `rejected`. A later server may know others: take them as "not-allowed".
inline constexpr std::string_view kRejectHostTaken = "host-taken";
inline constexpr std::string_view kRejectPortTaken = "port-taken";
inline constexpr std::string_view kRejectPortInUse = "port-in-use";
inline constexpr std::string_view kRejectNotAllowed = "not-allowed";
inline constexpr std::string_view kRejectLimit = "limit";
inline constexpr std::string_view kRejectBadRequest = "bad-request";

struct Rejected {
  std::uint32_t req = 0;
  std::string code;
  std::string text;
  bool operator==(const Rejected&) const = default;
};

struct Unregister {
  std::uint32_t tunnel = 0;
  bool operator==(const Unregister&) const = default;
};

// The client's tunnel stays where it is, but what is behind it is another local service: warm connections to the old one are not used for new
// requests; those in flight finish. Or its limits are others.
struct Update {
  std::uint32_t tunnel = 0;
  bool new_origin = false;
  std::optional<Limits> limits{};            // in place of the earlier ones; nothing: those stay
  std::optional<Carry> carry{};              // the same, of visitors to come
  std::optional<std::vector<Rule>> rules{};  // the same, of requests to come; with kFeatureRules
  bool operator==(const Update&) const = default;
};

// The server takes a tunnel back: its grant has changed. The codes are those of `rejected`.
struct Withdrawn {
  std::uint32_t tunnel = 0;
  std::string code;
  std::string text;
  bool operator==(const Withdrawn&) const = default;
};

// Server: so many warm direct links the client shall keep now.
struct DirectWanted {
  std::uint32_t want = 0;  // at most kMaxDirectWanted
  bool operator==(const DirectWanted&) const = default;
};
inline constexpr std::uint32_t kMaxDirectWanted = 65'536;

// Server: so many links beside the first the client shall keep now.
struct LinksWanted {
  std::uint32_t want = 0;  // at most kMaxLinksWanted
  bool operator==(const LinksWanted&) const = default;
};
inline constexpr std::uint32_t kMaxLinksWanted = 1024;

// Client: what share of what it sends over the link has to be sent again.
struct Road {
  std::uint32_t loss_ppm = 0;  // at most a million
  bool operator==(const Road&) const = default;
};

using ControlMessage = std::variant<Challenge, Auth, Welcome, Refused, Register, Registered, Rejected, Unregister,
                                    Withdrawn, Update, DirectWanted, LinksWanted, Road>;

// The JSON of a message. Text meant for people (version, session, text) goes through clean_text() first; every other field is
// the caller's promise to keep within its limit.
[[nodiscard]] std::string encode(const ControlMessage& message);

// Nothing: a type this version does not know. Errors: Protocol, naming the field.
[[nodiscard]] Result<std::optional<ControlMessage>> decode(std::string_view json);

// Text on one line: valid UTF-8 of at most `limit` bytes, cut between characters; broken bytes, control characters and those that
// turn the direction of text become '?'. For what a peer wrote, before a person sees it.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t limit = kMaxText);

// 1-64 of A-Za-z0-9._-
[[nodiscard]] bool valid_name(std::string_view name);

}  // namespace ferrotunnel::wire
