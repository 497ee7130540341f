// OriginDispatcher behind a real pair of links: what becomes of a stream whose local service answers, refuses, hangs, or is not there.
#include <fstream>

#include "unit/origin/dispatcher_fixture.h"

namespace ferrotunnel::origin {
namespace {

INSTANTIATE_TEST_SUITE_P(Pollers, DispatcherTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(DispatcherTest, TcpServiceBothWaysAndBothEnds) {
  const Service service = Service::tcp();
  target = service.target();
  Visitor& visitor = open();
  visitor.say("question", true);
  const UniqueFd origin = accepted(service);
  EXPECT_EQ(now[1], 1);
  EXPECT_EQ(read_to_end(origin), "question");
  ASSERT_EQ(::send(origin.get(), "answer", 6, 0), 6);
  ::shutdown(origin.get(), SHUT_WR);
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_TRUE(visitor.end->clean);
  EXPECT_EQ(visitor.got, "answer");
  EXPECT_TRUE(visitor.got_fin);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_EQ(now[1], 0);
  EXPECT_EQ(dispatcher->counters().opened, 1u);
  EXPECT_EQ(dispatcher->counters().connected, 1u);
  EXPECT_EQ(dispatcher->counters().ended, 1u);
  EXPECT_EQ(dispatcher->counters().bytes_in, 8u);
  EXPECT_EQ(dispatcher->counters().bytes_out, 6u);
  EXPECT_EQ(bytes_in, 8u);
  EXPECT_EQ(bytes_out, 6u);
  EXPECT_TRUE(failures.empty());
}

// Its bytes pass; whoever runs the client hears that they are not what he said they would be.
TEST_P(DispatcherTest, AServiceThatIsToSpeakHttp2AndDoesNot) {
  const Service service = Service::tcp();
  OriginTarget h2 = *service.target();
  h2.h2 = true;
  target = std::make_shared<const OriginTarget>(h2);
  for (const std::string& said : {std::string("<!DOCTYPE HTML>"), std::string("\0\0\0\4\0\0\0\0\0", 9)}) {
    Visitor& visitor = open();
    visitor.say("question", true);
    const UniqueFd origin = accepted(service);
    EXPECT_EQ(read_to_end(origin), "question");
    ASSERT_EQ(::send(origin.get(), said.data(), said.size(), 0), static_cast<ssize_t>(said.size()));
    ASSERT_TRUE(until([&] { return visitor.got.size() == said.size(); }));
    ASSERT_EQ(::send(origin.get(), "and more", 8, 0), 8);
    ::shutdown(origin.get(), SHUT_WR);
    ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
    EXPECT_TRUE(visitor.end->clean);
    EXPECT_EQ(visitor.got, said + "and more");
    ASSERT_EQ(failures.size(), 1u) << "of the first, and not of the second";
  }
  EXPECT_EQ(failures[0].code, ErrorCode::Protocol);
  EXPECT_NE(failures[0].context.find("does not answer in HTTP/2: share it as http://"), std::string::npos)
      << failures[0].context;
}

TEST_P(DispatcherTest, UnixService) {
  const Service service = Service::unix_socket(directory + "/s");
  target = service.target();
  Visitor& visitor = open();
  visitor.say("question", true);
  const UniqueFd origin = accepted(service);
  EXPECT_EQ(read_to_end(origin), "question");
}

TEST_P(DispatcherTest, AServiceThatRefuses) {
  Service service = Service::tcp();
  target = service.target();
  service.listener.reset();
  Visitor& visitor = open();
  visitor.say("question");
  expect_end(visitor, ResetReason::OriginRefused);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].code, ErrorCode::Unreachable);
  EXPECT_NE(failures[0].context.find(target->text), std::string::npos) << failures[0].context;
  EXPECT_EQ(dispatcher->active(), 0u);
  EXPECT_EQ(dispatcher->counters().refused, 1u);
  EXPECT_EQ(now[1], 0);
  EXPECT_EQ(total, 1);
}

TEST_P(DispatcherTest, AUnixPathThatIsNotThereOrThatNobodyListensOn) {
  std::ofstream(directory + "/file") << "x";
  {
    const Service gone = Service::unix_socket(directory + "/gone");
  }
  for (const char* name : {"/missing", "/file", "/gone"}) {
    target = std::make_shared<const OriginTarget>(
        OriginTarget{*transport::unix_address(directory + name), "unix:" + directory + name});
    expect_end(open(), ResetReason::OriginRefused);
  }
  ASSERT_EQ(failures.size(), 3u);
  EXPECT_NE(failures[0].context.find("/missing"), std::string::npos) << failures[0].context;
}

TEST_P(DispatcherTest, ANetworkThatIsNotThere) {
  target = std::make_shared<const OriginTarget>(OriginTarget{*transport::parse_ip("255.255.255.255", 80), "far away"});
  expect_end(open(), ResetReason::OriginUnreachable);
  EXPECT_EQ(dispatcher->counters().unreachable, 1u);
}

TEST_P(DispatcherTest, AServiceThatDoesNotAnswer) {
  make_dispatcher(200ms);
  Service service = Service::tcp(0);
  service.fill_up();
  target = service.target();
  const TimePoint began = Clock::now();
  Visitor& visitor = open();
  visitor.say("question");
  expect_end(visitor, ResetReason::OriginTimeout);
  EXPECT_GE(Clock::now() - began, 200ms);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].code, ErrorCode::Timeout);
  EXPECT_EQ(dispatcher->counters().timed_out, 1u);
}

TEST_P(DispatcherTest, AUnixServiceWithAFullQueueIsWaitedFor) {
  make_dispatcher(300ms);
  Service service = Service::unix_socket(directory + "/s", 0);
  service.fill_up();
  ASSERT_FALSE(service.fillers.empty());
  target = service.target();
  Visitor& late = open();
  const TimePoint began = Clock::now();
  expect_end(late, ResetReason::OriginTimeout);
  EXPECT_GE(Clock::now() - began, 300ms);

  make_dispatcher(20s);
  Visitor& visitor = open();
  visitor.say("question", true);
  settle();
  EXPECT_FALSE(visitor.end);
  service.fillers.clear();
  std::string got;
  ASSERT_TRUE(until([&] {  // the fillers come out first
    if (const UniqueFd origin = service.accept()) got += read_to_end(origin);
    return !got.empty();
  }));
  EXPECT_EQ(got, "question");
}

// ---- while it dials -------------------------------------------------------------------------------------------------

// A dial that hangs until the test lets it through.
class SlowDialTest : public DispatcherTest {
 protected:
  SlowDialTest() {
    service = Service::unix_socket(directory + "/slow", 0);
    service.fill_up();
    target = service.target();
  }
  UniqueFd let_through() {
    for (std::size_t i = 0; i < service.fillers.size(); ++i) EXPECT_TRUE(service.accept());
    service.fillers.clear();
    return accepted(service);
  }
  Service service;
};
INSTANTIATE_TEST_SUITE_P(Pollers, SlowDialTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(SlowDialTest, WhatComesMeanwhileIsDelivered) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{65'536}, std::size_t{1'000'000}}) {
    service = Service::unix_socket(directory + "/slow" + std::to_string(size), 0);
    service.fill_up();
    target = service.target();
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    Visitor& visitor = open();
    visitor.say(text, true);
    settle();
    EXPECT_EQ(dispatcher->active(), 1u);
    const UniqueFd origin = let_through();
    EXPECT_TRUE(read_to_end(origin) == text) << size;
    ASSERT_EQ(::send(origin.get(), "thanks", 6, 0), 6);
    ::shutdown(origin.get(), SHUT_WR);
    ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
    EXPECT_TRUE(visitor.end->clean) << size;
    EXPECT_EQ(visitor.got, "thanks");
    ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  }
}

TEST_P(SlowDialTest, FinThatComesByItself) {
  Visitor& visitor = open();
  settle();
  visitor.say("", true);
  settle();
  EXPECT_FALSE(visitor.end);
  const UniqueFd origin = let_through();
  EXPECT_EQ(read_to_end(origin), "");
  ASSERT_EQ(::send(origin.get(), "hello", 5, 0), 5);
  ::shutdown(origin.get(), SHUT_WR);
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_TRUE(visitor.end->clean);
  EXPECT_EQ(visitor.got, "hello");
}

TEST_P(SlowDialTest, TheVisitorLeaves) {
  Visitor& visitor = open();
  visitor.say("never mind");
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  visitor.stream->reset(ResetReason::PeerReset);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_EQ(now[1], 0);
  EXPECT_TRUE(failures.empty());
  EXPECT_EQ(client.link->status().held, 0u);
}

TEST_P(SlowDialTest, TheVisitorLeavesWhileTcpIsConnecting) {
  Service hole = Service::tcp(0);
  hole.fill_up();
  target = hole.target();
  Visitor& visitor = open();
  visitor.say("never mind", true);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  visitor.stream->reset(ResetReason::Cancel);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_TRUE(failures.empty());
}

TEST_P(SlowDialTest, TheLinkBreaks) {
  open().say("x");
  Service other = Service::tcp();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  target = other.target();
  open().say("y");
  const UniqueFd origin = accepted(other);
  server.link->close(Error(ErrorCode::Io, Side::Tunnel, true, "cut"));
  ASSERT_TRUE(until([&] { return !client.link && !server.link; }));
  EXPECT_EQ(now[1], 0);
  const std::string seen = read_to_end(origin);
  EXPECT_TRUE(seen.ends_with("RST")) << "a cut is not an end: " << seen;
}

TEST_P(SlowDialTest, DestroyedWithAllKindsOfConnections) {
  Service quick = Service::tcp(), hole = Service::tcp(0);
  hole.fill_up();
  Visitor& dialling_unix = open();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  target = hole.target();
  Visitor& dialling_tcp = open();
  dialling_tcp.say("held");
  ASSERT_TRUE(until([&] { return dispatcher->active() == 2; }));
  target = quick.target();
  Visitor& relaying = open();
  relaying.say("through");
  const UniqueFd origin = accepted(quick);
  char buffer[16];
  ASSERT_TRUE(until([&] { return ::recv(origin.get(), buffer, sizeof buffer, 0) == 7; }));
  dispatcher.reset();
  for (Visitor* visitor : {&dialling_unix, &dialling_tcp, &relaying}) expect_end(*visitor, ResetReason::Cancel);
  read_to_end(origin);
  EXPECT_EQ(client.link->status().streams, 0u);
  EXPECT_EQ(client.link->status().held, 0u);
}

TEST_P(SlowDialTest, DestroyedAfterTheEndWasMet) {
  // The relay is over and waits to say so: nobody must hear of it.
  Service quick = Service::tcp();
  target = quick.target();
  Visitor& visitor = open();
  visitor.say("x", true);
  UniqueFd origin = accepted(quick);
  EXPECT_EQ(read_to_end(origin), "x");
  origin.reset();
  ASSERT_TRUE(until([&] {
    shard.io().poll_one();
    return visitor.end.has_value();
  }));
  dispatcher.reset();
  settle();
}

TEST_P(DispatcherTest, ManyAtOnce) {
  const Service service = Service::tcp(1024);
  target = service.target();
  constexpr int kMany = 200;
  for (int i = 0; i < kMany; ++i) open().say("number " + std::to_string(i), true);
  int answered = 0;
  std::vector<UniqueFd> origins;
  ASSERT_TRUE(until([&] {
    while (UniqueFd fd = service.accept()) {
      const std::string question = read_to_end(fd);
      EXPECT_EQ(::send(fd.get(), question.data(), question.size(), 0), static_cast<ssize_t>(question.size()));
      ++answered;
    }
    return answered == kMany && dispatcher->active() == 0 &&
           std::ranges::all_of(visitors, [](const Visitor& v) { return v.end.has_value(); });
  }));
  int i = 0;
  for (const Visitor& visitor : visitors) {
    ASSERT_TRUE(visitor.end->clean);
    EXPECT_EQ(visitor.got, "number " + std::to_string(i++));
  }
  EXPECT_EQ(now[1], 0);
  EXPECT_EQ(shard.buffers().lent(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::origin
