// Several tunnels of one host, by path: the longest prefix, whose is what, and hosts that have one route for all.
#include <gtest/gtest.h>

#include "route/router.h"

namespace ferrotunnel::route {
namespace {

SessionId session_of(Router& router, std::string_view host, std::string_view path) {
  const auto table = router.snapshot();
  const HostRoutes* routes = table->host(host);
  if (routes == nullptr) return 0;
  const RouteTarget* target = routes->all() != nullptr ? routes->all() : routes->find(path);
  return target != nullptr ? target->session : 0;
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

}  // namespace
}  // namespace ferrotunnel::route
