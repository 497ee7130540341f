// Targets with more than one address: ::1 behind 127.0.0.1, and names, whose look-ups are under the test's hand.
#include "origin/names.h"

#include "unit/origin/dispatcher_fixture.h"

namespace ferrotunnel::origin {
namespace {

// A port of 127.0.0.1 and ::1 that nobody listens on.
std::uint16_t free_port() { return Service::tcp().address.port(); }

class LoopbackTest : public DispatcherTest {
 protected:
  void aim_at(const std::string& text) { target = std::make_shared<const OriginTarget>(*parse_target(text, "tcp")); }
};
INSTANTIATE_TEST_SUITE_P(Pollers, LoopbackTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(LoopbackTest, AServiceOnIpv6Only) {
  const Service service = Service::tcp(64, "::1");
  const std::string port = std::to_string(service.address.port());
  for (const std::string& text : {port, "localhost:" + port, "tcp://localhost:" + port}) {
    aim_at(text);
    Visitor& visitor = open();
    visitor.say("question", true);
    const UniqueFd origin = accepted(service);
    EXPECT_EQ(read_to_end(origin), "question") << text;
    ASSERT_EQ(::send(origin.get(), "answer", 6, 0), 6);
    ::shutdown(origin.get(), SHUT_WR);
    ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
    EXPECT_TRUE(visitor.end->clean);
    EXPECT_EQ(visitor.got, "answer");
  }
  EXPECT_TRUE(failures.empty());
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_EQ(dispatcher->counters().connected, 3u);
  EXPECT_EQ(dispatcher->counters().refused, 0u);
}

TEST_P(LoopbackTest, Ipv4IsTriedFirst) {
  const Service service = Service::tcp();
  const Service other = Service::tcp(64, "::1", service.address.port());
  aim_at(std::to_string(service.address.port()));
  open().say("x", true);
  EXPECT_EQ(read_to_end(accepted(service)), "x");
  EXPECT_FALSE(other.accept());
}

TEST_P(LoopbackTest, AnIpv4AddressIsThatAlone) {
  const Service service = Service::tcp(64, "::1");
  aim_at("127.0.0.1:" + std::to_string(service.address.port()));
  expect_end(open(), ResetReason::OriginRefused);
  EXPECT_FALSE(service.accept());
}

TEST_P(LoopbackTest, NobodyOnEither) {
  aim_at(std::to_string(free_port()));
  expect_end(open(), ResetReason::OriginRefused);
  ASSERT_EQ(failures.size(), 1u) << "told once";
  EXPECT_NE(failures[0].context.find(target->text), std::string::npos) << failures[0].context;
  EXPECT_EQ(dispatcher->counters().refused, 1u);
}

// Look-ups wait until the test answers them.
class NameTest : public DispatcherTest {
 protected:
  NameTest() {
    with_deadline(10s);
    aim_at("web.test", service.address.port());
  }
  void with_deadline(Duration deadline) {
    make_dispatcher(deadline, [this](const std::string& host, std::function<void(Result<Addresses>)> done) {
      asked.push_back({host, std::move(done)});
    });
  }
  void aim_at(const std::string& host, std::uint16_t port) {
    target = std::make_shared<const OriginTarget>(
        OriginTarget{{}, "tcp://" + host + ":" + std::to_string(port), {}, host, port});
  }
  void expect_asked(std::size_t times) {
    ASSERT_TRUE(until([&] { return asked.size() >= times; }));
    EXPECT_EQ(asked.size(), times);
  }
  void expect_answered(Visitor& visitor, const Service& by) {
    visitor.say("question", true);
    const UniqueFd origin = accepted(by);
    EXPECT_EQ(read_to_end(origin), "question");
  }
  static Addresses addresses(std::initializer_list<std::string_view> ips) {
    Addresses all;
    for (const std::string_view ip : ips) all.push_back(*transport::parse_ip(ip, 0));
    return all;
  }

  struct Asked {
    std::string host;
    std::function<void(Result<Addresses>)> answer;
  };
  std::vector<Asked> asked;
  Service service = Service::tcp();
};
INSTANTIATE_TEST_SUITE_P(Pollers, NameTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(NameTest, IsLookedUpAndReached) {
  Visitor& visitor = open();
  visitor.say("ques");
  expect_asked(1);
  EXPECT_EQ(asked[0].host, "web.test");
  EXPECT_FALSE(visitor.end);
  asked[0].answer(addresses({"127.0.0.1"}));
  visitor.say("tion", true);
  EXPECT_EQ(read_to_end(accepted(service)), "question");
}

TEST_P(NameTest, ByTheSystemsResolver) {
  make_dispatcher(10s);
  aim_at("localhost", service.address.port());  // in every machine's hosts file: no DNS is asked
  expect_answered(open(), service);
}

TEST_P(NameTest, ABurstCostsOneLookUpAndItsAnswerIsRemembered) {
  for (int i = 0; i < 20; ++i) open().say(std::to_string(i), true);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 20; }));
  expect_asked(1);
  asked[0].answer(addresses({"127.0.0.1"}));
  for (int i = 0; i < 20; ++i) accepted(service);
  expect_answered(open(), service);
  expect_asked(1);
  aim_at("other.test", service.address.port());
  open();
  expect_asked(2);
  EXPECT_EQ(asked[1].host, "other.test");
}

TEST_P(NameTest, AnAnswerIsForgotten) {
  expect_answered(
      [&]() -> Visitor& {
        Visitor& visitor = open();
        expect_asked(1);
        asked[0].answer(addresses({"127.0.0.1"}));
        return visitor;
      }(),
      service);
  const TimePoint end = Clock::now() + Names::kRemembered;
  until([&] { return Clock::now() > end; });
  open();
  expect_asked(2);
}

TEST_P(NameTest, TheNextAddressWhereTheFirstRefuses) {
  Visitor& visitor = open();
  expect_asked(1);
  asked[0].answer(addresses({"::1", "127.0.0.3", "255.255.255.255", "127.0.0.1"}));
  expect_answered(visitor, service);
  EXPECT_TRUE(failures.empty());
}

TEST_P(NameTest, TheNextAddressWhereTheFirstSwallows) {
  with_deadline(3s);
  Service hole = Service::tcp(0, "127.0.0.2", service.address.port());
  hole.fill_up();
  Visitor& visitor = open();
  expect_asked(1);
  asked[0].answer(addresses({"127.0.0.2", "127.0.0.1"}));
  expect_answered(visitor, service);
  EXPECT_TRUE(failures.empty());
}

TEST_P(NameTest, NoAddressAnswersAndARefusalIsTold) {
  aim_at("web.test", free_port());
  Visitor& visitor = open();
  expect_asked(1);
  asked[0].answer(addresses({"255.255.255.255", "127.0.0.1", "255.255.255.255"}));
  expect_end(visitor, ResetReason::OriginRefused);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_NE(failures[0].context.find("web.test"), std::string::npos) << failures[0].context;
}

TEST_P(NameTest, NoMoreThanEightAddressesAreTried) {
  Addresses many(Names::kMaxAddresses, *transport::parse_ip("255.255.255.255", 0));
  many.push_back(*transport::parse_ip("127.0.0.1", 0));
  Visitor& visitor = open();
  expect_asked(1);
  asked[0].answer(many);
  expect_end(visitor, ResetReason::OriginUnreachable);
}

TEST_P(NameTest, ThatDoesNotResolve) {
  for (const bool empty : {false, true}) {
    failures.clear();
    asked.clear();
    Visitor& one = open();
    Visitor& two = open();
    ASSERT_TRUE(until([&] { return dispatcher->active() == 2; }));
    expect_asked(1);
    if (empty) {
      asked[0].answer(Addresses{});
    } else {
      asked[0].answer(std::unexpected(Error(ErrorCode::Resolve, Side::Origin, true, "no such name: web.test")));
    }
    expect_end(one, ResetReason::OriginUnreachable);
    expect_end(two, ResetReason::OriginUnreachable);
    ASSERT_EQ(failures.size(), 2u);
    EXPECT_EQ(failures[0].code, ErrorCode::Resolve);
    EXPECT_NE(failures[0].context.find("web.test"), std::string::npos) << failures[0].context;
    EXPECT_EQ(dispatcher->active(), 0u);
  }
  // A failure is not remembered: a service that was started meanwhile is found.
  Visitor& late = open();
  expect_asked(2);
  asked[1].answer(addresses({"127.0.0.1"}));
  expect_answered(late, service);
}

TEST_P(NameTest, ALookUpThatTakesTooLong) {
  with_deadline(200ms);
  expect_end(open(), ResetReason::OriginUnreachable);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].code, ErrorCode::Resolve);
  EXPECT_NE(failures[0].context.find("web.test"), std::string::npos) << failures[0].context;
  // It goes on; who comes later joins it.
  Visitor& late = open();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  expect_asked(1);
  asked[0].answer(addresses({"127.0.0.1"}));
  expect_answered(late, service);
}

TEST_P(NameTest, TheVisitorLeavesMeanwhile) {
  Visitor& leaver = open();
  Visitor& stayer = open();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 2; }));
  leaver.stream->reset(ResetReason::Cancel);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  asked[0].answer(addresses({"127.0.0.1"}));
  expect_answered(stayer, service);
  EXPECT_TRUE(failures.empty());
}

TEST_P(NameTest, DestroyedWhileLookingUp) {
  Visitor& visitor = open();
  expect_asked(1);
  dispatcher.reset();
  expect_end(visitor, ResetReason::Cancel);
  asked[0].answer(addresses({"127.0.0.1"}));
  settle();
  EXPECT_FALSE(service.accept());
  EXPECT_TRUE(failures.empty());
}

TEST_P(NameTest, DestroyedWhileTheSystemLooksUp) {
  make_dispatcher(10s);
  aim_at("localhost", service.address.port());
  Visitor& visitor = open();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 1; }));
  dispatcher.reset();
  expect_end(visitor, ResetReason::Cancel);
  for (const TimePoint end = Clock::now() + 100ms; Clock::now() < end;) settle();
  EXPECT_TRUE(failures.empty());
}

TEST_P(NameTest, TheLinkBreaksWhileLookingUp) {
  open();
  open();
  ASSERT_TRUE(until([&] { return dispatcher->active() == 2; }));
  server.link->close(Error(ErrorCode::Io, Side::Tunnel, true, "cut"));
  ASSERT_TRUE(until([&] { return !client.link; }));
  asked[0].answer(std::unexpected(Error(ErrorCode::Resolve, Side::Origin, true, "no such name")));
  EXPECT_TRUE(failures.empty());
}

}  // namespace
}  // namespace ferrotunnel::origin
