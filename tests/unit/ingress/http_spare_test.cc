// Who goes where a newcomer has no place, and visitors who are not there any more.
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class HttpSpare : public HttpTest {
 protected:
  [[nodiscard]] HttpIngressOptions options(std::uint32_t most) {
    HttpIngressOptions options;
    options.visitors = &count;
    count.set_max(most);
    return options;
  }
  // Asks for something that is answered, and stays.
  static void ask(HttpWorld& world, Visitor& visitor) {
    visitor.send(get());
    EXPECT_TRUE(world.until_got(visitor, "fine")) << visitor.got;
    visitor.got.clear();
  }
  static void answer(HttpWorld& world) {
    world.link.origin = answer_heads([](std::string_view) { return ok("fine"); });
  }
  VisitorCount count;
};
FT_ON_BOTH_POLLERS(HttpSpare);

TEST_P(HttpSpare, TheOneThatIsIdleForLongestGoes) {
  HttpWorld world(portable(), options(3));
  answer(world);
  Visitor& first = world.connect();
  ask(world, first);
  Visitor& second = world.connect();
  ask(world, second);
  H2Visitor third(world);
  const auto id = third.client.ask("GET", "/");
  ASSERT_TRUE(third.until_closed(id));
  ask(world, first);  // the second is the oldest now
  Visitor& fourth = world.connect();
  ask(world, fourth);
  ASSERT_TRUE(world.until([&] { return second.closed(); }));
  EXPECT_TRUE(second.eof) << "it was in order";
  EXPECT_FALSE(first.closed());
  // Then the one that speaks HTTP/2, which is told.
  Visitor& fifth = world.connect();
  ask(world, fifth);
  ASSERT_TRUE(third.until([&] { return third.client.goaway.has_value(); }));
  EXPECT_EQ(third.client.goaway, NGHTTP2_NO_ERROR);
  EXPECT_EQ(world.ingress->stats().made_room, 2u);
  EXPECT_EQ(world.ingress->stats().refused, 0u);
  EXPECT_EQ(count.now(), 3u);
}

TEST_P(HttpSpare, WhoIsServedStays) {
  HttpWorld world(portable(), options(2));
  Visitor& waits = world.connect();
  waits.send(get());
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  H2Visitor streams(world);
  const auto id = streams.client.ask("GET", "/slow");
  ASSERT_TRUE(streams.until([&] { return world.link.alive() == 2; }));
  Visitor& third = world.connect();
  ASSERT_TRUE(world.until_got(third, "server-limit"));
  EXPECT_EQ(world.ingress->stats().made_room, 0u);
  EXPECT_EQ(world.host.turned_away, 1);
  EXPECT_FALSE(waits.closed());
  EXPECT_FALSE(streams.answer(id).closed);
}

TEST_P(HttpSpare, WhoseRequestIsUnderWayStays) {
  HttpWorld world(portable(), options(1));
  answer(world);
  Visitor& visitor = world.connect();
  ask(world, visitor);
  // The bytes are in the socket, and nobody has looked at them yet.
  visitor.send(get());
  Visitor& late = world.connect();
  ASSERT_TRUE(world.until_got(visitor, "fine"));
  ASSERT_TRUE(world.until_got(late, "server-limit"));
}

TEST_P(HttpSpare, WhoHasSentHisFinGoesForANewcomer) {
  if (portable()) return;  // that poller tells of a FIN to who reads, and nobody does: stall_timeout ends it
  HttpWorld world(portable(), options(2));
  Visitor& gone = world.connect();
  gone.send(get("/silent"));
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  gone.close();
  Visitor& half = world.connect();
  half.send(get("/half"));
  half.finish();
  ASSERT_TRUE(world.until([&] { return world.link.alive() == 2 && asked(world); }));
  ASSERT_TRUE(world.until([&] { return world.ingress->spare() == 2; }));
  // He is served as long as there is room.
  world.link.last().say(ok("whole"));
  ASSERT_TRUE(world.until_got(half, "whole"));
  ASSERT_TRUE(world.until([&] { return count.now() == 1; }));
  Visitor& other = world.connect();
  Visitor& newcomer = world.connect();
  EXPECT_EQ(world.ingress->stats().made_room, 1u);
  answer(world);
  ask(world, newcomer);
  ask(world, other);
  ASSERT_TRUE(world.until([&] { return world.link.alive() <= 2; }));
  bool told = false;
  for (const Record& record : world.host.records)
    told = told || (record.slug == "visitor-gone" && record.path == "/silent");
  EXPECT_TRUE(told);
}

TEST_P(HttpSpare, WhoHasSentHisFinIsWaitedForSoLong) {
  if (portable()) return;  // that poller tells of a FIN to who reads, and nobody does: stall_timeout ends it
  HttpIngressOptions options;
  options.half_closed_timeout = 100ms;
  HttpWorld world(portable(), options);
  Visitor& stays = world.connect();
  stays.send(get("/stays"));
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  Visitor& gone = world.connect();
  gone.send(get("/gone"));
  gone.close();  // in one turn with the request
  ASSERT_TRUE(world.until([&] { return world.host.records.size() == 1; }));
  EXPECT_EQ(world.host.records[0].slug, "visitor-gone");
  EXPECT_EQ(world.host.records[0].path, "/gone");
  EXPECT_EQ(world.ingress->stats().half_closed, 1u);
  EXPECT_EQ(world.ingress->stats().visitors, 1u);
  EXPECT_FALSE(stays.closed());
  // An answer that comes in pieces keeps him.
  Visitor& half = world.connect();
  half.send(get("/half"));
  half.finish();
  ASSERT_TRUE(world.until([&] { return world.link.last().got.contains("/half"); }));
  world.link.last().say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
  for (int i = 0; i < 6; ++i) {
    const TimePoint until = Clock::now() + 50ms;
    ASSERT_TRUE(world.until([&] { return Clock::now() >= until; }));
    world.link.last().say("x");
  }
  ASSERT_TRUE(world.until_got(half, "xxxxxx"));
}

// Who is on his way to another thread is counted all the while: nobody gets his place, and he needs no second one.
TEST_P(HttpSpare, HisPlaceGoesWithHimToAnotherShard) {
  HttpWorld here(portable(), options(2)), there(portable(), options(2), 1);
  for (HttpWorld* world : {&here, &there}) {
    ASSERT_TRUE(world->router.claim("far.test", "owner", {HttpWorld::kSession, HttpWorld::kTunnel, 1}).has_value());
    ASSERT_TRUE(world->router.claim("b.test", "owner", {HttpWorld::kSession + 1, HttpWorld::kTunnel, 1}).has_value());
  }
  here.links.remove(HttpWorld::kSession);
  Visitor& h1 = here.connect();
  h1.send("GET / HTTP/1.1\r\nHost: far.test\r\n\r\n");
  H2Visitor h2(here);
  (void)h2.client.ask_as({{":method", "GET"}, {":scheme", "http"}, {":authority", "b.test"}, {":path", "/"}});
  ASSERT_TRUE(h2.until([&] { return here.host.moved.size() == 1 && here.host.moved_http2.size() == 1; }));
  EXPECT_EQ(here.ingress->stats().visitors, 0u);
  EXPECT_EQ(count.now(), 2u);
  Visitor& newcomer = there.connect();
  ASSERT_TRUE(there.until_got(newcomer, "server-limit"));
  WorldHost::Moved& moved = here.host.moved[0];
  there.ingress->adopt(std::move(moved.stream), moved.peer, std::move(moved.early), moved.tls, std::move(moved.slot));
  there.ingress->adopt_http2(std::move(here.host.moved_http2[0].second));
  EXPECT_EQ(there.ingress->stats().visitors, 2u);
  EXPECT_EQ(count.now(), 2u);
  there.ingress->stop();
  EXPECT_EQ(count.now(), 0u);
}

TEST(VisitorCount, AFewMayComeBeforeTheirPlaceIsFree) {
  VisitorCount count;
  count.set_max(1);
  EXPECT_FALSE(count.full());
  const VisitorSlot first = count.enter();
  EXPECT_TRUE(first && count.full());
  EXPECT_FALSE(count.enter());
  std::vector<VisitorSlot> more;
  while (VisitorSlot slot = count.enter_beyond()) more.push_back(std::move(slot));
  EXPECT_EQ(more.size(), VisitorCount::kBeyond);
  more.clear();
  EXPECT_EQ(count.now(), 1u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
