// Trusted proxies and PROXY headers through the public headers: what build() refuses, and what status() counts.
#include "integration/api_world.h"

namespace ferrotunnel::api_test {
namespace {

TEST(ApiProxy, WhatBuildRefuses) {
  auto builder = Server::builder();
  builder.trusted_proxies({"10.0.0.0/8", "192.0.2.1/24"});
  const auto built = builder.build();
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().code, ErrorCode::BadInput);
  EXPECT_NE(built.error().context.find("192.0.2.0/24"), std::string::npos) << built.error().context;
}

TEST(ApiProxy, TcpTunnelsTakeOptionsAndAPort) {
  auto builder = Client::builder();
  builder.server("127.0.0.1:1").grant("default", "0123456789abcdef");
  builder.tcp("a", "22")
      .tcp("b", "23", 2323)
      .tcp("c", "24", {.port = 2424})
      .tcp("d", "25", {.proxy_protocol = ProxyProtocol::V2});
  const auto built = builder.build();
  EXPECT_TRUE(built) << built.error().context;
}

TEST(ApiProxy, RefusedHeadersAreCounted) {
  const TemporaryDirectory state;
  auto server = Server::builder()
                    .listen("127.0.0.1:0")
                    .http_listen("127.0.0.1:0")
                    .state_dir(state.path + "/s")
                    .threads(2)
                    .trusted_proxies({"127.0.0.0/8"})
                    .build();
  ASSERT_TRUE(server);
  const auto ready = server->start();
  ASSERT_TRUE(ready) << ready.error().context;
  const auto port = static_cast<std::uint16_t>(std::stoi(ready->http_listen.substr(ready->http_listen.rfind(':') + 1)));
  for (int i = 0; i < 5; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    ASSERT_EQ(::send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    char byte;
    EXPECT_LE(::recv(fd, &byte, 1, 0), 0);
    ::close(fd);
  }
  EXPECT_TRUE(eventually([&] { return server->status().proxy_headers_refused == 5; }));
  const int waits = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(waits, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  ::poll(nullptr, 0, 200);
  server->drain(1s);  // with one who has not said its header yet
  ::close(waits);
}

}  // namespace
}  // namespace ferrotunnel::api_test
