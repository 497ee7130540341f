// The Priority field (RFC 9218), and requests that ask for h2c (RFC 7540 section 3.2).
#include "http/h2/h2_priority.h"

#include <gtest/gtest.h>

#include <string>

#include "http/h1_head.h"
#include "http/h2/h2_upgrade.h"

namespace ferrotunnel::http {
namespace {

TEST(H2Priority, IsMergedPartByPart) {
  const H2Priority asked{5, true};
  EXPECT_EQ(merge_priority(asked, ""), asked);
  EXPECT_EQ(merge_priority(asked, "u=1"), (H2Priority{1, true}));
  EXPECT_EQ(merge_priority(asked, "i=?0"), (H2Priority{5, false}));
  EXPECT_EQ(merge_priority({}, " u=7 , i"), (H2Priority{7, true}));
  EXPECT_EQ(merge_priority({}, "i=?1,u=0;x=1"), (H2Priority{0, true}));
  EXPECT_EQ(merge_priority({}, "u=1, u=2"), (H2Priority{2, false}));
}

TEST(H2Priority, WhatIsNotUnderstoodChangesNothing) {
  for (const char* field :
       {"u=8", "u=-1", "u=", "u", "u=11", "i=1", "i=?2", "x=\"a, u=1, b\"", "\"", ",,", "u =1", "\\"})
    EXPECT_EQ(merge_priority({}, field), H2Priority{}) << field;
  EXPECT_EQ(merge_priority({}, "x=\"\\\", u=1\", u=2"), (H2Priority{2, false}));
}

struct Asked {
  bool asks = false;
  std::string settings;
};
Asked asks(std::string_view lines, std::string_view start = "GET / HTTP/1.1") {
  const std::string text = std::string(start) + "\r\nHost: a.test\r\n" + std::string(lines) + "\r\n";
  RequestHead head;
  EXPECT_TRUE(parse_request_head(text, {}, head).done()) << text;
  std::string_view settings;
  Asked asked{asks_h2c(head, settings), {}};
  asked.settings = settings;
  return asked;
}

TEST(H2Upgrade, IsAskedForInOneWay) {
  constexpr std::string_view kBoth = "Connection: Upgrade, HTTP2-Settings\r\n";
  const std::string good = std::string(kBoth) + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
  EXPECT_TRUE(asks(good).asks);
  EXPECT_EQ(asks(good).settings, "AAMAAABk");
  EXPECT_FALSE(asks("").asks);
  EXPECT_FALSE(asks("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n").asks);
  EXPECT_FALSE(asks("Connection: HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n").asks);
  EXPECT_FALSE(asks(std::string(kBoth) + "Upgrade: h2c\r\n").asks);
  EXPECT_FALSE(asks(std::string(kBoth) + "Upgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABk\r\n").asks);
  EXPECT_FALSE(asks(good + "HTTP2-Settings: AAMAAABk\r\n").asks);
  EXPECT_FALSE(asks(good + "Content-Length: 1\r\n").asks);
  EXPECT_FALSE(asks(good + "Transfer-Encoding: chunked\r\n").asks);
  EXPECT_FALSE(asks(good, "GET / HTTP/1.0").asks);
}

TEST(H2Upgrade, TheRequestIsSaidAsHttp2WouldHave) {
  const std::string text =
      "GET http://a.test?q HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings, X-Hop\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AAMAAABk\r\nX-Hop: 1\r\nTE: trailers, deflate\r\nX-Kept: Yes\r\nKeep-Alive: 5\r\nCookie: "
      "a=1\r\n\r\n";
  RequestHead head;
  ASSERT_TRUE(parse_request_head(text, {}, head).done());
  H2Block block;
  fill_h2_block(head, {}, block);
  RequestHead read;
  ASSERT_EQ(read_h2_request(block, {}, true, read).status, H2Read::Status::Good);
  EXPECT_EQ(read.method, Method::Get);
  EXPECT_EQ(read.path_and_query, "/?q");
  EXPECT_EQ(read.host, "a.test");
  EXPECT_EQ(read.fields.size(), 2u);
  EXPECT_EQ(read.fields.value("x-kept"), "Yes");
  EXPECT_EQ(read.fields.value("cookie"), "a=1");
}

}  // namespace
}  // namespace ferrotunnel::http
