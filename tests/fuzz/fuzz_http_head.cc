// Heads: parsed whole and in pieces they are the same, and what is sent on parses again as the same message.
//
// Input: a byte of flags, a byte that says how long the pieces are, then the head. Flags (bits 0 to 5): response, answer to HEAD,
// tight limits, trusted visitor, HTTP/1.0 visitor, a connection to be closed. Printable bytes do: '@' is no flag, 'A' a response.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/error_page.h"
#include "http/forward.h"
#include "http/host.h"
#include "unit/http/heads.h"

namespace {

using namespace ferrotunnel::http;
using namespace ferrotunnel::http::testing;

constexpr std::size_t kMostPieces = 64;
constexpr Limits kTight{.head_bytes = 128, .fields = 4, .target_bytes = 24, .method_bytes = 6, .connection_options = 3};
// Forwarding adds fields, so what was at a limit may go past it.
constexpr Limits kRoomy{.head_bytes = 1 << 20, .fields = 1000, .target_bytes = 1 << 16, .method_bytes = 1 << 16};

struct Flags {
  bool response, head, tight, trusted, http10, closing, connect;
};

void check(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::size_t> cuts_of(std::size_t size, std::uint8_t step) {
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < size && cuts.size() < kMostPieces; at += step + std::size_t{1}) cuts.push_back(at);
  return cuts;
}

void check_error_page(const RequestHead& head) {
  const std::string page = make_error_response({.status = 502,
                                                .slug = head.path,
                                                .sentence = head.query,
                                                .request_id = head.target,
                                                .accept = head.fields.value(FieldId::Accept),
                                                .host = head.authority});
  ResponseHead parsed;
  const Parse parse = parse_response_head(page, kRoomy, {}, parsed);
  check(parse.done() && parsed.framing == Framing::of_length(page.size() - parse.consumed));
}

void check_host(const RequestHead& head) {
  std::string host;
  check(normalise_host(head.authority, host));
  std::string again;
  check(normalise_host(host, again) && again == host);
  check(same_authority(head.authority, head.authority, 80));
}

void check_request(std::string_view text, const Limits& limits, const Flags& flags) {
  RequestHead first;
  if (!parse_request_head(text, limits, first).done()) return;
  if (!first.authority.empty()) check_host(first);
  check_error_page(first);
  const ForwardContext context{.visitor = "192.0.2.1",
                               .request_id = "id",
                               .host_rewrite = first.authority.empty() ? "fallback" : "",
                               .trust_forwarded = flags.trusted,
                               .drop_expect = flags.closing};
  std::string out;
  append_request_head(out, first, context);
  RequestHead second;
  const Parse parse = parse_request_head(out, kRoomy, second);
  check(parse.done() && parse.consumed == out.size());
  check(second.method_text == first.method_text && second.framing == first.framing && second.minor == 1);
  check(second.query == first.query && (second.path == first.path || (first.path.empty() && second.path == "/")));
  check(first.authority.empty() || second.authority == first.authority);
  check(second.upgrade == first.upgrade && second.upgrade_protocol == first.upgrade_protocol);
  const bool connect = first.method == Method::Connect;
  check(second.form == first.form || (first.form == TargetForm::Absolute && !connect));
  check(second.expect_continue == (first.expect_continue && !flags.closing) && second.keep_alive == !connect);
  check(!connect || (first.framing == Framing::none() && !first.keep_alive && first.port != 0 && !first.upgrade));
  for (const FieldId gone : {FieldId::KeepAlive, FieldId::Proxy, FieldId::ProxyConnection, FieldId::ProxyAuthorization,
                             FieldId::UnderscoreAlias, FieldId::Http2Settings})
    check(second.fields.find(gone) == nullptr || (connect && gone == FieldId::ProxyAuthorization));
  // Each hop adds itself where it is trusted, and a host that was missing is known from here on.
  if (flags.trusted || first.authority.empty()) return;
  std::string again;
  append_request_head(again, second, context);
  check(again == out);
}

void check_response(std::string_view text, const Limits& limits, const Flags& flags) {
  const RequestContext request{
      .head = flags.head, .connect = flags.connect, .upgrade_protocol = asked().upgrade_protocol};
  ResponseHead first;
  if (!parse_response_head(text, limits, request, first).done()) return;
  std::string out;
  const ResponsePlan plan = append_response_head(out, first,
                                                 {.visitor_minor = static_cast<std::uint8_t>(flags.http10 ? 0 : 1),
                                                  .keep_alive = !flags.closing,
                                                  .head_request = flags.head});
  check(plan.send == !out.empty());
  if (!plan.send) return;
  ResponseHead second;
  const Parse parse = parse_response_head(out, kRoomy, request, second);
  check(parse.done() && parse.consumed == out.size());
  check(second.status == first.status && second.reason == first.reason && second.upgrade == first.upgrade);
  check(second.framing == (plan.dechunk ? Framing::until_close() : first.framing));
  check(first.status < 200 || second.keep_alive == plan.keep_alive);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto bit = [data](int n) { return (data[0] >> n & 1) != 0; };
  const Flags flags{bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6)};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Limits limits = flags.tight ? kTight : Limits{};
  const auto cuts = cuts_of(text.size(), data[1]);
  if (flags.response) {
    const RequestContext request{
        .head = flags.head, .connect = flags.connect, .upgrade_protocol = asked().upgrade_protocol};
    check(feed_response(text, cuts, limits, request) == feed_response(text, {}, limits, request));
    check_response(text, limits, flags);
  } else {
    check(feed_request(text, cuts, limits) == feed_request(text, {}, limits));
    check_request(text, limits, flags);
  }
  return 0;
}
