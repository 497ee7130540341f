// Slugs are an interface: machines read them. Each is there, unique and fit for a header.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "http/body.h"
#include "http/error_page.h"
#include "http/h1_fault.h"

namespace ferrotunnel::http {
namespace {

bool is_slug(std::string_view text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

TEST(Texts, EachHeadFaultHasItsOwnSlug) {
  std::set<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(HeadFault::UpgradeUnasked); ++i) {
    const auto fault = static_cast<HeadFault>(i);
    const Refusal& request = refusal_of(fault, HeadScanner::Kind::Request);
    const Refusal& response = refusal_of(fault, HeadScanner::Kind::Response);
    EXPECT_TRUE(is_slug(request.slug)) << request.slug;
    EXPECT_TRUE(seen.insert(request.slug).second) << request.slug;
    EXPECT_TRUE(request.sentence.ends_with('.'));
    EXPECT_EQ(request.slug, response.slug);
    EXPECT_EQ(response.status, 502);
    EXPECT_NE(reason_phrase(request.status), "Unknown");
  }
}

TEST(Texts, EachBodyErrorHasItsOwnSlug) {
  std::set<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(BodyError::TrailersTooLarge); ++i) {
    const auto error = static_cast<BodyError>(i);
    EXPECT_TRUE(is_slug(slug(error))) << slug(error);
    EXPECT_TRUE(seen.insert(slug(error)).second);
    EXPECT_TRUE(sentence(error).ends_with('.'));
  }
}

TEST(Texts, EachSideHasItsPage) {
  std::set<std::string> pages;
  for (const FaultSide side : {FaultSide::Visitor, FaultSide::Server, FaultSide::Tunnel, FaultSide::Origin}) {
    EXPECT_TRUE(is_slug(to_string(side)));
    const std::string page =
        make_error_response({.status = 503, .side = side, .slug = "s", .sentence = "S.", .accept = "text/html"});
    EXPECT_TRUE(page.contains("Ferrotunnel-Side: " + std::string(to_string(side)) + "\r\n"));
    pages.insert(page);
  }
  EXPECT_EQ(pages.size(), 4u);
}

}  // namespace
}  // namespace ferrotunnel::http
