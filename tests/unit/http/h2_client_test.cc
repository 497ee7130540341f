// H2Client and a service in memory: pieces of any size, what the service may not do, and what becomes of requests that it does not take.
#include "http/h2/h2_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "http/h1_head.h"
#include "support/h2_origin.h"

namespace ferrotunnel::http {
namespace {

using ferrotunnel::test::h2_frame;
using ferrotunnel::test::h2_headers;
using ferrotunnel::test::H2Origin;
using ferrotunnel::test::H2OriginOptions;
using ferrotunnel::test::H2Pairs;

struct Asker final : H2Asker {
  [[nodiscard]] Piece pull(MutBytes into) override {
    const std::size_t n = body.copy(reinterpret_cast<char*>(into.data()), into.size());
    body.erase(0, n);
    const bool end = whole && body.empty();
    return {n, end, end ? std::string_view(trailers) : std::string_view{}};
  }
  [[nodiscard]] http::H2Asked asked() const override { return {false, accept}; }
  void on_head(std::string_view text, const H2Answer& answer, bool end) override {
    heads.append(text);
    last = answer;
    no_body = end;
  }
  void on_body(ConstBytes bytes) override {
    got.append(as_text(bytes));
    if (!reads) return;
    client->consumed(id, bytes.size());
    client->consumed_connection(bytes.size());
  }
  void on_response_end(std::string_view lines) override {
    ended = true;
    got_trailers.assign(lines);
  }
  void on_closed(H2Code code, bool by_origin) override {
    closed = code;
    by_it = by_origin;
  }

  H2Client* client = nullptr;
  std::int32_t id = 0;
  std::string body, trailers, accept;
  bool whole = false, reads = true;
  std::string heads, got, got_trailers;
  H2Answer last;
  bool no_body = false, ended = false, by_it = false;
  std::optional<H2Code> closed;
};

struct World {
  explicit World(const H2OriginOptions& options = {}, const H2Limits& h2 = {}) : limits(h2), origin(options) {}

  Asker& ask(const std::string& head, std::string body = {}, bool whole = true, std::string trailers = {}) {
    askers.push_back(std::make_unique<Asker>());
    Asker& asker = *askers.back();
    asker.client = &client;
    asker.body = std::move(body);
    asker.whole = whole;
    asker.trailers = std::move(trailers);
    RequestHead request;
    EXPECT_TRUE(parse_request_head(head, heads, request).done()) << head;
    if (is_websocket(request)) asker.accept = "accept";
    const auto id = client.submit(request, "http", request.framing.empty() && !is_websocket(request), asker);
    if (id) asker.id = *id;
    return asker;
  }
  void move(std::size_t piece = 100'000, std::size_t room = H2Client::kFrameRoom, TimePoint now = {}) {
    std::vector<std::byte> out(room);
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t n; (n = client.produce(out)) > 0; moved = true) origin.in(as_text({out.data(), n}));
      const std::string said = origin.out();
      moved = moved || !said.empty();
      for (std::size_t at = 0; at < said.size(); at += piece)
        client.feed(as_bytes(std::string_view(said).substr(at, piece)), now);
    }
  }
  // What no library would say, behind the service's SETTINGS.
  void hear(std::string_view bytes, TimePoint now = {}) { client.feed(as_bytes(bytes), now); }

  Limits heads;
  H2Limits limits;
  H2Client client{limits, heads};
  H2Origin origin;
  std::vector<std::unique_ptr<Asker>> askers;
};

const std::string kGet = "GET /x?y HTTP/1.1\r\nHost: a.test\r\n\r\n";
const std::string kPost =
    "POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\r\n";

TEST(H2Client, AsksAndReadsInPiecesOfAnySize) {
  for (const std::size_t piece : {1, 7, 100, 100'000}) {
    for (const std::size_t room : {H2Client::kFrameRoom, 3 * H2Client::kFrameRoom + 5}) {
      World world;
      std::string body(200'000, 'x');
      for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
      Asker& up = world.ask(kPost, body, true, "x-sum: 1\r\n\r\n");
      Asker& get = world.ask(kGet);
      world.move(piece, room);
      EXPECT_EQ(world.origin.broken, "");
      const auto& asked = world.origin.asked[up.id];
      EXPECT_TRUE(asked.body == body);
      EXPECT_EQ(asked.value(":method"), "POST");
      EXPECT_EQ(asked.value(":path"), "/up");
      EXPECT_EQ(asked.value(":authority"), "a.test");
      EXPECT_EQ(asked.value("te"), "trailers");
      EXPECT_EQ(asked.value("host") + asked.value("connection") + asked.value("transfer-encoding"), "");
      EXPECT_EQ(asked.trailers, (H2Pairs{{"x-sum", "1"}}));
      EXPECT_EQ(world.origin.asked[get.id].value(":path"), "/x?y");
      EXPECT_TRUE(world.origin.asked[get.id].ended);

      world.origin.interim(up.id, {{":status", "103"}, {"link", "</a>"}});
      world.origin.head(up.id, {{":status", "200"}, {"x-a", "b"}});
      world.origin.body(up.id, body, true, {{"x-crc", "7"}});
      world.origin.answer(get.id, "hello", {{"content-length", "5"}});
      world.move(piece, room);
      EXPECT_TRUE(up.got == body);
      EXPECT_EQ(up.heads,
                "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
                "HTTP/1.1 200 OK\r\nx-a: b\r\nTransfer-Encoding: chunked\r\n\r\n");
      EXPECT_EQ(up.got_trailers, "x-crc: 7\r\n");
      EXPECT_EQ(get.heads, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
      EXPECT_EQ(get.got, "hello");
      EXPECT_TRUE(up.ended && get.ended && up.closed && get.closed);
      EXPECT_EQ(world.client.streams(), 0u);
    }
  }
}

TEST(H2Client, CreditIsGivenBackAsBytesAreTaken) {
  World world;
  Asker& slow = world.ask(kGet);
  slow.reads = false;
  Asker& quick = world.ask(kGet);
  world.move();
  world.origin.answer(slow.id, std::string(300'000, 's'));
  world.origin.answer(quick.id, std::string(300'000, 'q'));
  world.move();
  EXPECT_EQ(slow.got.size(), 65'535u);
  EXPECT_EQ(quick.got.size(), 300'000u) << "one that is slow holds back no other";
  world.client.consumed(slow.id, 65'535);
  world.client.consumed_connection(65'535);
  world.move();
  EXPECT_EQ(slow.got.size(), 2 * 65'535u);
}

TEST(H2Client, ItsBodyWaitsForTheWindow) {
  H2OriginOptions options;
  options.reads = false;
  World world(options);
  Asker& up = world.ask(kPost, std::string(200'000, 'x'));
  world.move();
  EXPECT_EQ(world.origin.asked[up.id].body.size(), 65'535u);
  EXPECT_EQ(up.body.size(), 200'000u - 65'535u) << "the rest was not asked for";
  EXPECT_TRUE(world.client.window_shut(up.id));
}

TEST(H2Client, HowOneStreamEnds) {
  World world;
  Asker& refused = world.ask(kGet);
  Asker& cancelled = world.ask(kGet);
  Asker& early = world.ask(kPost, "part", false);
  Asker& other = world.ask(kGet);
  world.move();
  world.origin.reset(refused.id, NGHTTP2_REFUSED_STREAM);
  world.origin.reset(cancelled.id, NGHTTP2_CANCEL);
  world.origin.answer(early.id, "no");
  world.move();
  world.origin.reset(early.id, NGHTTP2_NO_ERROR);
  world.origin.answer(other.id, "yes");
  world.move();
  EXPECT_EQ(refused.closed, H2Code::Refused);
  EXPECT_EQ(cancelled.closed, H2Code::Cancel);
  EXPECT_TRUE(cancelled.by_it);
  EXPECT_TRUE(early.ended);
  EXPECT_EQ(early.got, "no");
  EXPECT_EQ(other.got, "yes");
  EXPECT_TRUE(world.client.open());
}

TEST(H2Client, WhatGoawayLeavesOut) {
  World world;
  Asker& first = world.ask(kGet);
  Asker& second = world.ask(kPost, "x", false);
  world.move();
  world.origin.goaway(first.id);
  world.move();
  EXPECT_EQ(second.closed, H2Code::Refused);
  EXPECT_FALSE(first.closed);
  EXPECT_FALSE(world.client.open());
  EXPECT_EQ(world.ask(kGet).id, 0) << "nothing is asked on it any more";
  world.origin.answer(first.id, "done");
  world.move();
  EXPECT_EQ(first.got, "done");
  EXPECT_TRUE(world.client.over());
}

TEST(H2Client, ARequestThatIsGivenUpBeforeItWasSent) {
  World world;
  Asker& gone = world.ask(kGet);
  world.client.detach(gone.id);
  world.client.reset(gone.id, H2Code::Cancel);
  Asker& next = world.ask(kGet);
  world.move();
  EXPECT_FALSE(world.origin.asked.contains(gone.id));
  world.origin.answer(next.id, "yes");
  world.move();
  EXPECT_EQ(next.got, "yes");
  EXPECT_EQ(world.client.streams(), 0u);
  EXPECT_EQ(world.origin.broken, "");
}

TEST(H2Client, WhatTheServiceAllows) {
  H2OriginOptions options;
  options.max_streams = 3;
  options.websockets = true;
  World world(options);
  EXPECT_FALSE(world.client.settled());
  EXPECT_FALSE(world.client.takes_websockets());
  world.move();
  EXPECT_TRUE(world.client.settled());
  EXPECT_TRUE(world.client.takes_websockets());
  EXPECT_EQ(world.client.max_streams(), 3u);
}

TEST(H2Client, AWebSocket) {
  H2OriginOptions options;
  options.websockets = true;
  World world(options);
  world.move();
  Asker& socket = world.ask(
      "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"
      "Sec-WebSocket-Version: 13\r\n\r\n",
      {}, false);
  world.move();
  const auto& asked = world.origin.asked[socket.id];
  EXPECT_EQ(asked.value(":method"), "CONNECT");
  EXPECT_EQ(asked.value(":protocol"), "websocket");
  EXPECT_EQ(asked.value("sec-websocket-version"), "13");
  EXPECT_EQ(asked.value("sec-websocket-key") + asked.value("upgrade"), "");
  world.origin.head(socket.id, {{":status", "200"}, {"sec-websocket-protocol", "p"}});
  world.origin.body(socket.id, "down");
  world.move();
  EXPECT_EQ(socket.heads,
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: p\r\nConnection: Upgrade\r\nUpgrade: "
            "websocket\r\nSec-WebSocket-Accept: accept\r\n\r\n");
  EXPECT_EQ(socket.got, "down");
  socket.body = "up";
  world.client.resume(socket.id);
  world.move();
  EXPECT_EQ(world.origin.asked[socket.id].body, "up");
}

TEST(H2Client, AServiceOfHttp1IsRecognised) {
  for (const std::string_view said :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "<!DOCTYPE HTML>\n", "220 mail ESMTP\r\n", "\x15\x03\x01\x02\x02\x46"})
    for (const std::size_t piece : {1, 3, 100}) {
      World world;
      for (std::size_t at = 0; at < said.size(); at += piece) world.hear(said.substr(at, piece));
      EXPECT_TRUE(world.client.not_http2()) << said;
    }
  World world;
  world.move();
  EXPECT_FALSE(world.client.not_http2());
}

// ---- what it may not do -------------------------------------------------------------------------------------------

TEST(H2Client, AnswersThatAreNone) {
  const std::vector<H2Pairs> wrong{
      {{":status", "101"}},
      {{":status", "99"}},
      {{":status", "600"}},
      {{":status", "2000"}},
      {{"x", "y"}},
      {{":status", "200"}, {"connection", "close"}},
      {{":status", "200"}, {"transfer-encoding", "chunked"}},
      {{":status", "200"}, {"upgrade", "x"}},
      {{":status", "200"}, {"X-Upper", "y"}},
      {{":status", "200"}, {"x", "a\r\nb: c"}},
      {{":status", "200"}, {"x", std::string("a\0b", 3)}},
      {{":status", "200"}, {"x y", "z"}},
      {{":status", "200"}, {"x:", "z"}},
      {{":status", "200"}, {"content-length", "5"}, {"content-length", "6"}},
      {{":status", "200"}, {"content-length", "+5"}},
      {{":status", "200"}, {":status", "200"}},
      {{":status", "200"}, {":path", "/"}},
  };
  for (const H2Pairs& fields : wrong) {
    World world;
    Asker& asker = world.ask(kGet);
    Asker& other = world.ask(kGet);
    world.move();
    world.hear(h2_headers(static_cast<std::uint32_t>(asker.id), fields, false));
    world.move();
    EXPECT_EQ(asker.heads, "") << fields.back().first << ": " << fields.back().second;
    EXPECT_EQ(asker.closed, H2Code::Protocol) << fields.back().first << ": " << fields.back().second;
    EXPECT_FALSE(asker.by_it);
    EXPECT_FALSE(other.closed) << "and no other one is ended for it";
    EXPECT_TRUE(world.client.open());
  }
}

TEST(H2Client, ABodyOfAnotherLengthThanWasSaid) {
  for (const std::string_view body : {"four", "sixsix"}) {
    World world;
    Asker& asker = world.ask(kGet);
    world.move();
    const auto id = static_cast<std::uint32_t>(asker.id);
    world.hear(h2_headers(id, {{":status", "200"}, {"content-length", "5"}}, false));
    world.hear(h2_frame(0, 1, id, body));
    world.move();
    EXPECT_EQ(asker.closed, H2Code::Protocol);
    EXPECT_FALSE(asker.ended);
  }
}

TEST(H2Client, FloodsEndTheConnection) {
  struct Case {
    H2Abuse kind;
    std::string frame;
  };
  const std::string one_header = ferrotunnel::test::hpack({{":status", "200"}});
  const std::vector<Case> cases{
      {H2Abuse::Settings, h2_frame(4, 0, 0)},
      {H2Abuse::Pings, h2_frame(6, 0, 0, "12345678")},
      {H2Abuse::EmptyFrames, h2_frame(0, 0, 1)},
      {H2Abuse::EmptyFrames, h2_frame(0, 8, 1, std::string(1, '\0'))},
      {H2Abuse::WindowUpdates, h2_frame(8, 0, 0, std::string_view("\0\0\0\1", 4))},
  };
  for (const Case& one : cases) {
    World world;
    Asker& asker = world.ask(kGet);
    world.move();
    world.hear(h2_headers(static_cast<std::uint32_t>(asker.id), {{":status", "200"}}, false));
    int frames = 0;
    while (!world.client.ended() && frames < 1000) {
      world.hear(one.frame);
      ++frames;
      std::vector<std::byte> out(H2Client::kFrameRoom);
      while (world.client.produce(out) > 0) {
      }
    }
    EXPECT_LT(frames, 1000);
    ASSERT_TRUE(world.client.abuse().has_value()) << to_string(one.kind);
    EXPECT_EQ(to_string(*world.client.abuse()), to_string(one.kind));
  }
}

TEST(H2Client, AHeadWithoutEndIsNotGathered) {
  World world;
  Asker& asker = world.ask(kGet);
  world.move();
  const auto id = static_cast<std::uint32_t>(asker.id);
  world.hear(h2_frame(1, 0, id, ferrotunnel::test::hpack({{":status", "200"}})));
  const std::string more = h2_frame(9, 0, id, ferrotunnel::test::hpack({{"x", std::string(100, 'y')}}));
  int frames = 0;
  for (; !world.client.ended() && frames < 100; ++frames) world.hear(more);
  EXPECT_LT(frames, 100);
  EXPECT_EQ(world.client.abuse(), H2Abuse::Continuations);
}

TEST(H2Client, APushIsAnError) {
  World world;
  Asker& asker = world.ask(kGet);
  world.move();
  world.hear(h2_frame(5, 4, static_cast<std::uint32_t>(asker.id),
                      std::string("\0\0\0\2", 4) + ferrotunnel::test::hpack({{":method", "GET"}})));
  std::vector<std::byte> out(H2Client::kFrameRoom);
  while (world.client.produce(out) > 0) {
  }
  EXPECT_FALSE(world.client.open());
}

TEST(H2Client, RandomBytesEndIt) {
  std::uint32_t seed = 1;
  for (int round = 0; round < 200; ++round) {
    World world;
    Asker& asker = world.ask(kGet);
    world.move();
    std::string bytes;
    for (int i = 0; i < 400; ++i) bytes += static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    world.hear(bytes);
    std::vector<std::byte> out(H2Client::kFrameRoom);
    while (world.client.produce(out) > 0) {
    }
    EXPECT_EQ(asker.got, "");
  }
}

}  // namespace
}  // namespace ferrotunnel::http
