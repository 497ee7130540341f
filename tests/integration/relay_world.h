// A whole byte path in one process and one thread, over real sockets:
//   visitor <-> relay <-> link <-> (TCP) <-> link <-> relay <-> origin
// The test holds the outer ends. Nothing sleeps: until() runs the shard until a condition holds, or fails after a deadline.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "mux/mux_link.h"
#include "transport/relay.h"
#include "transport/shard.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::integration {

using namespace std::chrono_literals;
using mux::MuxLimits;
using mux::MuxLink;
using mux::Role;
using transport::ByteStreamPtr;
using transport::IoResult;
using transport::IoStatus;
using transport::OpenInfo;
using transport::Relay;
using transport::ResetReason;
using transport::Shard;
using transport::Stream;
using transport::StreamEnd;
using transport::TcpStream;
using transport::UniqueFd;

// Bytes that say where they belong: any loss, repeat or swap shows.
class Pattern {
 public:
  explicit Pattern(std::uint32_t seed) : block_(kPeriod + 65'536) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < kPeriod; ++i) block_[i] = static_cast<char>(random());
    std::copy_n(block_.begin(), 65'536, block_.begin() + kPeriod);
  }
  // Up to 64 KiB from there.
  [[nodiscard]] std::string_view at(std::size_t offset, std::size_t n) const {
    return std::string_view(block_.data() + offset % kPeriod, std::min<std::size_t>(n, 65'536));
  }

 private:
  static constexpr std::size_t kPeriod = 99'991;
  std::vector<char> block_;
};
inline const Pattern& pattern(int seed) {
  static std::map<int, Pattern> all;
  return all.try_emplace(seed, static_cast<std::uint32_t>(seed)).first->second;
}

inline void non_blocking(int fd) { ASSERT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0); }

inline std::pair<UniqueFd, UniqueFd> tcp_pair() {
  static UniqueFd listener = [] {
    auto fd = transport::listen_on(*transport::parse_ip("127.0.0.1", 0), false);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fcntl(fd->get(), F_SETFL, 0), 0);
    return std::move(*fd);
  }();
  const auto address = transport::local_address(listener.get());
  UniqueFd one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(one.get(), address->get(), address->length), 0);
  UniqueFd two(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(two);
  non_blocking(one.get());
  non_blocking(two.get());
  transport::set_nodelay(one.get());
  return {std::move(one), std::move(two)};
}
inline std::pair<UniqueFd, UniqueFd> unix_pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The outer end of a socket, held by the test: sends and checks patterns, in chunks of random sizes.
class Peer {
 public:
  Peer(UniqueFd fd, int send_seed, int receive_seed)
      : fd_(std::move(fd)), out_(pattern(send_seed)), in_(pattern(receive_seed)), random_(send_seed) {}

  std::size_t to_send = 0, sent = 0, received = 0;
  bool fin_when_sent = false, fin_sent = false, reading = true, eof = false;
  int error = 0;  // of a read or write: ECONNRESET, EPIPE
  std::function<void(Peer&)> at_eof;

  void send(std::size_t n, bool fin = false) {
    to_send += n;
    fin_when_sent |= fin;
  }
  void close() { fd_.reset(); }
  void close_with_reset() {
    transport::close_with_reset(fd_.get());
    fd_.reset();
  }
  [[nodiscard]] bool was_reset() const { return error == ECONNRESET || error == EPIPE; }
  [[nodiscard]] bool over() const { return !fd_ || eof || error != 0; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // One step; whether anything moved.
  bool pump() {
    bool moved = false;
    if (fd_ && error == 0 && sent < to_send) {
      const std::string_view piece = out_.at(sent, std::min<std::size_t>(to_send - sent, 1 + random_() % 60'000));
      const ssize_t n = ::send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<std::size_t>(n), moved = true;
      if (n < 0 && errno != EAGAIN) note(errno);
    }
    if (fd_ && error == 0 && fin_when_sent && !fin_sent && sent == to_send) {
      ::shutdown(fd_.get(), SHUT_WR);
      fin_sent = moved = true;
    }
    if (fd_ && error == 0 && reading && !eof) {
      const ssize_t n = ::recv(fd_.get(), buffer_.data(), 1 + random_() % buffer_.size(), 0);
      if (n > 0) {
        std::string_view got(buffer_.data(), static_cast<std::size_t>(n));
        if (check && got != in_.at(received, got.size())) {
          check = false;
          ADD_FAILURE() << "other bytes at " << received;
        }
        received += static_cast<std::size_t>(n);
        moved = true;
      } else if (n == 0) {
        eof = moved = true;
        if (at_eof) at_eof(*this);
      } else if (errno != EAGAIN) {
        note(errno);
      }
    }
    return moved;
  }
  bool check = true;

 private:
  void note(int err) { error = err; }

  UniqueFd fd_;
  const Pattern& out_;
  const Pattern& in_;
  std::mt19937 random_;
  std::vector<char> buffer_ = std::vector<char>(60'000);
};

// What a decorated ByteStream does instead of its work, and to which call; shared by all the sockets of a run.
struct FaultPlan {
  enum Kind { None, Error, Eof, WouldBlock } kind = None;
  long at = 0;                  // the call that it meets, counted from 1 over all sockets; 0 none
  long block_every = 0;         // every so many calls find nothing ready
  std::size_t most = SIZE_MAX;  // bytes that a call moves
  long calls = 0;
};

class FaultyStream final : public transport::ByteStream {
 public:
  FaultyStream(UniqueFd fd, FaultPlan& plan) : inner_(std::move(fd)), plan_(plan) {}
  int fd() const override { return inner_.fd(); }
  IoResult read(MutBytes into) override {
    more_ = false;
    EXPECT_FALSE(into.empty());
    if (const auto fault = meet(true)) return *fault;
    const MutBytes part = into.first(std::min(into.size(), plan_.most));
    const IoResult got = inner_.read(part);
    more_ = part.size() < into.size() && got.status == IoStatus::Ok && got.n == part.size();
    return got;
  }
  IoResult write(std::span<const iovec> pieces) override {
    if (const auto fault = meet(false)) return *fault;
    const iovec part{pieces[0].iov_base, std::min(pieces[0].iov_len, plan_.most)};
    return inner_.write({&part, 1});
  }
  bool read_pending() const override { return more_; }
  void shutdown_write() override { inner_.shutdown_write(); }
  void abort() override { inner_.abort(); }
  bool plain() const override { return false; }

 private:
  std::optional<IoResult> meet(bool reading) {
    ++plan_.calls;
    if (broken_ != 0) return IoResult{IoStatus::Error, 0, broken_};
    if (reading && ended_) return IoResult{IoStatus::Eof, 0, 0};
    if (plan_.calls == plan_.at) {
      switch (plan_.kind) {
        case FaultPlan::Error: return IoResult{IoStatus::Error, 0, broken_ = ECONNRESET};
        case FaultPlan::Eof:
          ended_ = true;
          if (reading) return IoResult{IoStatus::Eof, 0, 0};
          break;
        case FaultPlan::WouldBlock: return block();
        case FaultPlan::None: break;
      }
    }
    if (plan_.block_every != 0 && plan_.calls % plan_.block_every == 0) return block();
    return std::nullopt;
  }
  // Nothing now, although there is: the edge that the poller will then report has to be made.
  IoResult block() {
    int size = 0;
    socklen_t length = sizeof size;
    ::getsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &size, &length);
    size = std::max(size / 2, 65'536);
    ::setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    more_ = false;
    return {IoStatus::WouldBlock, 0, 0};
  }

  TcpStream inner_;
  FaultPlan& plan_;
  int broken_ = 0;
  bool ended_ = false, more_ = false;
};

// Owns a link, and hears of it.
class LinkEnd final : public transport::LinkHandler {
 public:
  std::unique_ptr<MuxLink> link;
  std::optional<Error> closed;
  std::vector<std::pair<std::uint32_t, std::string>> goaways;
  std::vector<std::string> controls;
  std::function<void(Stream&, const OpenInfo&)> at_open;
  std::function<void()> at_control, at_goaway;

  void on_open(Stream& stream, const OpenInfo& info) override {
    if (at_open) return at_open(stream, info);
    stream.reset(ResetReason::NoTunnel);
  }
  void on_control(std::string_view json) override {
    controls.emplace_back(json);
    if (at_control) at_control();
  }
  void on_goaway(std::uint32_t code, std::string_view text) override {
    goaways.emplace_back(code, std::string(text));
    if (at_goaway) at_goaway();
  }
  void on_link_closed(const Error& why) override {
    EXPECT_FALSE(closed) << "told twice";
    closed = why;
    link.reset();
  }
};

// A relay with its owner.
struct Joined final : transport::RelayOwner {
  std::unique_ptr<Relay> relay;
  int ends = 0;
  StreamEnd end;
  void on_relay_end(Relay& over, StreamEnd how) override {
    EXPECT_EQ(&over, relay.get());
    ++ends;
    end = how;
    relay.reset();
  }
};

enum class Kind { Tcp, Unix };

class World {
 public:
  explicit World(bool portable, FaultPlan* faults = nullptr, const MuxLimits& limits = {}, Kind kind = Kind::Tcp)
      : shard(0, budget, portable), faults_(faults), limits_(limits), kind_(kind) {
    near.at_open = nullptr;
    far.at_open = [this](Stream& stream, const OpenInfo& info) { accept(stream, info); };
    auto [a, b] = pair();
    cut_ = UniqueFd(::fcntl(a.get(), F_DUPFD_CLOEXEC, 0));
    transport::tune_link(a.get());
    transport::tune_link(b.get());
    near.link = std::make_unique<MuxLink>(shard, wrap(std::move(a)), Role::Server, limits, near);
    far.link = std::make_unique<MuxLink>(shard, wrap(std::move(b)), Role::Client, limits, far);
    EXPECT_TRUE(near.link->start());
    EXPECT_TRUE(far.link->start());
  }
  ~World() {
    close();
    EXPECT_EQ(shard.buffers().lent(), 0u) << "a buffer was kept";
  }

  MemoryBudget budget;
  Shard shard;
  LinkEnd near, far;  // the server's, the client's
  std::list<Peer> visitors, origins;
  std::list<Joined> near_relays, far_relays;

  [[nodiscard]] std::pair<UniqueFd, UniqueFd> pair() const { return kind_ == Kind::Tcp ? tcp_pair() : unix_pair(); }
  ByteStreamPtr wrap(UniqueFd fd) {
    if (faults_ != nullptr) return std::make_unique<FaultyStream>(std::move(fd), *faults_);
    return std::make_unique<TcpStream>(std::move(fd));
  }

  // A visitor arrives, and its relay starts. Its origin comes when the OPEN has crossed.
  Peer& visit(std::string prefix = {}) {
    auto [inside, outside] = pair();
    visitors.emplace_back(std::move(outside), 1, 2);
    Joined& joined = near_relays.emplace_back();
    joined.relay = std::make_unique<Relay>(shard, wrap(std::move(inside)), joined, std::move(prefix));
    auto stream = near.link->open({}, joined.relay->handler());
    EXPECT_TRUE(stream);
    if (stream) joined.relay->start(**stream);
    return visitors.back();
  }
  // A visitor and its origin.
  std::pair<Peer&, Peer&> meet() {
    Peer& visitor = visit();
    const std::size_t want = visitors.size();
    EXPECT_TRUE(until([&] { return origins.size() == want; }));
    return {visitor, origins.back()};
  }

  bool until(const std::function<bool()>& condition, Duration limit = 60s) {
    const TimePoint last = Clock::now() + limit;
    while (!condition()) {
      bool moved = false;
      for (auto* peers : {&visitors, &origins})
        for (Peer& one : *peers) moved |= one.pump();
      shard.io().restart();
      moved |= shard.io().poll() > 0;
      if (!moved) moved = shard.io().run_one_for(2ms) > 0;
      if (moved) quiet_since_ = Clock::now();
      if (Clock::now() > last) return false;
    }
    return true;
  }
  // Until nothing moves any more, because everybody waits for somebody who does not read.
  bool until_stuck() {
    quiet_since_ = Clock::now();
    return until([&] { return Clock::now() - quiet_since_ > 150ms; });
  }
  // Until all relays are over and told so.
  bool until_relays_end() {
    return until([&] {
      for (auto* relays : {&near_relays, &far_relays})
        for (const Joined& one : *relays)
          if (one.ends == 0) return false;
      return true;
    });
  }
  bool until_links_closed() {
    return until([&] { return near.closed && far.closed; });
  }
  // The connection between the links breaks.
  void cut_link() { ::shutdown(cut_.get(), SHUT_RDWR); }
  void forget_cut() { cut_.reset(); }

  void close() {
    cut_.reset();
    for (LinkEnd* end : {&near, &far})
      if (end->link) end->link->close(Error(ErrorCode::Cancelled, Side::Local, false, "the test is over"));
    EXPECT_TRUE(until_links_closed());
    EXPECT_TRUE(until_relays_end());
    for (auto* relays : {&near_relays, &far_relays})
      for (const Joined& one : *relays) EXPECT_EQ(one.ends, 1);
  }

 private:
  void accept(Stream& stream, const OpenInfo&) {
    auto [inside, outside] = pair();
    origins.emplace_back(std::move(outside), 2, 1);
    if (at_origin) at_origin(origins.back(), inside.get());
    Joined& joined = far_relays.emplace_back();
    joined.relay = std::make_unique<Relay>(shard, wrap(std::move(inside)), joined);
    joined.relay->start(stream);
  }

  FaultPlan* faults_;
  MuxLimits limits_;
  Kind kind_;
  UniqueFd cut_;
  TimePoint quiet_since_ = Clock::now();

 public:
  std::function<void(Peer&, int inside)> at_origin;
};

}  // namespace ferrotunnel::integration
