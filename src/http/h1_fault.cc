#include "http/h1_fault.h"

#include <array>
#include <cstddef>

namespace ferrotunnel::http {
namespace {

struct Entry {
  HeadFault fault;
  Refusal refusal;
};

// In the order of HeadFault.
constexpr std::array kEntries = {
    Entry{HeadFault::None, {500, "internal", "No fault."}},
    Entry{HeadFault::BareCr, {400, "bare-cr", "A carriage return stands alone; lines end with CR LF."}},
    Entry{HeadFault::BareLf, {400, "bare-lf", "A line feed stands alone; lines end with CR LF."}},
    Entry{HeadFault::EmptyLines, {400, "empty-lines", "More than one empty line precedes the message."}},
    Entry{HeadFault::HeadTooLarge, {431, "head-too-large", "The message head is larger than the limit."}},
    Entry{HeadFault::TooManyFields, {431, "too-many-fields", "The message has more header fields than the limit."}},
    Entry{HeadFault::NotHttp, {400, "not-http", "The bytes are not HTTP/1."}},
    Entry{HeadFault::RequestLine,
          {400, "request-line", "The request line is not method, target and version with single spaces."}},
    Entry{HeadFault::Method, {400, "method-invalid", "The method is not a token."}},
    Entry{HeadFault::MethodTooLong, {501, "method-too-long", "The method is longer than any known one."}},
    Entry{HeadFault::Connect, {501, "connect-refused", "CONNECT is not offered here."}},
    Entry{HeadFault::ConnectTarget, {400, "connect-target", "CONNECT names a host and a port, and nothing else."}},
    Entry{HeadFault::ConnectBody, {400, "connect-body", "CONNECT has no body, and says the length of none."}},
    Entry{HeadFault::TargetByte, {400, "target-byte", "The request target has a byte that has to be percent-encoded."}},
    Entry{HeadFault::TargetForm, {400, "target-form", "The request target is neither a path nor an absolute URI."}},
    Entry{HeadFault::TargetFragment, {400, "target-fragment", "The request target has a fragment."}},
    Entry{HeadFault::TargetTooLong, {414, "target-too-long", "The request target is longer than the limit."}},
    Entry{HeadFault::Scheme, {400, "scheme-unknown", "The request target's scheme is neither http nor https."}},
    Entry{HeadFault::Userinfo, {400, "userinfo", "The request target names a user."}},
    Entry{HeadFault::Version, {505, "http-version", "Only HTTP/1.0 and HTTP/1.1 are spoken here."}},
    Entry{HeadFault::StatusLine, {400, "status-line", "The status line is malformed."}},
    Entry{HeadFault::LeadingSpace, {400, "leading-space", "White space precedes the first header field."}},
    Entry{HeadFault::ObsFold, {400, "obs-fold", "A header field is folded over several lines."}},
    Entry{HeadFault::SpaceBeforeColon,
          {400, "space-before-colon", "White space stands between a field name and its colon."}},
    Entry{HeadFault::FieldName, {400, "field-name", "A field name is empty or not a token."}},
    Entry{HeadFault::FieldNoColon, {400, "field-no-colon", "A field line has no colon."}},
    Entry{HeadFault::FieldValueByte, {400, "field-value-byte", "A field value has a control byte."}},
    Entry{HeadFault::HostMissing, {400, "host-missing", "HTTP/1.1 requires a Host field."}},
    Entry{HeadFault::HostRepeated, {400, "host-repeated", "There is more than one Host field."}},
    Entry{HeadFault::HostInvalid, {400, "host-invalid", "The host is not a name, an address or has a wrong port."}},
    Entry{HeadFault::HostDiffers, {400, "host-differs", "Host and the request target name different hosts."}},
    Entry{HeadFault::ContentLength, {400, "content-length", "Content-Length is not one decimal number below 2^63."}},
    Entry{HeadFault::ContentLengthRepeated,
          {400, "content-length-repeated", "There is more than one Content-Length field."}},
    Entry{HeadFault::TransferEncoding, {400, "transfer-encoding", "Transfer-Encoding is not exactly \"chunked\"."}},
    Entry{HeadFault::TransferEncodingRepeated,
          {400, "transfer-encoding-repeated", "There is more than one Transfer-Encoding field."}},
    Entry{HeadFault::TransferEncodingOn10, {400, "transfer-encoding-on-http10", "HTTP/1.0 has no Transfer-Encoding."}},
    Entry{HeadFault::LengthAndTransferEncoding,
          {400, "length-and-chunked", "Both Content-Length and Transfer-Encoding are given."}},
    Entry{HeadFault::ConnectionOptions, {400, "connection-options", "Connection has more members than the limit."}},
    Entry{HeadFault::Expectation, {417, "expectation", "Only 100-continue can be expected."}},
    Entry{HeadFault::InterimFraming, {400, "interim-framing", "A 1xx response announces a body."}},
    Entry{HeadFault::UpgradeUnasked,
          {400, "upgrade-unasked", "The origin switched to a protocol that was not asked for."}},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kEntries.size(); ++i)
    if (static_cast<std::size_t>(kEntries[i].fault) != i) return false;
  return kEntries.size() == static_cast<std::size_t>(HeadFault::UpgradeUnasked) + 1;
}
static_assert(in_order());

constexpr auto kAsOrigin = [] {
  auto entries = kEntries;
  for (Entry& entry : entries) entry.refusal.status = 502;
  return entries;
}();

}  // namespace

const Refusal& refusal_of(HeadFault fault, HeadScanner::Kind kind) {
  const auto& entries = kind == HeadScanner::Kind::Request ? kEntries : kAsOrigin;
  return entries[static_cast<std::size_t>(fault)].refusal;
}

}  // namespace ferrotunnel::http
