// MuxLink over a real connection: drain, endings and their reasons, close() from each callback, a peer that is not us.
#include "relay_world.h"

namespace ferrotunnel::integration {
namespace {

using transport::Fill;

class MuxLinkTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Pollers, MuxLinkTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "portable" : "epoll"; });

std::string frame(wire::FrameType type, std::uint32_t stream, std::string_view payload, std::uint8_t flags = 0) {
  std::string text(wire::kHeaderSize, '\0');
  wire::encode_header({type, flags, static_cast<std::uint32_t>(payload.size()), stream},
                      reinterpret_cast<std::byte*>(text.data()));
  return text += payload;
}

// ---- drain ------------------------------------------------------------------------------------------------------------

TEST_P(MuxLinkTest, DrainLetsStreamsFinishAndClosesBothEnds) {
  for (const bool by_near : {true, false}) {
    World world(GetParam());
    auto [visitor, origin] = world.meet();
    origin.send(8'000'000, true);
    visitor.send(100'000);
    ASSERT_TRUE(world.until([&, &v = visitor] { return v.received > 1'000'000; }));
    (by_near ? world.near : world.far).link->goaway(0, "restart");
    LinkEnd& hearer = by_near ? world.far : world.near;
    ASSERT_TRUE(world.until([&] { return !hearer.goaways.empty(); }));
    EXPECT_EQ(hearer.goaways[0].second, "restart");
    {
      Joined none;
      auto [inside, outside] = world.pair();
      none.relay = std::make_unique<Relay>(world.shard, world.wrap(std::move(inside)), none);
      EXPECT_FALSE(world.near.link->open({}, none.relay->handler()));
    }
    visitor.send(0, true);
    ASSERT_TRUE(world.until_links_closed());
    ASSERT_TRUE(world.until([&, &v = visitor] { return v.eof; }));
    EXPECT_EQ(visitor.received, 8'000'000u);
    EXPECT_TRUE(world.near_relays.front().end.clean && world.far_relays.front().end.clean);
    for (const LinkEnd* end : {&world.near, &world.far}) {
      EXPECT_EQ(end->closed->code, ErrorCode::Closed);
      const std::string& said = end->closed->context;  // by who left
      EXPECT_TRUE(said == "the link was drained" || said == "the client left" || said == "the server is stopping")
          << said;
    }
  }
}

TEST_P(MuxLinkTest, TheLastBytesOfADrainedLinkArrive) {
  // The end that is drained first has much in its kernel, while CREDIT for it still comes in: a close now would be an RST that takes it back.
  World world(GetParam());
  for (int i = 0; i < 20; ++i) {
    auto [visitor, origin] = world.meet();
    visitor.send(0, true);
    ASSERT_TRUE(world.until([&, &o = origin] { return o.eof; }));
  }
  for (Peer& one : world.origins) one.send(600'000, true);
  world.far.link->goaway(0, "");
  ASSERT_TRUE(world.until_links_closed());
  ASSERT_TRUE(world.until([&] {
    for (Peer& one : world.visitors)
      if (!one.over()) return false;
    return true;
  }));
  for (const Peer& one : world.visitors) {
    EXPECT_EQ(one.received, 600'000u);
    EXPECT_TRUE(one.eof);
  }
}

TEST_P(MuxLinkTest, AnIdleLinkDrainsAtOnce) {
  World world(GetParam());
  world.near.link->goaway(0, "bye");
  ASSERT_TRUE(world.until_links_closed());
  ASSERT_EQ(world.far.goaways.size(), 1u);
  EXPECT_EQ(world.far.closed->code, ErrorCode::Closed);
}

TEST_P(MuxLinkTest, BothDrainAtTheSameTime) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  visitor.send(1'000'000, true);
  origin.send(1'000'000, true);
  world.near.link->goaway(0, "a");
  world.far.link->goaway(0, "b");
  ASSERT_TRUE(world.until_links_closed());
  ASSERT_TRUE(world.until([&, &v = visitor, &o = origin] { return v.eof && o.eof; }));
  EXPECT_EQ(visitor.received, 1'000'000u);
  EXPECT_EQ(origin.received, 1'000'000u);
}

// ---- endings ----------------------------------------------------------------------------------------------------------

TEST_P(MuxLinkTest, CloseSaysWhyIfItWasSaid) {
  World world(GetParam());
  auto [visitor, origin] = world.meet();
  visitor.send(1u << 30);
  ASSERT_TRUE(world.until([&, &o = origin] { return o.received > 100'000; }));
  world.near.link->goaway(5, "signed in again");
  world.near.link->close(Error(ErrorCode::Cancelled, Side::Local, false, "replaced"));
  EXPECT_FALSE(world.near.closed) << "never from inside";
  EXPECT_TRUE(world.near.link);
  ASSERT_TRUE(world.until_links_closed());
  EXPECT_EQ(world.near.closed->context, "replaced");
  ASSERT_EQ(world.far.goaways.size(), 1u);
  EXPECT_EQ(world.far.goaways[0].first, 5u);
  EXPECT_EQ(world.far.goaways[0].second, "signed in again");
  ASSERT_TRUE(world.until_relays_end());
  EXPECT_EQ(world.near_relays.front().end.reason, ResetReason::LinkLost);
}

// One end is the test's.
struct Raw {
  explicit Raw(bool portable, Role role = Role::Client, std::string early = {}, const MuxLimits& limits = {})
      : shard(0, budget, portable) {
    auto [a, b] = tcp_pair();
    peer = std::move(b);
    end.link =
        std::make_unique<MuxLink>(shard, std::make_unique<TcpStream>(std::move(a)), role, limits, end, as_bytes(early));
    EXPECT_TRUE(end.link->start());
  }
  ~Raw() {
    if (end.link) end.link->close(Error(ErrorCode::Cancelled, Side::Local, false, ""));
    EXPECT_TRUE(until([&] { return end.closed.has_value(); }));
    EXPECT_EQ(shard.buffers().lent(), 0u);
  }
  void say(std::string_view text) {
    ASSERT_EQ(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  bool until(const std::function<bool()>& condition, Duration limit = 20s) {
    const TimePoint last = Clock::now() + limit;
    while (!condition()) {
      shard.io().restart();
      if (shard.io().poll() == 0) shard.io().run_one_for(2ms);
      if (Clock::now() > last) return false;
    }
    return true;
  }
  // What the link sent, so far; at_end: it closed.
  std::string heard;
  bool at_end = false;
  bool listen() {
    char buffer[65'536];
    const ssize_t n = ::recv(peer.get(), buffer, sizeof buffer, 0);
    if (n > 0) heard.append(buffer, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN)) at_end = true;
    return n > 0;
  }
  bool hears(std::size_t n) {
    return until([&] {
      listen();
      return heard.size() >= n || at_end;
    });
  }

  MemoryBudget budget;
  Shard shard;
  LinkEnd end;
  UniqueFd peer;
};

TEST_P(MuxLinkTest, AViolationIsAnsweredByGoawayAndClose) {
  Raw raw(GetParam());
  raw.say(frame(wire::FrameType::Data, 8, "never opened"));
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(raw.end.closed->code, ErrorCode::Protocol);
  ASSERT_TRUE(raw.until([&] {
    raw.listen();
    return raw.at_end;
  }));
  ASSERT_GE(raw.heard.size(), 16u);
  EXPECT_EQ(raw.heard[0], 6);
  EXPECT_EQ(load_be<std::uint32_t>(as_bytes(raw.heard).data() + 12), 1u);
}

TEST_P(MuxLinkTest, EarlyBytesAreTakenFirst) {
  // Cut in the middle of a frame; the rest comes by the socket.
  const std::string all =
      frame(wire::FrameType::Control, 0, R"({"type":"one"})") + frame(wire::FrameType::Control, 0, R"({"type":"two"})");
  for (std::size_t at = 0; at <= all.size(); at += 3) {
    Raw raw(GetParam(), Role::Client, all.substr(0, at));
    raw.say(all.substr(at));
    ASSERT_TRUE(raw.until([&] { return raw.end.controls.size() == 2; }));
    EXPECT_EQ(raw.end.controls[0], R"({"type":"one"})");
    EXPECT_EQ(raw.end.controls[1], R"({"type":"two"})");
  }
}

TEST_P(MuxLinkTest, AnEarlyViolationCloses) {
  Raw raw(GetParam(), Role::Client, frame(wire::FrameType::Data, 8, "x"));
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(raw.end.closed->code, ErrorCode::Protocol);
}

TEST_P(MuxLinkTest, AReplyGoesOutWithoutBeingAskedFor) {
  Raw raw(GetParam());
  raw.say(frame(wire::FrameType::Ping, 0, "12345678"));
  ASSERT_TRUE(raw.hears(16));
  EXPECT_EQ(raw.heard, frame(wire::FrameType::Pong, 0, "12345678"));
  const auto status = raw.end.link->status();
  EXPECT_GT(status.last_received, TimePoint{});
  EXPECT_FALSE(status.ping_outstanding);
}

TEST_P(MuxLinkTest, ThePeersFinClosesALinkThatIsNotDrained) {
  Raw raw(GetParam());
  raw.say(frame(wire::FrameType::Control, 0, "{}"));
  ::shutdown(raw.peer.get(), SHUT_WR);
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(raw.end.controls.size(), 1u) << "what came before it counts";
  EXPECT_EQ(raw.end.closed->code, ErrorCode::Closed);
  EXPECT_EQ(raw.end.closed->context, "the other end closed the connection");
}

TEST_P(MuxLinkTest, AnRstIsAnIoError) {
  Raw raw(GetParam());
  raw.until([&] { return true; });
  transport::close_with_reset(raw.peer.get());
  raw.peer.reset();
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(raw.end.closed->code, ErrorCode::Io);
}

TEST_P(MuxLinkTest, APeerThatKeepsItsEndOpenAfterADrainIsLeftAfterAWhile) {
  Raw raw(GetParam());
  const TimePoint begin = Clock::now();
  raw.end.link->goaway(0, "");
  ASSERT_TRUE(raw.until([&] {
    raw.listen();
    return raw.at_end;
  }));
  EXPECT_LT(Clock::now() - begin, 2s) << "our end is closed at once";
  raw.say(frame(wire::FrameType::Ping, 0, "12345678"));  // read and not answered
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_GE(Clock::now() - begin, MuxLink::kLinger);
  EXPECT_EQ(raw.end.closed->context, "the link was drained");
}

TEST_P(MuxLinkTest, APeerThatAsksAndNeverReadsIsCutOff) {
  MuxLimits limits;
  limits.max_control_queue = 100'000;
  limits.max_opens_per_second = 10'000'000;
  limits.max_controls_per_second = 10'000'000;
  Raw raw(GetParam(), Role::Server, {}, limits);
  // Each OPEN of a client is refused by a RESET that nobody reads.
  std::string asks;
  std::uint32_t id = 1;
  std::size_t at = 0;
  ASSERT_TRUE(raw.until([&] {
    for (int i = 0; i < 1000 && !raw.end.closed; ++i) {
      if (at == asks.size()) {
        asks.clear();
        at = 0;
        for (int n = 0; n < 1000; ++n, id += 2)
          asks += frame(wire::FrameType::Open, id, std::string("\0\0\0\1\1\0\0\0", 8));
      }
      const ssize_t n = ::send(raw.peer.get(), asks.data() + at, asks.size() - at, MSG_NOSIGNAL);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    return raw.end.closed.has_value();
  }));
  EXPECT_EQ(raw.end.closed->code, ErrorCode::Limit);
}

TEST_P(MuxLinkTest, AFloodGetsItsTurnAndNoMore) {
  // A link with megabytes to read does not keep another one of the shard from its turn.
  Raw flooded(GetParam());
  auto [inside, outside] = tcp_pair();
  LinkEnd other;
  other.link = std::make_unique<MuxLink>(flooded.shard, std::make_unique<TcpStream>(std::move(inside)), Role::Client,
                                         MuxLimits{}, other);
  ASSERT_TRUE(other.link->start());
  for (int i = 0; i < 10; ++i) flooded.shard.io().poll();
  // DATA for a stream that is over is dropped, and needs no credit.
  flooded.say(frame(wire::FrameType::Open, 2, std::string("\0\0\0\1\1\0\0\0", 8)));
  const std::string chunk = frame(wire::FrameType::Data, 2, std::string(30'000, 'x'));
  std::size_t sent = 0;
  for (ssize_t n = 1; n > 0; sent += n > 0 ? static_cast<std::size_t>(n) : 0)
    n = ::send(flooded.peer.get(), chunk.data() + sent % chunk.size(), chunk.size() - sent % chunk.size(),
               MSG_NOSIGNAL);
  ASSERT_GT(sent, 5 * MuxLink::kReadPerTurn);
  const std::string ping = frame(wire::FrameType::Ping, 0, "12345678");
  ASSERT_EQ(::send(outside.get(), ping.data(), ping.size(), MSG_NOSIGNAL), 16);
  // On the same shard, which may take many turns in one step of its io_context: so it is a handler that sees the answer come.
  struct Answer final : transport::PollHandler {
    Answer(int at, const MuxLink& link) : fd(at), flood(link) {}
    int fd;
    const MuxLink& flood;
    std::size_t said = 0, flood_by_then = 0;
    void on_ready(std::uint32_t) override {
      char buffer[64];
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      said += static_cast<std::size_t>(n);
      flood_by_then = flood.status().bytes_in;
    }
  } answer(outside.get(), *flooded.end.link);
  ASSERT_TRUE(flooded.shard.poller().add(outside.get(), answer));
  EXPECT_TRUE(flooded.until([&] { return answer.said == 16; }));
  flooded.shard.poller().remove(outside.get(), answer);
  EXPECT_GT(answer.flood_by_then, 0u);
  EXPECT_LE(answer.flood_by_then, 4 * MuxLink::kReadPerTurn) << "the other one waited for all of it";
  EXPECT_TRUE(flooded.until([&] { return flooded.end.link->status().bytes_in + 50'000 > sent * 30'000 / 30'008; }))
      << "and the flood is read on";
  other.link->close(Error());
  EXPECT_TRUE(flooded.until([&] { return other.closed.has_value(); }));
}

// ---- close() from each callback ----------------------------------------------------------------------------------------

enum class From { Data, Fin, End, Fill, Open, Control, Goaway };
class MuxLinkClose : public testing::TestWithParam<std::tuple<bool, From>> {};
INSTANTIATE_TEST_SUITE_P(All, MuxLinkClose,
                         testing::Combine(testing::Bool(), testing::Values(From::Data, From::Fin, From::End, From::Fill,
                                                                           From::Open, From::Control, From::Goaway)));

// Closes the link from inside one callback; counts what it hears.
struct Closer final : transport::StreamHandler {
  MuxLink* link = nullptr;
  std::optional<From> from;
  Stream* stream = nullptr;
  int ends = 0;
  StreamEnd end;
  bool closing = false;
  void maybe(From here) {
    if (from != here) return;
    from.reset();
    closing = true;
    link->close(Error(ErrorCode::Cancelled, Side::Local, false, "from inside"));
  }
  std::size_t on_data(Stream&, ConstBytes bytes) override {
    EXPECT_EQ(ends, 0);
    maybe(From::Data);
    return bytes.size();
  }
  void on_fin(Stream&) override { maybe(From::Fin); }
  void on_end(Stream&, StreamEnd how) override {
    ++ends;
    end = how;
    stream = nullptr;
    maybe(From::End);
  }
  Fill fill(Stream&, MutBytes into) override {
    EXPECT_EQ(ends, 0);
    maybe(From::Fill);
    const std::size_t n = std::min<std::size_t>(into.size(), 5000);
    std::fill_n(into.begin(), n, std::byte{'f'});
    return {n, false, true};
  }
};

TEST_P(MuxLinkClose, FromInside) {
  const auto [portable, from] = GetParam();
  std::list<Closer> all;
  Raw raw(portable);
  raw.end.at_open = [&](Stream& stream, const OpenInfo&) {
    Closer& one = all.emplace_back();
    one.link = raw.end.link.get();
    one.stream = &stream;
    stream.set_handler(one);
    if (all.size() == 2) one.from = from;
    if (all.size() == 3 && from == From::Open)
      one.link->close(Error(ErrorCode::Cancelled, Side::Local, false, "from inside"));
  };
  const auto close = [&] { raw.end.link->close(Error(ErrorCode::Cancelled, Side::Local, false, "from inside")); };
  if (from == From::Control) raw.end.at_control = close;
  if (from == From::Goaway) raw.end.at_goaway = close;
  const std::string open("\0\0\0\1\1\0\0\0", 8);
  std::string script;
  for (const std::uint32_t id : {2u, 4u, 6u}) script += frame(wire::FrameType::Open, id, open);
  script += frame(wire::FrameType::Data, 4, "bytes");
  if (from == From::Fin) script += frame(wire::FrameType::Data, 4, "", 1);
  if (from == From::End) script += frame(wire::FrameType::Reset, 4, std::string(4, '\0'));
  if (from == From::Control) script += frame(wire::FrameType::Control, 0, "{}");
  if (from == From::Goaway) script += frame(wire::FrameType::Goaway, 0, std::string(8, '\0'));
  raw.say(script + frame(wire::FrameType::Data, 2, "behind it"));
  if (from == From::Fill) {
    ASSERT_TRUE(raw.until([&] { return all.size() == 3; }));
    for (Closer& one : all)
      if (one.stream != nullptr) one.stream->want_write();
  }
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(raw.end.closed->context, "from inside");
  EXPECT_EQ(all.size(), 3u);
  for (const Closer& one : all) EXPECT_EQ(one.ends, 1);
  if (from != From::End) EXPECT_EQ(all.front().end.reason, ResetReason::LinkLost);
  ASSERT_TRUE(raw.until([&] {
    raw.listen();
    return raw.at_end;
  })) << "the peer sees the end";
}

TEST_P(MuxLinkTest, CloseOfALinkWhosePeerTakesNothing) {
  // The output buffer is half written, and stays so.
  Closer sender;
  Raw raw(GetParam());
  raw.end.at_open = [&](Stream& stream, const OpenInfo&) {
    sender.stream = &stream;
    sender.link = raw.end.link.get();
    stream.set_handler(sender);
    stream.want_write();
  };
  raw.say(frame(wire::FrameType::Open, 2, std::string("\0\0\0\1\1\0\0\0", 8)) +
          frame(wire::FrameType::Credit, 2, std::string("\x10\0\0\0", 4)));
  std::uint64_t before = 1;
  ASSERT_TRUE(raw.until([&] {
    const std::uint64_t out = raw.end.link->status().bytes_out;
    if (out > 0 && out == before) return true;
    before = out;
    raw.shard.io().run_for(20ms);
    return false;
  }));
  raw.end.link->goaway(6, "revoked");
  raw.end.link->close(Error(ErrorCode::Unauthorized, Side::Local, false, "revoked"));
  ASSERT_TRUE(raw.until([&] { return raw.end.closed.has_value(); }));
  EXPECT_EQ(sender.ends, 1);
  // What the peer does get is whole frames up to where it stops.
  ASSERT_TRUE(raw.until([&] {
    while (raw.listen()) {
    }
    return raw.at_end;
  }));
  std::string_view heard = raw.heard;
  while (heard.size() >= 8) {
    const auto header = wire::decode_header(as_bytes(heard).first<8>());
    ASSERT_TRUE(header);
    heard.remove_prefix(std::min<std::size_t>(heard.size(), 8 + header->length));
  }
}

TEST_P(MuxLinkTest, AHundredLinksOpenAndClose) {
  MemoryBudget budget;
  Shard shard(0, budget, GetParam());
  std::list<LinkEnd> ends;
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 100; ++i) {
    auto [a, b] = tcp_pair();
    LinkEnd& end = ends.emplace_back();
    end.link =
        std::make_unique<MuxLink>(shard, std::make_unique<TcpStream>(std::move(a)), Role::Client, MuxLimits{}, end);
    ASSERT_TRUE(end.link->start());
    peers.push_back(std::move(b));
  }
  for (std::size_t i = 0; i < peers.size(); i += 2) peers[i].reset();
  std::size_t i = 0;
  for (LinkEnd& end : ends)
    if (i++ % 2 == 1) end.link->close(Error());
  const TimePoint last = Clock::now() + 20s;
  const auto all_closed = [&] {
    return std::ranges::all_of(ends, [](const LinkEnd& end) { return end.closed.has_value(); });
  };
  while (!all_closed() && Clock::now() < last) {
    shard.io().restart();
    shard.io().run_one_for(2ms);
  }
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(shard.buffers().lent(), 0u);
}

}  // namespace
}  // namespace ferrotunnel::integration
