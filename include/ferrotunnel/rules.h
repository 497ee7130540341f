// Rules of HTTP tunnels: what the server does to a request before it sends it on, or instead.
//
//   tunnel.rules = {ferrotunnel::rules::basic_auth({"ann:$2b$10$…"}),
//                   ferrotunnel::rules::strip_prefix("/api"),
//                   ferrotunnel::rules::set_request_headers({"X-Visitor: ${visitor.address}"})};
//   tunnel.rules.back().paths = {"/api"};      // of requests below /api only
//
// Whatever their order: cors, basic_auth and max_body come first, then redirect and answer, then what changes the request and the response; two
// of one kind come in the order in which they stand. All look at the request as the visitor sent it. In a tunnel whose rules look at
// paths, a path goes on in one spelling (docs/configuration.md, "Rules"), and one that could be read as another is refused. Values may hold
// ${visitor.address}, ${visitor.port}, ${request.id}, ${request.host}, ${request.scheme}, and of a request ${request.method},
// ${request.path}, ${request.uri} (with the query) and ${request.query}.
//
// Mistakes are found when the client is built. Values and free functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ferrotunnel {

struct TunnelRule {
  std::string name;  // "strip_prefix"
  std::vector<std::pair<std::string, std::string>> settings{};
  // Which requests: below one of these paths (whole segments: "/api" is not "/apis"), by one of these methods, with all of these headers ("Name"
  // or "Name: value"). Empty: every one.
  std::vector<std::string> paths{}, methods{}, headers{};
  friend bool operator==(const TunnelRule&, const TunnelRule&) = default;

  // A setting more. "": none.
  TunnelRule& with(const std::string& setting, std::string value) {
    if (!value.empty()) settings.emplace_back(setting, std::move(value));
    return *this;
  }
  TunnelRule& with(const std::string& setting, const std::vector<std::string>& values) {
    for (const std::string& value : values) with(setting, value);
    return *this;
  }
};

namespace rules {

// "NAME:HASH", bcrypt or yescrypt; "NAME:PASSWORD" is hashed by the client before it goes anywhere.
[[nodiscard]] inline TunnelRule basic_auth(const std::vector<std::string>& users, const std::string& realm = {}) {
  return TunnelRule{"basic_auth"}.with("user", users).with("realm", realm);
}
// Off the path, or in front of it.
[[nodiscard]] inline TunnelRule strip_prefix(const std::string& prefix) {
  return TunnelRule{"strip_prefix"}.with("prefix", prefix);
}
[[nodiscard]] inline TunnelRule add_prefix(const std::string& prefix) {
  return TunnelRule{"add_prefix"}.with("prefix", prefix);
}
// The Host that the local service gets; "origin": that of TunnelConfig::to. X-Forwarded-Host has the visitor's.
[[nodiscard]] inline TunnelRule host(const std::string& host) { return TunnelRule{"host"}.with("host", host); }
// "Name: value"; set takes the place of what is there, add does not.
[[nodiscard]] inline TunnelRule set_request_headers(const std::vector<std::string>& lines) {
  return TunnelRule{"request_headers"}.with("set", lines);
}
[[nodiscard]] inline TunnelRule add_request_headers(const std::vector<std::string>& lines) {
  return TunnelRule{"request_headers"}.with("add", lines);
}
[[nodiscard]] inline TunnelRule remove_request_headers(const std::vector<std::string>& names) {
  return TunnelRule{"request_headers"}.with("remove", names);
}
[[nodiscard]] inline TunnelRule set_response_headers(const std::vector<std::string>& lines) {
  return TunnelRule{"response_headers"}.with("set", lines);
}
[[nodiscard]] inline TunnelRule add_response_headers(const std::vector<std::string>& lines) {
  return TunnelRule{"response_headers"}.with("add", lines);
}
[[nodiscard]] inline TunnelRule remove_response_headers(const std::vector<std::string>& names) {
  return TunnelRule{"response_headers"}.with("remove", names);
}
// To a URL or a path, such as "https://new.example.com${request.uri}".
[[nodiscard]] inline TunnelRule redirect(const std::string& to, std::uint16_t status = 302) {
  return TunnelRule{"redirect"}.with("to", to).with("status", std::to_string(status));
}
// The same to everybody; the local service is not asked.
[[nodiscard]] inline TunnelRule answer(std::uint16_t status, const std::string& body = {},
                                       const std::string& content_type = {}) {
  return TunnelRule{"answer"}.with("status", std::to_string(status)).with("body", body).with("type", content_type);
}
// 413 to larger bodies, chunked ones too.
[[nodiscard]] inline TunnelRule max_body(std::uint64_t bytes) {
  return TunnelRule{"max_body"}.with("bytes", std::to_string(bytes));
}
// Text that the local service sends plain, in one of these codings ("gzip", "zstd", "br"; none named: each of them) where the visitor takes it and
// the body is not smaller than `min` bytes.
[[nodiscard]] inline TunnelRule compress(const std::vector<std::string>& codings = {}, std::uint64_t min = 1024) {
  return TunnelRule{"compress"}.with("coding", codings).with("min", std::to_string(min));
}
// Pages of these sites may ask ("https://app.example.com"; "*": all). Further settings: method, header, expose, credentials, max_age.
[[nodiscard]] inline TunnelRule cors(const std::vector<std::string>& origins) {
  return TunnelRule{"cors"}.with("origin", origins);
}

}  // namespace rules
}  // namespace ferrotunnel
