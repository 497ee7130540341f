// Warm connections to an origin that are dead when they are used: what is asked for again, and what never is.
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

using transport::ResetReason;

class HttpRetry : public HttpTest {
 protected:
  // One exchange, so that a connection is warm.
  void warm(HttpWorld& world, Visitor& visitor) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return asked(world); }));
    world.link.last().got.clear();
    world.link.last().say(ok("1"));
    ASSERT_TRUE(world.until_got(visitor, ok("1")));
    world.settle();
    visitor.got.clear();
    ASSERT_EQ(world.ingress->stats().idle_origins, 1u);
  }
};
FT_ON_BOTH_POLLERS(HttpRetry);

TEST_P(HttpRetry, IdempotentOnce) {
  for (const bool by_fin : {false, true}) {
    HttpWorld world(portable());
    Visitor& visitor = world.connect();
    warm(world, visitor);
    FakeStream& first = world.link.last();
    visitor.send(get("/again"));
    ASSERT_TRUE(world.until([&] { return first.got.ends_with("\r\n\r\n"); }));
    if (by_fin) {
      first.fin();
    } else {
      first.end(ResetReason::PeerReset);
    }
    ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 2 && asked(world); }));
    EXPECT_EQ(world.link.last().got, first.got);  // the same request, id and all
    world.link.last().say(ok("2"));
    ASSERT_TRUE(world.until([&] { return visitor.got == ok("2"); }));
    EXPECT_EQ(world.ingress->stats().retries, 1u);
    EXPECT_TRUE(world.host.records.back().fields.retried);
    EXPECT_EQ(world.host.records.back().slug, "");
  }
}

TEST_P(HttpRetry, NotTwice) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().end(ResetReason::PeerReset);
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 2 && asked(world); }));
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "origin", "peer-reset");
  EXPECT_EQ(world.link.streams.size(), 2u);
}

TEST_P(HttpRetry, NotOnAFreshConnection) {
  HttpWorld world(portable());
  Visitor& visitor = ask(world);
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "origin", "peer-reset");
}

TEST_P(HttpRetry, NotWhatMayHaveHadAnEffect) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "origin", "peer-reset");
  visitor.got.clear();
  // An idempotent one whose body began to move cannot be said again.
  warm(world, visitor);
  visitor.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nab");
  ASSERT_TRUE(world.until([&] { return world.link.last().got.ends_with("ab"); }));
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "origin", "peer-reset");
  EXPECT_EQ(world.ingress->stats().retries, 0u);
}

TEST_P(HttpRetry, NotAfterAByteOfTheResponse) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.last().say("H");
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "origin", "peer-reset");
}

TEST_P(HttpRetry, WhateverItIsWhenNothingWasAskedFor) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  world.link.paused = true;
  visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nabcd");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().requests == 2; }));
  world.link.last().end(ResetReason::PeerReset);
  world.link.resume();
  ASSERT_TRUE(
      world.until([&] { return world.link.streams.size() == 2 && world.link.last().got.ends_with("\r\n\r\nabcd"); }));
  world.link.last().say(ok("2"));
  EXPECT_TRUE(world.until_got(visitor, ok("2")));
}

// What an idle connection says in the moment in which it is taken: the next visitor's request is not there yet, and this is no answer to it.
TEST_P(HttpRetry, AnAnswerBeforeTheRequestIsNobodys) {
  for (const bool by_parts : {false, true}) {
    HttpWorld world(portable());
    Visitor& visitor = world.connect();
    warm(world, visitor);
    FakeStream& first = world.link.last();
    const std::size_t asked_before = first.got.size();
    world.link.paused = true;
    visitor.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nabcd");
    ASSERT_TRUE(world.until([&] { return world.ingress->stats().requests == 2; }));
    first.say(by_parts ? "H" : ok("poison"));
    EXPECT_EQ(first.got_reset, ResetReason::Cancel);
    world.link.resume();
    ASSERT_TRUE(
        world.until([&] { return world.link.streams.size() == 2 && world.link.last().got.ends_with("\r\n\r\nabcd"); }));
    EXPECT_EQ(first.got.size(), asked_before);
    world.link.last().say(ok("2"));
    ASSERT_TRUE(world.until([&] { return visitor.got == ok("2"); })) << visitor.got;
    EXPECT_EQ(world.ingress->stats().retries, 1u);
    EXPECT_EQ(world.host.records.back().slug, "");
    EXPECT_TRUE(world.host.records.back().fields.retried);
  }
}

TEST_P(HttpRetry, LinkLostIsNotRetried) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.link.lose();
  expect_page(world, visitor, 502, "tunnel", "link-lost");
  EXPECT_EQ(world.ingress->stats().idle_origins, 0u);
}

TEST_P(HttpRetry, LinkGoneAtTheSecondTry) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  warm(world, visitor);
  visitor.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  world.links.remove(HttpWorld::kSession);
  world.link.last().end(ResetReason::PeerReset);
  expect_page(world, visitor, 502, "tunnel", "link-lost");
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
