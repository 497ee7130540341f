// What HTTPS adds to heads: the redirect to it, and Strict-Transport-Security.
#include "http/https_redirect.h"

#include <gtest/gtest.h>

#include "http/error_page.h"
#include "http/forward.h"
#include "unit/http/heads.h"

namespace ferrotunnel::http::testing {
namespace {

std::string location(std::string_view target, std::uint16_t port = 443) {
  const std::string text = make_https_redirect({.host = "a.test", .port = port, .path_and_query = target});
  const std::size_t at = text.find("Location: ") + 10;
  return text.substr(at, text.find("\r\n", at) - at);
}

TEST(HttpsRedirect, Whole) {
  EXPECT_EQ(make_https_redirect({.host = "a.test", .path_and_query = "/x?q=1", .request_id = "r", .keep_alive = true}),
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a.test/x?q=1\r\nContent-Length: 0\r\nX-Request-Id: "
            "r\r\n\r\n");
  EXPECT_EQ(make_https_redirect({.host = "a.test", .path_and_query = "/", .keep_alive = true, .visitor_minor = 0}),
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a.test/\r\nContent-Length: 0\r\nConnection: "
            "keep-alive\r\n\r\n");
  EXPECT_TRUE(make_https_redirect({.host = "a.test"}).contains("\r\nConnection: close\r\n"));
}

TEST(HttpsRedirect, Targets) {
  EXPECT_EQ(location("/x", 8443), "https://a.test:8443/x");
  EXPECT_EQ(location(""), "https://a.test/");
  EXPECT_EQ(location("?q"), "https://a.test/?q");
  EXPECT_EQ(location("//evil.test/x"), "https://a.test//evil.test/x");
}

std::string forwarded(std::string_view origin, std::string_view hsts) {
  ResponseHead head;
  EXPECT_TRUE(parse_response_head(origin, {}, RequestContext{}, head).done());
  std::string text;
  EXPECT_TRUE(append_response_head(text, head, {.hsts = hsts}).send);
  return text;
}

TEST(Hsts, IsAddedWhereTheOriginSaysNone) {
  constexpr std::string_view kPlain = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  EXPECT_TRUE(forwarded(kPlain, "max-age=5").contains("\r\nStrict-Transport-Security: max-age=5\r\n"));
  EXPECT_FALSE(forwarded(kPlain, "").contains("Strict"));
  const std::string own =
      forwarded("HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=7\r\nContent-Length: 0\r\n\r\n", "max-age=5");
  EXPECT_TRUE(own.contains("max-age=7"));
  EXPECT_FALSE(own.contains("max-age=5"));
  EXPECT_FALSE(forwarded("HTTP/1.1 103 Early Hints\r\n\r\n", "max-age=5").contains("Strict"));
}

TEST(Hsts, IsInPagesOfOurs) {
  ErrorPage page;
  EXPECT_FALSE(make_error_response(page).contains("Strict"));
  page.hsts = "max-age=5";
  EXPECT_TRUE(make_error_response(page).contains("\r\nStrict-Transport-Security: max-age=5\r\n"));
}

}  // namespace
}  // namespace ferrotunnel::http::testing
