// The memory limit: who is refused when it is reached, who is served all the same, and what counts against it.
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

// A request whose head has about this many bytes.
[[nodiscard]] std::string get_of_size(std::size_t size, std::string_view line = "GET / HTTP/1.1") {
  std::string request = std::string(line) + "\r\nHost: a.test\r\n";
  while (request.size() + 1000 < size) request += "X: " + std::string(995, 'x') + "\r\n";
  return request + "X: " + std::string(size > request.size() + 7 ? size - request.size() - 7 : 0, 'x') + "\r\n\r\n";
}
[[nodiscard]] std::string unfinished(std::size_t size) {
  const std::string whole = get_of_size(size + 2);
  return whole.substr(0, whole.size() - 2);
}

class HttpMemory : public HttpTest {
 protected:
  // As if others held all that there is, and nothing were kept for heads.
  void fill(HttpWorld& world) {
    limit_ = world.budget.limit();
    world.budget.add(limit_);
    world.budget.set_limit(MemoryBudget::kHeadShare - 1);
  }
  void empty(HttpWorld& world) {
    world.budget.set_limit(limit_);
    world.budget.sub(limit_);
  }

  void expect_refused(HttpWorld& world, Visitor& visitor) {
    ASSERT_TRUE(world.until([&] { return visitor.closed(); })) << visitor.got;
    EXPECT_TRUE(visitor.eof) << "by RST";
    EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 503 ")) << visitor.got;
    EXPECT_TRUE(visitor.got.contains("\r\nFerrotunnel-Side: server\r\n")) << visitor.got;
    EXPECT_TRUE(visitor.got.contains("\r\nFerrotunnel-Error: server-memory\r\n")) << visitor.got;
    EXPECT_TRUE(visitor.got.contains("\r\nRetry-After: 1\r\n")) << visitor.got;
    EXPECT_TRUE(visitor.got.contains("\r\nConnection: close\r\n")) << visitor.got;
    ASSERT_FALSE(world.host.records.empty());
    EXPECT_EQ(world.host.records.back().slug, "server-memory");
    EXPECT_EQ(world.host.records.back().fields.side, http::FaultSide::Server);
    EXPECT_EQ(world.host.records.back().fields.status, 503);
  }

 private:
  std::size_t limit_ = 0;
};
FT_ON_BOTH_POLLERS(HttpMemory);

// Bodies stop at 7/8, and their links' shares may pass even the limit: an eighth is there for heads all the same.
TEST_P(HttpMemory, HeadsHaveAPartOfTheirOwn) {
  constexpr std::size_t kLimit = 1u << 20;
  HttpWorld world(portable(), {}, 0, kLimit);
  world.budget.add(kLimit + kLimit / 2);  // those shares
  ASSERT_FALSE(world.budget.admits(0, kLimit));
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect();
  visitor.send(get_of_size(2000));
  ASSERT_TRUE(world.until_got(visitor, ok("x"))) << visitor.got;
  Visitor& slow = world.connect();
  slow.send("GET / HTTP/1.1\r\n");
  world.settle();
  EXPECT_EQ(slow.got, "");
  slow.send("Host: a.test\r\n\r\n");
  ASSERT_TRUE(world.until_got(slow, ok("x"))) << slow.got;
  // It has an end.
  for (int i = 0; i < 40; ++i) {
    world.connect().send(unfinished(3000));
    world.settle();
  }
  EXPECT_GE(world.ingress->stats().no_memory, 40 - kLimit / MemoryBudget::kHeadShare / 4096);
  EXPECT_LT(world.ingress->stats().no_memory, 20u);
  Visitor& late = world.connect();
  late.send(get_of_size(2000));
  expect_refused(world, late);
  for (const auto& one : world.visitors) one->close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  // And it is given back.
  Visitor& after = world.connect();
  after.send(get_of_size(2000));
  ASSERT_TRUE(world.until_got(after, ok("x"))) << after.got;
}

TEST_P(HttpMemory, AnUnfinishedHeadIsRefused) {
  for (const std::size_t size : {std::size_t{40}, std::size_t{3000}, std::size_t{30'000}}) {
    HttpWorld world(portable());
    fill(world);
    Visitor& visitor = world.connect();
    visitor.send(unfinished(size));
    expect_refused(world, visitor);
    EXPECT_EQ(world.shard.buffers().lent(), 0u);
    EXPECT_EQ(world.ingress->stats().no_memory, 1u);
    EXPECT_EQ(world.ingress->stats().errors, 1u);
    EXPECT_EQ(world.ingress->stats().requests, 0u);
    // There is room again.
    empty(world);
    EXPECT_EQ(world.budget.used(), 0u);
    Visitor& other = world.connect();
    other.send(unfinished(size));
    world.settle();
    EXPECT_EQ(other.got, "");
    EXPECT_EQ(world.ingress->stats().no_memory, 1u);
  }
}

TEST_P(HttpMemory, AHeadThatGrowsWhenNothingIsLeftIsRefused) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(unfinished(3000));
  world.settle();
  EXPECT_EQ(world.budget.used(), 4096u);
  fill(world);
  visitor.send("Y: " + std::string(3000, 'y') + "\r\n");
  expect_refused(world, visitor);
  empty(world);
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_P(HttpMemory, ManyUnfinishedHeadsStayWithinTheLimit) {
  constexpr std::size_t kLimit = 1u << 20;
  HttpWorld world(portable(), {}, 0, kLimit);
  for (int i = 0; i < 40; ++i) {
    world.connect().send(unfinished(30'000));
    world.settle();
  }
  EXPECT_LE(world.budget.used(), kLimit + BufferPool::kSizes.back());
  const std::size_t refused = world.ingress->stats().no_memory;
  EXPECT_GE(refused, 30u);
  // A small one that came whole does not have to wait for them.
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& small = world.connect();
  small.send(get());
  EXPECT_TRUE(world.until_got(small, ok("x")));
  EXPECT_EQ(world.ingress->stats().no_memory, refused);
  for (const auto& visitor : world.visitors) visitor->close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_P(HttpMemory, WholeHeads) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  fill(world);
  Visitor& visitor = world.connect();
  for (int i = 0; i < 3; ++i) {
    visitor.send(get());
    ASSERT_TRUE(world.until([&] { return visitor.got == ok("x"); })) << visitor.got;
    visitor.got.clear();
  }
  // A large one would be held until it is answered; what is behind one, too.
  visitor.send(get_of_size(2000));
  expect_refused(world, visitor);
  Visitor& poster = world.connect();
  poster.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
  expect_refused(world, poster);
  Visitor& pipelining = world.connect();
  pipelining.send(get() + "GET");
  expect_refused(world, pipelining);
  EXPECT_EQ(world.ingress->stats().no_memory, 3u);
  EXPECT_EQ(world.link.streams.size(), 1u);
  // The page is what the visitor likes to read, and a HEAD gets none.
  Visitor& person = world.connect();
  person.send(get("/", "Accept: text/html\r\nX: " + std::string(600, 'x') + "\r\n"));
  expect_refused(world, person);
  EXPECT_TRUE(person.got.contains("text/html"));
  Visitor& header = world.connect();
  header.send(get_of_size(2000, "HEAD / HTTP/1.1"));
  expect_refused(world, header);
  EXPECT_TRUE(header.got.ends_with("\r\n\r\n"));
  empty(world);
  world.settle();
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_P(HttpMemory, WhatIsUnderWayGoesOn) {
  HttpWorld world(portable());
  const std::string body(200'000, 'b');
  Visitor& uploading = world.connect();
  uploading.send("POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 1 && !world.link.last().got.empty(); }));
  FakeStream& up = world.link.last();
  Visitor& chunking = world.connect();
  chunking.send("POST /chunks HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 2 && !world.link.last().got.empty(); }));
  FakeStream& chunks = world.link.last();
  Visitor& downloading = world.connect();
  downloading.send(get("/down"));
  ASSERT_TRUE(world.until([&] { return world.link.streams.size() == 3 && !world.link.last().got.empty(); }));
  FakeStream& down = world.link.last();
  down.say("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
  fill(world);
  uploading.send(body);
  ASSERT_TRUE(world.until([&] { return up.got.ends_with("\r\n\r\n" + body); }));
  up.say(ok("up"));
  EXPECT_TRUE(world.until_got(uploading, ok("up")));
  down.say(body);
  EXPECT_TRUE(world.until([&] { return downloading.got.ends_with("\r\n\r\n" + body); }));
  // Of what follows a chunked body, no more is read than the smallest block holds.
  const std::string end = "186a0\r\n" + body.substr(0, 100'000) + "\r\n0\r\n\r\n";
  const std::size_t before = world.budget.used();
  chunking.send(end + get() + get() + std::string(50'000, 'x'));
  ASSERT_TRUE(world.until([&] { return chunks.got.ends_with(end); }));
  world.settle();
  EXPECT_LE(world.budget.used(), before + BufferPool::kSizes.front());
  chunks.say(ok("chunks"));
  EXPECT_TRUE(world.until_got(chunking, ok("chunks")));
}

TEST_P(HttpMemory, AHeadCountsUntilItIsAnswered) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect();
  visitor.send(get_of_size(20'000));
  ASSERT_TRUE(world.until([&] { return !world.link.streams.empty() && world.link.last().got.ends_with("\r\n\r\n"); }));
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
  EXPECT_GE(world.budget.used(), 20'000u);
  world.link.last().say(ok("x"));
  ASSERT_TRUE(world.until_got(visitor, ok("x")));
  world.settle();
  EXPECT_EQ(world.budget.used(), 0u);
  // Nor for good when the visitor goes away.
  visitor.send(get_of_size(20'000));
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().requests == 2; }));
  visitor.close_with_rst();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.budget.used(), 0u);
  // An upgraded connection keeps no more than the request line.
  Visitor& upgraded = world.connect();
  upgraded.send(get_of_size(20'000, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x"));
  ASSERT_TRUE(world.until([&] { return world.link.last().got.ends_with("\r\n\r\n") && !world.link.last().dead; }));
  world.link.last().say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().upgraded == 1; }));
  EXPECT_EQ(world.budget.used(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
