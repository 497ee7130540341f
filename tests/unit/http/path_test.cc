// Paths in the one spelling, what is refused, and prefixes by whole segments.
#include "http/path.h"

#include <gtest/gtest.h>

namespace ferrotunnel::http {
namespace {

std::string spelled(std::string_view path) {
  std::string out = "left over";
  return normalise_path(path, out) == PathFault::None ? out : "refused";
}

TEST(Path, OneSpelling) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"", "/"},
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/a/b/", "/a/b/"},
      {"/%61%2d%2E%5f%7E", "/a-._~"},
      {"/a%20b%c3%a9", "/a%20b%C3%A9"},
      {"/a/./b", "/a/b"},
      {"/a/.", "/a/"},
      {"/a/..", "/"},
      {"/a/../b", "/b"},
      {"/a/b/../../c/", "/c/"},
      {"/..", "/"},
      {"/../../etc", "/etc"},
      {"/%2e%2e/admin", "/admin"},
      {"/x/%2E%2e/admin", "/admin"},
      {"//", "/"},
      {"//admin", "/admin"},
      {"/a///b//", "/a/b/"},
      {"/...", "/..."},
      {"/a;v=1/b", "/a;v=1/b"},
      {"/a%3Bb", "/a%3Bb"},
      {"/a%25b", "/a%25b"},
  };
  for (const auto& [path, wanted] : kCases) EXPECT_EQ(spelled(path), wanted) << path;
}

TEST(Path, ItIsStable) {
  for (const std::string_view path : {"/a/../b//c/./d%41/", "/%7e;x/..", "/a%2a"}) {
    const std::string once = spelled(path);
    EXPECT_EQ(spelled(once), once);
  }
}

TEST(Path, WhatCouldBeReadAnotherWayIsRefused) {
  for (const std::string_view path :
       {"/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%0d%0ab", "/a%7f", "/a%", "/a%4", "/a%zz", "/x/..;/admin",
        "/x/.;/admin", "/;x/admin", "/..;", "/%2e%2e;/x"})
    EXPECT_EQ(spelled(path), "refused") << path;
}

TEST(Path, OfAHeadTheQueryStays) {
  RequestHead head;
  head.path_and_query = "/a/../b?x=/../%2f";
  head.path = "/a/../b";
  head.query = "x=/../%2f";
  std::string storage;
  ASSERT_EQ(normalise_path(head, storage), PathFault::None);
  EXPECT_EQ(head.path_and_query, "/b?x=/../%2f");
  EXPECT_EQ(head.path, "/b");
  EXPECT_EQ(head.query, "x=/../%2f");
  head.path_and_query = head.path = "*";
  ASSERT_EQ(normalise_path(head, storage), PathFault::None);
  EXPECT_EQ(head.path_and_query, "*");
}

TEST(Path, Prefixes) {
  EXPECT_EQ(normalise_prefix("/"), "");
  EXPECT_EQ(normalise_prefix("/api/"), "/api");
  EXPECT_EQ(normalise_prefix("/a/../%61pi"), "/api");
  for (const std::string_view wrong : {"", "api", "/a;b", "/a?b", "/a b", "/a%2fb", "/a#b"})
    EXPECT_FALSE(normalise_prefix(wrong)) << wrong;

  EXPECT_EQ(path_prefix("/api", "/api"), 4u);
  EXPECT_EQ(path_prefix("/api/x", "/api"), 4u);
  EXPECT_EQ(path_prefix("/api/", "/api"), 4u);
  EXPECT_EQ(path_prefix("/apis", "/api"), std::nullopt);
  EXPECT_EQ(path_prefix("/ap", "/api"), std::nullopt);
  EXPECT_EQ(path_prefix("/", "/api"), std::nullopt);
  EXPECT_EQ(path_prefix("/anything", ""), 0u);
  EXPECT_EQ(path_prefix("*", ""), 0u);
  EXPECT_EQ(path_prefix("*", "/api"), std::nullopt);
}

TEST(Path, ParametersBelongToTheSegmentBeforeThem) {
  EXPECT_EQ(path_prefix("/api;v=1", "/api"), 8u);
  EXPECT_EQ(path_prefix("/api;v=1/x", "/api"), 8u);
  EXPECT_EQ(path_prefix("/a;q/b;r/c", "/a/b"), 8u);
  EXPECT_EQ(path_prefix("/a;q/bc", "/a/b"), std::nullopt);
}

}  // namespace
}  // namespace ferrotunnel::http
