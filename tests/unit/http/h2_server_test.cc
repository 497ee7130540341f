// H2Server clientst a client in memory: pieces of any size, little room for output, moving from one thread's scratch to another's.
#include "http/h2/h2_server.h"

#include <gtest/gtest.h>

#include <memory>

#include "support/h2_client.h"

namespace ferrotunnel::http {
namespace {

using ferrotunnel::test::H2Client;
using ferrotunnel::test::H2Pairs;

struct Echo final : H2Stream {
  Echo(H2Server& to, const H2Request& request)
      : server(to), id(request.id), path(request.head.path), whole(request.end) {}
  [[nodiscard]] Offer offer() const override { return {body.size(), whole, trailers}; }
  void take(MutBytes into) override {
    body.copy(reinterpret_cast<char*>(into.data()), into.size());
    body.erase(0, into.size());
  }
  void on_body(ConstBytes bytes) override {
    body.append(as_text(bytes));
    server.consumed(id, bytes.size());
    server.consumed_connection(bytes.size());
    server.resume(id);
  }
  void on_request_end(std::string_view lines) override {
    whole = true;
    if (!lines.empty()) trailers.assign(lines).append("\r\n");
    server.resume(id);
  }
  void on_response_sent() override { sent = true; }
  void on_closed(std::uint32_t) override { closed = true; }

  H2Server& server;
  const std::int32_t id;
  std::string path, body, trailers;
  bool whole, sent = false, closed = false;
};

struct Server final : H2Handler {
  [[nodiscard]] H2Stream* on_request(const H2Request& request) override {
    ++asked;
    if (parks) {
      server->park();
      return nullptr;
    }
    streams.push_back(std::make_unique<Echo>(*server, request));
    ResponseHead head;
    EXPECT_TRUE(
        parse_response_head("HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n", {}, {}, head).done());
    server->respond(request.id, head, false);
    return streams.back().get();
  }

  H2Limits h2;
  Limits limits;
  H2Scratch scratch;
  H2Server* server = nullptr;
  std::vector<std::unique_ptr<Echo>> streams;
  int asked = 0;
  bool parks = false;
};

void exchange(H2Client& client, H2Server& server, std::size_t piece, std::size_t room) {
  std::vector<std::byte> out(room);
  for (bool moved = true; moved;) {
    const std::string in = client.out();
    moved = !in.empty();
    for (std::size_t at = 0; at < in.size(); at += piece)
      server.feed(as_bytes(std::string_view(in).substr(at, piece)), {});
    for (std::size_t n; (n = server.produce(out)) > 0; moved = true) client.in(as_text({out.data(), n}));
  }
}

TEST(H2Server, EchoesInPiecesOfAnySize) {
  for (const std::size_t piece : {1, 7, 100, 100'000}) {
    for (const std::size_t room : {H2Server::kFrameRoom, 3 * H2Server::kFrameRoom + 5}) {
      Server host;
      H2Server server(host.h2, host.limits, host.scratch, host);
      host.server = &server;
      H2Client client;
      std::string body(200'000, 'x');
      for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
      const auto one = client.ask("POST", "/one", {}, false);
      const auto two = client.ask("POST", "/two", {{"x-long", std::string(20'000, 'y')}}, false);
      client.body(one, body, true, {{"x-sum", "1"}});
      client.body(two, "short", true);
      exchange(client, server, piece, room);
      EXPECT_TRUE(client.answers[one].body == body) << piece << " " << room;
      EXPECT_EQ(client.answers[one].trailer("x-sum"), "1");
      EXPECT_EQ(client.answers[two].body, "short");
      EXPECT_EQ(client.answers[two].value("x-a"), "b");
      EXPECT_TRUE(client.answers[one].closed && client.answers[two].closed);
      EXPECT_TRUE(host.streams[0]->sent && host.streams[0]->closed);
      EXPECT_EQ(server.streams(), 0u);
      EXPECT_EQ(client.broken, "");
      EXPECT_EQ(client.goaway, std::nullopt);
    }
  }
}

TEST(H2Server, WhatWaitsIsHandedToTheNextThread) {
  Server here, there;
  auto server = std::make_unique<H2Server>(here.h2, here.limits, here.scratch, here);
  here.server = there.server = server.get();
  here.parks = true;
  H2Client client;
  const auto first = client.ask("POST", "/one", {{"cookie", "a=1"}, {"cookie", "b=2"}}, false);
  client.body(first, "body", true, {{"x-sum", "1"}});
  const auto second = client.ask("GET", "/two");
  std::string bytes = client.out();
  server->feed(as_bytes(bytes), {});
  EXPECT_TRUE(server->parked());
  EXPECT_EQ(here.asked, 1);
  server->unpark(there.h2, there.limits, there.scratch, there);
  EXPECT_FALSE(server->parked());
  EXPECT_EQ(there.asked, 2);
  exchange(client, *server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_EQ(client.answers[first].body, "body");
  EXPECT_EQ(client.answers[first].trailer("x-sum"), "1");
  EXPECT_TRUE(client.answers[second].closed);
  EXPECT_EQ(there.streams[1]->path, "/two");
}

// Answers at once, with an END_STREAM.
struct Refuser final : H2Handler, H2Stream {
  [[nodiscard]] H2Stream* on_request(const H2Request& request) override {
    ResponseHead head;
    EXPECT_TRUE(parse_response_head("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", {}, {}, head).done());
    server->respond(request.id, head, true);
    return this;
  }
  [[nodiscard]] Offer offer() const override { return {}; }
  void take(MutBytes) override {}
  void on_body(ConstBytes) override {}
  void on_request_end(std::string_view) override {}
  void on_response_sent() override {}
  void on_closed(std::uint32_t) override { ++closed; }

  H2Limits h2;
  Limits limits;
  H2Scratch scratch;
  H2Server* server = nullptr;
  int closed = 0;
};

// More of them than are remembered, and what was on its way for them is no fault; but no more than their windows let in.
TEST(H2Server, BodiesOfManyRequestsThatWereAnsweredEarly) {
  using namespace ferrotunnel::test;
  constexpr std::uint32_t kForgotten = 36, kStreams = 64 + kForgotten;
  Refuser host;
  H2Server server(host.h2, host.limits, host.scratch, host);
  host.server = &server;
  std::string said;
  const auto move = [&](const std::string& bytes) {
    server.feed(as_bytes(std::string_view(bytes)), {});
    std::vector<std::byte> out(2 * H2Server::kFrameRoom);
    for (std::size_t n; (n = server.produce(out)) > 0;) said.append(as_text({out.data(), n}));
  };
  move(kH2Hello);
  for (std::uint32_t i = 0; i < kStreams; ++i)
    move(h2_headers(2 * i + 1, {{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
                    false));
  ASSERT_EQ(host.closed, static_cast<int>(kStreams));
  const std::string piece(16'383, 'x');
  for (std::uint32_t i = 0; i < kStreams; ++i) {
    move(h2_frame(0, 0, 2 * i + 1, piece));
    if (i % 2 == 0) move(h2_frame(0, 1, 2 * i + 1));
    if (i % 2 == 1) move(h2_headers(2 * i + 1, {{"x-sum", "1"}}));
    ASSERT_FALSE(server.ended()) << i;
  }
  // This is more than the connection's window: it was given back.
  std::uint32_t more = 0;
  for (; more < 4 * kForgotten && !server.ended(); ++more) move(h2_frame(0, 0, 1, piece));
  EXPECT_TRUE(server.ended());
  EXPECT_GE(more, 3 * kForgotten - 1);
  EXPECT_EQ(server.abuse(), std::nullopt);
  // STREAM_CLOSED
  EXPECT_TRUE(said.ends_with(std::string_view("\0\0\0\5", 4))) << said.size();
}

TEST(H2Server, GoesInTwoSteps) {
  Server host;
  H2Server server(host.h2, host.limits, host.scratch, host);
  host.server = &server;
  H2Client client;
  const auto id = client.ask("POST", "/", {}, false);
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  server.notice_shutdown();
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_EQ(client.goaway_last, INT32_MAX);
  server.shutdown();
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_EQ(client.goaway_last, id);
  EXPECT_FALSE(server.over());
  client.body(id, "end", true);
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_EQ(client.answers[id].body, "end");
  EXPECT_TRUE(server.over());
}

TEST(H2Server, GoesInTwoStepsWithNothingUnderWayToo) {
  Server host;
  H2Server server(host.h2, host.limits, host.scratch, host);
  host.server = &server;
  H2Client client;
  const auto id = client.ask("GET", "/");
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_TRUE(client.answers[id].closed);
  server.notice_shutdown();
  exchange(client, server, 1000, 2 * H2Server::kFrameRoom);
  EXPECT_EQ(client.goaways, 1);
  EXPECT_FALSE(server.over());
  server.shutdown();
  // nghttp2's client is past listening then.
  std::vector<std::byte> out(2 * H2Server::kFrameRoom);
  ASSERT_EQ(server.produce(out), 17u);
  EXPECT_EQ(as_text(ConstBytes(out).first(17)),
            ferrotunnel::test::h2_frame(7, 0, 0, std::string_view("\0\0\0\1\0\0\0\0", 8)));
  EXPECT_TRUE(server.over());
}

TEST(H2Server, NoHttp2AtAllIsTheEnd) {
  Server host;
  H2Server server(host.h2, host.limits, host.scratch, host);
  server.feed(as_bytes("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), {});
  EXPECT_TRUE(server.ended());
  std::vector<std::byte> out(2 * H2Server::kFrameRoom);
  EXPECT_GT(server.produce(out), 0u);
  EXPECT_TRUE(server.over());
}

TEST(H2Fields, AreInLowerCaseWithoutTheHop) {
  ResponseHead head;
  ASSERT_TRUE(
      parse_response_head("HTTP/1.1 204 No\r\nX-A: B\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\n"
                          "Set-Cookie: a\r\nSet-Cookie: b\r\nFerrotunnel-Error: mine\r\n\r\n",
                          {}, {}, head)
          .done());
  H2Fields fields;
  fields.set_response(head);
  std::string all;
  for (const auto& line : fields.lines()) all.append(line.name).append("=").append(line.value).append(";");
  EXPECT_EQ(all, ":status=204;x-a=B;set-cookie=a;set-cookie=b;");
  fields.set_trailers("Grpc-Status: 0\r\nContent-Length: 4\r\nX: y \r\n\r\n");
  all.clear();
  for (const auto& line : fields.lines()) all.append(line.name).append("=").append(line.value).append(";");
  EXPECT_EQ(all, "grpc-status=0;x=y;");
}

}  // namespace
}  // namespace ferrotunnel::http
