// Message model of HTTP/1.1: what a head says, once it has been checked (RFC 9110, RFC 9112).
//
// A head holds views into the buffer that it was parsed from (or into whatever a caller put in): it is good for as long as that buffer
// is neither freed, moved nor changed. Heads are meant to be reused: reset() keeps the fields' storage. Owner's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/chars.h"

namespace ferrotunnel::http {

// Fields that mean something to this room, found once while parsing so that forwarding compares no names.
enum class FieldId : std::uint8_t {
  Other,
  Accept,
  Connection,
  ContentLength,
  Expect,
  Ferrotunnel,  // any ferrotunnel-*: what a tunnel says of itself
  Forwarded,
  Host,
  Http2Settings,
  KeepAlive,
  Proxy,
  ProxyAuthenticate,
  ProxyAuthorization,
  ProxyConnection,
  Rule,   // put there by a rule of the tunnel, never by parsing: it always goes on
  Spent,  // by a rule too: it was for the rule, and never goes on
  Te,
  Trailer,
  TransferEncoding,
  Upgrade,
  Via,
  XForwardedFor,
  XForwardedHost,
  XForwardedOther,  // any other x-forwarded-*
  XForwardedProto,
  XRealIp,
  XRequestId,
  UnderscoreAlias,  // another spelling of one of the above (alike()): x_real_ip, x.real.ip; CGI and WSGI origins cannot tell them apart
};
// `name` is a token in any case.
[[nodiscard]] FieldId field_id(std::string_view name);

// Whether two names may be one to an origin: CGI, WSGI, Rack and the like call X-User, X_User and some X.User HTTP_X_USER. What a rule says of
// a request's field it says of all of these.
[[nodiscard]] bool alike(std::string_view a, std::string_view b);

struct Field {
  std::string_view name;
  std::string_view value;  // without the spaces around it
  FieldId id = FieldId::Other;
};

// Field lines in the order of arrival; duplicates stay separate.
class Fields {
 public:
  void clear() { lines_.clear(); }
  // Both views are kept, and have to be a token and a valid field value.
  void add(std::string_view name, std::string_view value) { lines_.push_back({name, value, field_id(name)}); }
  void add(const Field& field) { lines_.push_back(field); }
  std::size_t remove(std::string_view name);
  std::size_t remove(FieldId id);
  std::size_t remove_alike(std::string_view name);
  // Makes what its name says something else: those of this name, in any case.
  void mark(std::string_view name, FieldId id);

  [[nodiscard]] const Field* find(std::string_view name) const;
  [[nodiscard]] const Field* find(FieldId id) const;
  // The value of the first, or an empty view.
  [[nodiscard]] std::string_view value(std::string_view name) const;
  [[nodiscard]] std::string_view value(FieldId id) const;

  [[nodiscard]] std::size_t size() const { return lines_.size(); }
  [[nodiscard]] bool empty() const { return lines_.empty(); }
  [[nodiscard]] const Field& operator[](std::size_t i) const { return lines_[i]; }
  [[nodiscard]] auto begin() const { return lines_.begin(); }
  [[nodiscard]] auto end() const { return lines_.end(); }

 private:
  std::vector<Field> lines_;
};

enum class Method : std::uint8_t { Get, Head, Post, Put, Delete, Options, Patch, Trace, Connect, Other };
[[nodiscard]] Method method_of(std::string_view text);  // methods are case-sensitive
[[nodiscard]] bool is_idempotent(Method method);        // RFC 9110 section 9.2.2

// How the body's end is told (RFC 9112 section 6.3).
struct Framing {
  enum class Kind : std::uint8_t {
    None,        // no body
    Length,      // `length` bytes
    Chunked,     // chunked coding
    UntilClose,  // responses only: until the connection closes
  };
  Kind kind = Kind::None;
  std::uint64_t length = 0;  // Length only; at most 2^63-1

  [[nodiscard]] static constexpr Framing none() { return {}; }
  [[nodiscard]] static constexpr Framing of_length(std::uint64_t n) { return {Kind::Length, n}; }
  [[nodiscard]] static constexpr Framing chunked() { return {Kind::Chunked, 0}; }
  [[nodiscard]] static constexpr Framing until_close() { return {Kind::UntilClose, 0}; }
  [[nodiscard]] bool empty() const { return kind == Kind::None || (kind == Kind::Length && length == 0); }
  bool operator==(const Framing&) const = default;
};

enum class TargetForm : std::uint8_t { Origin, Absolute, Authority, Asterisk };  // RFC 9112 section 3.2

struct RequestHead {
  Method method = Method::Get;
  TargetForm form = TargetForm::Origin;
  std::uint8_t minor = 1;  // HTTP/1.minor
  bool keep_alive = true;  // whether the visitor wants the connection kept, and it can be: not behind a CONNECT
  bool expect_continue = false;
  bool upgrade = false;  // a real upgrade: one protocol, named by Upgrade and Connection, no body, not h2c
  bool connection_names_fields = false;  // Connection names fields that have to go on forwarding
  std::uint16_t port = 0;                // 0: none given
  Framing framing;                       // None, Length or Chunked
  std::string_view method_text;
  std::string_view target;  // as sent
  std::string_view scheme;  // absolute-form only: "http" or "https", as sent
  // As sent (Host, or absolute-form's or CONNECT's, which equals it); empty: HTTP/1.0 without Host.
  std::string_view authority;
  std::string_view host;  // authority without port; IPv6 in its brackets; not normalised (host.h does)
  std::string_view
      path_and_query;  // what goes to the origin, but may lack the leading '/' in absolute-form; "*" for Asterisk, "" for Authority
  std::string_view path;              // without query; may be empty in absolute-form
  std::string_view query;             // without '?'
  std::string_view upgrade_protocol;  // where upgrade
  Fields fields;
  // Names of fields that rules have decided on, where there may be trailers: what is alike is not let in behind the body. They outlive the head.
  std::vector<std::string_view> settled;

  void reset();  // as new, keeping the fields' storage
};

struct ResponseHead {
  std::uint16_t status = 200;
  std::uint8_t minor = 1;
  bool keep_alive = true;  // whether the origin's connection may carry another request after this message
  bool upgrade = false;    // 101, or 2xx to CONNECT: raw bytes follow
  bool connection_names_fields = false;
  Framing framing;
  std::string_view reason;
  std::string_view upgrade_protocol;  // of a 101
  Fields fields;

  [[nodiscard]] bool interim() const { return status < 200 && status != 101; }  // another head follows
  void reset();
};

}  // namespace ferrotunnel::http
