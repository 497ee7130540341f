// GrantBook: what is found, what a change keeps, and what it counts.
#include "session/grant_book.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/bytes.h"

namespace ferrotunnel::session {
namespace {

Secret secret(std::string_view text) { return Secret(as_bytes(text)); }
const Secret kOne = secret("the first secret of two"), kTwo = secret("the second secret, newer");

Grant grant(std::string name, std::vector<Secret> secrets = {kOne}) {
  Grant made;
  made.name = std::move(name);
  made.secrets = std::move(secrets);
  return made;
}

TEST(GrantBookTest, FindsWhatIsThere) {
  GrantBook book;
  EXPECT_EQ(book.find("a"), nullptr);
  EXPECT_EQ(book.use("a"), nullptr);
  EXPECT_EQ(book.keys("a").count, 0u);
  book.replace({grant("b", {kOne, kTwo}), grant("a")});
  ASSERT_NE(book.find("a"), nullptr);
  EXPECT_EQ(book.find("a")->name, "a");
  ASSERT_EQ(book.all().size(), 2u);
  EXPECT_EQ(book.all()[0]->name, "a");
  EXPECT_EQ(book.keys("a").count, 1u);
  ASSERT_EQ(book.keys("b").count, 2u);
  EXPECT_EQ(book.keys("b").keys[0].bytes, AuthKey::of(kOne).bytes);
  EXPECT_EQ(book.keys("b").keys[1].bytes, AuthKey::of(kTwo).bytes);
  EXPECT_EQ(book.keys("").count, 0u);
}

// Many, so that the scan meets every place; and what is no name at all.
TEST(GrantBookTest, EachNameHasItsOwnKeysAndOthersHaveNone) {
  GrantBook book;
  EXPECT_EQ(book.keys("g1").count, 0u) << "of an empty book";
  std::vector<Grant> grants;
  std::vector<AuthKey> keys;
  for (int i = 0; i < 300; ++i) {
    Grant grant;
    grant.name = "g" + std::to_string(i);
    for (int n = 0; n <= i % 2; ++n) grant.secrets.push_back(Secret::generate());
    keys.push_back(AuthKey::of(grant.secrets.back()));
    grants.push_back(std::move(grant));
  }
  book.replace(std::move(grants));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const GrantKeys found = book.keys("g" + std::to_string(i));
    ASSERT_EQ(found.count, 1 + i % 2);
    EXPECT_EQ(found.keys[found.count - 1].bytes, keys[i].bytes);
    EXPECT_EQ(book.keys("h" + std::to_string(i)).count, 0u);
  }
  EXPECT_EQ(book.keys("").count, 0u);
  EXPECT_EQ(book.keys(std::string(10'000, 'g')).count, 0u);
}

TEST(GrantBookTest, AChangeMovesTheVersionAndKeepsTheCount) {
  GrantBook book;
  const auto before = book.version();
  book.replace({grant("a"), grant("b")});
  EXPECT_NE(book.version(), before);
  const auto old = book.find("a");
  const auto use = book.use("a");
  ASSERT_TRUE(GrantUse::take(use->sessions, 2));
  Grant changed = grant("a");
  changed.hosts = {"only.example.com"};
  changed.limits.streams = 1;
  book.replace({changed});
  EXPECT_EQ(book.find("b"), nullptr);
  EXPECT_EQ(old->hosts, std::vector<std::string>{"*"}) << "who looks at the old one still may";
  EXPECT_EQ(book.find("a")->hosts, std::vector<std::string>{"only.example.com"});
  EXPECT_EQ(book.use("a"), use);
  EXPECT_EQ(book.use("a")->sessions.load(), 1u);
  ASSERT_TRUE(use->streams->take());
  EXPECT_FALSE(use->streams->take()) << "the new limit, for those who hold the old count";
  use->streams->give_back(1);
  EXPECT_TRUE(use->streams->take());
}

TEST(GrantBookTest, CountsUpToTheLimit) {
  GrantUse use;
  EXPECT_TRUE(GrantUse::take(use.tunnels, 2) && GrantUse::take(use.tunnels, 2));
  EXPECT_FALSE(GrantUse::take(use.tunnels, 2));
  GrantUse::give_back(use.tunnels);
  EXPECT_TRUE(GrantUse::take(use.tunnels, 2));
  EXPECT_FALSE(GrantUse::take(use.sessions, 0));
  EXPECT_TRUE(GrantUse::take(use.places, 10, 7));
  EXPECT_FALSE(GrantUse::take(use.places, 10, 4));
  EXPECT_FALSE(GrantUse::take(use.places, 6, 1)) << "the limit is lower now";
  EXPECT_TRUE(GrantUse::take(use.places, 10, 3));
  GrantUse::give_back(use.places, 10);
  EXPECT_EQ(use.places, 0u);
}

TEST(GrantBookTest, WhoMayHaveASession) {
  GrantBook book;
  Grant over = grant("over"), soon = grant("soon");
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  over.expires = now - std::chrono::seconds(1);
  soon.expires = now + std::chrono::hours(1);
  book.replace({over, soon, grant("always")});
  EXPECT_TRUE(book.admits("soon"));
  EXPECT_TRUE(book.admits("always"));
  ASSERT_FALSE(book.admits("over"));
  EXPECT_EQ(book.admits("over").error().code, ErrorCode::Unauthorized);
  EXPECT_NE(book.admits("over").error().context.find("expired"), std::string::npos);
  ASSERT_FALSE(book.admits("gone"));
  EXPECT_EQ(book.admits("gone").error().code, ErrorCode::Unauthorized);
}

}  // namespace
}  // namespace ferrotunnel::session
