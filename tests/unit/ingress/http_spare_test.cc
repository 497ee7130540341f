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
  // A visitor from 198.51.100.`last`.
  [[nodiscard]] static Visitor& connect_from(HttpWorld& world, unsigned last) {
    transport::PeerAddress from = HttpWorld::peer();
    from.bytes = {std::byte{198}, std::byte{51}, std::byte{100}, static_cast<std::byte>(last)};
    return world.connect(0, {}, from);
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

TEST_P(HttpSpare, WhoHasSentPartOfAHeadGoes) {
  HttpWorld world(portable(), options(2));
  answer(world);
  Visitor& part = world.connect();
  part.send("GET / HTTP/1.1\r\nHost:");
  Visitor& block = world.connect();
  block.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0) + h2_frame(1, 1, 1, "\x82"));  // no END_HEADERS
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().h2_visitors == 1; }));
  world.settle();
  Visitor& first = world.connect();
  ask(world, first);
  ASSERT_TRUE(world.until([&] { return part.closed(); }));
  EXPECT_EQ(part.got, "");
  EXPECT_FALSE(block.closed());
  Visitor& second = world.connect();
  ask(world, second);
  EXPECT_EQ(world.ingress->stats().made_room, 2u);
  EXPECT_EQ(world.ingress->stats().h2_visitors, 0u);
  EXPECT_EQ(world.host.turned_away, 0);
}

TEST_P(HttpSpare, ThoseOfTheAddressThatHasMostGoFirst) {
  HttpWorld world(portable(), options(5));
  answer(world);
  Visitor& oldest = connect_from(world, 1);
  ask(world, oldest);
  std::vector<Visitor*> crowd;
  for (int i = 0; i < 3; ++i) {
    crowd.push_back(&connect_from(world, 2));
    crowd.back()->send("GET / HT");
    world.settle();
  }
  Visitor& third = connect_from(world, 3);
  ask(world, third);
  for (int i = 0; i < 2; ++i) {
    ask(world, connect_from(world, 4 + static_cast<unsigned>(i)));
    ASSERT_TRUE(world.until([&] { return crowd[static_cast<std::size_t>(i)]->closed(); }));
    EXPECT_FALSE(crowd.back()->closed());
    EXPECT_FALSE(oldest.closed());
  }
  // All have one: the one that has been spare for longest.
  ask(world, connect_from(world, 6));
  ASSERT_TRUE(world.until([&] { return oldest.closed(); }));
  EXPECT_FALSE(third.closed());
  EXPECT_EQ(world.ingress->stats().made_room, 3u);
}

// Requests that go on for as long as their visitor likes: no newcomer ends them, so that their address may not have all places.
TEST_P(HttpSpare, TheLastPlacesAreNotForAnAddressThatHasMuch) {
  HttpWorld world(portable(), options(16));
  for (int i = 0; i < 15; ++i) {
    Visitor& visitor = connect_from(world, 1);
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return world.link.alive() == static_cast<std::size_t>(i) + 1 && asked(world); }));
  }
  Visitor& more = connect_from(world, 1);
  ASSERT_TRUE(world.until_got(more, "server-limit"));
  EXPECT_EQ(world.host.refused, Refusal::AddressLimit);
  answer(world);
  Visitor& other = connect_from(world, 2);
  ask(world, other);
  // His own make room for him.
  world.link.streams.front()->say(ok("done"));
  ASSERT_TRUE(world.until_got(*world.visitors.front(), "done"));
  Visitor& again = connect_from(world, 1);
  ask(world, again);
  EXPECT_TRUE(world.until([&] { return world.visitors.front()->closed(); }));
  EXPECT_FALSE(other.closed());
  // Now all places are taken, and there is another reason.
  ASSERT_TRUE(world.until([&] { return count.now() == 16; }));
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

TEST(VisitorCount, AnAddressIsCountedWhateverThread) {
  transport::PeerAddress four, six, neighbour, unknown;
  four.family = 4;
  six.family = neighbour.family = 6;
  six.bytes[15] = std::byte{1};
  neighbour.bytes[8] = std::byte{9};
  AddressCounts counts;
  counts.add(counts.at(six));
  counts.add(counts.at(neighbour));
  counts.add(counts.at(unknown));
  EXPECT_EQ(counts.of(counts.at(six)), 2u) << "one /64";
  EXPECT_EQ(counts.of(counts.at(unknown)), 0u);
  EXPECT_EQ(counts.of(counts.at(four)), 0u);
  counts.sub(counts.at(neighbour));
  EXPECT_EQ(counts.of(counts.at(six)), 1u);
  // A crowd is no other's.
  VisitorCount count;
  count.set_max(64);
  std::vector<VisitorSlot> crowd;
  while (!count.crowded_by(four)) {
    crowd.push_back(count.enter(four));
    ASSERT_TRUE(crowd.back());
  }
  EXPECT_EQ(crowd.size(), 57u) << "into the last eighth";
  EXPECT_EQ(count.refusal_of(four), Refusal::AddressLimit);
  EXPECT_FALSE(count.crowded_by(six));
  EXPECT_FALSE(count.crowded_by(unknown));
  std::vector<VisitorSlot> others;
  for (int i = 0; i < 7; ++i) others.push_back(count.enter(six));
  EXPECT_TRUE(count.full());
  EXPECT_FALSE(count.crowded_by(six)) << "it has less than a quarter";
  EXPECT_EQ(count.refusal_of(six), Refusal::ServerLimit);
  // A few of his before those of his that make room have gone, and some places stay for others.
  others.clear();
  std::size_t beyond = 0;
  while (VisitorSlot slot = count.enter_beyond(four)) {
    crowd.push_back(std::move(slot));
    ++beyond;
  }
  EXPECT_EQ(beyond, 3u);
  EXPECT_TRUE(count.enter(six));
  crowd.resize(40);
  EXPECT_FALSE(count.crowded_by(four));
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
