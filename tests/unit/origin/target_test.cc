// parse_target(): what people write for a local service.
#include "origin/target.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace ferrotunnel::origin {
namespace {

TEST(ParseTarget, Good) {
  struct Good {
    std::string_view text, scheme, address, shown;
  };
  for (const Good& good : {
           Good{"8080", "http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
           {"22", "tcp", "127.0.0.1:22", "tcp://127.0.0.1:22"},
           {"65535", "tcp", "127.0.0.1:65535", "tcp://127.0.0.1:65535"},
           {":8080", "http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
           {"localhost:22", "tcp", "127.0.0.1:22", "tcp://127.0.0.1:22"},
           {"192.0.2.7:80", "tcp", "192.0.2.7:80", "tcp://192.0.2.7:80"},
           {"[::1]:80", "tcp", "[::1]:80", "tcp://[::1]:80"},
           {"http://127.0.0.1:8080", "http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
           {"http://127.0.0.1:8080/", "http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
           {"http://localhost", "http", "127.0.0.1:80", "http://127.0.0.1:80"},
           {"localhost", "http", "127.0.0.1:80", "http://127.0.0.1:80"},
           {"10.0.0.1", "http", "10.0.0.1:80", "http://10.0.0.1:80"},
           {"[::1]", "http", "[::1]:80", "http://[::1]:80"},
           {"http://[::1]:3000/", "http", "[::1]:3000", "http://[::1]:3000"},
           {"tcp://127.0.0.1:22", "tcp", "127.0.0.1:22", "tcp://127.0.0.1:22"},
           {"unix:/run/app.sock", "http", "unix:/run/app.sock", "unix:/run/app.sock"},
           {"unix:app.sock", "tcp", "unix:app.sock", "unix:app.sock"},
       }) {
    const auto target = parse_target(good.text, good.scheme);
    ASSERT_TRUE(target) << good.text << ": " << target.error().context;
    EXPECT_EQ(target->address.text(), good.address) << good.text;
    EXPECT_EQ(target->text, good.shown) << good.text;
  }
}

TEST(ParseTarget, Bad) {
  struct Bad {
    std::string_view text, scheme;
  };
  for (const Bad& bad : {
           Bad{"", "http"},
           {"", "tcp"},
           {"0", "tcp"},
           {"65536", "tcp"},
           {"99999999999999999999", "tcp"},
           {"-1", "tcp"},
           {"80x", "tcp"},
           {" 80", "tcp"},
           {"80 ", "tcp"},
           {"localhost", "tcp"},
           {"127.0.0.1", "tcp"},
           {"localhost:", "tcp"},
           {"localhost:0", "http"},
           {"example.com:80", "http"},
           {"example.com", "http"},
           {"1.2.3.4.5:80", "tcp"},
           {"*:80", "tcp"},
           {"[::1]", "tcp"},
           {"[::1", "http"},
           {"[::g]:80", "http"},
           {"https://127.0.0.1", "http"},
           {"http://127.0.0.1:22", "tcp"},
           {"tcp://127.0.0.1:22", "http"},
           {"http://", "http"},
           {"http:///", "http"},
           {"http://127.0.0.1:80/path", "http"},
           {"http://127.0.0.1:80?q", "http"},
           {"http://u:p@127.0.0.1:80", "http"},
           {"unix:", "http"},
           {"ftp://x", "http"},
           {"://127.0.0.1:80", "http"},
       }) {
    const auto target = parse_target(bad.text, bad.scheme);
    ASSERT_FALSE(target) << bad.text << " as " << bad.scheme << " is " << target->text;
    EXPECT_EQ(target.error().code, ErrorCode::BadInput) << bad.text;
    EXPECT_EQ(target.error().side, Side::Local);
    EXPECT_FALSE(target.error().context.empty());
  }
}

TEST(ParseTarget, AUnixPathHasALimit) {
  const std::string path(sizeof(sockaddr_storage), 'x');
  EXPECT_FALSE(parse_target("unix:/" + path, "http"));
  EXPECT_FALSE(parse_target(std::string("unix:/a\0b", 9), "http"));
  EXPECT_TRUE(parse_target("unix:/" + path.substr(0, 100), "http"));
}

}  // namespace
}  // namespace ferrotunnel::origin
