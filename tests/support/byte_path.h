// BytePath: what one byte travels between two machines, in one thread and on one shard:
//   visitor -> relay -> link -> (TCP or a socketpair) -> link -> relay -> origin
// It sends bursts, a piece from each visitor, the next one when all of the last have arrived. All of it, the outer ends too, runs from inside the
// shard's own run(), as in the program: so what is counted between two samples is what the path costs, and nothing that a test adds.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "mux/mux_link.h"
#include "transport/relay.h"
#include "transport/shard.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::test {

class BytePath final : private transport::TurnTask {
 public:
  enum class Over : std::uint8_t { Tcp, Socketpair };
  struct Shape {
    int streams = 1;
    std::size_t piece = 1024;  // bytes that each visitor sends in a burst
    Over over = Over::Tcp;
    // Stands for a mistake on the path, so that a test can see that it would be noticed: called for each piece that a relay hands on.
    std::function<void()> per_piece = {};
  };
  struct Sample {
    std::uint64_t frames = 0;  // of DATA, that the visitors' end sent
    std::uint64_t bytes = 0;   // that arrived
    std::uint64_t turns = 0;   // of the outer ends: bursts that began
  };
  // Hears of the start and of the end of what is to be counted, from inside the shard's run().
  using Mark = std::function<void(bool end, const Sample&)>;

  explicit BytePath(Shape shape)
      : shape_(std::move(shape)), block_(shape_.piece, std::byte{0x5a}), shard_(0, budget_), near_(*this), far_(*this) {
    auto [a, b] = pair();
    transport::tune_link(a.get());
    transport::tune_link(b.get());
    near_.start(std::move(a), mux::Role::Server);
    far_.start(std::move(b), mux::Role::Client);
    for (int i = 0; i < shape_.streams; ++i) visit();
    run(1, 0, {});  // until every origin is there
  }
  ~BytePath() {
    relays_.clear();  // each resets its stream
    near_.link.reset();
    far_.link.reset();
  }

  // Sends `warm` bursts, then `bursts` more between the marks. False: an end failed.
  bool run(std::uint64_t bursts, std::uint64_t warm, Mark mark) {
    mark_ = std::move(mark);
    begin_at_ = burst_ + warm;
    end_at_ = begin_at_ + bursts;
    // next_turn() from outside of a turn is how the first burst begins.
    shard_.next_turn(*this);
    shard_.io().restart();
    shard_.run();
    return !failed_;
  }
  [[nodiscard]] const transport::Link& near_link() const { return *near_.link; }

 private:
  // The outer end of a socket: sends its piece, or takes what comes.
  struct Outer final : transport::PollHandler {
    Outer(BytePath& of, transport::UniqueFd socket) : path(of), fd(std::move(socket)) {
      if (!path.shard_.poller().add(fd.get(), *this)) path.give_up();
    }
    ~Outer() { path.shard_.poller().remove(fd.get(), *this); }
    Outer(const Outer&) = delete;
    Outer& operator=(const Outer&) = delete;

    void on_ready(std::uint32_t what) override {
      if ((what & transport::kWritable) != 0) push();
      if ((what & transport::kReadable) != 0) pull();
    }
    void push() {
      while (left != 0) {
        const ssize_t n = ::send(fd.get(), path.block_.data(), left, MSG_NOSIGNAL);
        if (n <= 0) return errno == EAGAIN ? void() : path.give_up();
        left -= static_cast<std::size_t>(n);
      }
    }
    void pull() {
      while (true) {
        const ssize_t n = ::recv(fd.get(), path.sink_.data(), path.sink_.size(), 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return path.give_up();
        path.arrived(static_cast<std::size_t>(n));
      }
    }

    BytePath& path;
    transport::UniqueFd fd;
    std::size_t left = 0;
  };

  struct Joined final : transport::RelayOwner {
    std::unique_ptr<transport::Relay> relay;
    void on_relay_end(transport::Relay&, transport::StreamEnd) override {
    }  // its path tells it otherwise: no burst ends
  };

  // Stands in front of a relay where a mistake is to be made.
  struct Mistake final : transport::StreamHandler {
    Mistake(transport::StreamHandler& handler, const std::function<void()>& call) : next(handler), mistake(call) {}
    std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override {
      mistake();
      return next.on_data(stream, bytes);
    }
    void on_fin(transport::Stream& stream) override { next.on_fin(stream); }
    void on_end(transport::Stream& stream, transport::StreamEnd end) override { next.on_end(stream, end); }
    transport::Fill fill(transport::Stream& stream, MutBytes into) override { return next.fill(stream, into); }
    transport::StreamHandler& next;
    const std::function<void()>& mistake;
  };

  struct End final : transport::LinkHandler {
    explicit End(BytePath& of) : path(of) {}
    void start(transport::UniqueFd fd, mux::Role role) {
      link = std::make_unique<mux::MuxLink>(path.shard_, std::make_unique<transport::TcpStream>(std::move(fd)), role,
                                            mux::MuxLimits{}, *this);
      if (!link->start()) path.give_up();
    }
    void on_open(transport::Stream& stream, const transport::OpenInfo&) override { path.accept(stream); }
    void on_control(std::string_view) override {}
    void on_goaway(std::uint32_t, std::string_view) override {}
    void on_link_closed(const Error&) override { path.give_up(); }
    BytePath& path;
    std::unique_ptr<mux::MuxLink> link;
  };

  [[nodiscard]] std::pair<transport::UniqueFd, transport::UniqueFd> pair() const {
    if (shape_.over == Over::Socketpair) {
      int fds[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
      return {transport::UniqueFd(fds[0]), transport::UniqueFd(fds[1])};
    }
    auto listener = transport::listen_on(*transport::parse_ip("127.0.0.1", 0), false);
    if (!listener) std::abort();
    const auto address = transport::local_address(listener->get());
    transport::UniqueFd one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(one.get(), address->get(), address->length) != 0) std::abort();
    transport::UniqueFd two(::accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!two || ::fcntl(one.get(), F_SETFL, O_NONBLOCK) != 0) std::abort();
    transport::set_nodelay(one.get());
    return {std::move(one), std::move(two)};
  }

  void visit() {
    auto [inside, outside] = pair();
    visitors_.push_back(std::make_unique<Outer>(*this, std::move(outside)));
    transport::Relay& relay = join(std::move(inside));
    auto stream = near_.link->open({}, relay.handler());
    if (!stream) return give_up();
    relay.start(**stream);
  }
  void accept(transport::Stream& stream) {
    auto [inside, outside] = pair();
    origins_.push_back(std::make_unique<Outer>(*this, std::move(outside)));
    transport::Relay& relay = join(std::move(inside));
    if (!shape_.per_piece) return relay.start(stream);
    mistakes_.push_back(std::make_unique<Mistake>(relay.handler(), shape_.per_piece));
    relay.start(stream, mistakes_.back().get());
  }
  transport::Relay& join(transport::UniqueFd inside) {
    relays_.push_back(std::make_unique<Joined>());
    Joined& joined = *relays_.back();
    joined.relay =
        std::make_unique<transport::Relay>(shard_, std::make_unique<transport::TcpStream>(std::move(inside)), joined);
    return *joined.relay;
  }

  // The next burst, or the end.
  void run_turn() override {
    if (burst_ == begin_at_ && mark_) mark_(false, sample());
    if (burst_ == end_at_) {
      if (mark_) mark_(true, sample());
      return shard_.stop();
    }
    ++burst_;
    due_ += shape_.piece * visitors_.size();
    for (auto& visitor : visitors_) {
      visitor->left += shape_.piece;
      visitor->push();
    }
  }
  void arrived(std::size_t n) {
    bytes_ += n;
    if (bytes_ == due_) shard_.next_turn(*this);
  }
  [[nodiscard]] Sample sample() const {
    return {near_.link ? near_.link->counters().data_frames_out : 0, bytes_, burst_};
  }
  void give_up() {
    failed_ = true;
    shard_.stop();
  }

  const Shape shape_;
  std::vector<std::byte> block_;
  std::vector<std::byte> sink_ = std::vector<std::byte>(256 << 10);
  MemoryBudget budget_;
  transport::Shard shard_;
  End near_, far_;
  std::vector<std::unique_ptr<Mistake>> mistakes_;
  std::vector<std::unique_ptr<Outer>> visitors_, origins_;
  std::vector<std::unique_ptr<Joined>> relays_;
  Mark mark_;
  std::uint64_t burst_ = 0, begin_at_ = 0, end_at_ = 0;
  std::uint64_t bytes_ = 0, due_ = 0;
  bool failed_ = false;
};

}  // namespace ferrotunnel::test
