// HTTP/2 by `Upgrade: h2c`, where that is on; and what else of HTTP/2 without TLS.
#include "unit/ingress/http2_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class Http2Upgrade : public HttpTest {
 protected:
  [[nodiscard]] static HttpIngressOptions with(H2c what) {
    HttpIngressOptions options;
    options.h2c = what;
    return options;
  }
  [[nodiscard]] static std::string ask(std::string_view more = "", std::string_view method = "GET") {
    return std::string(method) +
           " /first HTTP/1.1\r\nHost: A.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
           "HTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Kept: 1\r\n" + std::string(more) + "\r\n";
  }
};
FT_ON_BOTH_POLLERS(Http2Upgrade);

TEST_P(Http2Upgrade, ItsRequestIsTheFirstStream) {
  HttpWorld world(portable(), with(H2c::Upgrade));
  std::string heads;
  world.link.origin = answer_heads([&](std::string_view head) {
    heads += head;
    return ok("hello");
  });
  Visitor& socket = world.connect();
  socket.send(ask());
  ASSERT_TRUE(world.until_got(socket, "\r\n\r\n"));
  EXPECT_EQ(socket.got.substr(0, socket.got.find("\r\n\r\n") + 4),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  socket.got.erase(0, socket.got.find("\r\n\r\n") + 4);
  H2Client client;
  const std::string settings("\0\3\0\0\0\x64\0\4\0\0\xff\xff", 12);
  ASSERT_EQ(nghttp2_session_upgrade2(client.session(), reinterpret_cast<const std::uint8_t*>(settings.data()),
                                     settings.size(), 0, nullptr),
            0);
  std::int32_t second = 0;
  const auto move = [&] {
    client.in(socket.take());
    socket.send(client.out());
    if (client.answers[1].closed && second == 0) second = client.ask("GET", "/second");
    return second != 0 && client.answers[second].closed;
  };
  ASSERT_TRUE(world.until(move)) << client.broken;
  EXPECT_EQ(client.broken, "");
  EXPECT_EQ(client.answers[1].status, 200);
  EXPECT_EQ(client.answers[1].body, "hello");
  EXPECT_EQ(client.answers[second].body, "hello");
  EXPECT_TRUE(heads.starts_with("GET /first HTTP/1.1\r\nHost: A.test\r\n")) << heads;
  EXPECT_TRUE(heads.contains("x-kept: 1\r\n")) << heads;
  for (const char* gone : {"upgrade", "Upgrade", "ettings"}) EXPECT_FALSE(heads.contains(gone)) << heads;
  const HttpIngressStats stats = world.ingress->stats();
  EXPECT_EQ(stats.h2_upgrades, 1u);
  EXPECT_EQ(stats.h2_requests, 2u);
  EXPECT_EQ(stats.visitors, 1u);
  ASSERT_EQ(world.host.records.size(), 2u);
  EXPECT_EQ(world.host.records[0].path, "/first");
  socket.close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.shard.buffers().lent(), 0u);
}

TEST_P(Http2Upgrade, WhatDoesNotFitIsAnsweredOverHttp11) {
  const auto answered = [this](const HttpIngressOptions& options, const std::string& request) {
    HttpWorld world(portable(), options);
    world.link.origin = [](FakeStream& stream) {
      if (stream.got.contains("\r\n\r\n")) stream.say(ok("plain"));
      stream.got.clear();
    };
    Visitor& visitor = world.connect();
    visitor.send(request);
    EXPECT_TRUE(world.until_got(visitor, "plain")) << visitor.got;
    EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 OK\r\n")) << visitor.got;
    EXPECT_EQ(world.ingress->stats().h2_upgrades, 0u);
  };
  answered({}, ask());
  answered(with(H2c::Off), ask());
  answered(with(H2c::Upgrade), ask("Content-Length: 1\r\n") + "x");
  answered(with(H2c::Upgrade), ask() + get("/second"));
  answered(with(H2c::Upgrade),
           get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: ???\r\n"));
  answered(with(H2c::Upgrade),
           get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"));
  // So many entries that the connection would end at once.
  std::string many;
  for (int i = 0; i < 500; ++i) many += "AAMAAABk";
  answered(with(H2c::Upgrade),
           get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: " + many + "\r\n"));
}

TEST_P(Http2Upgrade, SettingsThatAreWrongEndIt) {
  HttpWorld world(portable(), with(H2c::Upgrade));
  Visitor& visitor = world.connect();
  // A window of 2^32 - 1.
  visitor.send(get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAT_____\r\n"));
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.got.contains("too large SETTINGS_INITIAL_WINDOW_SIZE")) << visitor.got;  // its GOAWAY says so
  visitor.close();
  ASSERT_TRUE(world.until([&] { return world.ingress->stats().visitors == 0; }));
  EXPECT_EQ(world.link.alive(), world.ingress->stats().idle_origins);
}

TEST_P(Http2Upgrade, AFailureIsAPageThereToo) {
  HttpWorld world(portable(), with(H2c::Upgrade));
  Visitor& visitor = world.connect();
  visitor.send(
      "GET / HTTP/1.1\r\nHost: nobody.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
      "AAMAAABk\r\n\r\n");
  ASSERT_TRUE(world.until_got(visitor, "No tunnel serves nobody.test here."));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 101 ")) << visitor.got;
}

TEST_P(Http2Upgrade, ItMovesToWhereTheLinkIs) {
  HttpWorld world(portable(), with(H2c::Upgrade));
  ASSERT_TRUE(world.router.claim("far.test", "owner", {9, 1, 5}).has_value());
  Visitor& visitor = world.connect();
  visitor.send(
      "GET /x HTTP/1.1\r\nHost: far.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
      "AAMAAABk\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return world.host.moved_http2.size() == 1; }));
  EXPECT_EQ(world.host.moved_http2[0].first, 5u);
  EXPECT_TRUE(world.host.moved_http2[0].second.server->parked());
  EXPECT_EQ(world.ingress->stats().visitors, 0u);
}

TEST_P(Http2Upgrade, WithoutHttp2ThePrefaceIsNoRequest) {
  HttpWorld world(portable(), with(H2c::Off));
  Visitor& visitor = world.connect();
  visitor.send(ferrotunnel::test::kH2Hello);
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 ")) << visitor.got;
  EXPECT_EQ(world.ingress->stats().h2_visitors, 0u);
}

TEST_P(Http2Upgrade, PlainRequestsAreSentToTheOtherPort) {
  HttpWorld world(portable());
  world.ingress->set_https({.book = nullptr, .port = 8443, .redirect = true, .hsts = {}});
  H2Visitor visitor(world);
  const auto get = visitor.client.ask("GET", "/x?q=1");
  const auto post = visitor.client.ask("POST", "/y", {}, false);
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(get).closed && visitor.answer(post).closed; }));
  EXPECT_EQ(visitor.answer(get).status, 308);
  EXPECT_EQ(visitor.answer(get).value("location"), "https://a.test:8443/x?q=1");
  EXPECT_EQ(visitor.answer(post).status, 308);
  EXPECT_TRUE(world.link.streams.empty());
  ASSERT_TRUE(visitor.until([&] { return world.host.records.size() == 2; }));
  EXPECT_EQ(world.host.records[0].fields.status, 308);
  EXPECT_EQ(world.host.records[0].slug, "");
  EXPECT_EQ(world.host.records[0].path, "/x");
  EXPECT_EQ(world.ingress->stats().redirects, 2u);
}

TEST_P(Http2Upgrade, MalformedRequestsAreTold) {
  HttpWorld world(portable());
  H2Visitor visitor(world);
  const auto bad = visitor.client.ask_as({{":method", "GET"}});
  const auto worse = visitor.client.ask("GET", "/", {{"x-a", "b\nc"}});
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(bad).closed && visitor.answer(worse).closed; }));
  EXPECT_EQ(visitor.answer(bad).reset, NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(visitor.answer(worse).reset, NGHTTP2_PROTOCOL_ERROR);
  ASSERT_EQ(world.host.records.size(), 2u);
  for (const Record& record : world.host.records) {
    EXPECT_EQ(record.slug, "malformed");
    EXPECT_EQ(record.fields.status, 0);
    EXPECT_EQ(record.fields.side, http::FaultSide::Visitor);
    EXPECT_EQ(record.fields.visitor.port, 50'000);
  }
}

TEST_P(Http2Upgrade, TheOriginsPriorityGoesBeforeTheVisitors) {
  HttpWorld world(portable());
  H2Visitor visitor(world, true, 1 << 20);
  const auto first = visitor.client.ask("GET", "/first", {{"priority", "u=1"}});
  const auto second = visitor.client.ask("GET", "/second", {{"priority", "u=5, i"}});
  ASSERT_TRUE(visitor.until(
      [&] { return world.link.alive() == 2 && world.link.streams[0]->got.ends_with("\r\n\r\n") && asked(world); }));
  world.link.streams[0]->say(ok(std::string(30'000, 'x')));
  world.link.streams[1]->say(ok(std::string(30'000, 'x'), "Priority: u=0\r\n"));
  ASSERT_TRUE(visitor.until([&] { return visitor.answer(first).closed && visitor.answer(second).closed; }));
  EXPECT_EQ(visitor.client.order.front(), second);
  EXPECT_EQ(visitor.client.order.back(), first);
  EXPECT_EQ(visitor.answer(second).value("priority"), "u=0");
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
