// No allocation for a chunk of a body: HTTP bodies run through the ingress, both ways and in both versions, and what they cost is counted.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "byte_path/counted.h"
#include "ingress/http1/http_ingress.h"
#include "support/h2_client.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/turn.h"

namespace ferrotunnel::test {
namespace {

using namespace std::chrono_literals;
using ingress::HttpIngress;
using transport::Stream;
using transport::StreamHandler;

// The link to an origin that keeps nothing: it counts what it is given, and what it says is taken at once or is a failure.
class QuietLink final : public transport::Link, private transport::TurnTask, public Stream {
 public:
  explicit QuietLink(transport::Shard& shard) : shard_(shard) {}

  std::uint64_t got = 0;
  std::function<void()> each_fill;  // of what was given

  void say(std::string_view bytes) { ASSERT_EQ(handler_->on_data(*this, as_bytes(bytes)), bytes.size()); }

  [[nodiscard]] Result<Stream*> open(const transport::OpenInfo&, StreamHandler& handler) override {
    handler_ = &handler;
    return this;
  }
  void send_control(std::string_view) override {}
  void ping() override {}
  void goaway(std::uint32_t, std::string_view) override {}
  void close(const Error&) override {}
  [[nodiscard]] transport::LinkCapabilities capabilities() const override { return {}; }
  [[nodiscard]] transport::LinkStatus status() const override { return {}; }

  void set_handler(StreamHandler& handler) override { handler_ = &handler; }
  void want_write() override { shard_.at_turn_end(*this); }
  void resume_read() override {}
  void reset(transport::ResetReason) override { handler_ = nullptr; }
  [[nodiscard]] std::uint32_t id() const override { return 2; }
  [[nodiscard]] std::size_t held() const override { return 0; }
  [[nodiscard]] bool blocked() const override { return false; }

 private:
  void run_turn() override {
    for (bool more = true; more && handler_ != nullptr;) {
      const transport::Fill fill = handler_->fill(*this, room_);
      got += fill.n;
      more = fill.more;
      if (fill.n > 0 && each_fill) each_fill();
    }
  }

  transport::Shard& shard_;
  StreamHandler* handler_ = nullptr;
  std::array<std::byte, 16'384> room_{};
};

struct QuietHost final : ingress::HttpIngressHost {
  void move_visitor(unsigned, transport::ByteStreamPtr, const transport::PeerAddress&, std::string,
                    const ingress::VisitorTls&, ingress::VisitorSlot) override {}
  void move_http2(unsigned, ingress::Http2Parcel) override {}
  void on_request(const ingress::RequestRecord&) override {}
  void on_turned_away(ingress::Refusal) override {}
};

// One visitor, one request, one origin. On the portable poller, which never waits by itself: this thread has both ends.
class HttpPath {
 public:
  HttpPath() : shard_(0, budget_, true), cache_(router_), link_(shard_) {
    EXPECT_TRUE(router_.claim("a.test", "owner", {7, 3, 0}));
    links_.add(7, link_);
    ingress_ = std::make_unique<HttpIngress>(shard_, cache_, links_, ingress::HttpIngressOptions{}, host_);
    const auto any = transport::parse_ip("127.0.0.1", 0);
    transport::UniqueFd listener = std::move(*transport::listen_on(*any, false));
    const auto address = transport::local_address(listener.get());
    visitor_ = transport::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(visitor_.get(), address->get(), address->length), 0);
    ::fcntl(visitor_.get(), F_SETFL, O_NONBLOCK);
    transport::set_nodelay(visitor_.get());
    transport::UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    ingress_->adopt(std::make_unique<transport::TcpStream>(std::move(server)), {});
  }
  ~HttpPath() { ingress_.reset(); }

  [[nodiscard]] QuietLink& link() { return link_; }
  // Bytes that the visitor has had.
  [[nodiscard]] std::uint64_t seen() const { return seen_; }

  void send(std::string_view bytes) {
    ASSERT_EQ(::send(visitor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  template <class Condition>
  [[nodiscard]] bool until(const Condition& condition) {
    const TimePoint end = Clock::now() + 10s;
    while (!condition()) {
      if (Clock::now() > end) return false;
      shard_.io().restart();
      bool moved = shard_.io().poll() > 0;
      for (ssize_t n; (n = ::recv(visitor_.get(), bytes_.data(), bytes_.size(), 0)) > 0; moved = true)
        seen_ += static_cast<std::uint64_t>(n);
      if (!moved) shard_.io().run_one_for(1ms);
    }
    return true;
  }

 private:
  MemoryBudget budget_{MemoryBudget::kDefaultLimit};
  transport::Shard shard_;
  route::Router router_;
  route::RouterCache cache_;
  route::LinkDirectory links_;
  QuietLink link_;
  QuietHost host_;
  std::unique_ptr<HttpIngress> ingress_;
  transport::UniqueFd visitor_;
  std::uint64_t seen_ = 0;
  std::array<char, 65536> bytes_{};
};

constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kPiece = 1024;
constexpr int kWarm = 200, kMeasured = 1000;
// Timers and vectors may grow late, whatever the number of chunks.
constexpr std::uint64_t kOneOffs = 8;

// Runs `one` so often, and counts behind the first ones.
template <class One>
std::uint64_t allocations_of(const One& one) {
  Counted before;
  for (int i = 0; i < kWarm + kMeasured && !testing::Test::HasFatalFailure(); ++i) {
    if (i == kWarm) before = counted();
    one();
  }
  const std::uint64_t n = (counted() - before).allocations;
  std::printf("%d pieces: %llu allocations\n", kMeasured, static_cast<unsigned long long>(n));
  return n;
}

std::string chunk() { return "400\r\n" + std::string(kPiece, 'x') + "\r\n"; }

// Each piece reaches the visitor before the next one comes.
std::uint64_t response_cost(HttpPath& path, const std::string& piece) {
  return allocations_of([&] {
    const std::uint64_t before = path.seen();
    path.link().say(piece);
    ASSERT_TRUE(path.until([&] { return path.seen() >= before + kPiece; }));
  });
}
std::uint64_t request_cost(HttpPath& path, const std::string& piece) {
  return allocations_of([&] {
    const std::uint64_t before = path.link().got;
    path.send(piece);
    ASSERT_TRUE(path.until([&] { return path.link().got >= before + kPiece; }));
  });
}
void ask(HttpPath& path, std::string_view request) {
  path.send(request);
  ASSERT_TRUE(path.until([&] { return path.link().got > 0; }));
}

TEST(HttpBodyCost, responses_of_http1_allocate_for_no_piece) {
  for (const char* version : {"1.1", "1.0"}) {
    HttpPath path;
    ask(path, "GET / HTTP/" + std::string(version) + "\r\nHost: a.test\r\n\r\n");
    path.link().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_LE(response_cost(path, chunk()), kOneOffs) << version;
  }
  HttpPath path;
  ask(path, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  path.link().say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_LE(response_cost(path, std::string(kPiece, 'x')), kOneOffs);
}

TEST(HttpBodyCost, requests_of_http1_allocate_for_no_piece) {
  HttpPath chunked;
  ask(chunked, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_LE(request_cost(chunked, chunk()), kOneOffs);
  HttpPath length;
  ask(length, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_LE(request_cost(length, std::string(kPiece, 'x')), kOneOffs);
}

// What nghttp2 does with malloc() is not seen here.
TEST(HttpBodyCost, responses_of_http2_allocate_for_no_piece) {
  HttpPath path;
  const std::string open("\x7f\xff\0\0", 4);  // a window for all that comes
  ask(path, std::string(kH2Preface) + h2_frame(4, 0, 0) + h2_frame(8, 0, 0, open) + h2_headers(1, h2_get()) +
                h2_frame(8, 0, 1, open));
  path.link().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_LE(response_cost(path, chunk()), kOneOffs);
}

TEST(HttpBodyCost, requests_of_http2_allocate_for_no_piece) {
  HttpPath path;
  auto post = h2_get();
  post[0].second = "POST";
  ask(path, std::string(kH2Preface) + h2_frame(4, 0, 0) + h2_headers(1, post, false));
  EXPECT_LE(request_cost(path, h2_frame(0, 0, 1, std::string(kPiece, 'x'))), kOneOffs);
}

// The hook itself: it sees the mistake that it is there for.
TEST(HttpBodyCost, an_allocation_for_each_piece_shows) {
  HttpPath path;
  ask(path, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  path.link().each_fill = [] { delete new volatile int(1); };
  EXPECT_GE(request_cost(path, chunk()), static_cast<std::uint64_t>(kMeasured));
}

}  // namespace
}  // namespace ferrotunnel::test
