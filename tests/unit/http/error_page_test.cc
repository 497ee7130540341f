#include "http/error_page.h"

#include <gtest/gtest.h>

#include "http/escape.h"
#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

ErrorPage refused() {
  return {.status = 502,
          .side = FaultSide::Origin,
          .slug = "origin-refused",
          .sentence = "Nothing listens on port 8080.",
          .request_id = "r-1",
          .accept = "*/*",
          .host = "demo.example.com"};
}

std::string body_of(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

TEST(ErrorPage, Text) {
  const std::string body = "502 Bad Gateway: Nothing listens on port 8080. [origin: origin-refused, request r-1]\n";
  EXPECT_EQ(make_error_response(refused()),
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
                std::to_string(body.size()) +
                "\r\nCache-Control: no-store\r\nVary: Accept\r\nX-Content-Type-Options: nosniff\r\nFerrotunnel-Error: "
                "origin-refused\r\n"
                "Ferrotunnel-Side: origin\r\nX-Request-Id: r-1\r\nConnection: close\r\n\r\n" +
                body);
}

TEST(ErrorPage, Json) {
  ErrorPage page = refused();
  page.accept = "application/json";
  EXPECT_EQ(body_of(make_error_response(page)),
            "{\"error\":{\"status\":502,\"code\":\"origin-refused\",\"side\":\"origin\",\"message\":\"Nothing listens "
            "on port 8080.\","
            "\"host\":\"demo.example.com\",\"request_id\":\"r-1\"}}\n");
}

TEST(ErrorPage, Html) {
  ErrorPage page = refused();
  page.accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  const std::string response = make_error_response(page);
  EXPECT_TRUE(response.contains("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_TRUE(response.contains("Content-Security-Policy: default-src 'none'"));
  EXPECT_TRUE(response.contains("<h1><b>502</b> Bad Gateway</h1>"));
  EXPECT_TRUE(response.contains("<li class=\"at\">service</li>"));
  EXPECT_TRUE(response.contains("Nothing listens on port 8080."));
  EXPECT_FALSE(response.contains("http://"));  // nothing to fetch
  EXPECT_FALSE(response.contains("https://"));
}

TEST(ErrorPage, EachIsAWellFormedMessage) {
  for (const std::string_view accept : {"*/*", "text/html", "application/json"}) {
    for (const bool keep : {false, true}) {
      for (const bool to_head : {false, true}) {
        ErrorPage page = refused();
        page.accept = accept;
        page.keep_alive = keep;
        page.head_request = to_head;
        const std::string response = make_error_response(page);
        ResponseHead head;
        const Parse parse = parse_response_head(response, {}, {}, head);
        ASSERT_TRUE(parse.done());
        EXPECT_EQ(head.status, 502);
        EXPECT_EQ(head.keep_alive, keep);
        EXPECT_EQ(head.fields.value("Ferrotunnel-Error"), "origin-refused");
        EXPECT_EQ(head.fields.value("Ferrotunnel-Side"), "origin");
        if (to_head) {
          EXPECT_EQ(parse.consumed, response.size());
          EXPECT_GT(head.framing.length, 0u);  // as the GET would have it
        } else {
          EXPECT_EQ(head.framing, Framing::of_length(response.size() - parse.consumed));
        }
      }
    }
  }
}

TEST(ErrorPage, WhatCameFromOutsideIsEscaped) {
  ErrorPage page = refused();
  page.sentence = "<script>alert('x')</script> & \"\x80\xff\r\n";
  page.host = "\"><img src=x>";
  page.request_id = "r\r\nSet-Cookie: a=b";
  page.slug = "s\nX: y";
  page.accept = "text/html";
  const std::string html = make_error_response(page);
  EXPECT_FALSE(html.contains("<script>"));
  EXPECT_FALSE(html.contains("<img"));
  EXPECT_TRUE(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;\xEF\xBF\xBD\xEF\xBF\xBD??"));
  EXPECT_TRUE(html.contains("X-Request-Id: rSet-Cookie: a=b\r\n"));
  EXPECT_TRUE(html.contains("Ferrotunnel-Error: sX: y\r\n"));
  page.accept = "application/json";
  const std::string json = body_of(make_error_response(page));
  EXPECT_TRUE(
      json.contains("\"message\":\"\\u003cscript\\u003ealert('x')\\u003c/script\\u003e \\u0026 "
                    "\\u0022\xEF\xBF\xBD\xEF\xBF\xBD\\u000d\\u000a\""));
  page.accept = "";
  EXPECT_TRUE(body_of(make_error_response(page))
                  .contains("\xEF\xBF\xBD\xEF\xBF\xBD?? [origin: s?X: y, request r??Set-Cookie: a=b]\n"));
}

TEST(ErrorPage, RetryAfterAndHttp10) {
  ErrorPage page = refused();
  page.retry_after = 5;
  page.keep_alive = true;
  page.visitor_minor = 0;
  const std::string response = make_error_response(page);
  EXPECT_TRUE(response.contains("Retry-After: 5\r\n"));
  EXPECT_TRUE(response.contains("Connection: keep-alive\r\n"));
}

TEST(ErrorPage, EscapingLeavesGoodUtf8AndMendsTheRest) {
  const auto json = [](std::string_view text) {
    std::string out;
    append_json(out, text);
    return out;
  };
  EXPECT_EQ(json("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d"), "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d\"");
  EXPECT_EQ(json("a\\b\x7f"), "\"a\\u005cb\\u007f\"");
  for (const std::string_view bad : {"\xc0", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    std::string expected = "\"";
    for (std::size_t i = 0; i < bad.size(); ++i) expected += "\xEF\xBF\xBD";
    EXPECT_EQ(json(bad), expected + "\"");
  }
}

TEST(Accept, TheBestLikedFormat) {
  const auto html = PageFormat::Html;
  const auto json = PageFormat::Json;
  const auto text = PageFormat::Text;
  EXPECT_EQ(preferred_format(""), text);
  EXPECT_EQ(preferred_format("*/*"), text);
  EXPECT_EQ(preferred_format("image/avif,image/webp,*/*"), text);
  EXPECT_EQ(preferred_format("image/png"), text);
  EXPECT_EQ(preferred_format("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"), html);
  EXPECT_EQ(preferred_format("application/json, text/plain, */*"), json);
  EXPECT_EQ(preferred_format("application/json"), json);
  EXPECT_EQ(preferred_format("APPLICATION/JSON ; q=1.0"), json);
  EXPECT_EQ(preferred_format("application/problem+json"), json);
  EXPECT_EQ(preferred_format("text/html;q=0.5, application/json;q=0.9"), json);
  EXPECT_EQ(preferred_format("text/html, application/json"), html);
  EXPECT_EQ(preferred_format("application/json, text/html"), json);
  EXPECT_EQ(preferred_format("text/html;q=0, */*"), text);
  EXPECT_EQ(preferred_format("text/*"), text);
  EXPECT_EQ(preferred_format("text/*, text/plain;q=0"), html);
  EXPECT_EQ(preferred_format("application/*"), json);
  EXPECT_EQ(preferred_format("text/html;q=2, application/json;q=0.1"), json);  // a weight that is none is no wish
  EXPECT_EQ(preferred_format("text/html;q=x;level=1"), text);
  EXPECT_EQ(preferred_format("text/html;level=1;q=0.001"), html);
  EXPECT_EQ(preferred_format(",,;q=,/,text,*"), text);
}

}  // namespace
}  // namespace ferrotunnel::http
