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

TEST(ParseTarget, OverTlsAndHttp2) {
  struct Good {
    std::string_view text, scheme, address, shown, name;
    bool secure = true, h2 = false;
  };
  for (const Good& good : {
           Good{"https://127.0.0.1:8443", "http", "127.0.0.1:8443", "https://127.0.0.1:8443", "127.0.0.1"},
           {"https://localhost/", "http", "127.0.0.1:443", "https://127.0.0.1:443", "localhost"},
           {"https://8443", "http", "127.0.0.1:8443", "https://127.0.0.1:8443", "localhost"},
           {"https://[::1]:8443", "http", "[::1]:8443", "https://[::1]:8443", "::1"},
           {"tls://127.0.0.1:993", "tcp", "127.0.0.1:993", "tls://127.0.0.1:993", "127.0.0.1"},
           {"https://unix:/run/app.sock", "http", "unix:/run/app.sock", "https://unix:/run/app.sock", "localhost"},
           {"h2s://127.0.0.1", "http", "127.0.0.1:443", "h2s://127.0.0.1:443", "127.0.0.1", true, true},
           {"h2c://127.0.0.1", "http", "127.0.0.1:80", "h2c://127.0.0.1:80", "", false, true},
           {"http://unix:/run/app.sock", "http", "unix:/run/app.sock", "unix:/run/app.sock", "", false},
       }) {
    const auto target = parse_target(good.text, good.scheme);
    ASSERT_TRUE(target) << good.text << ": " << target.error().context;
    EXPECT_EQ(target->address.text(), good.address) << good.text;
    EXPECT_EQ(target->text, good.shown) << good.text;
    EXPECT_EQ(target->tls_name, good.name) << good.text;
    EXPECT_EQ(target->secure, good.secure) << good.text;
    EXPECT_EQ(target->h2, good.h2) << good.text;
    EXPECT_FALSE(target->tls) << good.text;
  }
  const auto named = parse_target("https://app.internal.:8443", "http");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->host, "app.internal.");
  EXPECT_EQ(named->tls_name, "app.internal");
  for (const auto& [text, scheme] : {std::pair{"https://127.0.0.1:1", "tcp"},
                                     {"tls://127.0.0.1:1", "http"},
                                     {"tls://localhost", "tcp"},
                                     {"h2s://127.0.0.1:1", "tcp"},
                                     {"https://localhost:1/path", "http"},
                                     {"ftp://localhost:1", "http"},
                                     {"https://", "http"}})
    EXPECT_FALSE(parse_target(text, scheme)) << text;
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
           {"example.com", "tcp"},
           {"example.com:", "http"},
           {"1.2.3.4.5:80", "tcp"},
           {"256.0.0.1:80", "tcp"},
           {"web.1:80", "http"},
           {"-web:80", "http"},
           {"web-:80", "http"},
           {"web..local:80", "http"},
           {".web:80", "http"},
           {".:80", "http"},
           {"we b:80", "http"},
           {"web_1:80", "http"},
           {"w\xc3\xa9:80", "http"},
           {"*.web:80", "http"},
           {"http://web.local/path", "http"},
           {"http://u@web.local:80", "http"},
           {"::1", "tcp"},
           {"*:80", "tcp"},
           {"[::1]", "tcp"},
           {"[::1", "http"},
           {"[::g]:80", "http"},
           {"https://127.0.0.1", "tcp"},
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

TEST(ParseTarget, ThisMachineIsBothLoopbacks) {
  for (const std::string_view text : {"8080", ":8080", "localhost:8080", "http://localhost:8080/"}) {
    const auto target = parse_target(text, "http");
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(target->address.text(), "127.0.0.1:8080") << text;
    ASSERT_TRUE(target->fallback) << text;
    EXPECT_EQ(target->fallback->text(), "[::1]:8080") << text;
  }
  for (const std::string_view text : {"127.0.0.1:8080", "[::1]:8080", "192.0.2.7:80", "unix:8080", "web:8080"}) {
    const auto target = parse_target(text, "http");
    ASSERT_TRUE(target) << text;
    EXPECT_FALSE(target->fallback) << text;
  }
}

TEST(ParseTarget, Names) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + label.substr(2);
  struct Named {
    std::string text, scheme, host;
    std::uint16_t port;
    std::string shown;
  };
  for (const Named& named : {
           Named{"web.local:9001", "http", "web.local", 9001, "http://web.local:9001"},
           {"http://app:8080", "http", "app", 8080, "http://app:8080"},
           {"http://app/", "http", "app", 80, "http://app:80"},
           {"example.com", "http", "example.com", 80, "http://example.com:80"},
           {"db:5432", "tcp", "db", 5432, "tcp://db:5432"},
           {"tcp://my-db.2.internal.:5432", "tcp", "my-db.2.internal.", 5432, "tcp://my-db.2.internal.:5432"},
           {"3com:80", "tcp", "3com", 80, "tcp://3com:80"},
           {longest + ":80", "tcp", longest, 80, "tcp://" + longest + ":80"},
       }) {
    const auto target = parse_target(named.text, named.scheme);
    ASSERT_TRUE(target) << named.text << ": " << target.error().context;
    EXPECT_EQ(target->host, named.host);
    EXPECT_EQ(target->port, named.port);
    EXPECT_EQ(target->text, named.shown);
  }
  EXPECT_FALSE(parse_target(label + "a:80", "tcp"));
  EXPECT_FALSE(parse_target(longest + "a:80", "tcp"));
}

TEST(ParseTarget, APathIsOfferedAsAUnixSocket) {
  for (const std::string path : {"./app.sock", "/run/x.sock", "run/x.sock", "./a:80"}) {
    const auto target = parse_target(path, "http");
    ASSERT_FALSE(target) << path;
    EXPECT_NE(target.error().context.find("unix:" + path), std::string::npos) << target.error().context;
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
