// Heads as comparable values, and the ways to feed them: whole, or grown piece by piece as a connection's buffer does.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_head.h"

namespace ferrotunnel::http::testing {

inline RequestContext asked() { return {.head = false, .connect = false, .upgrade_protocol = "websocket"}; }

inline std::string describe(const Fields& fields) {
  std::string out;
  for (const Field& field : fields) out.append(field.name).append(": ").append(field.value).append("\n");
  return out;
}
inline std::string describe(const Framing& framing) {
  return "framing " + std::to_string(static_cast<int>(framing.kind)) + " " + std::to_string(framing.length);
}
inline std::string describe(const RequestHead& head) {
  std::string out;
  for (const std::string_view part : {head.method_text, head.target, head.scheme, head.authority, head.host,
                                      head.path_and_query, head.path, head.query, head.upgrade_protocol})
    out.append("[").append(part).append("]");
  for (const int number :
       {static_cast<int>(head.method), static_cast<int>(head.form), int{head.minor}, int{head.keep_alive},
        int{head.expect_continue}, int{head.upgrade}, int{head.connection_names_fields}, int{head.port}})
    out.append(" ").append(std::to_string(number));
  return out + " " + describe(head.framing) + "\n" + describe(head.fields);
}
inline std::string describe(const ResponseHead& head) {
  std::string out =
      std::to_string(head.status) + " [" + std::string(head.reason) + "][" + std::string(head.upgrade_protocol) + "]";
  for (const int number : {int{head.minor}, int{head.keep_alive}, int{head.upgrade}, int{head.connection_names_fields}})
    out.append(" ").append(std::to_string(number));
  return out + " " + describe(head.framing) + "\n" + describe(head.fields);
}
inline std::string describe(const Parse& parse) {
  if (parse.need_more()) return "more";
  if (parse.done()) return "done " + std::to_string(parse.consumed);
  return "bad " + std::to_string(parse.refusal->status) + " " + std::string(parse.refusal->slug);
}

// Everything that is known after `text` came in pieces that end at `cuts` (ascending) and at its own end. Each call gets a fresh, exactly
// sized copy, so that a read past the end or a view into an older buffer is found by the sanitizer.
template <class Head, class ParseCall>
std::string feed(std::string_view text, const std::vector<std::size_t>& cuts, HeadScanner::Kind kind,
                 ParseCall&& parse_call) {
  HeadScanner scanner(kind);
  Head head;
  auto step = [&](std::size_t size) -> std::string {
    const auto copy = std::make_unique<char[]>(size);
    text.copy(copy.get(), size);
    const Parse parse = parse_call(std::string_view(copy.get(), size), scanner, head);
    if (parse.need_more()) return {};
    return describe(parse) + "\n" + (parse.done() ? describe(head) : "");
  };
  for (const std::size_t cut : cuts)
    if (std::string result = step(cut); !result.empty()) return result;
  std::string result = step(text.size());
  return result.empty() ? "more" : result;
}

inline std::string feed_request(std::string_view text, const std::vector<std::size_t>& cuts = {},
                                const Limits& limits = {}) {
  return feed<RequestHead>(text, cuts, HeadScanner::Kind::Request,
                           [&](std::string_view buffer, HeadScanner& scanner, RequestHead& head) {
                             return parse_request_head(buffer, limits, scanner, head);
                           });
}
inline std::string feed_response(std::string_view text, const std::vector<std::size_t>& cuts = {},
                                 const Limits& limits = {}, const RequestContext& request = asked()) {
  return feed<ResponseHead>(text, cuts, HeadScanner::Kind::Response,
                            [&](std::string_view buffer, HeadScanner& scanner, ResponseHead& head) {
                              return parse_response_head(buffer, limits, scanner, request, head);
                            });
}

}  // namespace ferrotunnel::http::testing
