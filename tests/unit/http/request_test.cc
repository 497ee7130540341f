#include <gtest/gtest.h>

#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

// The head keeps views into a literal, so it may be returned.
RequestHead parsed(std::string_view text) {
  RequestHead head;
  const Parse parse = parse_request_head(text, {}, head);
  EXPECT_TRUE(parse.done()) << text << (parse.bad() ? parse.refusal->slug : "more");
  EXPECT_EQ(parse.consumed, text.size());
  return head;
}

TEST(Request, OriginForm) {
  const RequestHead head = parsed("GET /a/b?c=d?e HTTP/1.1\r\nHost: Example.com:8080\r\nUser-Agent:  x y \r\n\r\n");
  EXPECT_EQ(head.method, Method::Get);
  EXPECT_EQ(head.form, TargetForm::Origin);
  EXPECT_EQ(head.path, "/a/b");
  EXPECT_EQ(head.query, "c=d?e");
  EXPECT_EQ(head.path_and_query, "/a/b?c=d?e");
  EXPECT_EQ(head.authority, "Example.com:8080");
  EXPECT_EQ(head.host, "Example.com");
  EXPECT_EQ(head.port, 8080);
  EXPECT_EQ(head.minor, 1);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.framing, Framing::none());
  ASSERT_EQ(head.fields.size(), 2u);
  EXPECT_EQ(head.fields[1].name, "User-Agent");
  EXPECT_EQ(head.fields.value("user-agent"), "x y");
  EXPECT_EQ(head.fields.find("nothing"), nullptr);
}

TEST(Request, AbsoluteForm) {
  const RequestHead head = parsed("GET https://[::1]:444?x HTTP/1.1\r\nHost: [0:0::1]:444\r\n\r\n");
  EXPECT_EQ(head.form, TargetForm::Absolute);
  EXPECT_EQ(head.scheme, "https");
  EXPECT_EQ(head.host, "[::1]");
  EXPECT_EQ(head.port, 444);
  EXPECT_EQ(head.path_and_query, "?x");
  EXPECT_EQ(head.path, "");
  EXPECT_EQ(head.query, "x");
}

TEST(Request, AuthorityForm) {
  const RequestHead head = parsed(
      "CONNECT Example.com:8443 HTTP/1.1\r\nHost: example.com:8443\r\nUpgrade: websocket\r\n"
      "Connection: keep-alive, Upgrade\r\n\r\n");
  EXPECT_EQ(head.method, Method::Connect);
  EXPECT_EQ(head.form, TargetForm::Authority);
  EXPECT_EQ(head.authority, "Example.com:8443");
  EXPECT_EQ(head.host, "Example.com");
  EXPECT_EQ(head.port, 8443);
  EXPECT_EQ(head.path_and_query, "");
  EXPECT_EQ(head.framing, Framing::none());
  EXPECT_FALSE(head.upgrade);
  // Whatever is answered, what comes behind it is no request.
  EXPECT_FALSE(head.keep_alive);
}

TEST(Request, AsteriskForm) {
  EXPECT_EQ(parsed("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").form, TargetForm::Asterisk);
  EXPECT_EQ(parsed("OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n").path_and_query, "*");
}

TEST(Request, AnEmptyLineBeforeIsConsumedAndWhatFollowsIsNot) {
  RequestHead head;
  const Parse parse = parse_request_head("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next", {}, head);
  EXPECT_TRUE(parse.done());
  EXPECT_EQ(parse.consumed, std::string_view("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").size());
}

TEST(Request, Http10HostIsOptional) {
  const RequestHead head = parsed("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(head.authority, "");
  EXPECT_EQ(head.host, "");
  EXPECT_EQ(head.minor, 0);
}

TEST(Request, KeepAlive) {
  EXPECT_TRUE(parsed("GET / HTTP/1.1\r\nHost: x\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: x\r\nConnection: a\r\nConnection: b,close\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.0\r\nHost: x\r\n\r\n").keep_alive);
  EXPECT_TRUE(parsed("GET / HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

TEST(Request, Framing) {
  EXPECT_EQ(parsed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\n\r\n").framing, Framing::of_length(42));
  EXPECT_EQ(parsed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").framing, Framing::of_length(0));
  EXPECT_EQ(parsed("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n").framing, Framing::chunked());
  EXPECT_EQ(parsed("POST / HTTP/1.0\r\nContent-Length: 9223372036854775807\r\n\r\n").framing,
            Framing::of_length(9223372036854775807u));
}

TEST(Request, ExpectOnlyWhereThereIsABodyToWaitFor) {
  EXPECT_TRUE(parsed("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect_continue);
  EXPECT_TRUE(parsed("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
                  .expect_continue);
  EXPECT_FALSE(
      parsed("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n").expect_continue);
  EXPECT_FALSE(parsed("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect_continue);
  EXPECT_FALSE(parsed("PUT / HTTP/1.0\r\nExpect: something\r\nContent-Length: 1\r\n\r\n").expect_continue);
}

TEST(Request, OnlyARealUpgradeIsOne) {
  const auto upgrade = [](std::string_view fields) {
    const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
    return std::string(parsed(text).upgrade_protocol);
  };
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "websocket");
  EXPECT_EQ(upgrade("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: x/1.0\r\n"), "x/1.0");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"), "websocket");
  EXPECT_EQ(upgrade("Upgrade: websocket\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket, other\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: other\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: h2c\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket/\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"), "");
  EXPECT_EQ(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"), "");
  EXPECT_FALSE(parsed("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
}

TEST(Request, AHeadIsReusedWithoutTracesOfTheLast) {
  RequestHead head;
  ASSERT_TRUE(parse_request_head("POST http://a/?q HTTP/1.0\r\nContent-Length: 7\r\n\r\n", {}, head).done());
  ASSERT_TRUE(parse_request_head("GET / HTTP/1.1\r\nHost: b\r\n\r\n", {}, head).done());
  EXPECT_EQ(head.framing, Framing::none());
  EXPECT_EQ(head.scheme, "");
  EXPECT_EQ(head.query, "");
  EXPECT_EQ(head.minor, 1);
  EXPECT_EQ(head.fields.size(), 1u);
}

TEST(Request, FieldsKnowTheirNames) {
  EXPECT_EQ(field_id("HOST"), FieldId::Host);
  EXPECT_EQ(field_id("tE"), FieldId::Te);
  EXPECT_EQ(field_id("Transfer-Encoding"), FieldId::TransferEncoding);
  EXPECT_EQ(field_id("Proxy-Authorization"), FieldId::ProxyAuthorization);
  EXPECT_EQ(field_id("X-Forwarded-For"), FieldId::XForwardedFor);
  EXPECT_EQ(field_id("X-Forwarded-Anything-At-All"), FieldId::XForwardedOther);
  EXPECT_EQ(field_id("X-Forwarded-"), FieldId::Other);
  EXPECT_EQ(field_id("X_Forwarded-For"), FieldId::UnderscoreAlias);
  EXPECT_EQ(field_id("x_forwarded_anything_at_all"), FieldId::UnderscoreAlias);
  EXPECT_EQ(field_id("Content_Length"), FieldId::UnderscoreAlias);
  EXPECT_EQ(field_id("x_real_ip"), FieldId::UnderscoreAlias);
  EXPECT_EQ(field_id("FERROTUNNEL-Error"), FieldId::Ferrotunnel);
  EXPECT_EQ(field_id("Ferrotunnel-Anything-At-All"), FieldId::Ferrotunnel);
  EXPECT_EQ(field_id("Ferrotunnel_Side"), FieldId::UnderscoreAlias);
  EXPECT_EQ(field_id("ferrotunnel_anything_at_all"), FieldId::UnderscoreAlias);
  for (const std::string_view alias :
       {"X.Forwarded.For", "x.forwarded.client.cert", "x~forwarded-!", "X-Real.IP", "x+request-id", "content.length",
        "HTTP2.Settings", "keep.alive", "proxy.connection", "transfer|encoding", "ferrotunnel.side"})
    EXPECT_EQ(field_id(alias), FieldId::UnderscoreAlias) << alias;
  for (const std::string_view other : {"x.forwarded", "x-forwarded", "xaforwardedafor", "x.real.ipp",
                                       "X-Requested-With", "content.type", "x-forwarding-for", "for.warded", "ho.st"})
    EXPECT_EQ(field_id(other), FieldId::Other) << other;
  EXPECT_EQ(field_id("Ferrotunnel"), FieldId::Other);
  EXPECT_EQ(field_id("my_header"), FieldId::Other);
  EXPECT_EQ(field_id("a_header_that_is_longer_than_any"), FieldId::Other);
  EXPECT_EQ(field_id("X"), FieldId::Other);
  EXPECT_EQ(field_id("Hos~"), FieldId::Other);
  EXPECT_EQ(field_id("te~"), FieldId::Other);
}

TEST(Request, FieldsCanBeChanged) {
  RequestHead head = parsed("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\n\r\n");
  EXPECT_EQ(head.fields.remove("A"), 2u);
  head.fields.add("te", "trailers");
  EXPECT_EQ(head.fields.value(FieldId::Te), "trailers");
  EXPECT_EQ(head.fields.remove(FieldId::Host), 1u);
  EXPECT_EQ(head.fields.size(), 1u);
}

}  // namespace
}  // namespace ferrotunnel::http
