// A dispatcher behind a real pair of links, with visitors at the far end and local services under the test's hand.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <list>
#include <map>

#include "mux/mux_link.h"
#include "origin/dispatcher.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::origin {

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
  static Service tcp(int backlog = 64, std::string_view ip = "127.0.0.1", std::uint16_t port = 0) {
    Service service;
    const auto any = *transport::parse_ip(ip, port);
    service.listener = UniqueFd(::socket(any.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
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
  void make_dispatcher(Duration connect_deadline, Lookup lookup = {}) {
    dispatcher = std::make_unique<OriginDispatcher>(shard, DispatcherOptions{connect_deadline, std::move(lookup)},
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

}  // namespace ferrotunnel::origin
