// Which session serves a host: exact before wildcard, the longest wildcard first, claims and take-overs, snapshots of many threads.
#include "route/router.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "route/link_directory.h"
#include "route/port_keeper.h"

namespace ferrotunnel::route {
namespace {

SessionId session_of(Router& router, std::string_view host) {
  const auto table = router.snapshot();
  const RouteTarget* const target = table->find(host);
  return target == nullptr ? 0 : target->session;
}

TEST(Router, FindsExactNames) {
  Router router;
  ASSERT_TRUE(router.claim("a.test", "alice", {1, 11, 2}));
  ASSERT_TRUE(router.claim("b.test", "bob", {2, 22, 3}));
  const auto table = router.snapshot();
  const RouteTarget* target = table->find("a.test");
  ASSERT_NE(target, nullptr);
  EXPECT_EQ(target->session, 1u);
  EXPECT_EQ(target->tunnel, 11u);
  EXPECT_EQ(target->shard, 2u);
  EXPECT_EQ(session_of(router, "b.test"), 2u);
  for (const std::string_view host : {"c.test", "", "test", ".test", "xa.test", "a.test.", "a.tes", "x.a.test"})
    EXPECT_EQ(session_of(router, host), 0u) << host;
}

TEST(Router, TheLongestWildcardWinsAndExactGoesFirst) {
  Router router;
  ASSERT_TRUE(router.claim("*.test", "o", {1, 1, 0}));
  ASSERT_TRUE(router.claim("*.a.test", "o", {2, 1, 0}));
  ASSERT_TRUE(router.claim("x.a.test", "o", {3, 1, 0}));
  EXPECT_EQ(session_of(router, "b.test"), 1u);
  EXPECT_EQ(session_of(router, "a.test"), 1u) << "a wildcard does not stand for the name itself";
  EXPECT_EQ(session_of(router, "y.a.test"), 2u);
  EXPECT_EQ(session_of(router, "z.y.a.test"), 2u) << "every name under it";
  EXPECT_EQ(session_of(router, "x.a.test"), 3u);
  EXPECT_EQ(session_of(router, "y.x.a.test"), 2u);
  EXPECT_EQ(session_of(router, "test"), 0u);
  EXPECT_EQ(session_of(router, ".test"), 0u);
  EXPECT_EQ(session_of(router, "b.testing"), 0u);
}

TEST(Router, APinIsTheClaimantsAlone) {
  Router router;
  ASSERT_TRUE(router.claim("*.a.test", "alice", {1, 11, 2, true}));
  RouterCache cache(router);
  EXPECT_TRUE(cache.find("x.a.test")->pinned);
  router.pin("*.a.test", 2, false);  // another session's
  EXPECT_TRUE(cache.find("x.a.test")->pinned);
  const std::uint64_t before = router.version();
  router.pin("*.a.test", 1, true);
  EXPECT_EQ(router.version(), before) << "nothing has changed";
  router.pin("*.a.test", 1, false);
  EXPECT_FALSE(cache.find("x.a.test")->pinned);
  EXPECT_EQ(cache.find("x.a.test")->shard, 2u);
}

TEST(Router, WhatIsOfferedIsServedUntilSomebodyTakesIt) {
  Router router;
  for (const std::string host : {"a.test", "*.a.test"}) {
    const std::string name = host.starts_with("*") ? "x.a.test" : host;
    ASSERT_TRUE(router.claim(host, "alice/1", {1, 1, 0}));
    router.offer(host, 2);  // not its to give
    EXPECT_FALSE(router.claim(host, "alice/2", {2, 1, 0}));
    router.offer(host, 1);
    EXPECT_EQ(session_of(router, name), 1u);
    const auto refused = router.claim(host, "bob/1", {9, 1, 0});
    ASSERT_FALSE(refused) << "its grant's only";
    EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
    ASSERT_TRUE(router.claim(host, "alice/2", {2, 1, 0}));
    EXPECT_FALSE(router.leave(host, 1)) << "it has it no more";
    router.release(host, 1);
    EXPECT_EQ(session_of(router, name), 2u);
    EXPECT_FALSE(router.claim(host, "alice/3", {3, 1, 0}));
    router.offer(host, 2);
    router.release(host, 2);
    EXPECT_EQ(session_of(router, name), 0u);
    router.offer("nobody.test", 2);
  }
}

TEST(Router, AHostThatWasLeftIsItsGrantsUntilItIsReleased) {
  Router router;
  for (const std::string host : {"a.test", "*.a.test"}) {
    const std::string name = host.starts_with("*") ? "x.a.test" : host;
    ASSERT_TRUE(router.claim(host, "laptop/1", {1, 1, 0}));
    ASSERT_TRUE(router.claim(host + "/api", "laptop/1", {1, 1, 0}));
    EXPECT_FALSE(router.leave(host, 2)) << "not its to leave";
    EXPECT_FALSE(router.leave(host + "/api", 1)) << "it has more of it";
    EXPECT_TRUE(router.leave(host, 1));
    EXPECT_EQ(router.snapshot()->host(name), nullptr) << "nobody serves it";
    for (const std::string& place : {host, host + "/api", host + "/login"}) {
      const auto refused = router.claim(place, "other/9", {2, 1, 0});
      ASSERT_FALSE(refused) << place;
      EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
      EXPECT_FALSE(refused.error().context.contains("laptop"));
    }
    ASSERT_TRUE(router.claim(host + "/api", "laptop/2", {3, 1, 0}));
    router.release(host, 1);  // the lease's end
    EXPECT_FALSE(router.claim(host, "other/9", {2, 1, 0}));
    ASSERT_TRUE(router.leave(host + "/api", 3));
    router.release(host, 1);
    EXPECT_FALSE(router.claim(host, "other/9", {2, 1, 0})) << "another lease";
    router.release(host, 3);
    EXPECT_TRUE(router.claim(host, "other/9", {2, 1, 0}));
    router.release(host, 2);
  }
}

// However soon the lease of a part that was lost before is over.
TEST(Router, AHostThatWasLeftIsReservedBesideAPartThatIsAway) {
  for (const std::string host : {"a.test", "*.a.test"}) {
    Router router;
    ASSERT_TRUE(router.claim(host + "/a", "laptop/1", {1, 1, 0}));
    ASSERT_TRUE(router.claim(host + "/b", "laptop/2", {2, 1, 0}));
    ASSERT_TRUE(router.keep(host + "/a", 1));
    ASSERT_TRUE(router.leave(host + "/b", 2));
    router.release(host + "/a", 1);
    EXPECT_FALSE(router.claim(host, "other/9", {3, 1, 0})) << "the lease of who left last";
    EXPECT_TRUE(router.claim(host + "/a", "laptop/3", {4, 1, 0}));
    router.release(host + "/b", 2);
    EXPECT_FALSE(router.claim(host, "other/9", {3, 1, 0})) << "served again";
    ASSERT_TRUE(router.keep(host + "/a", 4));
    router.release(host + "/a", 4);
    EXPECT_TRUE(router.claim(host, "other/9", {3, 1, 0}));
  }
}

TEST(Router, ANameUnderAnotherGrantsWildcardIsItsOwn) {
  Router router;
  ASSERT_TRUE(router.claim("*.dev.test", "alice/1", {1, 1, 0}));
  const auto bob = [&](const char* place, const ClaimRights& rights = {}) {
    return router.claim(place, "bob/1", {2, 1, 0}, rights);
  };
  for (const char* place : {"x.dev.test", "y.x.dev.test", "*.x.dev.test", "x.dev.test/p", "*.dev.test/p"}) {
    const auto refused = bob(place);
    ASSERT_FALSE(refused) << place;
    EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
  }
  EXPECT_EQ(bob("x.dev.test").error().context, "x.dev.test is under *.dev.test, which another client has");
  EXPECT_TRUE(bob("dev.test")) << "not under it";
  EXPECT_TRUE(bob("*.test")) << "above it: what it has stays its own";
  EXPECT_EQ(session_of(router, "x.dev.test"), 1u);
  EXPECT_TRUE(router.claim("x.dev.test", "alice/2", {3, 1, 0}));
  EXPECT_FALSE(router.claim("z.test", "alice/2", {3, 1, 0})) << "under bob's";
  std::string asked;
  const ClaimRights granted{.granted_in = [&asked](std::string_view wildcard) {
    asked = wildcard;
    return true;
  }};
  EXPECT_TRUE(bob("*.b.dev.test", granted));
  EXPECT_EQ(asked, "*.dev.test");
  EXPECT_TRUE(bob("y.b.dev.test")) << "the longest wildcard is its own";
  ASSERT_TRUE(router.keep("*.dev.test", 1));
  EXPECT_FALSE(bob("n.dev.test")) << "kept";
  ASSERT_TRUE(router.leave("*.dev.test", 1));
  EXPECT_FALSE(bob("n.dev.test")) << "left";
  router.release("*.dev.test", 1);
  EXPECT_TRUE(bob("n.dev.test"));
}

TEST(Router, AWildcardMayReserveNothing) {
  Router router;
  ASSERT_TRUE(router.claim("*.test", "alice/1", {1, 1, 0}, {.reserves = false}));
  EXPECT_TRUE(router.claim("x.test", "bob/1", {2, 1, 0}));
  EXPECT_FALSE(router.claim("*.test/p", "bob/1", {2, 1, 0}));
  EXPECT_EQ(session_of(router, "y.test"), 1u);
}

TEST(Router, ATableSharesWhatDidNotChange) {
  Router router;
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(router.claim("h" + std::to_string(i) + ".test", "o", {1, 1, 0}));
  const auto before = router.snapshot();
  router.release("h7.test", 1);
  ASSERT_TRUE(router.claim("h8.test", "o", {2, 1, 0}));
  const auto after = router.snapshot();
  EXPECT_NE(before->host("h7.test"), nullptr);
  EXPECT_EQ(before->find("h8.test")->session, 1u);
  EXPECT_EQ(after->host("h7.test"), nullptr);
  EXPECT_EQ(after->find("h8.test")->session, 2u);
  int same = 0;
  for (int i = 9; i < 3000; ++i) {
    const std::string host = "h" + std::to_string(i) + ".test";
    ASSERT_NE(after->host(host), nullptr) << host;
    if (after->host(host) == before->host(host)) ++same;
  }
  EXPECT_GT(same, 2900) << "two buckets of 256 are new";
}

TEST(Router, AClaimBelongsToItsOwner) {
  Router router;
  for (const std::string host : {"a.test", "*.a.test"}) {
    ASSERT_TRUE(router.claim(host, "alice", {1, 1, 0}));
    const auto refused = router.claim(host, "bob", {2, 1, 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
    EXPECT_NE(refused.error().context.find(host), std::string::npos);
    // The same client again, with a new session, before the old one is known to be dead.
    ASSERT_TRUE(router.claim(host, "alice", {3, 5, 1}));
    const std::string name = host.starts_with("*") ? "x.a.test" : host;
    EXPECT_EQ(session_of(router, name), 3u);
    router.release(host, 1);  // the old one's end
    EXPECT_EQ(session_of(router, name), 3u);
    router.release(host, 3);
    EXPECT_EQ(session_of(router, name), 0u);
    router.release(host, 3);
    EXPECT_TRUE(router.claim(host, "bob", {2, 1, 0}));
  }
}

TEST(Router, AKeptPlaceIsItsGrantsUntilItIsReleased) {
  Router router;
  for (const std::string host : {"a.test", "*.a.test"}) {
    const std::string name = host.starts_with("*") ? "x.a.test" : host;
    ASSERT_TRUE(router.claim(host, "laptop/1", {1, 1, 0}));
    EXPECT_FALSE(router.keep(host, 2)) << "not its to keep";
    ASSERT_TRUE(router.keep(host, 1));
    EXPECT_EQ(session_of(router, name), 1u) << "visitors are told that it is away";
    const auto refused = router.claim(host, "other/9", {2, 1, 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::AddressInUse);
    EXPECT_FALSE(refused.error().context.contains("laptop"));
    // A name that begins with another is another.
    EXPECT_FALSE(router.claim(host, "laptop2/1", {2, 1, 0}));
    ASSERT_TRUE(router.claim(host, "laptop/2", {3, 1, 0}));
    EXPECT_FALSE(router.claim(host, "laptop/1", {4, 1, 0})) << "in use again";
    router.release(host, 1);  // the lease's end
    EXPECT_EQ(session_of(router, name), 3u);
    ASSERT_TRUE(router.keep(host, 3));
    router.release(host, 3);
    EXPECT_EQ(session_of(router, name), 0u);
    EXPECT_FALSE(router.keep(host, 3));
    EXPECT_TRUE(router.claim(host, "other/9", {5, 1, 0}));
  }
}

TEST(Router, APlaceThatWasLetGoIsItsGrantsUnderAnotherName) {
  for (const std::string host : {"a.test", "*.a.test"}) {
    Router router;
    const std::string name = host.starts_with("*") ? "x.a.test" : host;
    ASSERT_TRUE(router.claim(host, "laptop/1", {1, 1, 0}));
    RouterCache cache(router);
    EXPECT_FALSE(router.let_go(host, 2, 100)) << "not its to let go";
    ASSERT_TRUE(router.let_go(host, 1, 100));
    ASSERT_NE(cache.find(name), nullptr);
    EXPECT_EQ(cache.find(name)->session, 100u) << "whoever looks finds no link: it is away";
    EXPECT_FALSE(router.claim(host, "other/9", {2, 1, 0}));
    EXPECT_FALSE(router.could_claim(host, "other/9", {2, 1, 0}));
    router.release(host, 1);  // what its session does besides
    EXPECT_FALSE(router.claim(host, "other/9", {2, 1, 0}));
    EXPECT_TRUE(router.could_claim(host, "laptop/1", {1, 2, 0}));
    EXPECT_EQ(session_of(router, name), 100u) << "to ask is not to take";
    ASSERT_TRUE(router.claim(host, "laptop/1", {1, 2, 0})) << "the same session, and another tunnel";
    ASSERT_TRUE(router.let_go(host, 1, 101));
    router.release(host, 100);  // the end of the first lease
    EXPECT_FALSE(router.claim(host, "other/9", {2, 1, 0}));
    ASSERT_TRUE(router.claim(host, "laptop/7", {7, 1, 0})) << "another client of the grant";
    router.release(host, 101);
    EXPECT_EQ(session_of(router, name), 7u);
    ASSERT_TRUE(router.let_go(host, 7, 102));
    router.release(host, 102);
    EXPECT_TRUE(router.claim(host, "other/9", {2, 1, 0}));
  }
}

TEST(Router, WhatIsKeptMayForgetItsRules) {
  Router router;
  ASSERT_TRUE(router.claim("a.test", "laptop/1", {1, 1, 0}));
  const auto thing = std::make_shared<int>(0);  // nobody looks into it
  const std::shared_ptr<const plugin::Chain> chain(thing, reinterpret_cast<const plugin::Chain*>(thing.get()));
  router.set_chain("a.test", 1, chain);
  router.forget_rules("a.test", 2);  // not its to forget
  EXPECT_EQ(chain.use_count(), 3);
  router.forget_rules("a.test", 1);
  EXPECT_EQ(chain.use_count(), 2) << "thing and chain";
  EXPECT_EQ(session_of(router, "a.test"), 1u);
}

// A client that signs in under another grant lets go of what it has, and has it again.
TEST(Router, AnInstanceTakesWhatItLetGoOfToAnotherGrant) {
  Router router;
  ASSERT_TRUE(router.claim("a.test/x", "laptop/1", {1, 1, 0}));
  ASSERT_TRUE(router.claim("a.test/y", "laptop/1", {1, 2, 0}));
  ASSERT_TRUE(router.let_go("a.test/x", 1, 100));
  EXPECT_FALSE(router.claim("a.test/x", "desk/1", {2, 1, 0})) << "it has another part still";
  ASSERT_TRUE(router.let_go("a.test/y", 1, 101));
  EXPECT_FALSE(router.claim("a.test/x", "desk/2", {2, 1, 0}));
  EXPECT_FALSE(router.claim("a.test/x", "desk", {2, 1, 0}));
  ASSERT_TRUE(router.claim("a.test/x", "desk/1", {2, 1, 0}));
  EXPECT_FALSE(router.claim("a.test/y", "laptop/1", {3, 1, 0})) << "one grant has a host with all its parts";
  router.release("a.test/x", 100);
  router.release("a.test/y", 101);
  EXPECT_FALSE(router.claim("a.test/z", "laptop/1", {3, 1, 0}));
  ASSERT_TRUE(router.keep("a.test/x", 2));
  EXPECT_FALSE(router.claim("a.test/x", "laptop/1", {3, 1, 0})) << "lost is not let go of";
}

TEST(PortKeeper, AnInstanceTakesWhatItLetGoOfToAnotherGrant) {
  PortKeeper ports;
  ports.keep(2222, "laptop/1", 100, PortKeeper::Why::LetGo);
  EXPECT_TRUE(ports.allows(2222, "laptop/2"));
  EXPECT_TRUE(ports.allows(2222, "desk/1"));
  EXPECT_FALSE(ports.allows(2222, "desk/2"));
  EXPECT_FALSE(ports.allows(2222, "desk"));
  ports.keep(2222, "laptop/1", 1);
  EXPECT_FALSE(ports.allows(2222, "desk/1")) << "lost is not let go of";
}

// Who stops listening keeps the port first; one who looked before that and binds after it would have it.
TEST(PortKeeper, NobodyKeepsAPortWhileAnotherBindsIt) {
  PortKeeper ports;
  std::atomic<bool> asked{false};
  std::atomic<int> order{0};
  int bound = 0, kept = 0;
  std::thread owner([&] {
    while (!asked) std::this_thread::yield();
    ports.keep(2222, "laptop/1", 100, PortKeeper::Why::LetGo);
    kept = ++order;
  });
  const auto done = ports.take(2222, "desk/2", [&]() -> Result<> {
    asked = true;
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // it would have come in
    bound = ++order;
    return std::unexpected(Error(ErrorCode::AddressInUse, Side::Local, true, "in use"));
  });
  owner.join();
  ASSERT_TRUE(done.has_value());
  EXPECT_FALSE(*done);
  EXPECT_LT(bound, kept);
  bool called = false;
  const auto listens = [&]() -> Result<> {
    called = true;
    return {};
  };
  EXPECT_FALSE(ports.take(2222, "desk/2", listens).has_value());
  EXPECT_FALSE(called);
  EXPECT_TRUE(ports.take(2222, "laptop/1", listens));
  EXPECT_TRUE(ports.allows(2222, "desk/2")) << "somebody listens there again";
}

TEST(Router, WhoHasItIsToldToItsGrantOnly) {
  Router router;
  ASSERT_TRUE(router.claim("a.test", "laptop/1", {12, 1, 0}));
  EXPECT_TRUE(router.claim("a.test", "laptop/2", {13, 1, 0}).error().context.contains("s12"));
  EXPECT_FALSE(router.claim("a.test", "other/2", {14, 1, 0}).error().context.contains("s12"));
}

TEST(PortKeeper, AKeptPortIsItsGrantsUntilItIsReleased) {
  PortKeeper ports;
  EXPECT_TRUE(ports.allows(2222, "laptop"));
  ports.keep(2222, "laptop", 1);
  EXPECT_FALSE(ports.allows(2222, "other"));
  EXPECT_TRUE(ports.allows(2223, "other"));
  EXPECT_TRUE(ports.allows(2222, "laptop"));
  EXPECT_FALSE(ports.allows(2222, "other")) << "to ask is not to take";
  ports.taken(2222);
  EXPECT_TRUE(ports.allows(2222, "other"));
  ports.keep(2222, "laptop", 2);
  ports.release(2222, 1);  // an earlier lease's end
  EXPECT_FALSE(ports.allows(2222, "other"));
  ports.release(2222, 2);
  EXPECT_TRUE(ports.allows(2222, "other"));
}

TEST(Router, WildcardAndExactAreTwoClaims) {
  Router router;
  ASSERT_TRUE(router.claim("*.test", "alice/1", {1, 1, 0}));
  ASSERT_TRUE(router.claim("x.test", "alice/2", {2, 1, 0}));
  router.release("x.test", 2);
  EXPECT_EQ(session_of(router, "x.test"), 1u);
}

TEST(Router, ASnapshotDoesNotChange) {
  Router router;
  ASSERT_TRUE(router.claim("a.test", "alice", {1, 1, 0}));
  const auto before = router.snapshot();
  EXPECT_EQ(router.snapshot(), before) << "nothing changed, nothing copied";
  router.release("a.test", 1);
  EXPECT_NE(before->find("a.test"), nullptr);
  EXPECT_EQ(router.snapshot()->find("a.test"), nullptr);
}

TEST(RouterCache, FollowsTheRouter) {
  Router router;
  RouterCache cache(router);
  EXPECT_EQ(cache.find("a.test"), nullptr);
  ASSERT_TRUE(router.claim("a.test", "alice", {1, 1, 0}));
  ASSERT_NE(cache.find("a.test"), nullptr);
  EXPECT_EQ(cache.find("a.test")->session, 1u);
  ASSERT_TRUE(router.claim("a.test", "alice", {2, 1, 0}));
  EXPECT_EQ(cache.find("a.test")->session, 2u);
  router.release("a.test", 2);
  EXPECT_EQ(cache.find("a.test"), nullptr);
  RouterCache late(router);
  EXPECT_EQ(late.find("a.test"), nullptr);
}

TEST(RouterCache, ManyThreadsReadWhileOneWrites) {
  Router router;
  ASSERT_TRUE(router.claim("always.test", "o", {7, 1, 0}));
  std::atomic<bool> stop = false;
  std::vector<std::jthread> readers;
  for (int t = 0; t < 3; ++t)
    readers.emplace_back([&] {
      RouterCache cache(router);
      std::uint64_t last = 0;
      while (!stop) {
        const RouteTarget* always = cache.find("always.test");
        ASSERT_NE(always, nullptr);
        ASSERT_EQ(always->session, 7u);
        const RouteTarget* moving = cache.find("moving.test");
        if (moving == nullptr) continue;
        ASSERT_GE(moving->session, last) << "never back to an older one";
        last = moving->session;
      }
    });
  for (std::uint64_t i = 1; i <= 3000; ++i) ASSERT_TRUE(router.claim("moving.test", "o", {i, 1, 0}));
  stop = true;
  readers.clear();
  RouterCache cache(router);
  EXPECT_EQ(cache.find("moving.test")->session, 3000u);
}

TEST(LinkDirectory, FindsTheLinksOfAShard) {
  LinkDirectory links;
  // Only addresses are kept.
  auto* const one = reinterpret_cast<transport::Link*>(0x1000);
  auto* const two = reinterpret_cast<transport::Link*>(0x2000);
  links.add(1, *one);
  EXPECT_EQ(links.find(1), one);
  EXPECT_EQ(links.find(2), nullptr);
  links.add(1, *two);
  EXPECT_EQ(links.find(1), two);
  links.remove(1);
  links.remove(1);
  EXPECT_EQ(links.find(1), nullptr);
}

}  // namespace
}  // namespace ferrotunnel::route
