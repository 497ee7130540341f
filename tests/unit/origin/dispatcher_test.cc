// OriginDispatcher behind a real pair of links: what becomes of a stream whose local service answers, refuses, hangs, or is not there.
#include "origin/dispatcher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <list>
#include <map>

#include "mux/mux_link.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::origin {
namespace {

using namespace std::chrono_literals;
using transport::ResetReason;
using transport::UniqueFd;

// The visitor's end of a stream.
struct Visitor final : transport::StreamHandler {
  void say(std::string_view bytes, bool fin = false) {
    outbox += bytes;
    fin_said = fin_said || fin;
    stream->want_write();
  }
  std::size_t on_data(transport::Stream&, ConstBytes bytes) override {
    got += as_text(bytes);
    return bytes.size();
  }
  void on_fin(transport::Stream&) override { got_fin = true; }
  void on_end(transport::Stream&, transport::StreamEnd how) override {
    EXPECT_FALSE(end) << "ended twice";
    end = how;
    stream = nullptr;
  }
  transport::Fill fill(transport::Stream&, MutBytes into) override {
    const std::size_t n = std::min(outbox.size(), into.size());
    std::ranges::copy(as_bytes(outbox).first(n), into.begin());
    outbox.erase(0, n);
    return {n, fin_said && outbox.empty(), !outbox.empty()};
  }
  transport::Stream* stream = nullptr;
  std::string outbox, got;
  bool fin_said = false, got_fin = false;
  std::optional<transport::StreamEnd> end;
};

// A local service under the test's hand.
struct Service {
  static Service tcp(int backlog = 64) {
    Service service;
    service.listener = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto any = *transport::parse_ip("127.0.0.1", 0);
    EXPECT_EQ(::bind(service.listener.get(), any.get(), any.length), 0);
    EXPECT_EQ(::listen(service.listener.get(), backlog), 0);
    service.address = *transport::local_address(service.listener.get());
    return service;
  }
  static Service unix_socket(const std::string& path, int backlog = 64) {
    Service service;
    service.listener = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    service.address = *transport::unix_address(path);
    EXPECT_EQ(::bind(service.listener.get(), service.address.get(), service.address.length), 0);
    EXPECT_EQ(::listen(service.listener.get(), backlog), 0);
    return service;
  }
  // Connects until the queue is full.
  void fill_up() {
    for (int i = 0; i < 4; ++i) {
      auto connecting = transport::connect_to(address);
      if (connecting) fillers.push_back(std::move(connecting->fd));
    }
  }
  [[nodiscard]] UniqueFd accept() const {
    return UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  [[nodiscard]] TargetPtr target() const {
    return std::make_shared<const OriginTarget>(OriginTarget{address, address.text()});
  }

  UniqueFd listener;
  transport::SocketAddress address;
  std::vector<UniqueFd> fillers;
};

class DispatcherTest : public testing::TestWithParam<bool>, private DispatcherHost {
 protected:
  DispatcherTest() {
    std::string name = "/tmp/ft_origin_XXXXXX";
    directory = ::mkdtemp(name.data());
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    server.link = std::make_unique<mux::MuxLink>(shard, std::make_unique<transport::TcpStream>(UniqueFd(fds[0])),
                                                 mux::Role::Server, mux::MuxLimits{}, server);
    client.link = std::make_unique<mux::MuxLink>(shard, std::make_unique<transport::TcpStream>(UniqueFd(fds[1])),
                                                 mux::Role::Client, mux::MuxLimits{}, client);
    client.on_stream = [this](transport::Stream& stream, std::uint32_t tunnel) {
      dispatcher->dispatch(stream, tunnel, target);
    };
    client.on_lost = [this] { dispatcher.reset(); };
    EXPECT_TRUE(server.link->start());
    EXPECT_TRUE(client.link->start());
    make_dispatcher(10s);
  }
  ~DispatcherTest() override {
    dispatcher.reset();
    client.link.reset();
    server.link.reset();
    std::error_code error;
    std::filesystem::remove_all(directory, error);
  }
  void make_dispatcher(Duration connect_deadline) {
    dispatcher = std::make_unique<OriginDispatcher>(shard, DispatcherOptions{connect_deadline},
                                                    static_cast<DispatcherHost&>(*this));
  }
  Visitor& open(std::uint32_t tunnel = 1) {
    Visitor& visitor = visitors.emplace_back();
    auto stream = server.link->open({tunnel, transport::OpenKind::Raw, {}}, visitor);
    EXPECT_TRUE(stream);
    visitor.stream = *stream;
    return visitor;
  }
  template <class Done>
  bool until(Done done, Duration limit = 20s) {
    const TimePoint end = Clock::now() + limit;
    while (!done()) {
      if (Clock::now() >= end) return false;
      shard.io().run_one_for(20ms);
    }
    return true;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) shard.io().poll();
  }
  UniqueFd accepted(const Service& service) {
    UniqueFd fd;
    EXPECT_TRUE(until([&] {
      fd = service.accept();
      return static_cast<bool>(fd);
    }));
    return fd;
  }
  // Everything up to the end of the socket; "RST" behind it where that is how it ended.
  std::string read_to_end(const UniqueFd& fd) {
    std::string all;
    EXPECT_TRUE(until([&] {
      char buffer[8192];
      ssize_t n;
      while ((n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<std::size_t>(n));
      if (n < 0 && errno == ECONNRESET) all += "RST";
      return n == 0 || errno == ECONNRESET;
    }));
    return all;
  }
  void expect_end(Visitor& visitor, ResetReason reason) {
    ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
    EXPECT_FALSE(visitor.end->clean);
    EXPECT_EQ(to_string(visitor.end->reason), to_string(reason));
  }

  struct LinkEnd final : transport::LinkHandler {
    void on_open(transport::Stream& stream, const transport::OpenInfo& info) override {
      on_stream(stream, info.tunnel);
    }
    void on_control(std::string_view) override {}
    void on_goaway(std::uint32_t, std::string_view) override {}
    void on_link_closed(const Error&) override {
      if (on_lost) on_lost();
      link.reset();
    }
    std::function<void(transport::Stream&, std::uint32_t)> on_stream;
    std::function<void()> on_lost;
    std::unique_ptr<mux::MuxLink> link;
  };

  void on_origin_failed(std::uint32_t tunnel, const Error& error) override {
    EXPECT_EQ(tunnel, 1u);
    EXPECT_EQ(error.side, error.code == ErrorCode::Io ? error.side : Side::Origin);
    failures.push_back(error);
  }
  void on_origin_count(std::uint32_t tunnel, int change, transport::RelayBytes bytes) override {
    now[tunnel] += change;
    total += change > 0 ? 1 : 0;
    bytes_in += bytes.to_socket;
    bytes_out += bytes.from_socket;
    EXPECT_GE(now[tunnel], 0);
  }

  std::string directory;
  MemoryBudget budget;
  transport::Shard shard{0, budget, GetParam()};
  LinkEnd server, client;
  std::unique_ptr<OriginDispatcher> dispatcher;
  TargetPtr target;
  std::list<Visitor> visitors;
  std::vector<Error> failures;
  std::map<std::uint32_t, int> now;
  int total = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
};

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
