// What the ingress does differently for visitors of the HTTPS port, and for those who should have gone there.
#include <filesystem>

#include "support/https_certificates.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class HttpHttps : public HttpTest {
 protected:
  static VisitorTls tls(std::string name) { return {.on = true, .h2 = false, .name = std::move(name)}; }
};
FT_ON_BOTH_POLLERS(HttpHttps);

TEST_P(HttpHttps, TheOriginHearsThatItWasHttps) {
  HttpWorld world(portable());
  Visitor& visitor = world.connect(0, tls("a.test"));
  visitor.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: http\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return asked(world); }));
  EXPECT_TRUE(world.link.last().got.contains("\r\nX-Forwarded-Proto: https\r\n")) << world.link.last().got;
  EXPECT_FALSE(world.link.last().got.contains("Proto: http\r\n")) << world.link.last().got;
  world.link.last().say(ok("x"));
  ASSERT_TRUE(world.until_got(visitor, "x"));
  EXPECT_FALSE(visitor.got.contains("Strict-Transport-Security"));
}

// Over TLS it is ALPN that says HTTP/2 (RFC 9113 section 3.2): one who was not offered it, or took http/1.1, gets none by its preface.
TEST_P(HttpHttps, ThePrefaceWithoutAlpnIsNoRequest) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("x"); });
  Visitor& visitor = world.connect(0, tls("a.test"));
  visitor.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return visitor.closed(); }));
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 505 ")) << visitor.got;
  EXPECT_TRUE(world.link.streams.empty());
}

TEST_P(HttpHttps, HstsIsSaidOverTlsOnly) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("fine"); });
  world.ingress->set_https({.book = nullptr, .port = 443, .redirect = false, .hsts = "max-age=60"});
  Visitor& secure = world.connect(0, tls("a.test"));
  Visitor& plain = world.connect();
  for (Visitor* one : {&secure, &plain}) {
    one->send(get());
    ASSERT_TRUE(world.until_got(*one, "fine"));
    one->send("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    ASSERT_TRUE(world.until_got(*one, "no-such-host"));
  }
  const auto said = [](const std::string& text) {
    int count = 0;
    for (std::size_t at = 0; (at = text.find("Strict-Transport-Security: max-age=60\r\n", at)) != std::string::npos;
         ++at)
      ++count;
    return count;
  };
  EXPECT_EQ(said(secure.got), 2) << secure.got;
  EXPECT_EQ(said(plain.got), 0) << plain.got;
}

TEST_P(HttpHttps, PlainRequestsAreSentToTheOtherPort) {
  HttpWorld world(portable());
  world.link.origin = answer_heads([](std::string_view) { return ok("fine"); });
  world.ingress->set_https({.book = nullptr, .port = 8443, .redirect = true, .hsts = {}});
  Visitor& plain = world.connect();
  plain.send("GET /x?q=1 HTTP/1.1\r\nHost: A.Test:80\r\n\r\n");
  ASSERT_TRUE(world.until_got(plain, "\r\n\r\n"));
  EXPECT_TRUE(plain.got.starts_with("HTTP/1.1 308 ")) << plain.got;
  EXPECT_TRUE(plain.got.contains("\r\nLocation: https://a.test:8443/x?q=1\r\n")) << plain.got;
  plain.got.clear();
  // On the same connection, and with a body that nobody reads.
  plain.send("POST /y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(world.until_got(plain, "\r\n\r\n"));
  EXPECT_TRUE(plain.got.contains("\r\nConnection: close\r\n")) << plain.got;
  ASSERT_TRUE(world.until([&] { return plain.eof; }));
  EXPECT_TRUE(world.link.streams.empty());
  ASSERT_EQ(world.host.records.size(), 2u);
  EXPECT_EQ(world.host.records[0].fields.status, 308);
  EXPECT_EQ(world.host.records[0].slug, "");
  EXPECT_EQ(world.host.records[0].host, "a.test");
  // Who came by TLS is served.
  Visitor& secure = world.connect(0, tls("a.test"));
  secure.send(get());
  ASSERT_TRUE(world.until_got(secure, "fine"));
}

TEST_P(HttpHttps, AHostOfOtherCertificatesIsMisdirected) {
  std::string directory = "/tmp/ft_https_XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  {
    ferrotunnel::test::HttpsCa ca(directory);
    std::vector<transport::CertificateFiles> files;
    for (const char* name : {"a.test", "b.test"}) {
      const auto made = ca.issue(name, std::string("DNS:") + name);
      transport::CertificateFiles& one = files.emplace_back();
      one.certificate = made.certificate;
      one.key = made.key;
    }
    const auto book = transport::CertificateBook::load(files, {});
    ASSERT_TRUE(book) << book.error().context;
    HttpWorld world(portable());
    world.link.origin = answer_heads([](std::string_view) { return ok("fine"); });
    world.ingress->set_https({.book = *book, .port = 443, .redirect = false, .hsts = {}});
    Visitor& visitor = world.connect(0, tls("b.test"));
    visitor.send(get());
    expect_page(world, visitor, 421, "visitor", "misdirected");
    Visitor& right = world.connect(0, tls("a.test"));
    right.send(get());
    ASSERT_TRUE(world.until_got(right, "fine"));
    Visitor& without = world.connect(0, tls(""));
    without.send(get());
    ASSERT_TRUE(world.until_got(without, "fine"));
  }
  std::filesystem::remove_all(directory);
}

// What a certificate says is worth as much as who has signed it, and a tunnel's authority signs for that tunnel only.
TEST_P(HttpHttps, ACertificateIsToldToWhomItWasShownFor) {
  std::string directory = "/tmp/ft_https_XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  {
    ferrotunnel::test::HttpsCa ca(directory);
    const auto authority = transport::ClientAuthority::parse(*transport::ClientAuthority::read(ca.file()));
    ASSERT_TRUE(authority) << authority.error().context;
    transport::CertificateFiles guarded;
    const auto made = ca.issue("guarded", "DNS:guarded.test");
    guarded.certificate = made.certificate;
    guarded.key = made.key;
    guarded.client_ca = ca.file();
    transport::CertificateFiles open;
    const auto plain = ca.issue("open", "DNS:a.test,DNS:staff.test");
    open.certificate = plain.certificate;
    open.key = plain.key;
    open.is_default = true;
    const auto book = transport::CertificateBook::load(std::vector{guarded, open}, {});
    ASSERT_TRUE(book) << book.error().context;
    HttpWorld world(portable());
    world.ingress->set_https({.book = *book, .port = 443, .redirect = false, .hsts = {}});
    world.link.origin = answer_heads([](std::string_view head) { return ok(head); });
    const route::RouteTarget here{HttpWorld::kSession, HttpWorld::kTunnel, 0};
    route::RouteTarget staff = here;
    staff.client_ca = *authority;
    ASSERT_TRUE(world.router.claim("staff.test", "owner", staff).has_value());
    ASSERT_TRUE(world.router.claim("guarded.test", "owner", here).has_value());
    // `by`: the tunnel's authority that has signed it; null: the server's own.
    const auto told = [&](std::string name, std::string_view host, const transport::ClientAuthorityPtr& by) {
      VisitorTls tls = HttpHttps::tls(std::move(name));
      transport::VisitorCertificate shown;
      shown.authority = by;
      shown.told = "Hash=00;Subject=\"CN=ann\"";
      tls.certificate = std::make_shared<const transport::VisitorCertificate>(std::move(shown));
      Visitor& visitor = world.connect(0, tls);
      visitor.send("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
      EXPECT_TRUE(world.until_got(visitor, "X-Request-Id: ")) << visitor.got;
      world.settle();
      EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 ")) << visitor.got;
      return visitor.got.contains("X-Forwarded-Client-Cert: Hash=00;Subject=\"CN=ann\"\r\n");
    };
    EXPECT_TRUE(told("staff.test", "staff.test", *authority));
    EXPECT_FALSE(told("staff.test", "a.test", *authority));  // of the same certificates, so that it is served
    EXPECT_TRUE(told("guarded.test", "guarded.test", nullptr));
    EXPECT_FALSE(told("", "a.test", nullptr));
  }
  std::filesystem::remove_all(directory);
}

TEST_P(HttpHttps, TravelsToAnotherShard) {
  HttpWorld world(portable());
  ASSERT_TRUE(world.router.claim("far.test", "other", {9, 1, 5}).has_value());
  Visitor& visitor = world.connect(0, tls("far.test"));
  visitor.send("GET / HTTP/1.1\r\nHost: far.test\r\n\r\n");
  ASSERT_TRUE(world.until([&] { return !world.host.moved.empty(); }));
  EXPECT_TRUE(world.host.moved[0].tls.on);
  EXPECT_EQ(world.host.moved[0].tls.name, "far.test");
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
