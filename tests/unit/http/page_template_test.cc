// Pages of the server's owner: what they are called, what stands in them, and what no visitor can put there.
#include "http/page_template.h"

#include <gtest/gtest.h>

#include <string>

namespace ferrotunnel::http {
namespace {

ErrorPage page() {
  return {.status = 502,
          .side = FaultSide::Origin,
          .slug = "origin-refused",
          .sentence = "<b>\"It\" & 'that'</b>\n",
          .request_id = "r-1",
          .accept = "*/*",
          .host = "a.test"};
}

std::string rendered(std::string_view text, PageFormat format) {
  const auto made = PageTemplate::parse(text, format);
  EXPECT_TRUE(made) << (made ? "" : made.error());
  return made ? made->render(page()) : "";
}

TEST(PageTemplate, PlaceholdersAreEscapedForTheirFormat) {
  EXPECT_EQ(rendered("{status} {reason} {code} {side} {host} {request_id}", PageFormat::Text),
            "502 Bad Gateway origin-refused origin a.test r-1");
  EXPECT_EQ(rendered("<p title=\"{sentence}\">", PageFormat::Html),
            "<p title=\"&lt;b&gt;&quot;It&quot; &amp; &#39;that&#39;&lt;/b&gt;?\">");
  EXPECT_EQ(rendered("{\"a\":\"{sentence}\",\"s\":{status}}", PageFormat::Json),
            "{\"a\":\"\\u003cb\\u003e\\u0022It\\u0022 \\u0026 'that'\\u003c/b\\u003e\\u000a\",\"s\":502}");
}

TEST(PageTemplate, OtherBracesStay) {
  for (const char* text :
       {"", "{", "}", "{}", "h1 {color:red}", "{ status }", "{{", "{status", "{Status}", "{a1}", "a{"})
    EXPECT_EQ(rendered(text, PageFormat::Html), text);
  EXPECT_EQ(rendered("{{status}}", PageFormat::Html), "{502}");
}

TEST(PageTemplate, WhatStandsForNothingIsNamed) {
  const auto made = PageTemplate::parse("<p>{stats}</p>", PageFormat::Html);
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().starts_with("{stats} stands for nothing")) << made.error();
}

TEST(PageTemplate, IsBounded) {
  EXPECT_FALSE(PageTemplate::parse(std::string(PageTemplate::kMostBytes + 1, 'x'), PageFormat::Text));
  std::string many;
  for (std::size_t i = 0; i < PageTemplate::kMostPlaceholders; ++i) many += "{sentence}";
  const auto made = PageTemplate::parse(many, PageFormat::Text);
  ASSERT_TRUE(made);
  EXPECT_FALSE(PageTemplate::parse(many + "{host}", PageFormat::Text));
  // What would be too long is not said at all; the built-in page is.
  const std::string sentence(2000, 'x');
  ErrorPage large = page();
  large.sentence = sentence;
  EXPECT_EQ(made->render(large), "");
  PageTemplates pages;
  pages.add({0, PageFormat::Text}, *made);
  large.templates = &pages;
  EXPECT_TRUE(make_error_response(large).contains("502 Bad Gateway: xxx"));
}

TEST(PageTemplates, NamesSayWhatFor) {
  const auto place = [](const char* name) { return PageTemplates::place_of(name); };
  EXPECT_EQ(place("404.html"), (PageTemplates::Place{404, PageFormat::Html}));
  EXPECT_EQ(place("5xx.json"), (PageTemplates::Place{5, PageFormat::Json}));
  EXPECT_EQ(place("error.txt"), (PageTemplates::Place{0, PageFormat::Text}));
  for (const char* name :
       {"", "404", "404.htm", "html", ".html", "200.html", "3xx.html", "40x.html", "4xx.html~", "error", "errors.html"})
    EXPECT_FALSE(place(name)) << name;
}

TEST(PageTemplates, TheOneThatSaysMostIsTaken) {
  PageTemplates pages;
  const auto add = [&pages](const char* name, const char* text) {
    const auto place = PageTemplates::place_of(name);
    pages.add(*place, *PageTemplate::parse(text, place->format));
  };
  add("502.txt", "exact {code}\n");
  add("5xx.txt", "class\n");
  add("error.html", "<p>all {status}</p>");
  const auto said = [&pages](std::uint16_t status, std::string_view accept) {
    ErrorPage one = page();
    one.status = status;
    one.accept = accept;
    one.templates = &pages;
    return make_error_response(one);
  };
  EXPECT_TRUE(said(502, "*/*").ends_with("\r\n\r\nexact origin-refused\n"));
  EXPECT_TRUE(said(503, "*/*").ends_with("\r\n\r\nclass\n"));
  EXPECT_TRUE(said(404, "*/*").contains("404 Not Found: "));
  EXPECT_TRUE(said(404, "text/html").ends_with("\r\n\r\n<p>all 404</p>"));
  EXPECT_TRUE(said(502, "application/json").contains("{\"error\":{\"status\":502"));
  // What is for programs stays.
  EXPECT_TRUE(said(502, "*/*").contains("\r\nFerrotunnel-Error: origin-refused\r\n"));
  EXPECT_TRUE(said(502, "*/*").contains("\r\nContent-Length: 21\r\n"));
  EXPECT_FALSE(said(404, "text/html").contains("Content-Security-Policy"));
}

}  // namespace
}  // namespace ferrotunnel::http
