#include <gtest/gtest.h>

#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

ResponseHead parsed(std::string_view text, const RequestContext& request = {}) {
  ResponseHead head;
  const Parse parse = parse_response_head(text, {}, request, head);
  EXPECT_TRUE(parse.done()) << text << (parse.bad() ? parse.refusal->slug : "more");
  return head;
}

TEST(Response, StatusLine) {
  const ResponseHead head = parsed("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not Found");
  EXPECT_EQ(parsed("HTTP/1.1 204\r\n\r\n").reason, "");
}

TEST(Response, FramingByStatusAndMethod) {
  const std::string_view length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(parsed(length).framing, Framing::of_length(5));
  EXPECT_EQ(parsed(length, {.head = true}).framing, Framing::none());
  EXPECT_TRUE(parsed(length, {.head = true}).keep_alive);
  EXPECT_EQ(parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").framing, Framing::chunked());
  EXPECT_EQ(parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {.head = true}).framing, Framing::none());
  EXPECT_EQ(parsed("HTTP/1.1 200 OK\r\n\r\n").framing, Framing::until_close());
  EXPECT_EQ(parsed("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n").framing, Framing::none());
  EXPECT_EQ(parsed("HTTP/1.1 204 x\r\n\r\n").framing, Framing::none());
  EXPECT_EQ(parsed("HTTP/1.1 100 x\r\nContent-Length: 0\r\n\r\n").framing, Framing::none());
}

TEST(Response, KeepAlive) {
  EXPECT_TRUE(parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").keep_alive);
  EXPECT_TRUE(parsed("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").keep_alive);  // ends by closing
  EXPECT_TRUE(parsed("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n").keep_alive);
}

TEST(Response, AConnectionThatMayHoldAnUnreadBodyIsNotReused) {
  EXPECT_FALSE(parsed("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n").keep_alive);
  EXPECT_TRUE(parsed("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n").keep_alive);
}

TEST(Response, InterimHeads) {
  EXPECT_TRUE(parsed("HTTP/1.1 103 x\r\n\r\n").interim());
  const std::string_view text = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  const ResponseHead switched = parsed(text, {.upgrade_protocol = "WebSocket"});
  EXPECT_FALSE(switched.interim());
  EXPECT_TRUE(switched.upgrade);
  EXPECT_FALSE(switched.keep_alive);
  EXPECT_EQ(switched.upgrade_protocol, "websocket");
  ResponseHead head;
  EXPECT_TRUE(parse_response_head(text, {}, {}, head).bad());
  EXPECT_TRUE(parse_response_head(text, {}, {.upgrade_protocol = "other"}, head).bad());
}

TEST(Response, ConnectOpensATunnel) {
  const ResponseHead head = parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {.connect = true});
  EXPECT_TRUE(head.upgrade);
  EXPECT_EQ(head.framing, Framing::until_close());
  EXPECT_FALSE(parsed("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", {.connect = true}).upgrade);
  // RFC 9110 section 9.3.6: what a 2xx says of a body is passed over.
  for (const std::string_view lines :
       {"Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"}) {
    const std::string text = "HTTP/1.1 204 Yes\r\n" + std::string(lines) + "\r\n";
    ResponseHead opened;
    EXPECT_TRUE(parse_response_head(text, {}, {.connect = true}, opened).done()) << lines;
    EXPECT_TRUE(opened.upgrade);
    EXPECT_FALSE(opened.keep_alive);
  }
}

TEST(Response, HeadsFollowEachOther) {
  const std::string_view text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!";
  HeadScanner scanner(HeadScanner::Kind::Response);
  ResponseHead head;
  const Parse first = parse_response_head(text, {}, scanner, {}, head);
  ASSERT_TRUE(first.done());
  EXPECT_TRUE(head.interim());
  const Parse second = parse_response_head(text.substr(first.consumed), {}, scanner, {}, head);
  ASSERT_TRUE(second.done());
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(text.substr(first.consumed + second.consumed), "!");
}

}  // namespace
}  // namespace ferrotunnel::http
