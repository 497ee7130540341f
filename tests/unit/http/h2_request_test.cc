// HTTP/2 header blocks as heads: what passes, and every way in which one is refused.
#include "http/h2/h2_request.h"

#include <gtest/gtest.h>

#include "http/forward.h"
#include "support/h2_client.h"

namespace ferrotunnel::http {
namespace {

using ferrotunnel::test::H2Pairs;
using Status = H2Read::Status;

const H2Pairs kGet{{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/x?y"}};

struct Result {
  Status status;
  std::string slug;
  std::string sent;  // to the origin
};

Result read(const H2Pairs& fields, bool end = true, const Limits& limits = {}) {
  H2Block block;
  for (const auto& [name, value] : fields) block.add(name, value, limits);
  RequestHead head;
  const H2Read read = read_h2_request(block, limits, end, head);
  Result result{read.status, read.refusal != nullptr ? std::string(read.refusal->slug) : "", ""};
  if (read.status == Status::Good) append_request_head(result.sent, head, {});
  return result;
}
H2Pairs with(H2Pairs fields, const H2Pairs& more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

TEST(H2Request, BecomesAnHttp11Head) {
  const Result result = read(with(kGet, {{"accept", "*/*"}, {"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}));
  ASSERT_EQ(result.status, Status::Good);
  EXPECT_EQ(
      result.sent,
      "GET /x?y HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\ncookie: a=1; b=2\r\nx: y\r\nX-Forwarded-Proto: http\r\n"
      "X-Forwarded-Host: a.test\r\n\r\n");
}

TEST(H2Request, FramingComesFromLengthAndEnd) {
  const H2Pairs post{{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}};
  EXPECT_TRUE(read(post, false).sent.contains("Transfer-Encoding: chunked\r\n"));
  EXPECT_TRUE(read(post, true).sent.contains("Content-Length: 0\r\n"));
  EXPECT_TRUE(read(with(post, {{"content-length", "12"}}), false).sent.contains("Content-Length: 12\r\n"));
  EXPECT_EQ(read(with(post, {{"content-length", "12"}}), true).status, Status::Malformed);
  EXPECT_FALSE(read(kGet, true).sent.contains("Content-Length"));
}

TEST(H2Request, WhatIsMalformed) {
  const auto line = [](const char* name, std::string value) { return with(kGet, {{name, std::move(value)}}); };
  const std::vector<H2Pairs> vectors = {
      line("X-Upper", "1"),
      line("x y", "1"),
      line("x:y", "1"),
      line("", "1"),
      line("x\r\ny", "1"),
      line("x\n", "1"),
      line("x", "a\r\nHost: b"),
      line("x", "a\nb"),
      line("x", "a\rb"),
      line("x", std::string("a\0b", 3)),
      line("x", " a"),
      line("x", "a "),
      line("x", "\ta"),
      line("x", "a\x7f"),
      line("x", "\x01"),
      line("connection", "close"),
      line("connection", "x"),
      line("keep-alive", "5"),
      line("proxy-connection", "x"),
      line("transfer-encoding", "chunked"),
      line("transfer-encoding", "identity"),
      line("upgrade", "h2c"),
      line("http2-settings", "AAMAAABk"),
      line("te", "gzip"),
      line("te", "trailers, chunked"),
      line(":method", "GET"),
      line(":path", "/"),
      line(":status", "200"),
      line(":unknown", "1"),
      line(":protocol", "websocket"),
      line("content-length", "-1"),
      line("content-length", "+1"),
      line("content-length", ""),
      line("content-length", "1, 1"),
      line("content-length", "0x1"),
      line("content-length", "9223372036854775808"),
      line("content-length", "1"),
      with(kGet, {{"content-length", "0"}, {"content-length", "0"}}),
      with(kGet, {{"host", "a.test"}, {"host", "a.test"}}),
      with({{"x", "y"}}, kGet),
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}},
      {{":method", "GET"}, {":authority", "a.test"}, {":path", "/"}},
      {{":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", ""}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "x"}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "*"}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "http://b.test/"}},
      {{":method", "G T"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
      {{":method", "GET / HTTP/1.1\r\nX: y"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/ HTTP/1.1\r\nX: y"}},
      {{":method", "CONNECT"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
      {{":method", "CONNECT"}},
      {{":method", "CONNECT"}, {":scheme", "http"}, {":authority", "a.test:443"}},
      {{":method", "CONNECT"}, {":path", "/"}, {":authority", "a.test:443"}},
      {{":method", "CONNECT"}, {"host", "a.test:443"}},
      {{":method", "CONNECT"}, {":authority", "a.test:443"}, {"transfer-encoding", "chunked"}},
  };
  for (std::size_t i = 0; i < vectors.size(); ++i)
    EXPECT_EQ(read(vectors[i]).status, Status::Malformed) << "vector " << i;
}

TEST(H2Request, WhatIsRefusedByAPage) {
  const auto at = [](const char* path) {
    return H2Pairs{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", path}};
  };
  const auto to = [](const char* authority) {
    return H2Pairs{{":method", "GET"}, {":scheme", "http"}, {":authority", authority}, {":path", "/"}};
  };
  EXPECT_EQ(read(at("/a b")).slug, "target-byte");
  EXPECT_EQ(read(at("/a#b")).slug, "target-fragment");
  EXPECT_EQ(read(at("/\xc3\xa4")).slug, "target-byte");
  EXPECT_EQ(read(to("")).slug, "host-invalid");
  EXPECT_EQ(read(to("a b")).slug, "host-invalid");
  EXPECT_EQ(read(to("user@a.test")).slug, "userinfo");
  EXPECT_EQ(read(to("a.test:0")).slug, "host-invalid");
  EXPECT_EQ(read({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}).slug, "host-missing");
  EXPECT_EQ(read({{":method", "GET"}, {":scheme", "ftp"}, {":authority", "a.test"}, {":path", "/"}}).slug,
            "scheme-unknown");
  const auto connect = [](const char* authority, const H2Pairs& more = {}) {
    return read(with({{":method", "CONNECT"}, {":authority", authority}}, more), false).slug;
  };
  for (const char* target : {"a.test", "a.test:", ":443", "a.test:0", "u@a.test:443", "a.test:443/", "/", "*", "a b:1"})
    EXPECT_EQ(connect(target), "connect-target") << target;
  EXPECT_EQ(connect("a.test:443", {{"content-length", "0"}}), "connect-body");
  EXPECT_EQ(connect("a.test:443", {{"content-length", "5"}}), "connect-body");
  EXPECT_EQ(connect("a.test:443", {{"host", "b.test:443"}}), "host-differs");
  EXPECT_EQ(connect("a.test:443", {{"host", "a.test:80"}}), "host-differs");
  EXPECT_EQ(connect("a.test:443", {{"expect", "tea"}}), "expectation");
  EXPECT_EQ(read(with(kGet, {{"host", "b.test"}})).slug, "host-differs");
  EXPECT_EQ(read(with(kGet, {{"expect", "miracles"}})).slug, "expectation");
  EXPECT_EQ(read(with(kGet, {{"x", std::string(40'000, 'x')}})).slug, "head-too-large");
  EXPECT_EQ(read(with(kGet, H2Pairs(101, {"x", "y"}))).slug, "too-many-fields");
  EXPECT_EQ(read(at(("/" + std::string(9000, 'x')).c_str())).slug, "target-too-long");
}

TEST(H2Request, HostAndAuthorityMayBothBeThere) {
  EXPECT_EQ(read(with(kGet, {{"host", "A.test:443"}})).status, Status::Good);
  EXPECT_EQ(read(with(kGet, {{"host", "a.test:80"}})).slug, "host-differs");
  const Result host_only = read({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "h.test"}});
  EXPECT_TRUE(host_only.sent.contains("Host: h.test\r\n"));
}

TEST(H2Request, ConnectHasATargetAndNoBody) {
  const H2Pairs connect{{":method", "CONNECT"}, {":authority", "a.test:443"}, {"proxy-authorization", "Basic x"}};
  for (const bool end : {false, true})
    EXPECT_EQ(read(connect, end).sent,
              "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nproxy-authorization: Basic x\r\n"
              "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test:443\r\n\r\n");
}

TEST(H2Request, ExtendedConnectIsAWebSocketHandshake) {
  const H2Pairs connect{{":method", "CONNECT"},
                        {":protocol", "websocket"},
                        {":scheme", "https"},
                        {":authority", "a.test"},
                        {":path", "/c"}};
  const Result result = read(connect, false);
  EXPECT_TRUE(
      result.sent.starts_with("GET /c HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"))
      << result.sent;
  H2Pairs other = connect;
  other[1].second = "connect-udp";
  EXPECT_EQ(read(other, false).slug, "connect-refused");
}

TEST(H2Request, TrailersBecomeFieldLines) {
  const auto trailers = [](const H2Pairs& fields) -> std::optional<std::string> {
    H2Block block;
    for (const auto& [name, value] : fields) block.add(name, value, {});
    std::string out;
    if (!append_h2_trailers(block, {}, out)) return std::nullopt;
    return out;
  };
  EXPECT_EQ(trailers({{"x-sum", "1"}, {"grpc-status", "0"}}), "x-sum: 1\r\ngrpc-status: 0\r\n");
  EXPECT_EQ(trailers({{"content-length", "1"}, {"host", "b"}, {"authorization", "x"}, {"x", "y"}}), "x: y\r\n");
  EXPECT_EQ(trailers({{":path", "/"}}), std::nullopt);
  EXPECT_EQ(trailers({{"transfer-encoding", "chunked"}}), std::nullopt);
  EXPECT_EQ(trailers({{"X", "y"}}), std::nullopt);
  EXPECT_EQ(trailers({{"x", "a\r\nb: c"}}), std::nullopt);
  EXPECT_EQ(trailers({{"x", std::string(9000, 'x')}}), std::nullopt);
}

}  // namespace
}  // namespace ferrotunnel::http
