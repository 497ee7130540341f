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
Place place(std::string_view prefix, const http::HeadMatch& match) {
  return {"a.test", part_of(prefix, shared_match(match))};
}
void claim(Router& router, std::string_view prefix, const http::HeadMatch& match, SessionId session) {
  EXPECT_TRUE(router.claim(place(prefix, match), "o", {session, 1, 0})) << prefix << match.text();
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
  EXPECT_EQ(router.claim("a.test/x", "alice/2", {2, 1, 0}).error().code, ErrorCode::AddressInUse);
  ASSERT_TRUE(router.claim("a.test/y", "alice/2", {2, 1, 0})) << "another place";
  EXPECT_TRUE(router.keep("a.test/x", 1));
  EXPECT_FALSE(router.claim("a.test/x", "bob/1", {2, 1, 0}));
  EXPECT_TRUE(router.claim("a.test/x", "alice/2", {3, 1, 0}));
  router.release("a.test/x", 1);
  EXPECT_EQ(session_of(router, "a.test", "/x"), 3u) << "it is another session's by now";
}

TEST(RouterPaths, AHostIsOneGrantsWithAllItsParts) {
  for (const bool part : {false, true}) {
    for (const std::string host : {"a.test", "*.a.test"}) {
      Router router;
      const Place held = part ? Place(host + "/api") : Place(host);
      ASSERT_TRUE(router.claim(held, "alice/1", {1, 1, 0}));
      const auto nobody_else = [&](const std::string& why) {
        for (const Place& place : {Place(host), Place(host + "/login"), Place(host + "/api/v2"),
                                   Place(host, part_of("", shared_match(match_of({"POST"})))),
                                   Place(host, part_of("/api", shared_match(match_of({}, {"Cookie"}))))}) {
          const auto refused = router.claim(place, "bob/1", {9, 1, 0});
          ASSERT_FALSE(refused) << text_of(place) << why;
          EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
          EXPECT_TRUE(refused.error().context.starts_with(host)) << refused.error().context;
        }
      };
      nobody_else(" while it is there");
      ASSERT_TRUE(router.claim(host + "/more", "alice/2", {2, 1, 0})) << "another client of the grant";
      router.offer(held, 1);
      nobody_else(" while it leaves");
      ASSERT_TRUE(router.keep(held, 1));
      nobody_else(" while it is away");
      router.release(held, 1);
      nobody_else(" while the grant has another part");
      ASSERT_TRUE(router.keep(host + "/more", 2));
      nobody_else(" while that is away");
      router.release(host + "/more", 2);
      EXPECT_TRUE(router.claim(host + "/login", "bob/1", {9, 1, 0}));
      EXPECT_FALSE(router.claim(held, "alice/1", {3, 1, 0}));
    }
  }
}

TEST(RouterPaths, AClientHasAPlaceOnce) {
  Router router;
  ASSERT_TRUE(router.claim("a.test/x", "alice/1", {1, 1, 0}));
  const auto again = router.claim("a.test/x", "alice/1", {1, 2, 0});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().context, "this client has a tunnel for a.test/x already");
  ASSERT_TRUE(router.claim("a.test/x", "alice/1", {2, 2, 0})) << "it signed in again";
}

TEST(RouterPaths, SoManyPlacesOfAHostAndNoMore) {
  Router router;
  for (std::size_t i = 0; i < kMaxPlacesPerHost; ++i)
    ASSERT_TRUE(router.claim("a.test/" + std::to_string(i), "alice/1", {1, 1, 0})) << i;
  const auto refused = router.claim("a.test/x", "alice/1", {1, 1, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  EXPECT_TRUE(router.claim("a.test/7", "alice/1", {1, 1, 0})) << "it has that";
  EXPECT_TRUE(router.claim("b.test/x", "alice/1", {1, 1, 0}));
  router.release("a.test/7", 1);
  EXPECT_TRUE(router.claim("a.test/x", "alice/1", {1, 1, 0}));
}

TEST(RouterMatches, SoManyHeadersOfAHostAndNoMore) {
  Router router;
  std::vector<std::string> headers;
  for (int i = 0; i < 50; ++i) headers.push_back("x" + std::to_string(i));
  for (int i = 0; i < 5; ++i) claim(router, "/" + std::to_string(i), match_of({}, headers), 1);
  const auto refused = router.claim(place("/5", match_of({}, headers)), "o", {1, 1, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  claim(router, "/5", match_of({"GET"}, {"a", "b"}), 1);
}

TEST(RouterMatches, SoManyOfAHostAndNoMore) {
  Router router;
  for (std::size_t i = 0; i < kMaxMatchesPerHost; ++i) claim(router, "", match_of({}, {"x" + std::to_string(i)}), 1);
  const auto refused = router.claim(place("/other", match_of({"GET"})), "o", {1, 1, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Limit);
  EXPECT_TRUE(refused.error().context.contains("a.test has 64 paths and tunnels that ask for methods or headers"))
      << refused.error().context;
  claim(router, "/other", {}, 1);
  claim(router, "", {}, 1);
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
  EXPECT_EQ(session_of(router, {.method = "post"}), 2u) << "in any case: services do not agree";
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
  const Place one = place("/x", put);
  EXPECT_EQ(text_of(one), "a.test/x POST,PUT a b=\"2\"");
  EXPECT_EQ(one, place("/x", match_of({"POST", "PUT"}, {"A", "b:2"})));
  EXPECT_NE(one, place("/y", put));
  EXPECT_NE(one, Place("a.test/x"));
  EXPECT_NE(place("", match_of({}, {R"(A: 1" b="2)"})), place("", match_of({}, {"A: 1", "B: 2"})));
  EXPECT_NE(place_of("a.test", "", match_of({}, {R"(A: 1" b="2)"})),
            place_of("a.test", "", match_of({}, {"A: 1", "B: 2"})));
  EXPECT_EQ(Place("*.test/a/b").host, "*.test");
  EXPECT_EQ(Place("*.test/a/b").part->prefix, "/a/b");
  EXPECT_TRUE(Place("*.test").part->all());
  ASSERT_TRUE(router.claim(one, "alice/1", {1, 1, 0}));
  EXPECT_FALSE(router.claim(one, "alice/2", {2, 1, 0}));
  EXPECT_TRUE(router.claim("a.test/x", "alice/2", {2, 1, 0})) << "the rest is another place";
  EXPECT_TRUE(router.keep(one, 1));
  EXPECT_FALSE(router.claim(one, "bob/1", {2, 1, 0}));
  EXPECT_TRUE(router.claim(one, "alice/2", {3, 1, 0}));
  router.release(one, 3);
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
