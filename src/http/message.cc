#include "http/message.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ferrotunnel::http {
namespace {

struct Known {
  std::string_view name;  // lower case
  FieldId id;
};

// Ordered by length, so that a name is compared with those of its own length only.
constexpr std::array kKnown = {
    Known{"te", FieldId::Te},
    Known{"via", FieldId::Via},
    Known{"host", FieldId::Host},
    Known{"proxy", FieldId::Proxy},
    Known{"accept", FieldId::Accept},
    Known{"expect", FieldId::Expect},
    Known{"trailer", FieldId::Trailer},
    Known{"upgrade", FieldId::Upgrade},
    Known{"forwarded", FieldId::Forwarded},
    Known{"x-real-ip", FieldId::XRealIp},
    Known{"connection", FieldId::Connection},
    Known{"keep-alive", FieldId::KeepAlive},
    Known{"x-request-id", FieldId::XRequestId},
    Known{"content-length", FieldId::ContentLength},
    Known{"http2-settings", FieldId::Http2Settings},
    Known{"x-forwarded-for", FieldId::XForwardedFor},
    Known{"proxy-connection", FieldId::ProxyConnection},
    Known{"x-forwarded-host", FieldId::XForwardedHost},
    Known{"transfer-encoding", FieldId::TransferEncoding},
    Known{"x-forwarded-proto", FieldId::XForwardedProto},
    Known{"proxy-authenticate", FieldId::ProxyAuthenticate},
    Known{"proxy-authorization", FieldId::ProxyAuthorization},
};
constexpr std::size_t kLongestKnown = kKnown.back().name.size();
constexpr std::string_view kForwardedPrefix = "x-forwarded-";
constexpr std::string_view kFerrotunnelPrefix = "ferrotunnel-";

// kFirst[n] is where names of length n begin in kKnown.
constexpr auto kFirst = [] {
  std::array<std::uint8_t, kLongestKnown + 2> first{};
  for (std::size_t n = 0; n < first.size(); ++n)
    first[n] = static_cast<std::uint8_t>(
        std::count_if(kKnown.begin(), kKnown.end(), [n](const Known& k) { return k.name.size() < n; }));
  return first;
}();

// `known` is lower-case letters, digits and '-'; for bytes of a token, setting bit 5 is exactly lower-casing where it can match.
bool matches(const char* token, std::string_view known) {
  for (std::size_t i = 0; i < known.size(); ++i)
    if ((token[i] | 0x20) != known[i]) return false;
  return true;
}

FieldId spelled_with_dashes(std::string_view name) {
  if (name.size() <= kLongestKnown) {
    for (std::size_t i = kFirst[name.size()]; i < kFirst[name.size() + 1]; ++i)
      if (matches(name.data(), kKnown[i].name)) return kKnown[i].id;
  }
  if (name.size() > kForwardedPrefix.size() && (name[0] | 0x20) == 'x' && matches(name.data(), kForwardedPrefix))
    return FieldId::XForwardedOther;
  if (name.size() >= kFerrotunnelPrefix.size() && (name[0] | 0x20) == 'f' && matches(name.data(), kFerrotunnelPrefix))
    return FieldId::Ferrotunnel;
  return FieldId::Other;
}

// By first letter: bit n, whether another spelling of a known name or prefix may be n bytes long. Most fields that are not known have none.
constexpr std::size_t kLongestBit = 31;
constexpr std::size_t letter_of(std::string_view name) { return static_cast<unsigned char>(name[0]) & 0x1fU; }
constexpr auto kAliasLengths = [] {
  std::array<std::uint32_t, 32> bits{};
  for (const Known& known : kKnown)
    if (known.name.contains('-')) bits[letter_of(known.name)] |= 1U << known.name.size();
  for (const std::string_view prefix : {kForwardedPrefix, kFerrotunnelPrefix})
    for (std::size_t n = prefix.size(); n <= kLongestBit; ++n) bits[letter_of(prefix)] |= 1U << n;
  return bits;
}();

bool may_be_alias(std::string_view name) {
  return !name.empty() && (kAliasLengths[letter_of(name)] >> std::min(name.size(), kLongestBit) & 1U) != 0;
}

char folded(char c) {
  const char lower = to_lower(c);
  return is(c, kDigitByte) || (lower >= 'a' && lower <= 'z') ? lower : '-';
}

}  // namespace

FieldId field_id(std::string_view name) {
  const FieldId id = spelled_with_dashes(name);
  if (id != FieldId::Other || !may_be_alias(name)) return id;
  // "X_Forwarded_For" is HTTP_X_FORWARDED_FOR to a CGI-like origin, as the true one is; so is "X.Forwarded.For" to some.
  std::array<char, kLongestKnown> dashed{};
  const std::size_t kept = std::min(name.size(), dashed.size());
  std::ranges::transform(name.substr(0, kept), dashed.begin(), folded);
  const std::string_view spelling(dashed.data(), kept);
  const bool alias = name.size() <= kLongestKnown
                         ? spelled_with_dashes(spelling) != FieldId::Other
                         : matches(spelling.data(), kForwardedPrefix) || matches(spelling.data(), kFerrotunnelPrefix);
  return alias ? FieldId::UnderscoreAlias : FieldId::Other;
}

bool alike(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, folded, folded); }

std::size_t Fields::remove(std::string_view name) {
  return std::erase_if(lines_, [name](const Field& field) { return iequals(field.name, name); });
}

std::size_t Fields::remove_alike(std::string_view name) {
  return std::erase_if(lines_, [name](const Field& field) { return alike(field.name, name); });
}

void Fields::mark(std::string_view name, FieldId id) {
  for (Field& field : lines_)
    if (iequals(field.name, name)) field.id = id;
}

std::size_t Fields::remove(FieldId id) {
  return std::erase_if(lines_, [id](const Field& field) { return field.id == id; });
}

const Field* Fields::find(std::string_view name) const {
  for (const Field& field : lines_)
    if (iequals(field.name, name)) return &field;
  return nullptr;
}

const Field* Fields::find(FieldId id) const {
  for (const Field& field : lines_)
    if (field.id == id) return &field;
  return nullptr;
}

std::string_view Fields::value(std::string_view name) const {
  const Field* field = find(name);
  return field != nullptr ? field->value : std::string_view{};
}

std::string_view Fields::value(FieldId id) const {
  const Field* field = find(id);
  return field != nullptr ? field->value : std::string_view{};
}

Method method_of(std::string_view text) {
  switch (text.size()) {
    case 3: return text == "GET" ? Method::Get : text == "PUT" ? Method::Put : Method::Other;
    case 4: return text == "POST" ? Method::Post : text == "HEAD" ? Method::Head : Method::Other;
    case 5: return text == "PATCH" ? Method::Patch : text == "TRACE" ? Method::Trace : Method::Other;
    case 6: return text == "DELETE" ? Method::Delete : Method::Other;
    case 7: return text == "OPTIONS" ? Method::Options : text == "CONNECT" ? Method::Connect : Method::Other;
    default: return Method::Other;
  }
}

bool is_idempotent(Method method) {
  switch (method) {
    case Method::Get:
    case Method::Head:
    case Method::Options:
    case Method::Trace:
    case Method::Put:
    case Method::Delete: return true;
    case Method::Post:
    case Method::Patch:
    case Method::Connect:
    case Method::Other: return false;
  }
  return false;
}

void RequestHead::reset() {
  Fields kept = std::move(fields);
  kept.clear();
  *this = RequestHead{};
  fields = std::move(kept);
}

void ResponseHead::reset() {
  Fields kept = std::move(fields);
  kept.clear();
  *this = ResponseHead{};
  fields = std::move(kept);
}

}  // namespace ferrotunnel::http
