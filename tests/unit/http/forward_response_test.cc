// Golden heads: what a visitor gets for what an origin sent.
#include <gtest/gtest.h>

#include "http/forward.h"
#include "unit/http/head_vectors.h"
#include "unit/http/heads.h"

namespace ferrotunnel::http::testing {
namespace {

struct Sent {
  std::string text;
  ResponsePlan plan;
};
Sent forwarded(std::string_view text, const ResponseContext& context = {}) {
  ResponseHead head;
  const RequestContext request{.head = context.head_request, .upgrade_protocol = "websocket"};
  EXPECT_TRUE(parse_response_head(text, {}, request, head).done()) << text;
  Sent sent;
  sent.plan = append_response_head(sent.text, head, context);
  return sent;
}

constexpr ResponseContext kTo10{.visitor_minor = 0, .keep_alive = false};
constexpr ResponseContext kTo10Kept{.visitor_minor = 0, .keep_alive = true};
constexpr ResponseContext kClosing{.keep_alive = false};
constexpr ResponseContext kToHead{.head_request = true};

constexpr std::string_view kLength =
    "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 05\r\nConnection: keep-alive, Hop\r\nHop: 1\r\nKeep-Alive: 5\r\n\r\n";
constexpr std::string_view kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: T\r\n\r\n";
constexpr std::string_view kUntilClose = "HTTP/1.0 200 OK\r\nA: b\r\n\r\n";

TEST(ForwardResponse, Length) {
  const Sent sent = forwarded(kLength);
  EXPECT_EQ(sent.text, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(sent.plan.send && sent.plan.keep_alive && !sent.plan.dechunk);
  EXPECT_EQ(forwarded(kLength, kClosing).text,
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(forwarded(kLength, kTo10).text,
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(forwarded(kLength, kTo10Kept).text,
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(forwarded(kLength, kTo10Kept).plan.keep_alive);
}

TEST(ForwardResponse, Chunked) {
  const Sent sent = forwarded(kChunked);
  EXPECT_EQ(sent.text, "HTTP/1.1 200 OK\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_TRUE(sent.plan.keep_alive && !sent.plan.dechunk);
}

TEST(ForwardResponse, ChunkedForHttp10IsUnchunkedAndClosed) {
  const Sent sent = forwarded(kChunked, kTo10Kept);
  EXPECT_EQ(sent.text, "HTTP/1.1 200 OK\r\nTrailer: T\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(sent.plan.dechunk && !sent.plan.keep_alive);
}

TEST(ForwardResponse, UntilCloseCloses) {
  const Sent sent = forwarded(kUntilClose);
  EXPECT_EQ(sent.text, "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(sent.plan.keep_alive);
}

TEST(ForwardResponse, ToHead) {
  EXPECT_EQ(forwarded(kLength, kToHead).text, "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 05\r\n\r\n");
  EXPECT_EQ(forwarded(kChunked, kToHead).text, "HTTP/1.1 200 OK\r\nTrailer: T\r\n\r\n");
  EXPECT_TRUE(forwarded(kUntilClose, kToHead).plan.keep_alive);  // there is no body whose end would have to be told
  EXPECT_FALSE(forwarded(kChunked, {.visitor_minor = 0, .head_request = true}).plan.dechunk);
}

TEST(ForwardResponse, BodilessStatuses) {
  EXPECT_EQ(forwarded("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n").text, "HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n").text, "HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 304 x\r\nContent-Length: 9\r\nETag: e\r\n\r\n").text,
            "HTTP/1.1 304 x\r\nContent-Length: 9\r\nETag: e\r\n\r\n");
  EXPECT_TRUE(forwarded("HTTP/1.1 304 x\r\n\r\n").plan.keep_alive);
}

TEST(ForwardResponse, ADateWhereThereIsNone) {
  const ResponseContext dated{.date = "Sun, 06 Nov 1994 08:49:37 GMT"};
  EXPECT_EQ(forwarded("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", dated).text,
            "HTTP/1.1 404 x\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 200 x\r\ndAte: theirs\r\nContent-Length: 0\r\n\r\n", dated).text,
            "HTTP/1.1 200 x\r\ndAte: theirs\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 103 Hints\r\nLink: l\r\n\r\n", dated).text, "HTTP/1.1 103 Hints\r\nLink: l\r\n\r\n");
}

TEST(ForwardResponse, InterimHeads) {
  EXPECT_EQ(forwarded("HTTP/1.1 100 Continue\r\n\r\n", kClosing).text, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 103 Hints\r\nLink: l\r\n\r\n", {.request_id = "r"}).text,
            "HTTP/1.1 103 Hints\r\nLink: l\r\n\r\n");
  const Sent none = forwarded("HTTP/1.1 100 Continue\r\n\r\n", kTo10);
  EXPECT_EQ(none.text, "");
  EXPECT_FALSE(none.plan.send);
}

TEST(ForwardResponse, Switch) {
  const Sent sent =
      forwarded("HTTP/1.1 101 S\r\nupgrade: WebSocket\r\nconnection: upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n");
  EXPECT_EQ(sent.text,
            "HTTP/1.1 101 S\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
  EXPECT_FALSE(sent.plan.keep_alive);
}

TEST(ForwardResponse, UpgradeIsKeptWhereAStatusRequiresIt) {
  EXPECT_EQ(forwarded("HTTP/1.1 426 U\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n").text,
            "HTTP/1.1 426 U\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: Upgrade\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 426 U\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", kClosing).text,
            "HTTP/1.1 426 U\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: close, Upgrade\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n").text,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(ForwardResponse, RequestId) {
  const std::string_view text = "HTTP/1.1 204 x\r\nX-Request-Id: theirs\r\n\r\n";
  EXPECT_EQ(forwarded(text).text, "HTTP/1.1 204 x\r\nX-Request-Id: theirs\r\n\r\n");
  EXPECT_EQ(forwarded(text, {.request_id = "ours"}).text, "HTTP/1.1 204 x\r\nX-Request-Id: ours\r\n\r\n");
}

TEST(ForwardResponse, NobodyTakesAnOriginsWordForTheTunnels) {
  EXPECT_EQ(
      forwarded("HTTP/1.1 200 OK\r\nFerrotunnel-Error: link-lost\r\nfErRoTuNnEl-sIdE: tunnel\r\nFerrotunnel-: x\r\n"
                "Ferrotunnel: y\r\nFerrotunnel-Something-Longer-Than-All: z\r\nContent-Length: 0\r\n\r\n")
          .text,
      "HTTP/1.1 200 OK\r\nFerrotunnel: y\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(forwarded("HTTP/1.1 103 Hints\r\nFerrotunnel-Side: origin\r\nLink: l\r\n\r\n").text,
            "HTTP/1.1 103 Hints\r\nLink: l\r\n\r\n");
}

TEST(ForwardResponse, EverythingElsePasses) {
  const std::string_view text =
      "HTTP/1.1 302 Gefunden\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nLocation: /\r\nmy_header: c\r\nContent-Length: "
      "0\r\n\r\n";
  EXPECT_EQ(forwarded(text).text, text);
}

TEST(ForwardResponse, WhatIsSentOnParsesAgainAsTheSame) {
  for (const std::string_view text : good_responses()) {
    ResponseHead first;
    ASSERT_TRUE(parse_response_head(text, {}, asked(), first).done());
    std::string out;
    const ResponsePlan plan = append_response_head(out, first, {});
    ResponseHead second;
    ASSERT_TRUE(parse_response_head(out, {}, asked(), second).done()) << out;
    EXPECT_EQ(second.status, first.status);
    EXPECT_EQ(second.reason, first.reason);
    EXPECT_EQ(second.framing, first.framing);
    EXPECT_EQ(second.keep_alive, plan.keep_alive) << text;
    EXPECT_EQ(second.upgrade, first.upgrade);
  }
}

}  // namespace
}  // namespace ferrotunnel::http::testing
