// Several tunnels of one host, by path, method and headers: the longest prefix, what asks for most, whose is what, and hosts that have one
// route for all.
#include <gtest/gtest.h>

#include "route/router.h"

namespace ferrotunnel::route {
namespace {

SessionId session_of(Router& router, std::string_view host, const http::RequestHead& head) {
  const auto table = router.snapshot();
  const HostRoutes* routes = table->host(host);
  if (routes == nullptr) return 0;
  const RouteTarget* target = routes->all() != nullptr ? routes->all() : routes->find(head);
  return target != nullptr ? target->session : 0;
}
SessionId session_of(Router& router, std::string_view host, std::string_view path) {
  http::RequestHead head;
  head.path = path;
  return session_of(router, host, head);
}

struct Asked {
  std::string_view method = "GET", path = "/", name = {}, value = {};
};
SessionId session_of(Router& router, const Asked& asked) {
  http::RequestHead head;
  head.method_text = asked.method;
  head.path = asked.path;
  if (!asked.name.empty()) head.fields.add(asked.name, asked.value);
  return session_of(router, "a.test", head);
}

http::HeadMatch match_of(std::vector<std::string> methods, std::vector<std::string> headers = {}) {
  return http::HeadMatch::parse(methods, headers).value();
}
std::string claim(Router& router, std::string_view prefix, const http::HeadMatch& match, SessionId session) {
  const std::string place = place_of("a.test", prefix, match);
  EXPECT_TRUE(router.claim(place, "o", {session, 1, 0}, match)) << place;
  return place;
}

TEST(RouterPaths, TheLongestPrefixWins) {
  Router router;
  ASSERT_TRUE(router.claim("a.test/api", "o", {2, 1, 0}));
  ASSERT_TRUE(router.claim("a.test", "o", {1, 1, 0}));
  ASSERT_TRUE(router.claim("a.test/api/v2", "o", {3, 1, 0}));
  EXPECT_EQ(session_of(router, "a.test", "/"), 1u);
  EXPECT_EQ(session_of(router, "a.test", "/apis"), 1u);
  EXPECT_EQ(session_of(router, "a.test", "*"), 1u);
  EXPECT_EQ(session_of(router, "a.test", "/api"), 2u);
  EXPECT_EQ(session_of(router, "a.test", "/api/v1"), 2u);
  EXPECT_EQ(session_of(router, "a.test", "/api/v2/x"), 3u);
  EXPECT_EQ(router.snapshot()->find("a.test"), nullptr) << "it has more than one";
  router.release("a.test", 1);
  EXPECT_EQ(session_of(router, "a.test", "/"), 0u);
  router.release("a.test/api", 2);
  router.release("a.test/api/v2", 3);
  EXPECT_EQ(router.snapshot()->host("a.test"), nullptr);
}

TEST(RouterPaths, OneRouteForAllCostsNoPath) {
  Router router;
  ASSERT_TRUE(router.claim("a.test", "o", {1, 1, 0}));
  ASSERT_TRUE(router.claim("b.test/x", "o", {1, 2, 0}));
  EXPECT_NE(router.snapshot()->host("a.test")->all(), nullptr);
  EXPECT_EQ(router.snapshot()->host("b.test")->all(), nullptr);
}

TEST(RouterPaths, TwoOwnersNeverHoldOnePlace) {
  Router router;
  ASSERT_TRUE(router.claim("a.test/x", "alice/1", {1, 1, 0}));
  EXPECT_EQ(router.claim("a.test/x", "bob/1", {2, 1, 0}).error().code, ErrorCode::AddressInUse);
  ASSERT_TRUE(router.claim("a.test/y", "bob/1", {2, 1, 0})) << "another place";
  EXPECT_TRUE(router.keep("a.test/x", 1));
  EXPECT_FALSE(router.claim("a.test/x", "bob/1", {2, 1, 0}));
  EXPECT_TRUE(router.claim("a.test/x", "alice/2", {3, 1, 0}));
  router.release("a.test/x", 1);
  EXPECT_EQ(session_of(router, "a.test", "/x"), 3u) << "it is another session's by now";
}

TEST(RouterPaths, AnExactHostHidesTheWildcardsPaths) {
  Router router;
  ASSERT_TRUE(router.claim("*.test/x", "o", {1, 1, 0}));
  ASSERT_TRUE(router.claim("a.test/y", "o", {2, 1, 0}));
  EXPECT_EQ(session_of(router, "b.test", "/x"), 1u);
  EXPECT_EQ(session_of(router, "a.test", "/y"), 2u);
  EXPECT_EQ(session_of(router, "a.test", "/x"), 0u);
}

TEST(RouterMatches, MethodsAndHeadersDecideAmongEqualPaths) {
  Router router;
  claim(router, "", {}, 1);
  claim(router, "", match_of({"POST", "PUT"}), 2);
  claim(router, "", match_of({}, {"X-Beta: yes"}), 3);
  claim(router, "", match_of({"POST"}, {"X-Beta"}), 4);
  claim(router, "/api", {}, 5);
  EXPECT_EQ(session_of(router, Asked{}), 1u);
  EXPECT_EQ(session_of(router, {.method = "PUT"}), 2u);
  EXPECT_EQ(session_of(router, {.method = "post"}), 1u) << "methods have a case";
  EXPECT_EQ(session_of(router, {.name = "x-beta", .value = "yes"}), 3u);
  EXPECT_EQ(session_of(router, {.name = "x-beta", .value = "no"}), 1u);
  EXPECT_EQ(session_of(router, {.method = "POST", .name = "X-BETA", .value = "no"}), 4u) << "it asks for more";
  EXPECT_EQ(session_of(router, {.method = "PUT", .name = "X-Beta", .value = "yes"}), 3u)
      << "a header weighs more than a method";
  EXPECT_EQ(session_of(router, {.method = "POST", .path = "/api/x", .name = "X-Beta", .value = "yes"}), 5u)
      << "the longest path goes first";
  EXPECT_EQ(router.snapshot()->host("a.test")->all(), nullptr);
  EXPECT_EQ(router.snapshot()->find("a.test"), nullptr);
}

TEST(RouterMatches, APlaceIsItsMatchToo) {
  Router router;
  const auto put = match_of({"PUT", "POST", "PUT"}, {"B: 2", "a"});
  const std::string place = place_of("a.test", "/x", put);
  EXPECT_EQ(place, "a.test/x POST,PUT a b=\"2\"");
  EXPECT_EQ(place, place_of("a.test", "/x", match_of({"POST", "PUT"}, {"A", "b:2"})));
  EXPECT_NE(place_of("a.test", "", match_of({}, {R"(A: 1" b="2)"})),
            place_of("a.test", "", match_of({}, {"A: 1", "B: 2"})));
  EXPECT_EQ(host_of(place), "a.test");
  EXPECT_EQ(prefix_of(place), "/x");
  EXPECT_EQ(host_of("*.test GET"), "*.test");
  EXPECT_EQ(prefix_of("*.test GET"), "");
  ASSERT_TRUE(router.claim(place, "alice/1", {1, 1, 0}, put));
  EXPECT_FALSE(router.claim(place, "bob/1", {2, 1, 0}, put));
  EXPECT_TRUE(router.claim("a.test/x", "bob/1", {2, 1, 0})) << "the rest is another place";
  EXPECT_TRUE(router.keep(place, 1));
  EXPECT_FALSE(router.claim(place, "bob/1", {2, 1, 0}, put));
  EXPECT_TRUE(router.claim(place, "alice/2", {3, 1, 0}, put));
  router.release(place, 3);
  router.release("a.test/x", 2);
  EXPECT_EQ(router.snapshot()->host("a.test"), nullptr);
}

TEST(RouterMatches, WhoCameFirstDecidesNothing) {
  for (const bool turned : {false, true}) {
    Router router;
    claim(router, "", turned ? match_of({}, {"b"}) : match_of({}, {"a"}), turned ? 2 : 1);
    claim(router, "", turned ? match_of({}, {"a"}) : match_of({}, {"b"}), turned ? 1 : 2);
    http::RequestHead head;
    head.path = "/";
    head.fields.add("a", "1");
    head.fields.add("b", "1");
    EXPECT_EQ(session_of(router, "a.test", head), 2u);
  }
}

TEST(RouterMatches, AMatchAloneIsNotAll) {
  Router router;
  claim(router, "", match_of({"GET"}), 1);
  EXPECT_EQ(router.snapshot()->host("a.test")->all(), nullptr);
  EXPECT_EQ(session_of(router, Asked{}), 1u);
  EXPECT_EQ(session_of(router, {.method = "POST"}), 0u);
}

TEST(HeadMatch, Mistakes) {
  const auto mistake = [](std::vector<std::string> methods, std::vector<std::string> headers) {
    const auto parsed = http::HeadMatch::parse(methods, headers);
    return parsed ? std::string() : parsed.error().context;
  };
  EXPECT_EQ(mistake({"GET", "x-any"}, {"A", "B:", "C: d e"}), "");
  EXPECT_EQ(mistake({"G T"}, {}), "'G T' is no method");
  EXPECT_EQ(mistake({""}, {}), "'' is no method");
  EXPECT_TRUE(mistake({}, {"A b: c"}).starts_with("'A b' is no header"));
  EXPECT_TRUE(mistake({}, {"A: b\nc"}).starts_with("'A' is no header"));
}

}  // namespace
}  // namespace ferrotunnel::route
