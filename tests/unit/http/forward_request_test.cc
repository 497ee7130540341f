// Golden heads: what an origin gets for what a visitor sent.
#include <gtest/gtest.h>

#include "http/forward.h"
#include "http/last_hop.h"
#include "unit/http/head_vectors.h"
#include "unit/http/heads.h"

namespace ferrotunnel::http::testing {
namespace {

const ForwardContext kContext{.visitor = "198.51.100.7", .proto = "https", .request_id = "r-1"};

std::string forwarded(std::string_view text, const ForwardContext& context = kContext) {
  RequestHead head;
  const Parse parse = parse_request_head(text, {}, head);
  EXPECT_TRUE(parse.done()) << text;
  std::string out;
  append_request_head(out, head, context);
  return out;
}

constexpr std::string_view kIdentity =
    "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\nX-Request-Id: r-1\r\n\r\n";
std::string with_identity(std::string_view lines) { return std::string(lines) + std::string(kIdentity); }

TEST(ForwardRequest, APlainGet) {
  EXPECT_EQ(forwarded("GET /a?b HTTP/1.1\r\nUser-Agent:u\r\nHost:  x\r\nAccept: */*  \r\n\r\n"),
            with_identity("GET /a?b HTTP/1.1\r\nHost: x\r\nUser-Agent: u\r\nAccept: */*\r\n"));
}

TEST(ForwardRequest, HopByHopFieldsGo) {
  EXPECT_EQ(
      forwarded(
          "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Hop, Accept\r\nX-Hop: 1\r\nx-HOP: 2\r\nAccept: a\r\n"
          "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: p\r\nProxy-Authenticate: p\r\n"
          "Proxy: http://evil\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nTE: deflate\r\nKept: yes\r\n\r\n"),
      with_identity("GET / HTTP/1.1\r\nHost: x\r\nKept: yes\r\n"));
}

TEST(ForwardRequest, ForwardsAreCounted) {
  const auto left = [](std::string_view method, std::string_view value) {
    const std::string sent =
        forwarded(std::string(method) + " / HTTP/1.1\r\nHost: x\r\nmax-FORWARDS: " + std::string(value) + "\r\n\r\n");
    const std::size_t at = sent.find("max-FORWARDS: ") + 14;
    return sent.substr(at, sent.find("\r\n", at) - at);
  };
  EXPECT_EQ(left("TRACE", "1"), "0");
  EXPECT_EQ(left("OPTIONS", "0010"), "9");
  EXPECT_EQ(left("OPTIONS", "99999999999999999999999"), "18446744073709551614");
  EXPECT_EQ(left("OPTIONS", "-1"), "-1");  // no number
  EXPECT_EQ(left("OPTIONS", "1, 2"), "1, 2");
  EXPECT_EQ(left("GET", "5"), "5");
  const auto ends = [](std::string_view text) {
    RequestHead head;
    EXPECT_TRUE(parse_request_head(text, {}, head).done()) << text;
    return ends_here(head);
  };
  EXPECT_TRUE(ends("TRACE / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"));
  EXPECT_TRUE(ends("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 3\r\nMax-Forwards: 000\r\n\r\n"));
  EXPECT_FALSE(ends("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 1\r\n\r\n"));
  EXPECT_FALSE(ends("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(ends("GET / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"));
}

TEST(ForwardRequest, ConnectGoesOnWithItsTarget) {
  ForwardContext context = kContext;
  context.host_rewrite = "other.test";  // it is not what was asked for
  EXPECT_EQ(forwarded("CONNECT x:443 HTTP/1.0\r\nProxy-Authorization: Basic p\r\nProxy-Connection: a\r\n"
                      "Authorization: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                      context),
            "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nProxy-Authorization: Basic p\r\nAuthorization: q\r\n"
            "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x:443\r\n"
            "X-Request-Id: r-1\r\n\r\n");
}

TEST(ForwardRequest, ConnectionCannotRemoveWhatWeWrite) {
  EXPECT_EQ(forwarded("POST / HTTP/1.1\r\nHost: x\r\nConnection: host, content-length, "
                      "x-forwarded-for\r\nContent-Length: 3\r\n\r\n"),
            with_identity("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"));
}

TEST(ForwardRequest, FramingIsWrittenAnew) {
  EXPECT_EQ(forwarded("POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 0042\r\nA: b\r\n\r\n"),
            with_identity("POST / HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 42\r\n"));
  EXPECT_EQ(forwarded("POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: CHUNKED\r\nTrailer: T\r\n\r\n"),
            with_identity("POST / HTTP/1.1\r\nHost: x\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_EQ(forwarded("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            with_identity("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"));
}

TEST(ForwardRequest, AlwaysHttp11AndOriginForm) {
  EXPECT_EQ(forwarded("GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
            with_identity("GET /a?b HTTP/1.1\r\nHost: x\r\n"));
  EXPECT_EQ(forwarded("GET http://x?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            with_identity("GET /?b HTTP/1.1\r\nHost: x\r\n"));
  EXPECT_EQ(forwarded("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"), with_identity("GET / HTTP/1.1\r\nHost: x\r\n"));
  EXPECT_EQ(forwarded("OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n"),
            with_identity("OPTIONS * HTTP/1.1\r\nHost: x\r\n"));
  EXPECT_EQ(forwarded("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), with_identity("OPTIONS * HTTP/1.1\r\nHost: x\r\n"));
  EXPECT_EQ(forwarded("GET / HTTP/1.0\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: "
            "r-1\r\n\r\n");
}

TEST(ForwardRequest, AnUpgradeStaysOne) {
  EXPECT_EQ(
      forwarded(
          "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n"
          "Sec-WebSocket-Version: 13\r\n\r\n"),
      with_identity(
          "GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"));
}

TEST(ForwardRequest, TeTrailersStays) {
  EXPECT_EQ(forwarded("GET / HTTP/1.1\r\nHost: x\r\nTE: deflate;q=0.5, Trailers\r\nConnection: TE\r\n\r\n"),
            with_identity("GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n"));
}

TEST(ForwardRequest, Expect) {
  const std::string_view text = "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(forwarded(text),
            with_identity("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"));
  ForwardContext answered = kContext;
  answered.drop_expect = true;
  EXPECT_EQ(forwarded(text, answered), with_identity("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"));
  EXPECT_EQ(forwarded("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"),
            with_identity("GET / HTTP/1.1\r\nHost: x\r\n"));
}

constexpr std::string_view kLiar =
    "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7, 8.8.8.8\r\nX-Forwarded-Proto: "
    "gopher\r\n"
    "X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: "
    "mine\r\n"
    "X_Forwarded_For: 6.6.6.6\r\nX_REAL-IP: 6.6.6.6\r\nContent_Length: 5\r\nhost_: kept\r\n\r\n";

TEST(ForwardRequest, WhatAVisitorSaysOfItselfIsReplaced) {
  EXPECT_EQ(forwarded(kLiar), with_identity("GET / HTTP/1.1\r\nHost: x\r\nhost_: kept\r\n"));
}

TEST(ForwardRequest, ATrustedProxyIsBelieved) {
  ForwardContext context = kContext;
  context.trust_forwarded = true;
  EXPECT_EQ(
      forwarded(kLiar, context),
      "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n"
      "Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nhost_: kept\r\n"
      "X-Forwarded-For: 6.6.6.6, 7.7.7.7, 8.8.8.8, 198.51.100.7\r\nX-Request-Id: r-1\r\n\r\n");
  EXPECT_EQ(forwarded("GET / HTTP/1.1\r\nHost: x\r\n\r\n", context), with_identity("GET / HTTP/1.1\r\nHost: x\r\n"));
}

TEST(ForwardRequest, HostRewriteAndVia) {
  EXPECT_EQ(
      forwarded("GET / HTTP/1.1\r\nHost: Shown.example:8443\r\nVia: 1.0 a\r\n\r\n",
                {.visitor = "::1", .proto = "http", .host_rewrite = "localhost:3000", .via = "1.1 ferrotunnel"}),
      "GET / HTTP/1.1\r\nHost: localhost:3000\r\nVia: 1.0 a\r\nX-Forwarded-For: ::1\r\nX-Forwarded-Proto: http\r\n"
      "X-Forwarded-Host: Shown.example:8443\r\nVia: 1.1 ferrotunnel\r\n\r\n");
}

TEST(ForwardRequest, ForwardedSaysTheSame) {
  ForwardContext context = {.visitor = "2001:db8::1", .proto = "https", .forwarded = true};
  const std::string_view head = "GET / HTTP/1.1\r\nHost: x:1\r\nForwarded: for=6.6.6.6\r\n\r\n";
  const std::string ours =
      "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x:1\r\n"
      "Forwarded: for=\"[2001:db8::1]\";host=\"x:1\";proto=https\r\n\r\n";
  EXPECT_EQ(forwarded(head, context), "GET / HTTP/1.1\r\nHost: x:1\r\n" + ours);
  context.trust_forwarded = true;
  EXPECT_EQ(forwarded(head, context), "GET / HTTP/1.1\r\nHost: x:1\r\nForwarded: for=6.6.6.6\r\n" + ours);
  EXPECT_TRUE(forwarded("GET / HTTP/1.0\r\n\r\n", {.visitor = "192.0.2.1", .forwarded = true})
                  .contains("\r\nForwarded: for=192.0.2.1;proto=http\r\n"));
}

TEST(ForwardRequest, ViaNamesThisServer) {
  std::array<char, 32> room;
  EXPECT_EQ(via_value("1.0", "us", room), "1.0 us");
  EXPECT_EQ(via_value("1.1", std::string(29, 'x'), room), "") << "no room";
  RequestHead head;
  ASSERT_TRUE(
      parse_request_head("GET / HTTP/1.1\r\nHost: x\r\nvia: 1.1 a\r\nVia: 1.0 b, 1.1 us (c)\r\n\r\n", {}, head).done());
  EXPECT_TRUE(via_names(head.fields, "us"));
  EXPECT_FALSE(via_names(head.fields, "them"));
  EXPECT_FALSE(via_names(head.fields, ""));
}

TEST(ForwardRequest, AContextCannotBreakALine) {
  EXPECT_EQ(forwarded("GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                      {.visitor = "1\r\nA: b", .request_id = std::string_view("r\n\0\x7f", 4)}),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1A: b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
            "x\r\nX-Request-Id: r\r\n\r\n");
}

TEST(ForwardRequest, WhatCallsItselfTheTunnelIsDropped) {
  EXPECT_EQ(forwarded("GET / HTTP/1.1\r\nHost: x\r\nFERROTUNNEL-Side: tunnel\r\nferrotunnel_error: a\r\n"
                      "ferrotunnel_something_longer_than_all: b\r\nFerrotunnels: c\r\n\r\n",
                      {}),
            "GET / HTTP/1.1\r\nHost: x\r\nFerrotunnels: c\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n");
}

TEST(ForwardRequest, Appends) {
  RequestHead head;
  ASSERT_TRUE(parse_request_head("GET / HTTP/1.1\r\nHost: x\r\n\r\n", {}, head).done());
  std::string out = "before|";
  append_request_head(out, head, {});
  append_request_head(out, head, {});
  const std::string one = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n";
  EXPECT_EQ(out, "before|" + one + one);
}

// The next parser has to see the same message: same framing, method, path, host; and forwarding it again changes nothing.
TEST(ForwardRequest, WhatIsSentOnParsesAgainAsTheSame) {
  for (const std::string_view text : good_requests()) {
    RequestHead first;
    ASSERT_TRUE(parse_request_head(text, {}, first).done());
    if (first.authority.empty()) continue;  // HTTP/1.0 without Host: the shell has to give one, or refuse
    std::string out;
    append_request_head(out, first, kContext);
    RequestHead second;
    const Parse parse = parse_request_head(out, {}, second);
    ASSERT_TRUE(parse.done()) << out;
    EXPECT_EQ(parse.consumed, out.size());
    EXPECT_EQ(second.method_text, first.method_text);
    EXPECT_EQ(second.framing, first.framing);
    EXPECT_EQ(second.authority, first.authority);
    EXPECT_EQ(second.query, first.query);
    EXPECT_EQ(second.upgrade, first.upgrade);
    EXPECT_EQ(second.expect_continue, first.expect_continue);
    std::string again;
    append_request_head(again, second, kContext);
    EXPECT_EQ(again, out);
  }
}

}  // namespace
}  // namespace ferrotunnel::http::testing
