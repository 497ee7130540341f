// Each limit at its boundary: exactly at it passes, one more does not, and it bites before more than the limit has to be held.
#include <gtest/gtest.h>

#include "unit/http/heads.h"

namespace ferrotunnel::http::testing {
namespace {

std::string request_of(std::size_t size) {
  std::string text = "GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n";
  text.insert(text.size() - 4, std::string(size - text.size(), 'a'));
  return text;
}

TEST(Limits, HeadBytes) {
  const Limits limits{.head_bytes = 200};
  EXPECT_TRUE(feed_request(request_of(200), {}, limits).starts_with("done 200"));
  EXPECT_TRUE(feed_request("\r\n" + request_of(200), {}, limits).starts_with("done 202"));
  EXPECT_EQ(feed_request(request_of(201), {}, limits), "bad 431 head-too-large\n");
  EXPECT_EQ(feed_request("\r\n" + request_of(201), {}, limits), "bad 431 head-too-large\n");
  EXPECT_EQ(feed_request(request_of(201).substr(0, 200), {}, limits), "bad 431 head-too-large\n");
  EXPECT_EQ(feed_request(request_of(201).substr(0, 199), {}, limits), "more");
  EXPECT_TRUE(feed_request(request_of(200) + "and a body", {}, limits).starts_with("done 200"));
  EXPECT_TRUE(feed_request(request_of(32 * 1024)).starts_with("done 32768"));
  EXPECT_EQ(feed_request(request_of(32 * 1024 + 1)), "bad 431 head-too-large\n");
}

TEST(Limits, ResponseHeadBytes) {
  std::string text = "HTTP/1.1 204 " + std::string(200 - 17, 'r') + "\r\n\r\n";
  ASSERT_EQ(text.size(), 200u);
  EXPECT_TRUE(feed_response(text, {}, {.head_bytes = 200}).starts_with("done 200"));
  EXPECT_EQ(feed_response(text, {}, {.head_bytes = 199}), "bad 502 head-too-large\n");
}

TEST(Limits, Fields) {
  const auto request = [](int fields) {
    std::string text = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (int i = 1; i < fields; ++i) text += "a:b\r\n";
    return text;
  };
  EXPECT_TRUE(feed_request(request(100) + "\r\n").starts_with("done"));
  EXPECT_EQ(feed_request(request(101) + "\r\n"), "bad 431 too-many-fields\n");
  EXPECT_EQ(feed_request(request(101)), "bad 431 too-many-fields\n");  // without waiting for the end
  EXPECT_EQ(feed_request(request(100)), "more");
  EXPECT_EQ(feed_response("HTTP/1.1 200 OK\r\na:b\r\na:b\r\n", {}, {.fields = 1}), "bad 502 too-many-fields\n");
}

TEST(Limits, Target) {
  const auto request = [](std::size_t target, std::string_view method = "GET") {
    return std::string(method) + " /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  };
  EXPECT_TRUE(feed_request(request(8192)).starts_with("done"));
  EXPECT_EQ(feed_request(request(8193)), "bad 414 target-too-long\n");
  EXPECT_EQ(feed_request(request(20000)), "bad 414 target-too-long\n");
  EXPECT_TRUE(feed_request(request(8192, std::string(32, 'M'))).starts_with("done"));
  // Without a line end ever: 32 + 1 + 8192 + 9 bytes and a CR could still be well.
  EXPECT_EQ(feed_request("GET /" + std::string(8235 - 5, 'a')), "more");
  EXPECT_EQ(feed_request("GET /" + std::string(8236 - 5, 'a')), "bad 414 target-too-long\n");
}

TEST(Limits, Method) {
  const auto request = [](std::size_t method) { return std::string(method, 'M') + " / HTTP/1.1\r\nHost: x\r\n\r\n"; };
  EXPECT_TRUE(feed_request(request(32)).starts_with("done"));
  EXPECT_EQ(feed_request(request(33)), "bad 501 method-too-long\n");
}

TEST(Limits, ConnectionOptions) {
  const auto request = [](int options) {
    std::string text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: close";
    for (int i = 2; i < options; ++i) text += ",close";
    return text + "\r\n\r\n";
  };
  EXPECT_TRUE(feed_request(request(32)).starts_with("done"));
  EXPECT_EQ(feed_request(request(33)), "bad 400 connection-options\n");
}

// A head that comes byte by byte costs its length, not its square: 32 KiB looked at anew each time would be half a gigabyte.
TEST(Limits, TheScannerLooksAtEachByteOnce) {
  HeadScanner scanner;
  const std::string text = request_of(32 * 1024);
  Parse parse;
  for (std::size_t size = 1; size <= text.size(); ++size) {
    ASSERT_TRUE(parse.need_more());
    parse = scanner.scan(std::string_view(text).substr(0, size), {});
  }
  EXPECT_TRUE(parse.done());
}

TEST(Limits, AScannerKnowsWhetherAnythingCame) {
  HeadScanner scanner;
  EXPECT_TRUE(scanner.idle());
  EXPECT_TRUE(scanner.scan("\r\n", {}).need_more());
  EXPECT_TRUE(scanner.idle());
  EXPECT_TRUE(scanner.scan("\r\nG", {}).need_more());
  EXPECT_FALSE(scanner.idle());
  scanner.reset();
  EXPECT_TRUE(scanner.idle());
}

}  // namespace
}  // namespace ferrotunnel::http::testing
